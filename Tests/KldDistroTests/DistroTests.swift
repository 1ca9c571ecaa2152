import KldBoot
import KldCore
import KldDistro
import KldPackages
import KldTestSupport
import Testing

@Suite("Data of distributions")
struct DistroTests {
    static let titles = DistroSpec.all.map(\.title)

    func spec(_ title: String) throws -> DistroSpec { try #require(DistroSpec.all.first { $0.title == title }) }

    @Test("titles are different, and so are id, suite and backports together")
    func distinct() {
        #expect(Set(Self.titles).count == DistroSpec.all.count)
        #expect(Set(DistroSpec.all.map { "\($0.id) \($0.suite) \($0.backports)" }).count == DistroSpec.all.count)
    }

    @Test("each is found by what the answers say", arguments: titles)
    func found(_ title: String) throws {
        let spec = try spec(title)
        #expect(try DistroSpec.find(distro: spec.id, suite: spec.suite, backports: spec.backports) == spec)
    }

    @Test(
        "what there is no data for is refused, with what there is",
        arguments: [("debian", "sid", false), ("debian", "bookworm", true), ("ubuntu", "noble", false), ("", "", false)])
    func notFound(_ distro: String, _ suite: String, _ backports: Bool) {
        let problem = problem { _ = try DistroSpec.find(distro: distro, suite: suite, backports: backports) }
        #expect(problem?.code == "distro.unsupported")
        #expect(problem?.exit == .badAnswers)
        #expect(problem?.remedies.first?.contains("debian trixie") == true)
    }

    @Test("no package is asked for twice, and each name is a package's", arguments: titles)
    func packages(_ title: String) throws {
        let spec = try spec(title)
        let groups = [
            spec.kernelPackages, spec.moduleSourcePackages, spec.headerPackages, spec.zfsPackages, spec.bootPackages, spec.basePackages,
        ]
        let all = groups.flatMap { $0 }
        #expect(Set(all).count == all.count, "\(Dictionary(grouping: all, by: { $0 }).filter { $0.value.count > 1 }.keys)")
        #expect(Set(spec.livePackages).count == spec.livePackages.count)
        for name in all + spec.livePackages { #expect(Self.isPackageName(name), "\(name)") }
        #expect(groups.allSatisfy { !$0.isEmpty })
    }

    /// Debian policy, 5.6.1: two characters or more, lower case, digits, `+-.`, beginning with a letter or digit.
    static func isPackageName(_ name: String) -> Bool {
        name.utf8.count > 1 && name.first?.isLowercase == true
            && name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || "+-.".utf8.contains($0) }
    }

    @Test("kernel, OpenZFS and boot loader are held; patterns have a star at their end only", arguments: titles)
    func held(_ title: String) throws {
        let spec = try spec(title)
        for pattern in spec.heldPackages {
            #expect(pattern.dropLast().allSatisfy { $0 != "*" } && Self.isPackageName(String(pattern.filter { $0 != "*" })))
        }
        func isHeld(_ name: String) -> Bool {
            spec.heldPackages.contains { $0.hasSuffix("*") ? name.hasPrefix($0.dropLast()) : name == $0 }
        }
        for name in spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages + spec.zfsPackages {
            #expect(isHeld(name), "\(name)")
        }
        for name in ["shim-signed", "systemd-boot-efi", "linux-image-6.12.48+deb13-amd64", "linux-headers-6.12.48+deb13-amd64"] {
            #expect(isHeld(name))
        }
        for name in ["systemd", "openssh-server", "libc6", "zstd"] { #expect(!isHeld(name), "\(name) must get its updates") }
    }

    @Test("programs for the firmware are named below the root, and are five different files", arguments: titles)
    func efi(_ title: String) throws {
        let efi = try spec(title).efi
        let paths = [efi.shim, efi.mokManager, efi.fallback, efi.systemdBoot, efi.stub]
        #expect(Set(paths).count == 5)
        for path in paths { #expect(path.hasPrefix("usr/lib/") && !path.contains("..") && !path.contains("//")) }
        #expect(efi.shim.hasSuffix(".efi.signed"))
    }

    @Test("the pool's features are those of a set that OpenZFS knows, never newer than the release's own", arguments: titles)
    func compatibility(_ title: String) throws {
        let spec = try spec(title)
        // Files of /usr/share/zfs/compatibility.d, OpenZFS 2.4.
        let known = ["openzfs-2.1-linux", "openzfs-2.2-linux", "openzfs-2.3-linux", "openzfs-2.4-linux"]
        #expect(known.contains(spec.compatibility))
        let newest = ["bookworm false": "2.1", "trixie false": "2.3", "trixie true": "2.4"]["\(spec.suite) \(spec.backports)"] ?? ""
        #expect(spec.compatibility == "openzfs-\(newest)-linux")
    }

    @Test("every role of a unit has one, with its suffix", arguments: titles)
    func units(_ title: String) throws {
        let units = try spec(title).units
        for role in DistroSpec.UnitRole.allCases { #expect(units[role]?.hasSuffix(".service") == true, "\(role)") }
        #expect(Set(units.values).count == units.count)
    }

    @Test("quirks are numbered, dated and sourced", arguments: titles)
    func quirks(_ title: String) throws {
        for quirk in try spec(title).quirks {
            #expect(!quirk.id.isEmpty && !quirk.text.isEmpty && !quirk.source.isEmpty)
            #expect(quirk.since.split(separator: "-").compactMap { Int($0) }.count == 2)
        }
    }

    @Test("sources are of one mirror, signed, with security and updates", arguments: titles)
    func sources(_ title: String) throws {
        let spec = try spec(title)
        let sources = try spec.sources(mirror: "http://mirror.example/debian")
        #expect(sources.map(\.suite).prefix(3) == [spec.suite, "\(spec.suite)-updates", "\(spec.suite)-security"])
        for source in sources {
            #expect(
                source.uri
                    == (source.suite.hasSuffix("-security") ? "http://mirror.example/debian-security" : "http://mirror.example/debian"))
            #expect(source.keyring.hasPrefix("/usr/share/keyrings/"))
            #expect(source.components.contains("contrib"), "OpenZFS lies there")
        }
        #expect(sources.contains { $0.suite.hasSuffix("-backports") } == spec.backports)
    }

    @Test("a mirror whose path does not end in /debian has its security archive below it")
    func oddMirror() throws {
        let sources = try DistroSpec.debian13.sources(mirror: "http://localhost:8080/all")
        #expect(
            sources.map(\.uri) == ["http://localhost:8080/all", "http://localhost:8080/all", "http://localhost:8080/all/debian-security"])
    }

    @Test("a security archive that is named takes the sibling's place", arguments: titles)
    func security(_ title: String) throws {
        for source in try spec(title).sources(mirror: "http://m/debian", security: "http://s/debian-security") {
            #expect(source.uri == (source.suite.hasSuffix("-security") ? "http://s/debian-security" : "http://m/debian"))
        }
    }

    @Test("pins are for releases that are among the sources", arguments: titles)
    func pins(_ title: String) throws {
        let spec = try spec(title)
        guard case .apt(let suites, let pins, _) = spec.packaging else { return }
        for pin in pins {
            #expect(suites.contains { $0.name == pin.release })
            #expect(pin.priority > 500 && pin.priority < 1000, "newer than the release's, and never a downgrade")
            #expect(Set(pin.sources).count == pin.sources.count)
        }
        #expect(pins.isEmpty == !spec.backports)
    }

    @Test("zones of old names are there in each release: in Debian 12 tzdata holds them")
    func legacyZones() {
        for spec in DistroSpec.all { #expect(spec.basePackages.contains("tzdata-legacy") == (spec.suite != "bookworm")) }
    }

    @Test("microcode: AMD's everywhere, Intel's with the firmware; firmware of wired cards is in the live environment, microcode is not")
    func firmware() {
        for spec in DistroSpec.all {
            #expect(spec.basePackages.contains("amd64-microcode"))
            #expect(spec.firmwarePackages.contains("intel-microcode") && spec.firmwarePackages.contains("firmware-bnx2x"))
            #expect(spec.firmwarePackages.contains("firmware-intel-misc") == (spec.suite != "bookworm"), "Debian 12 has no such package")
            #expect(Set(spec.firmwarePackages).isDisjoint(with: spec.basePackages))
            for name in spec.firmwarePackages where !spec.livePackages.isEmpty {
                #expect(spec.livePackages.contains(name) == (name != "intel-microcode"), "\(name)")
            }
        }
    }

    @Test("the live environment has the rescue tools of the release notes")
    func rescue() {
        for spec in DistroSpec.all where !spec.livePackages.isEmpty {
            for name in [
                "parted", "testdisk", "gddrescue", "fsarchiver", "exfatprogs", "ntfs-3g", "smartmontools", "nvme-cli", "hdparm", "lshw",
                "dmidecode", "tcpdump", "ethtool", "xfsprogs", "e2fsprogs", "btrfs-progs", "mdadm", "lvm2", "cryptsetup-bin", "tmux",
                "rsync",
            ] { #expect(spec.livePackages.contains(name), "\(name)") }
        }
    }

    @Test("the live environment can export images")
    func export() { for spec in DistroSpec.all where !spec.livePackages.isEmpty { #expect(spec.livePackages.contains("qemu-utils")) } }

    @Test(
        "a release of a family without a bootstrapper is refused in whole, and says which it is",
        arguments: [
            (DistroSpec.Packaging.dnf(release: "44", repositories: []), "dnf"), (.zypper(release: "16.0", repositories: []), "zypper"),
            (.pacman(repositories: []), "pacman"), (.apk(repositories: []), "apk"),
        ])
    func families(_ packaging: DistroSpec.Packaging, _ name: String) {
        var spec = DistroSpec.debian13
        spec.title = "Somebody's 1"
        spec.packaging = packaging
        #expect(packaging.family.rawValue == name)
        let problem = problem { _ = try spec.sources(mirror: "http://mirror.example/debian") }
        #expect(problem?.code == "distro.unsupported" && problem?.exit == .badAnswers)
        #expect(problem?.message == "Somebody's 1 needs packages by \(name), which this version cannot make")
    }

    @Test("one release at least can be the live environment, with what an installer runs")
    func live() {
        let live = DistroSpec.all.filter { !$0.livePackages.isEmpty }
        #expect(!live.isEmpty)
        for spec in live {
            for name in [
                "zfsutils-linux", "systemd-ukify", "gdisk", "dosfstools", "efibootmgr", "zstd", "fdisk", "util-linux-extra", "mdadm",
                "lvm2",
                "cryptsetup-bin",
            ] { #expect(spec.livePackages.contains(name), "\(name)") }
        }
    }
}

@Suite("Profiles")
struct ProfileTests {
    @Test("core is the bare distribution")
    func core() throws {
        #expect(ProfileSpec.core.sysctl.isEmpty && !ProfileSpec.core.tools)
        #expect(ProfileSpec.core.packages(for: .debian13).isEmpty)
    }

    @Test("a server's packages are named once, and not again by the base", arguments: DistroTests.titles)
    func server(_ title: String) throws {
        let spec = try #require(DistroSpec.all.first { $0.title == title })
        let packages = ProfileSpec.server.packages(for: spec)
        #expect(Set(packages).count == packages.count)
        for name in packages { #expect(DistroTests.isPackageName(name)) }
        #expect(!packages.contains("loki"), "in Debian that is a genetics program")
        for name in [
            "tmux", "sanoid", "podman", "qemu-guest-agent", "nftables", "wireguard-tools", "qemu-utils", "open-vm-tools", "zoxide", "sshfs",
            "ansible-core", "libnss3-tools", "intel-microcode", "firmware-bnx2",
        ] { #expect(packages.contains(name), "\(name)") }
        for name in ["eza", "fastfetch"] { #expect(packages.contains(name) == (spec.suite != "bookworm"), "\(name)") }
        #expect(!packages.contains("nginx") && !packages.contains("tesseract-ocr"))
        #expect(Set(packages).isDisjoint(with: spec.basePackages))
    }

    @Test("each profile's packages are named once; the assistant reads text in pictures")
    func each() {
        for spec in DistroSpec.all {
            for profile in ProfileSpec.all {
                let packages = profile.packages(for: spec)
                #expect(Set(packages).count == packages.count, "\(profile.id)")
            }
            #expect(ProfileSpec.ai.packages(for: spec).contains("tesseract-ocr"))
        }
    }

    @Test("the snapshot policy is of the pool that the machine has")
    func snapshots() {
        let text = SnapshotPolicy.sanoid(pool: "tank")
        #expect(
            text == """
                # Written by kldload.

                [tank/ROOT]
                  use_template = production
                  recursive = yes

                [tank/home]
                  use_template = production
                  recursive = yes

                [tank/srv]
                  use_template = production
                  recursive = yes

                [tank/var/log]
                  use_template = logs
                  recursive = yes

                [template_production]
                  frequently = 4
                  hourly = 24
                  daily = 30
                  monthly = 12
                  yearly = 2
                  autosnap = yes
                  autoprune = yes

                [template_logs]
                  frequently = 0
                  hourly = 24
                  daily = 30
                  monthly = 0
                  yearly = 0
                  autosnap = yes
                  autoprune = yes

                """)
    }

    @Test("kernel parameters are named once, and have values")
    func sysctl() {
        for profile in ProfileSpec.all {
            #expect(Set(profile.sysctl.map(\.name)).count == profile.sysctl.count)
            #expect(profile.sysctl.allSatisfy { $0.name.contains(".") && !$0.value.isEmpty })
        }
    }

    @Test("the least disk of a profile has room for the ESP, what it brings twice, and as much again")
    func sizes() {
        for profile in ProfileSpec.all {
            #expect(profile.leastDisk.bytes >= ByteCount.gibibytes(1).bytes + 3 * profile.content.bytes)
        }
        #expect(ProfileSpec.core.leastDisk < ProfileSpec.server.leastDisk)
        #expect(ProfileSpec.server.leastDisk < ProfileSpec.kvm.leastDisk && ProfileSpec.server.content < ProfileSpec.desktop.content)
    }

    @Test("profiles have different ids")
    func ids() { #expect(Set(ProfileSpec.all.map(\.id)).count == ProfileSpec.all.count) }

    @Test("groups that are not known bring nothing")
    func groups() {
        #expect(ProfileSpec.groupPackages("ebpf", for: .debian13).contains("bpftrace"))
        #expect(ProfileSpec.groupPackages("wifi", for: .debian13).contains("wpasupplicant"))
        #expect(ProfileSpec.groupPackages("nothing", for: .debian13).isEmpty)
    }

    @Test("every profile that the answers allow is there, and no other is taken for one")
    func profiles() throws {
        for id in ["desktop", "server", "core", "kvm", "ai"] { #expect(try ProfileSpec.find(id).id == id) }
        #expect(throws: Diagnosis.self) { try ProfileSpec.find("proxmox") }
        #expect(try ProfileSpec.find("kvm").packages(for: .debian13).contains("libvirt-daemon-system"))
        #expect(try ProfileSpec.find("kvm").sysctl.map(\.name).count == Set(ProfileSpec.find("kvm").sysctl.map(\.name)).count)
        #expect(try ProfileSpec.find("core").packages(for: .debian13).isEmpty)
        #expect(ProfileSpec.all.filter(\.virtualMachines).map(\.id) == ["kvm"])
    }
}

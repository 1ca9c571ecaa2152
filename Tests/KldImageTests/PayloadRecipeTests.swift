import FoundationEssentials
import KldAnswers
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Payload recipes")
struct PayloadRecipeTests {
    static func spec(_ profile: String = "server", kind: PayloadSpec.Kind = .target) -> PayloadSpec {
        kind == .live
            ? .live(backports: true, buildMirror: "http://build/debian", installedMirror: "http://mirror.example/debian")
            : PayloadSpec(
                kind: .target, distro: "debian", suite: "trixie", backports: false, profile: profile, extraPackages: ["zsh", "ansible"],
                buildMirror: "http://build/debian", installedMirror: "http://mirror.example/debian")
    }

    @Test("the recipe of Debian 13 is the recorded one, with all that it writes", arguments: ["server", "core", "live"])
    func golden(_ profile: String) throws {
        let plan = try PayloadRecipe.plan(Self.spec(profile, kind: profile == "live" ? .live : .target))
        if let difference = try Golden.difference(plan.text(contents: true), "payload-recipe-\(profile).txt") {
            Issue.record(Comment(rawValue: difference))
        }
    }

    @Test("every part that reads the tree has somebody who performs it")
    func performers() throws {
        for spec in [Self.spec(), Self.spec("core"), Self.spec(kind: .live)] {
            let known = PayloadRecipe.performers(spec)
            for case .perform(let name, _, _) in try PayloadRecipe.plan(spec).steps.flatMap(\.actions) { #expect(known[name] != nil) }
        }
    }

    @Test("nothing that the recipe does destroys")
    func effects() throws {
        for spec in [Self.spec(), Self.spec(kind: .live)] {
            #expect(try PayloadRecipe.plan(spec).steps.allSatisfy { $0.effect < .destroys })
        }
    }

    @Test("the installed system's sources name its mirror, not the one it was built from")
    func mirror() throws {
        let text = try PayloadRecipe.plan(Self.spec()).text(contents: true)
        #expect(text.contains("URIs: http://mirror.example/debian\n"))
        #expect(!text.contains("http://build"))
    }

    @Test("the build's mirror is named nowhere in a live environment either")
    func liveMirror() throws {
        let plan = try PayloadRecipe.plan(Self.spec(kind: .live))
        let text = plan.text(contents: true)
        #expect(text.contains("URIs: http://mirror.example/debian\n") && !text.contains("http://build"))
        #expect(text.contains("remove /etc/apt/sources.list\n") && text.contains("remove /etc/apt/sources.list.d/0000sources.list\n"))
    }

    @Test("what mmdebstrap was told does not stay: apt recommends, and dpkg unpacks everything, from the first upgrade on")
    func settings() throws {
        for spec in [Self.spec(), Self.spec("core"), Self.spec(kind: .live)] {
            let steps = try PayloadRecipe.plan(spec).steps
            #expect(steps.last?.id == "payload.clean", "after the last package")
            guard case .perform(_, let parameters, _)? = steps.last?.actions.first else {
                Issue.record("no purge")
                return
            }
            for path in ["/etc/apt/apt.conf.d/99mmdebstrap", "/etc/dpkg/dpkg.cfg.d/99mmdebstrap"] {
                #expect(parameters["paths"]?.words.contains(path) == true)
            }
        }
    }

    @Test("the manual that a unit names is a page that is installed with the tool")
    func manuals() {
        let installed = SystemFiles.units + SystemFiles.bootUnits + SystemFiles.bootHelpers + SystemFiles.dormantUnits
        for unit in installed {
            for line in unit.text.lines where line.hasPrefix("Documentation=") { #expect(line == "Documentation=man:kldload(8)") }
        }
        for unit in SystemFiles.snapshotUnits + SystemFiles.snapshotHelpers {
            #expect(unit.text.contains("\nDocumentation=man:\(AppletName.snapshot.rawValue)(8)\n"))
        }
        #expect(installed.contains { $0.text.contains("Documentation=") })
        #expect(!SystemFiles.autoinstall.text.contains("Documentation="), "the live environment reads no manuals")
    }

    @Test("each unit that wants to be started is enabled, what is enabled is there, and systemd expands nothing in a command line of one")
    func units() throws {
        for (kind, dormant) in [(PayloadSpec.Kind.target, SystemFiles.dormantUnits.map(\.name)), (.live, [])] {
            let folder = "/usr/lib/systemd/system/"
            var (wishing, enabled) = (Set<String>(), Set<String>())
            for action in try PayloadRecipe.plan(Self.spec(kind: kind)).steps.flatMap(\.actions) {
                switch action {
                case .write(let path, .text(let text), _) where path.string.hasPrefix(folder):
                    if text.contains("[Install]") { wishing.insert(String(path.string.dropFirst(folder.count))) }
                    for line in text.lines where line.hasPrefix("Exec") {
                        #expect(!line.contains { "$%".contains($0) }, "\(path): \(line)")
                    }
                case .run(let command) where command.tool.name == "systemctl" && command.arguments.first == "enable":
                    enabled.formUnion(command.arguments.dropFirst().filter { $0.hasPrefix("kldload-") })
                default: break
                }
            }
            #expect(!enabled.isEmpty && enabled == wishing.subtracting(dormant))
        }
    }

    @Test("what stages what boots has the name of earlier releases too")
    func aliases() throws {
        let actions = try PayloadRecipe.plan(Self.spec("core")).steps.flatMap(\.actions)
        for kind in ["path", "service"] {
            let place = "/usr/lib/systemd/system/kldload-"
            #expect(actions.contains(.symlink(FilePath("\(place)grub-refresh.\(kind)"), to: "kldload-boot-refresh.\(kind)")))
            #expect(actions.contains { $0.text.contains("\(place)boot-refresh.\(kind)") }, "it leads to one that is there")
        }
    }

    @Test("whoever changes what boots is told by the files of the release", arguments: DistroSpec.all.map(\.title))
    func hooks(_ title: String) throws {
        let spec = try #require(DistroSpec.all.first { $0.title == title })
        let payload = PayloadSpec(
            kind: .target, distro: spec.id, suite: spec.suite, backports: spec.backports, profile: "core",
            buildMirror: "http://mirror.example/debian",
            installedMirror: "http://mirror.example/debian")
        let actions = try PayloadRecipe.plan(payload).steps.flatMap(\.actions)
        #expect(!spec.bootHooks.isEmpty)
        for hook in spec.bootHooks {
            #expect(actions.contains(.write(FilePath(hook.path), content: .text(hook.text), mode: hook.isScript ? .script : .file)))
        }
    }

    @Test("every tool is on PATH in the live environment, and nothing listens there before there is a key")
    func live() throws {
        let actions = try PayloadRecipe.plan(Self.spec(kind: .live)).steps.flatMap(\.actions)
        for name in ["kldload", "kexport"] {
            #expect(actions.contains(.symlink(FilePath("/usr/bin/\(name)"), to: "../lib/kldload/kldload")))
        }
        func text(_ path: FilePath) -> String? {
            for case .write(path, .text(let text), _) in actions { return text }
            return nil
        }
        #expect(
            text("/etc/systemd/system/ssh.service.d/kldload.conf")?.contains("ConditionFileNotEmpty=/root/.ssh/authorized_keys") == true)
        #expect(text("/etc/ssh/sshd_config.d/10-kldload.conf")?.contains("PasswordAuthentication no") == true)
        let clean = try PayloadRecipe.plan(Self.spec(kind: .live)).steps.last
        #expect(clean?.actions.last == .write("/etc/hostname", content: .text("kldload\n")), "after the purge, which removes it")
        let screen = text("/etc/systemd/system/getty@tty1.service.d/kldload.conf")
        #expect(screen?.contains("--autologin root") == true)
        #expect(screen?.hasSuffix(" - $TERM\nTTYVTDisallocate=no\n") == true, "how the guided installation ended stays there")
        let serial = text("/etc/systemd/system/serial-getty@.service.d/kldload.conf")
        #expect(serial?.hasSuffix(" - $TERM\n") == true)
        let guided = text("/usr/lib/systemd/system/kldload-guided.service")
        #expect(guided?.contains("\nExecStart=/usr/bin/kldload-install-target --guided --wait\n") == true)
        let installed = try PayloadRecipe.plan(Self.spec()).text(contents: true)
        #expect(!installed.contains("autologin") && !installed.contains("autoinstall"))
    }

    // MARK: the cache's key

    static func builder(
        _ root: FilePath, _ runner: any CommandRunner = ScriptedRunner([:]), say: @escaping @Sendable (String) -> Void = { _ in }
    ) -> PayloadBuilder {
        PayloadBuilder(cache: ArtifactCache(root: root, runner: runner), runner: runner, executable: "/made/here", root: true, say: say)
    }

    @Test("all that goes in is in the cache's key: lists, policies, checks, mmdebstrap's words; the build's mirror and place are not")
    func key() throws {
        let text = try Self.builder("/nowhere/it/is").inputs(Self.spec(), ["zstd 1.5.7", "mmdebstrap 1.5.5"])
        for part in [
            "payload/3\n", "zstd 1.5.7\n", "mmdebstrap 1.5.5\n", "/var/lib/systemd/random-seed", "mlkem768x25519-sha256", "usb-storage",
            "'dpkg-divert'", "COMPRESSLEVEL=15\n", "--dpkgopt=path-exclude=", "--variant=apt", "'apt-get' '--yes'",
        ] { #expect(text.contains(part), "\(part)") }
        #expect(!text.contains("http://build") && !text.contains("/nowhere") && !text.contains("/made/here"))
        var other = Self.spec()
        other.buildMirror = BuildArchive("http://elsewhere/debian", security: "http://security/debian-security")
        #expect(try Self.builder("/there").inputs(other, ["zstd 1.5.7", "mmdebstrap 1.5.5"]) == text)
        #expect(try Self.builder("/there").inputs(other, ["zstd 1.5.8", "mmdebstrap 1.5.5"]) != text)
    }

    @Test("messages of the locale's language are kept, manuals on a server, copyright notices everywhere")
    func paths() {
        var spec = Self.spec()
        spec.locale = "pt_BR.UTF-8"
        #expect(
            PayloadBuilder.paths(spec).included == [
                "/usr/share/locale/pt/LC_MESSAGES/*.mo", "/usr/share/locale/pt_BR/LC_MESSAGES/*.mo",
            ])
        #expect(PayloadBuilder.paths(spec).excluded == ["/usr/share/locale/*/LC_MESSAGES/*.mo"])
        spec.locale = "sr_RS.UTF-8@latin"
        #expect(PayloadBuilder.paths(spec).included.contains("/usr/share/locale/sr@latin/LC_MESSAGES/*.mo"))
        spec.locale = "C.UTF-8"
        #expect(PayloadBuilder.paths(spec).included == [])
        for bare in [Self.spec("core"), Self.spec(kind: .live)] {
            #expect(PayloadBuilder.paths(bare).excluded.contains("/usr/share/man/*"))
            #expect(PayloadBuilder.paths(bare).included.contains("/usr/share/doc/*/copyright"))
        }
        for spec in [Self.spec(), Self.spec("core"), Self.spec(kind: .live)] {
            #expect(!PayloadBuilder.paths(spec).excluded.contains { $0.contains("lto1") }, "gcc -flto needs it")
        }
    }

    // MARK: the spec

    @Test("the spec's JSON is stable: it is part of a cache's key")
    func json() throws {
        let text = try SortedJSON.line(Self.spec())
        #expect(
            text == """
                {"backports":false,"distro":"debian","extraPackages":["ansible","zsh"],"groups":[],\
                "installedMirror":"http://mirror.example/debian","kind":"target","locale":"en_US.UTF-8","profile":"server","suite":"trixie"}
                """)
        var told = Self.spec()
        told.buildMirror = ""
        #expect(try JSONDecoder().decode(PayloadSpec.self, from: Data(text.utf8)) == told)
        var chosen = Self.spec()
        chosen.kernel = "7.2.12+deb13-amd64"
        chosen.buildMirror = ""
        #expect(try JSONDecoder().decode(PayloadSpec.self, from: Data(SortedJSON.line(chosen).utf8)) == chosen)
    }

    @Test("packages are asked for once, in a stable order, the extra ones among them")
    func packages() throws {
        let packages = try Self.spec().packages
        #expect(Set(packages).count == packages.count)
        #expect(packages.suffix(2) == ["ansible", "zsh"])
        #expect(packages.contains("linux-image-amd64") && packages.contains("zfs-dkms") && packages.contains("tmux"))
        #expect(try !Self.spec("core").packages.contains("tmux"))
        var twice = Self.spec()
        twice.extraPackages = ["tmux", "zsh"]
        #expect(try twice.packages.filter { $0 == "tmux" }.count == 1)
    }

    @Test("equal answers make equal specs, in whatever order packages were given")
    func order() throws {
        func spec(_ extra: String) throws -> PayloadSpec {
            try PayloadSpec(
                Answers("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=/dev/vda\nKLDLOAD_EXTRA_PACKAGES=\"\(extra)\""),
                buildMirror: "http://build/debian")
        }
        #expect(try spec("vim htop") == spec("htop vim"))
        #expect(try spec("vim") != spec("htop"))
    }

    @Test("a release that there is no data for is refused")
    func unsupported() {
        var spec = Self.spec()
        spec.suite = "sid"
        #expect(throws: Diagnosis.self) { try PayloadRecipe.plan(spec) }
    }
}

@Suite("Parts of the recipe that read the tree")
struct PayloadPerformerTests {
    let spec = PayloadRecipeTests.spec()

    func perform(
        _ name: String, _ parameters: [String: String] = [:], _ runner: any CommandRunner, _ files: any FileSystem = MemoryFiles(),
        _ spec: PayloadSpec? = nil
    ) async throws {
        let spec = spec ?? self.spec
        let performer = try #require(PayloadRecipe.performers(spec)[name])
        // What the recipe itself passes.
        var given: [String: String] = [:]
        for case .perform(name, let recorded, _) in try PayloadRecipe.plan(spec).steps.flatMap(\.actions) { given = recorded }
        try await performer(given.merging(parameters) { $1 }, runner, files)
    }

    // MARK: SSH

    func exchange(_ offered: String) async throws -> String? {
        let files = MemoryFiles()
        try await perform(PayloadRecipe.Performer.sshKeyExchange, ["path": "/f"], ScriptedRunner(["ssh -Q kex": offered]), files)
        return files.texts["/f"]
    }

    @Test("post-quantum key exchanges come first where OpenSSH offers them")
    func modern() async throws {
        // `ssh -Q kex`, OpenSSH 10.0.
        let offered = """
            diffie-hellman-group14-sha256
            ecdh-sha2-nistp256
            ecdh-sha2-nistp384
            curve25519-sha256
            curve25519-sha256@libssh.org
            sntrup761x25519-sha512
            sntrup761x25519-sha512@openssh.com
            mlkem768x25519-sha256

            """
        #expect(
            try await exchange(offered) == """
                # Written by kldload from what this OpenSSH offers (ssh -Q kex).
                KexAlgorithms mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,\
                curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384

                """)
    }

    @Test("only what is offered is written: sshd refuses to start over an unknown name")
    func older() async throws {
        let text = try #require(await exchange("curve25519-sha256\nsntrup761x25519-sha512@openssh.com\n"))
        #expect(text.lines.last == "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256")
    }

    @Test("without any of them the policy is OpenSSH's own")
    func old() async throws { #expect(try await exchange("curve25519-sha256\necdh-sha2-nistp256\n") == nil) }

    // MARK: holds

    @Test("installed packages that match are held, in order; others and removed ones are not")
    func holds() async throws {
        let listing = """
            install\tinstalled\tzfs-dkms\t2.3.2-2
            install\tinstalled\tlinux-image-6.12.48+deb13-amd64\t6.12.48-1
            install\tinstalled\tlinux-image-amd64\t6.12.48-1
            deinstall\tconfig-files\tlinux-image-6.1.0-1-amd64\t6.1.4-1
            install\tinstalled\tshim-signed-common\t1.47
            install\tinstalled\tzfs-dkms-extra\t1
            install\tinstalled\tsystemd\t257.9-1

            """
        let runner = ScriptedRunner([{ $0.tool.name == "dpkg-query" ? CommandOutput(output: listing) : CommandOutput() }])
        try await perform(PayloadRecipe.Performer.holds, ["patterns": "linux-image-* zfs-dkms shim-signed* mokutil"], runner)
        #expect(
            runner.commands.last?.description
                == "apt-mark hold linux-image-6.12.48+deb13-amd64 linux-image-amd64 shim-signed-common zfs-dkms")
    }

    @Test("a tree in which nothing is held is a defect, not a success")
    func noHolds() async {
        let listing = "install\tinstalled\tsystemd\t257.9-1\n"
        let runner = ScriptedRunner([{ $0.tool.name == "dpkg-query" ? CommandOutput(output: listing) : CommandOutput() }])
        await #expect(throws: Diagnosis.self) { try await perform(PayloadRecipe.Performer.holds, ["patterns": "zfs-dkms"], runner) }
        #expect(!runner.commands.contains { $0.tool.name == "apt-mark" })
    }

    // MARK: the kernel

    /// A tree with kernels, each with the parts that are named.
    static func tree(_ kernels: [String: Set<String>], size: Int = 60 << 20) throws -> MemoryFiles {
        var texts = ["/usr/lib/kldload/build-inputs.txt": "inputs"]
        for (release, parts) in kernels {
            texts["/usr/lib/modules/\(release)/modules.dep"] = ""
            if parts.contains("image") { texts["/boot/vmlinuz-\(release)"] = "" }
            if parts.contains("zfs") { texts["/usr/lib/modules/\(release)/updates/dkms/zfs.ko.xz"] = "" }
            if parts.contains("spl") { texts["/usr/lib/modules/\(release)/updates/dkms/spl.ko.xz"] = "" }
        }
        let files = MemoryFiles(texts)
        for (release, parts) in kernels where parts.contains("initramfs") {
            try files.write([UInt8](repeating: 0, count: size), to: FilePath("/boot/initrd.img-\(release)"), mode: .file)
        }
        return files
    }

    static let whole: Set = ["image", "zfs", "spl", "initramfs"]
    static let digest = String(repeating: "ab", count: 32)

    /// As lsinitrd prints what the live environment's initramfs needs.
    static let liveList =
        (InitramfsCheck.of(.live).modules.map { "usr/lib/modules/x/kernel/\($0).ko.xz" } + ["usr/sbin/dmsquash-live-root"]).map {
            "-rw-r--r--   1 root     root        12345 Jan  1 00:00 \($0)\n"
        }.joined()

    static func tools(_ initramfs: String = liveList) -> ScriptedRunner {
        ScriptedRunner([
            { ["lsinitrd", "lsinitramfs"].contains($0.tool.name) ? CommandOutput(output: initramfs) : nil },
            { $0.tool.name == "modinfo" ? CommandOutput(output: "2.3.2-2\n") : nil },
            { $0.tool.name == "dpkg-query" ? CommandOutput(output: "a\t1\tamd64\ta\t1\tM\nb\t2\tall\tb\t2\tM\n") : nil },
            { $0.tool.name == "sha256sum" ? CommandOutput(output: "\(digest)  /usr/lib/kldload/build-inputs.txt\0") : nil },
        ])
    }

    /// The kernel that is chosen in a live tree, as long as its initramfs is whole.
    func chosen(_ kernels: [String: Set<String>]) async throws -> String {
        let files = try Self.tree(kernels)
        try await perform(PayloadRecipe.Performer.info, [:], Self.tools(), files, PayloadRecipeTests.spec(kind: .live))
        let text = try files.read(FilePath(PayloadInfo.path))
        return try JSONDecoder().decode(PayloadInfo.self, from: Data(text)).kernel
    }

    @Test(
        "the highest version is chosen, by numbers and not by letters",
        arguments: [
            (["6.12.9-amd64", "6.12.117+deb13-amd64"], "6.12.117+deb13-amd64"), (["6.9.0", "6.10.0"], "6.10.0"),
            (["6.12.48", "6.12.48-1"], "6.12.48-1"),
            (["7.2.1+deb13-amd64", "6.99.99-amd64"], "7.2.1+deb13-amd64"), (["5.10.0-21-amd64", "5.10.0-3-amd64"], "5.10.0-21-amd64"),
            (["6.1.0-\(String(repeating: "9", count: 40))", "6.2.0"], "6.2.0"),
        ])
    func highest(_ releases: [String], _ expected: String) async throws {
        #expect(try await chosen(Dictionary(uniqueKeysWithValues: releases.map { ($0, Self.whole) })) == expected)
        #expect(try await chosen(Dictionary(uniqueKeysWithValues: releases.reversed().map { ($0, Self.whole) })) == expected)
    }

    @Test("a higher kernel that lacks anything is passed over", arguments: ["image", "zfs", "spl", "initramfs"])
    func incomplete(_ part: String) async throws {
        #expect(try await chosen(["7.0.0": Self.whole.subtracting([part]), "6.12.0": Self.whole]) == "6.12.0")
    }

    @Test("when no kernel is whole, that is an error that tells what each of them lacks")
    func none() async {
        let problem = await problem { _ = try await chosen(["7.0.0": Self.whole.subtracting(["zfs"])]) }
        #expect(problem?.code == "payload.no-kernel")
        #expect(problem?.causes == ["7.0.0: image true, OpenZFS false, initramfs true"])
    }

    static let targetList =
        InitramfsCheck.of(.target).modules.map { "usr/lib/modules/x/\($0).ko.xz\n" }.joined()
        + "usr/sbin/zpool\nusr/sbin/zfs\nusr/sbin/mount.zfs\n"
        + SystemFiles.initramfsScripts.map { "scripts/\($0.folder)/\($0.name)\n" }.joined()

    /// What is said about a target's only kernel; `nil` when it is chosen.
    func complaint(_ listing: String, size: Int = 60 << 20) async throws -> [String]? {
        let problem = await problem {
            try await perform(
                PayloadRecipe.Performer.info, [:], Self.tools(listing), try Self.tree(["6.12.0": Self.whole], size: size))
        }
        #expect(problem == nil || problem?.code == "payload.no-kernel")
        return problem?.causes
    }

    @Test("in an installed system the initramfs must hold OpenZFS, its programs and the drivers of disks; what it lacks is named")
    func initramfs() async throws {
        #expect(try await complaint(Self.targetList) == nil)
        for (name, told) in [("zfs.ko.xz", "zfs.ko"), ("sbin/zpool", "zpool"), ("nvme.ko.xz", "nvme.ko")] {
            let list = Self.targetList.lines.filter { !$0.hasSuffix("/\(name)") }.map { $0 + "\n" }.joined()
            #expect(try await complaint(list) == ["6.12.0: image true, OpenZFS true, initramfs lacks \(told)"])
        }
        #expect(try await complaint(Self.targetList.replacing("/zfs.ko", with: "/notzfs.ko"))?.first?.hasSuffix("lacks zfs.ko") == true)
        #expect(try await complaint("") != nil)
        #expect(
            try await complaint(Self.targetList + "etc/hostid\n") == ["6.12.0: image true, OpenZFS true, initramfs holds etc/hostid"])
    }

    @Test("an initramfs of a few bytes is none")
    func tinyInitramfs() async throws {
        #expect(try await complaint(Self.targetList, size: 900)?.first?.contains("less than 8 MiB") == true)
    }

    @Test("the payload is described: kernel, OpenZFS, packages, and what it was built from")
    func described() async throws {
        let files = try Self.tree(["6.12.0": Self.whole])
        var live = PayloadRecipeTests.spec(kind: .live)
        live.buildMirror = ""
        try await perform(PayloadRecipe.Performer.info, [:], Self.tools(), files, live)
        let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(FilePath(PayloadInfo.path))))
        #expect(info == PayloadInfo(spec: live, kernel: "6.12.0", openZFS: "2.3.2-2", packageCount: 2))
        #expect(files.texts["/usr/lib/kldload/packages.tsv"] == "a\t1\tamd64\ta\t1\tM\nb\t2\tall\tb\t2\tM\n")
        let list = try JSONDecoder().decode(SPDXDocument.self, from: Data(files.read("/usr/lib/kldload/sbom.spdx.json")))
        #expect(list.packages.map(\.name) == ["kldload-debian-trixie-live", "a", "b", "linux", "openzfs"])
        #expect(list.documentNamespace.hasSuffix(Self.digest) && list.creationInfo.creators == ["Tool: kldload-payload-2"])
        #expect(PayloadManifest.tree.allSatisfy { files.texts["/usr/lib/kldload/\($0)"] != nil })
    }

    // MARK: purge

    @Test("identities, caches and logs go; what only looks like them stays")
    func purge() async throws {
        let gone = [
            "/etc/hostid", "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key.pub", "/var/lib/apt/lists/deb_dists_InRelease",
            "/var/lib/apt/lists/partial/x", "/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/journal/abc/system.journal",
            "/var/lib/dpkg/status-old", "/etc/shadow-", "/var/tmp/.hidden", "/var/lib/dkms/mok.key",
            "/var/lib/dkms/zfs/2.3.2/6.12/x86_64/log/make.log",
            "/etc/apt/apt.conf.d/99mmdebstrap", "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
            "/usr/share/doc/zfs/changelog.Debian.gz", "/etc/resolv.conf.dpkg-new", "/var/cache/debconf/config.dat-old",
        ]
        let kept = [
            "/etc/hostname.d/x", "/etc/ssh/sshd_config", "/etc/shadow", "/var/log/lastlog", "/var/lib/dpkg/status", "/etc/passwd",
            "/tmp/mmdebstrap.conf",
            "/var/lib/dkms/zfs/2.3.2/6.12/x86_64/module/zfs.ko", "/usr/share/doc/zfs/copyright", "/etc/resolv.conf",
            "/var/cache/debconf/config.dat", "/etc/apt/apt.conf.d/70debconf", "/etc/dpkg/dpkg.cfg.d/kldload",
            "/home/x/.bash_history", "/etc/xssh_host_", "/usr/share/doc/changelog",
        ]
        let files = MemoryFiles(Dictionary(uniqueKeysWithValues: (gone + kept).map { ($0, "x") }))
        try await perform(PayloadRecipe.Performer.purge, [:], ScriptedRunner([:]), files)
        #expect(files.texts.keys.sorted() == kept.sorted())
    }

    @Test("a tree without any of them is purged too")
    func purgeEmpty() async throws { try await perform(PayloadRecipe.Performer.purge, [:], ScriptedRunner([:]), MemoryFiles()) }
}

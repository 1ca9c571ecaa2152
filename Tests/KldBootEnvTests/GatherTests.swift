import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("Facts of boot environments")
struct GatherTests {
    static let listing = """
        {"blockdevices":[
          {"path":"/dev/vda","name":"vda","size":8589934592,"type":"disk","children":[
            {"path":"/dev/vda1","name":"vda1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":["/boot/efi"]},
            {"path":"/dev/vda2","name":"vda2","size":7000000000,"type":"part","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/vdb","name":"vdb","size":8589934592,"type":"disk","children":[
            {"path":"/dev/vdb1","name":"vdb1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":[null]},
            {"path":"/dev/vdb2","name":"vdb2","size":7000000000,"type":"part","fstype":"zfs_member","mountpoints":[null]}]}
        ]}
        """
    static let look = TemporaryMount().place("esp1").string

    func gather(
        environments: Int = 1, _ detail: BootSystem.Detail = .environments, visiting: Bool = false, more: [String: String] = [:],
        program: [UInt8]? = nil, children: String = "", altroot: String = "-"
    ) async throws -> (BootSystem, ScriptedRunner) {
        let entry = Fixture.entry("debian", order: 100)
        var datasets = "rpool/ROOT\tfilesystem\t1\t1\t1\t-\tnone\toff\t-\t-\nrpool/ROOT/debian\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t-\n"
        datasets += children
        for number in 1..<max(environments, 1) {
            datasets +=
                "rpool/ROOT/be\(number)\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t-\nrpool/ROOT/be\(number)@a\tsnapshot\t1\t9\t6\t-\t-\t-\t-\t-\n"
        }
        let runner = ScriptedRunner([
            ListBlockDevices.command.description: Self.listing,
            "zpool list -vHPp -o name,bootfs,altroot rpool":
                "rpool\trpool/ROOT/debian\t\(altroot)\n\tmirror-0\t7G\n\t/dev/vda2\t7G\n\t/dev/vdb2\t7G\n",
            ZFS.list(try DatasetName("rpool/ROOT"), columns: BootSystem.columns, types: BootSystem.types(detail)).description: datasets,
            ZFS.get("rpool/ROOT", [KldProperty.owner], recursive: true, types: ["filesystem"]).description:
                "rpool/ROOT\tcom.kldload:owner\tkldload\tlocal\nrpool/ROOT/debian\tcom.kldload:owner\tkldload\tlocal\n"
                + "rpool/ROOT/be1\tcom.kldload:owner\tkldload\tinherited from rpool/ROOT\n",
            "mount -t vfat -o ro,umask=0077 /dev/vdb1 \(Self.look)": "", "umount --recursive \(Self.look)": "",
        ])
        var texts = [
            "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n",
            "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=zfs rw\n", "/proc/sys/kernel/osrelease": Fixture.release + "\n",
            "/usr/bin/ukify": "",
            "/boot/efi/\(entry.path)": entry.text, "/boot/efi/\(entry.imagePath)": "image",
            "/boot/efi/loader/entries/arch.conf": "title Arch\n",
            "/boot/efi/EFI/kldload/shimx64.efi": "", "\(Self.look)/\(entry.path)": entry.text,
        ]
        texts.merge(more) { $1 }
        let files = MemoryFiles(texts)
        try files.write(HostID.placeholder.fileContent, to: "/etc/hostid", mode: .file)
        if let program { try files.write(program, to: FilePath("/boot/efi/\(entry.imagePath)"), mode: .file) }
        return (try await BootSystem.gather(detail, visiting: visiting, runner: runner, files: files), runner)
    }

    @Test("inside a machine that does not run, the words that start it are those of its image, and nothing of the kernel that runs")
    func visiting() async throws {
        let line = "root=ZFS=rpool/ROOT/debian boot=zfs rw console=ttyS0 panic=15"
        let system = try await gather(visiting: true, program: EFIProgram.bytes([(".cmdline", Array(line.utf8))])).0
        #expect(system.commandLine.description == line && system.release.isEmpty && system.current == nil && system.selected == nil)
        // No image is left: the installer's words.
        let manifest = """
            {"schema":"install-manifest/1","kldloadVersion":"2","distro":"debian","suite":"trixie","profile":"core","hostname":"h","username":"admin","pool":"rpool","bootEnvironment":"debian","topology":"single","disks":[],"encrypted":false,"network":{"method":"dhcp"},"timezone":"UTC","locale":"C.UTF-8","keyboard":"us","sshPolicy":"keys","heldPackages":[],"units":[],"sealed":false,"credentials":"hash","bootLoader":"systemd-boot"}
            """
        let bare = try await gather(
            visiting: true,
            more: [
                InstallManifest.path: manifest, InstallManifest.environmentPath: "KLDLOAD_CONSOLE='tty0 ttyS1'\nKLDLOAD_HOST_ID=1\n",
            ]
        ).0
        #expect(bare.commandLine.description == "root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0 console=ttyS1,115200")
    }

    @Test("inside a machine that does not run, mount points are its own, without the folder that its pool was opened below")
    func altroot() async throws {
        func children(_ shown: String, visiting: Bool, altroot: String) async throws -> [BootEnvironment.Child] {
            let row = "rpool/ROOT/debian/src\tfilesystem\t9\t9\t5\t-\t\(shown)\tnoauto\t-\t-\n"
            let system = try await gather(visiting: visiting, children: row, altroot: altroot).0
            return Array(try system.environment("debian").children.values)
        }
        #expect(try await children("/recovery/usr/src", visiting: true, altroot: "/recovery") == [.init("/usr/src")])
        #expect(try await children("/recovery", visiting: true, altroot: "/recovery") == [.init("/")])
        for same in ["/recovery2/usr/src", "none", "legacy"] {
            #expect(try await children(same, visiting: true, altroot: "/recovery") == [.init(same)])
        }
        // In a chroot of a pool that is open as it is, and on the machine itself.
        #expect(try await children("/recovery/src", visiting: true, altroot: "-") == [.init("/recovery/src")])
        #expect(try await children("/recovery/src", visiting: false, altroot: "/recovery") == [.init("/recovery/src")])
        // What a rollback writes.
        let rows =
            "rpool/ROOT/debian/src\tfilesystem\t9\t9\t5\t-\t/recovery/usr/src\tnoauto\t-\t-\n"
            + "rpool/ROOT/debian/src@a\tsnapshot\t1\t9\t6\t-\t-\t-\t-\t-\nrpool/ROOT/debian@a\tsnapshot\t1\t9\t6\t-\t-\t-\t-\t-\n"
        let system = try await gather(.snapshots, visiting: true, children: rows, altroot: "/recovery").0
        let lines = try BootEnvironments(system).rollback("debian@a", now: Fixture.now).plan.commandLines
        #expect(lines.contains { $0.contains(" -o mountpoint=/usr/src ") } && !lines.contains { $0.contains("/recovery") })
    }

    @Test("every ESP is looked at, where it is mounted or for a moment; others' entries and files are not ours")
    func esps() async throws {
        let (system, runner) = try await gather()
        #expect(system.running.text == "rpool/ROOT/debian" && system.bootfs == "rpool/ROOT/debian" && system.hostID == .placeholder)
        #expect(system.esps.map(\.device) == ["/dev/vda1", "/dev/vdb1"] && system.esps.map(\.mount) == ["/boot/efi", nil])
        #expect(system.esps.map { $0.entries.count } == [1, 1])
        #expect(system.esps[0].images.count == 1 && system.esps[1].images.isEmpty)
        #expect(runner.commands.filter { $0.effect != .reads }.map(\.tool.name) == ["mount", "umount"])
        // What the second disk lacks is seen.
        #expect(BootTrial(system).equal.steps.map(\.id) == ["boot.copy.vdb1.\(Fixture.entry("debian", order: 100).id)"])
    }

    @Test("two hundred environments cost as many commands as one")
    func commands() async throws {
        let (few, many) = (try await gather(), try await gather(environments: 200))
        #expect(many.0.environments.count == 200)
        #expect(many.1.commands.count == few.1.commands.count)
        for runner in [many.1, try await gather(visiting: true, altroot: "/recovery").1] {
            #expect(runner.commands.filter { ["zfs", "zpool"].contains($0.tool.name) }.count == 2)
        }
        // Nobody waits for snapshots that nobody sees.
        #expect(!many.1.commands.contains { $0.description.contains("snapshot") })
        #expect(try await gather(environments: 3, .snapshots).0.environments.map(\.snapshots.count) == [1, 1, 0])
    }

    @Test("an environment that only inherits the mark is not kldload's own, and is not destroyed or pruned")
    func owners() async throws {
        let system = try await gather(environments: 3, .owners).0
        #expect(system.environments.filter(\.owned).map(\.name) == ["debian"])
        #expect { try BootEnvironments(system).destroy("be1") } throws: { Diagnosis(of: $0).code == "be.foreign" }
        #expect(BootEnvironments(system).prunable(olderThan: 0, now: Fixture.now).isEmpty)
        // Who did not ask destroys nothing.
        #expect(try await gather(environments: 3).0.environments.allSatisfy { !$0.owned })
    }

    @Test("the loader's word is UTF-16 and in lower case")
    func selected() async throws {
        let name = "/sys/firmware/efi/efivars/LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        let text = "kldload-debian-6.1.1.conf".flatMap { [String($0), "\0"] }.joined()
        #expect(try await gather(more: [name: "\u{6}\0\0\0" + text + "\0\0"]).0.selected == "kldload-debian-6.1.1")
    }

    @Test("kernels without an initramfs or modules are passed over; the newest comes first")
    func kernels() throws {
        let files = MemoryFiles([
            "/be/boot/vmlinuz-6.12.9": "k", "/be/boot/initrd.img-6.12.9": "i", "/be/usr/lib/modules/6.12.9/x": "",
            "/be/boot/vmlinuz-6.12.48": "k", "/be/boot/initrd.img-6.12.48": "i", "/be/usr/lib/modules/6.12.48/x": "",
            "/be/boot/vmlinuz-7.1": "k", "/be/usr/lib/modules/7.1/x": "", "/be/boot/vmlinuz-7.2": "k", "/be/boot/initrd.img-7.2": "i",
            "/be/boot/vmlinuz-7.3": "k", "/be/boot/initrd.img-7.3": "", "/be/usr/lib/modules/7.3/x": "",
        ])
        #expect(try BootTarget.kernels(in: "/be", files).map(\.release) == ["6.12.48", "6.12.9"])
    }

    /// A machine whose only ESP holds an image of `debian`, built of the files that both environments have.
    private func machine(initrd: String = "initramfs", followed: Bool = false) throws -> (BootSystem, MemoryFiles) {
        let entry = Fixture.entry("debian", order: 100)
        let files = MemoryFiles(
            ["", "/be"].reduce(into: [:]) { texts, root in
                texts["\(root)/boot/vmlinuz-\(Fixture.release)"] = "kernel"
                texts["\(root)/boot/initrd.img-\(Fixture.release)"] = root.isEmpty ? "initramfs" : initrd
                texts["\(root)/usr/lib/modules/\(Fixture.release)/x"] = ""
            })
        var system = try Fixture.system([Fixture.esp([entry])])
        system.followed = followed
        let id = try #require(system.hostID)
        let words = "root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0 panic=15 \(EnvironmentChoice.word)"
        let (code, line) = (Array("stub".utf8), Array(words.utf8))
        try files.write(EFIProgram.bytes([(".text", code)]), to: "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", mode: .file)
        let initramfs = InitramfsSupplement.joined(Array("initramfs".utf8), InitramfsSupplement.hostID(id))
        let sections = [(".text", code), (".cmdline", line), (".linux", Array("kernel".utf8)), (".initrd", initramfs)]
        try files.write(EFIProgram.bytes(sections, slack: 64), to: FilePath("/boot/efi/\(entry.imagePath)"), mode: .file)
        return (system, files)
    }

    @Test("a newer kernel whose initramfs cannot import the pool is passed over, and named", arguments: ["zfs.ko", "usr/sbin/zpool"])
    func passedOver(_ only: String) async throws {
        var (system, files) = try machine()
        let newer = "6.12.99+deb13-amd64"
        for (path, text) in ["vmlinuz-\(newer)": "newer", "initrd.img-\(newer)": "newer initramfs"] {
            try files.write(Array(text.utf8), to: FilePath("/boot/\(path)"), mode: .file)
        }
        try files.write([], to: FilePath("/usr/lib/modules/\(newer)/x"), mode: .file)
        system.esps[0].entries = [Fixture.entry("debian", order: 100)]
        var environment = try system.environment("debian")
        environment.mountpoint = "/"
        let runner = ScriptedRunner(["lsinitramfs /boot/initrd.img-\(newer)": "init\n\(only)\n"])
        let target = try await BootTarget.with(environment, runner: runner, files: files) { target in
            #expect(target.kernels.map(\.release) == [newer, Fixture.release])
            return try await target.compared(system, runner: runner, files: files)
        }
        #expect(target.kernels.map(\.release) == [Fixture.release] && target.facts.unusable == [newer])
        #expect(target.kernels[0].matching["/dev/vda1"]?.count == 1)
    }

    @Test("an environment's own image is known by its parts; another one's of the same kernel can be rewritten; a changed one is built")
    func compared() async throws {
        func kernel(_ name: String, _ machine: (BootSystem, MemoryFiles), root: String) async throws -> BootTarget.Kernel {
            var environment = try machine.0.environment(name)
            environment.mountpoint = root
            let listed = "lsinitramfs /be/boot/initrd.img-\(Fixture.release)"
            let runner = ScriptedRunner([listed: "init\nusr/lib/modules/\(Fixture.release)/updates/dkms/zfs.ko.xz\nusr/sbin/zpool\n"])
            return try await BootTarget.with(environment, runner: runner, files: machine.1) { target in
                try #require(await target.compared(machine.0, runner: runner, files: machine.1).kernels.first)
            }
        }
        let entry = Fixture.entry("debian", order: 100)
        let own = try await kernel("debian", machine(), root: "/")
        #expect(own.matching == ["/dev/vda1": [entry.id]] && own.donor == nil)
        let clone = try await kernel("test", machine(), root: "/be")
        #expect(clone.matching.isEmpty && clone.donor == .init(device: "/dev/vda1", path: entry.imagePath))
        // An initramfs that was seen to follow the loader starts it as it is; not one of another content.
        let sharing = try await kernel("test", machine(followed: true), root: "/be")
        #expect(sharing.images == ["/dev/vda1": [entry.imagePath]] && sharing.donor == nil && sharing.matching.isEmpty)
        let other = try await kernel("test", machine(initrd: "another", followed: true), root: "/be")
        #expect(other.images.isEmpty && other.donor == nil)
        let changed = try await kernel("test", machine(initrd: "another"), root: "/be")
        #expect(changed.matching.isEmpty && changed.donor == nil)
        // Only what no image boots yet is looked into.
        #expect(changed.hasModule == true && own.hasModule == nil && clone.hasModule == nil)
    }

    @Test("with Secure Boot on, modules are looked at where the initramfs is another one than that which has started")
    func unsigned() async throws {
        func unsigned(initrd: String, enforcing: Bool = true) async throws -> [String] {
            var (system, files) = try machine(initrd: initrd, followed: true)
            system.signing = .by(try CertificateIdentity([0x30, 13, 0x30, 11, 0x02, 1, 7, 0x30, 0, 0x30, 4, 0x31, 2, 0x30, 0]))
            system.secureBoot = enforcing
            system.selected = Fixture.entry("debian", order: 100).id
            let image = FilePath("/boot/efi/\(Fixture.entry("debian", order: 100).imagePath)")
            // Issuer and serial number, as that certificate has them.
            try files.write(EFIProgram.signed(files.read(image), [0x30, 4, 0x31, 2, 0x30, 0, 0x02, 1, 7]), to: image, mode: .file)
            try files.write(Array("module".utf8), to: FilePath("/be/usr/lib/modules/\(Fixture.release)/updates/dkms/zfs.ko"), mode: .file)
            var environment = try system.environment("test")
            environment.mountpoint = "/be"
            let runner = ScriptedRunner(["lsinitramfs /be/boot/initrd.img-\(Fixture.release)": "zfs.ko\nusr/sbin/zpool\n"])
            return try await BootTarget.with(environment, runner: runner, files: files) { target in
                try #require(await target.compared(system, runner: runner, files: files).kernels.first).unsigned
            }
        }
        #expect(try await unsigned(initrd: "initramfs") == [])
        #expect(try await unsigned(initrd: "another") == ["zfs.ko"])
        #expect(try await unsigned(initrd: "another", enforcing: false) == [])
    }
}

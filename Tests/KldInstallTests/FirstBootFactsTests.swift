import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Facts for the first boot")
struct FirstBootFactsTests {
    static let listing = """
        {"blockdevices":[
          {"path":"/dev/vda","name":"vda","size":8589934592,"type":"disk","children":[
            {"path":"/dev/vda1","name":"vda1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":[null]},
            {"path":"/dev/vda2","name":"vda2","size":7000000000,"type":"part","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/nvme0n1","name":"nvme0n1","size":8589934592,"type":"disk","children":[
            {"path":"/dev/nvme0n1p1","name":"nvme0n1p1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":[null]},
            {"path":"/dev/nvme0n1p12","name":"nvme0n1p12","size":7000000000,"type":"part","fstype":"zfs_member","mountpoints":[null]}]},
          {"path":"/dev/sdb","name":"sdb","size":8589934592,"type":"disk","children":[
            {"path":"/dev/sdb1","name":"sdb1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":[null]}]},
          {"path":"/dev/vdc","name":"vdc","size":8589934592,"type":"disk","children":[
            {"path":"/dev/vdc1","name":"vdc1","size":1073741824,"type":"part","fstype":"vfat","label":"DATA","mountpoints":[null]}]}
        ]}
        """
    static let pool =
        "rpool\t-\t-\n\tmirror-0\t7G\n\t/dev/disk/by-id/virtio-a-part2\t7G\n\t/dev/nvme0n1p12\t7G\n"
        + "special      -      -\n\t/dev/vdz9\t1G\n"

    func gather(
        files change: [String: String] = [:], without: [String] = [], unreadable: String? = nil, mount status: Int32 = 0,
        root: String = "rpool/ROOT/debian / zfs rw,relatime 0 0\n"
    ) async throws -> (FirstBoot, ScriptedRunner) {
        var texts = [
            "/proc/self/mounts": "proc /proc proc rw 0 0\n" + root, "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=zfs rw\n",
            "/run/kldload/firstboot/look/EFI/kldload/kldload-debian-6.12.0.1.efi": "",
            "/run/kldload/firstboot/look/EFI/kldload/kldload-debian-6.11.0.1.efi": "",
            "/proc/sys/kernel/osrelease": "6.12.0\n", "/usr/bin/ukify": "", FirstBoot.sealedMarker.string: "",
        ]
        for path in without { texts[path] = nil }
        texts.merge(change) { $1 }
        let table = [
            ListBlockDevices.command.description: Self.listing, "zpool list -vHPp -o name,bootfs,altroot rpool": Self.pool,
            "mount -t vfat /dev/vda1 /run/kldload/firstboot/look": "", "umount --recursive /run/kldload/firstboot/look": "",
        ]
        let runner = ScriptedRunner([
            { command in
                if status != 0, command.tool.name == "mount" { return CommandOutput(status: status, errors: "bad superblock\n") }
                return table[command.description].map { CommandOutput(output: $0) }
            }
        ])
        var files: any FileSystem = MemoryFiles(texts, links: ["/dev/disk/by-id/virtio-a-part2": "../../vda2"])
        if let unreadable { files = UnreadableFiles(files, below: unreadable) }
        return (try await FirstBoot.gather(runner: runner, files: files), runner)
    }

    @Test("the pool's disks are found by its vdevs, with the numbers of their partitions")
    func disks() async throws {
        let boot = try await gather().0
        #expect(boot.pool == "rpool")
        #expect(
            boot.disks == [
                RunningRoot.Disk(disk: "/dev/vda", partition: "/dev/vda2", number: 2, vdev: "/dev/disk/by-id/virtio-a-part2"),
                RunningRoot.Disk(disk: "/dev/nvme0n1", partition: "/dev/nvme0n1p12", number: 12, vdev: "/dev/nvme0n1p12"),
            ])
    }

    @Test("what is free behind a partition of the pool is known where it is the disk's last, and where the kernel says it")
    func rooms() async throws {
        #expect(try await gather().0.rooms.isEmpty)
        let sys = "/sys/class/block"
        let places = [
            "\(sys)/vda1/start": "2048\n", "\(sys)/vda1/size": "2097152\n", "\(sys)/vda2/start": "2099200\n",
            "\(sys)/vda2/size": "8388608\n",
            // Another partition lies behind the pool's.
            "\(sys)/nvme0n1p12/start": "2048\n", "\(sys)/nvme0n1p12/size": "8388608\n", "\(sys)/nvme0n1p1/start": "8390656\n",
            "\(sys)/nvme0n1p1/size": "2097152\n",
        ]
        #expect(try await gather(files: places).0.rooms == ["/dev/vda2": ByteCount((16_777_216 - 10_487_808) * 512)])
        // Nobody knows where the first one lies: it may be behind.
        #expect(try await gather(files: places.filter { !$0.key.hasPrefix("\(sys)/vda1") }).0.rooms.isEmpty)
    }

    @Test("the journal of earlier boots is read")
    func journal() async throws {
        #expect(try await gather().0.journal == "")
        #expect(try await gather(files: [FirstBoot.journalFile.string: "done firstboot.pool-guid\n"]).0.journal.words.count == 2)
    }

    @Test("ESPs are those on the pool's disks: another system's, and other FAT file systems, are not ours")
    func esps() async throws { #expect(try await gather().0.esps == ["/dev/vda1", "/dev/nvme0n1p1"]) }

    @Test("images are those of the running kernel, and the ESP is unmounted again")
    func images() async throws {
        let (boot, runner) = try await gather()
        #expect(boot.images == ["kldload-debian-6.12.0.1.efi"])
        #expect(boot.kernel == "6.12.0")
        #expect(runner.commands.suffix(2).map(\.tool.name) == ["mount", "umount"])
    }

    @Test("an ESP that cannot be mounted keeps nobody out: everything else is done, and the first boot is not finished")
    func brokenESP() async throws {
        let boot = try await gather(mount: 32).0
        #expect(boot.espProblem?.contains("bad superblock") == true && boot.images.isEmpty)
        #expect(try await end(of: boot)?.code == "firstboot.esp-unreadable")
    }

    /// Applies the plan; whatever else fails, SSH gets its keys. - Returns: why the first boot is not finished; `nil`: it is.
    private func end(of boot: FirstBoot) async throws -> Diagnosis? {
        let (runner, files) = (ScriptedRunner.accepting, MemoryFiles())
        let problem = await problem {
            try await PlanRunner(runner: runner, files: files, performers: FirstBoot.performers).apply(boot.plan)
        }
        #expect(runner.commands.contains { $0.tool.name == "ssh-keygen" })
        let isDone = try files.exists(FirstBoot.doneMarker)
        #expect(isDone == (problem == nil))
        return problem
    }

    @Test(
        "an ESP that is mounted and cannot be read is not taken for one without images: the first boot is not finished",
        arguments: ["kldload", "kldload/entries", "kldload/entries/kldload-debian-6.12.0.1.env"])
    func unreadableESP(_ place: String) async throws {
        let folder = "/run/kldload/firstboot/look/EFI"
        let entry = "\(folder)/kldload/entries/kldload-debian-6.12.0.1.env"
        let (boot, runner) = try await gather(files: [entry: "x"], unreadable: "\(folder)/\(place)")
        #expect(boot.espProblem?.contains("Input/output error") == true && boot.images.isEmpty && boot.entries.isEmpty)
        #expect(runner.commands.last?.tool.name == "umount")
        #expect(try await end(of: boot)?.code == "firstboot.esp-unreadable")
        // What is no text of ours is no entry, and no fault.
        let other = try await gather(files: [entry: "x"]).0
        #expect(other.espProblem == nil && other.entries.isEmpty && other.images.count == 1)
    }

    @Test("where nothing can build the boot image that needs the host id, the first boot is not finished; the next one tries it again")
    func noBuilder() async throws {
        let problem = try await end(of: FirstBootTests.clone(build: false))
        #expect(problem?.code == "firstboot.no-builder" && problem?.exit == .unavailable && problem?.remedies.isEmpty == false)
        let journal = "started firstboot.image\nfailed firstboot.image\n"
        let next = try FirstBootTests.clone(hostID: identity.hostID, runningHostID: HostID(0x0101_0101), journal: journal).plan
        #expect(next.commandLines.contains { $0.hasPrefix("ukify build") })
    }

    @Test("an ESP without our folder has no images")
    func noImages() async throws {
        let folder = "/run/kldload/firstboot/look/EFI/kldload"
        let boot = try await gather(without: ["\(folder)/kldload-debian-6.12.0.1.efi", "\(folder)/kldload-debian-6.11.0.1.efi"]).0
        #expect(boot.images.isEmpty && boot.espProblem == nil)
    }

    @Test(
        "a host id that is there is taken; zero or half a one is none",
        arguments: [([1, 2, 3, 4], true), ([0, 0, 0, 0], false), ([1, 2], false)] as [([UInt8], Bool)])
    func hostID(_ bytes: [UInt8], _ good: Bool) async throws {
        let boot = try await gather(files: ["/etc/hostid": String(decoding: bytes, as: UTF8.self)]).0
        #expect((boot.hostID != nil) == good)
        if good { #expect(boot.hostID == HostID(0x0403_0201)) }
    }

    @Test("a machine without the mark is no clone")
    func marker() async throws {
        #expect(try await gather().0.sealed)
        #expect(try await gather(without: [FirstBoot.sealedMarker.string]).0.sealed == false)
    }

    @Test("images are built by ukify, in either place; where there is none, by objcopy")
    func ukify() async throws {
        #expect(try await gather().0.builder == .ukify)
        #expect(try await gather(without: ["/usr/bin/ukify"]).0.builder == nil)
        #expect(try await gather(files: ["/usr/lib/systemd/ukify": ""], without: ["/usr/bin/ukify"]).0.builder == .ukify)
        #expect(try await gather(files: ["/usr/bin/objcopy": ""]).0.builder == .ukify)
        #expect(try await gather(files: ["/usr/bin/objcopy": ""], without: ["/usr/bin/ukify"]).0.builder == .objcopy)
    }

    @Test("what only some machines have is renewed where its program is, and where it is missing")
    func extras() async throws {
        let plain = try await gather(files: ["/etc/fstab": "UUID=1234-ABCD /boot/efi vfat nofail 0 2\n"]).0.extras
        #expect(plain == FirstBoot.Extras(mountTable: "UUID=1234-ABCD /boot/efi vfat nofail 0 2\n"))
        let programs = [
            "/usr/sbin/fatlabel": "", "/usr/sbin/nvme": "", "/sbin/iscsi-iname": "", "/usr/sbin/make-ssl-cert": "",
            "/etc/nvme/hostnqn": "x",
        ]
        let all = try await gather(files: programs).0.extras
        #expect(all.espSerial != nil && all.iscsi && all.certificate)
        // Half of it is as good as nothing.
        #expect(all.nvmeHost?.count == 36)
        let there = [
            "/etc/nvme/hostid": "x", "/etc/iscsi/initiatorname.iscsi": "x", "/etc/ssl/private/ssl-cert-snakeoil.key": "x",
        ]
        let own = try await gather(files: programs.merging(there) { $1 }).0.extras
        #expect(own.nvmeHost == nil && !own.iscsi && !own.certificate)
    }

    @Test("the command line is the running kernel's")
    func commandLine() async throws { #expect(try await gather().0.commandLine == "root=ZFS=rpool/ROOT/debian boot=zfs rw") }

    @Test("a machine whose root is not ZFS is refused", arguments: ["/dev/vda1 / ext4 rw 0 0\n", "", "tank/data /data zfs rw 0 0\n"])
    func noZFS(_ root: String) async throws {
        #expect(await problem { _ = try await gather(root: root) }?.code == "firstboot.no-zfs-root")
    }
}

import KldBlock
import KldCore
import KldExec
import KldFiles
import KldImage
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

/// In place of a claim to a device; says when it was let go.
private final class Claim: Sendable {
    private let letGo: @Sendable () -> Void
    init(letGo: @escaping @Sendable () -> Void) { self.letGo = letGo }
    deinit { letGo() }
}

/// Which sources stand still, and which are refused.
@Suite struct ExportSourceTests {
    /// lsblk 2.41, `--json --bytes --tree`, a machine with ZFS on root on sda, a finished disk sdb, an LVM disk sdc, and a zvol.
    static let lsblk = """
        {"blockdevices": [
          {"path":"/dev/sda","name":"sda","size":21474836480,"type":"disk","ro":false,"rm":false,"serial":"a","model":"QEMU HARDDISK",
           "wwn":null,"tran":"sata","fstype":null,"label":null,"partlabel":null,"pttype":"gpt","mountpoints":[null],"log-sec":512,
           "children":[
             {"path":"/dev/sda1","name":"sda1","size":1073741824,"type":"part","ro":false,"rm":false,"serial":null,"model":null,"wwn":null,
              "tran":null,"fstype":"vfat","label":"EFI","partlabel":"esp","pttype":"gpt","mountpoints":["/boot/efi"],"log-sec":512},
             {"path":"/dev/sda2","name":"sda2","size":20400046080,"type":"part","ro":false,"rm":false,"serial":null,"model":null,"wwn":null,
              "tran":null,"fstype":"zfs_member","label":"rpool","partlabel":"rpool","pttype":"gpt","mountpoints":[null],"log-sec":512}]},
          {"path":"/dev/sdb","name":"sdb","size":21474836480,"type":"disk","ro":false,"rm":false,"serial":"b","model":null,"wwn":null,
           "tran":"sata","fstype":null,"label":null,"partlabel":null,"pttype":"gpt","mountpoints":[null],"log-sec":512,
           "children":[
             {"path":"/dev/sdb1","name":"sdb1","size":1073741824,"type":"part","ro":false,"rm":false,"serial":null,"model":null,"wwn":null,
              "tran":null,"fstype":"vfat","label":"EFI","partlabel":"esp","pttype":"gpt","mountpoints":[null],"log-sec":512},
             {"path":"/dev/sdb2","name":"sdb2","size":20400046080,"type":"part","ro":false,"rm":false,"serial":null,"model":null,"wwn":null,
              "tran":null,"fstype":"zfs_member","label":"rpool","partlabel":"rpool","pttype":"gpt","mountpoints":[null],"log-sec":512}]},
          {"path":"/dev/sdc","name":"sdc","size":10737418240,"type":"disk","ro":false,"rm":false,"serial":"c","model":null,"wwn":null,
           "tran":"sata","fstype":"LVM2_member","label":null,"partlabel":null,"pttype":null,"mountpoints":[null],"log-sec":512,
           "children":[
             {"path":"/dev/mapper/vg-swap","name":"vg-swap","size":1073741824,"type":"lvm","ro":false,"rm":false,"serial":null,"model":null,
              "wwn":null,"tran":null,"fstype":"swap","label":null,"partlabel":null,"pttype":null,"mountpoints":["[SWAP]"],"log-sec":512}]},
          {"path":"/dev/zd0","name":"zd0","size":10737418240,"type":"disk","ro":false,"rm":false,"serial":null,"model":null,"wwn":null,
           "tran":null,"fstype":null,"label":null,"partlabel":null,"pttype":null,"mountpoints":[null],"log-sec":512}
        ]}
        """

    /// `zpool status -L -P`, OpenZFS 2.3.
    static let zpool = """
          pool: rpool
         state: ONLINE
          scan: scrub repaired 0B in 00:00:05 with 0 errors on Sun Nov  8 00:24:06 2026
        config:

        \tNAME           STATE     READ WRITE CKSUM
        \trpool          ONLINE       0     0     0
        \t  mirror-0     ONLINE       0     0     0
        \t    /dev/sda2  ONLINE       0     0     0
        \t    /dev/sdd2  ONLINE       0     0     0
        \tlogs\t
        \t  /dev/nvme0n1p1  ONLINE       0     0     0

        errors: No known data errors

          pool: tank
         state: ONLINE
        config:

        \tNAME              STATE     READ WRITE CKSUM
        \ttank              ONLINE       0     0     0
        \t  /srv/tank.raw   ONLINE       0     0     0

        errors: No known data errors

        """

    static func facts() throws -> SourceGuard.Facts {
        SourceGuard.Facts(
            devices: try ListBlockDevices.parse(lsblk), vdevs: PoolVdev.parse(zpool),
            mounts: MountedSource.parse("/dev/sda1 /boot/efi vfat rw 0 0\nrpool/ROOT/debian / zfs rw 0 0\n"),
            loops: [LoopDevice(device: "/dev/loop0", backingFile: "/srv/attached.raw")])
    }

    @Test func poolsVdevsAreRead() {
        #expect(
            PoolVdev.parse(Self.zpool) == [
                PoolVdev(pool: "rpool", path: "/dev/sda2"), PoolVdev(pool: "rpool", path: "/dev/sdd2"),
                PoolVdev(pool: "rpool", path: "/dev/nvme0n1p1"), PoolVdev(pool: "tank", path: "/srv/tank.raw"),
            ])
    }

    @Test func aMachineWithoutTheModuleHasNoPools() throws {
        let silent = CommandOutput(
            status: 1, errors: "The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root to manually load them.\n")
        #expect(try PoolVdev.read(silent) == [])
        #expect(try PoolVdev.read(CommandOutput(output: "no pools available\n")) == [])
        let denied = CommandOutput(status: 1, errors: "Permission denied the ZFS utilities must be run as root.\n")
        #expect(throws: Diagnosis.self) { try PoolVdev.read(denied) }
    }

    @Test func mountsAreReadWithTheirEscapes() {
        #expect(
            MountedSource.parse("proc /proc proc rw 0 0\n/dev/sdb1 /mnt/a\\040b\\134c vfat rw 0 0\n")
                == [MountedSource(source: "/dev/sdb1", target: "/mnt/a b\\c")])
    }

    @Test func loopsAreRead() throws {
        #expect(
            try LoopDevice.parse(
                #"{"loopdevices": [{"name":"/dev/loop0", "back-file":"/srv/a.raw"}, {"name":"/dev/loop1","back-file":null}]}"#)
                == [LoopDevice(device: "/dev/loop0", backingFile: "/srv/a.raw")])
        #expect(try LoopDevice.parse("") == [])
    }

    @Test(
        arguments: [
            ("/dev/sdb", true, []), ("/dev/zd0", true, []), ("/srv/image.raw", false, []),
            (
                "/dev/sda", true,
                [.mounted(device: "/dev/sda1", at: "/boot/efi"), .poolMember(device: "/dev/sda2", pool: "rpool")]
            ),
            ("/dev/sdc", true, [.swap(device: "/dev/mapper/vg-swap"), .stacked(device: "/dev/mapper/vg-swap", type: "lvm")]),
            ("/dev/sdb2", true, [.notWholeDisk(device: "/dev/sdb2", type: "part")]),
            ("/dev/sdz", true, [.unknownDevice("/dev/sdz")]),
            ("/srv/tank.raw", false, [.poolMember(device: "/srv/tank.raw", pool: "tank")]),
            ("/srv/attached.raw", false, [.loop(device: "/dev/loop0")]),
        ] as [(String, Bool, [SourceGuard.Reason])])
    func whatIsInUseIsRefused(path: String, isDevice: Bool, reasons: [SourceGuard.Reason]) throws {
        let facts = try Self.facts()
        #expect(SourceGuard.reasons(against: FilePath(path), isDevice: isDevice, facts) == reasons)
    }

    @Test func aLockedImageIsRefused() throws {
        var facts = try Self.facts()
        facts.imageError = """
            qemu-img: Could not open 'a.raw': Failed to get shared "write" lock
            Is another process using the image [a.raw]?
            """
        let problem = try #require(throws: ExportError.self) { try SourceGuard.check("/srv/a.raw", isDevice: false, facts) }.diagnosis
        #expect(problem.code == "image.source-busy")
        #expect(problem.exit == .tryAgain)
        #expect(problem.remedies == ["shut the virtual machine down, or export a snapshot of its disk"])
        facts.imageError = "qemu-img: Could not open 'a.raw': No such file or directory"
        #expect(SourceGuard.reasons(against: "/srv/a.raw", isDevice: false, facts).isEmpty)
    }

    @Test func anImageThatQEMUMayWriteToIsRefused() async throws {
        let runner = Self.runner { _ in CommandOutput(output: #"{"virtual-size": 1, "format": "raw"}"#) }
        let files = MemoryFiles(["/proc/mounts": "", "/srv/a.raw": ""])
        let inspector = SourceInspector(runner: runner, files: files, writerLock: { $0 == "/srv/a.raw" })
        let problem = try await #require(throws: ExportError.self) { try await inspector.inspect("/srv/a.raw") }
        #expect(problem == .busy("/srv/a.raw", reasons: [.locked("/srv/a.raw")]))
    }

    @Test func aDeviceThatTheKernelHoldsIsRefusedWhereNoListNamesIt() async throws {
        let disk: FilePath = "/dev/sdz"
        let facts = SourceGuard.Facts(devices: [BlockDevice(path: disk.string, size: .gibibytes(8))], isClaimed: true)
        #expect(SourceGuard.reasons(against: disk, isDevice: true, facts) == [.claimed(disk.string)])
        var mounted = facts
        mounted.mounts = [MountedSource(source: disk.string, target: "/mnt")]
        #expect(SourceGuard.reasons(against: disk, isDevice: true, mounted) == [.mounted(device: disk.string, at: "/mnt")])
    }

    /// A file that is read while somebody writes to it, or not; `nil` when that went well.
    private func change(_ body: (FilePath) throws -> Void) async throws -> ExportError? {
        try await Scratch.with { folder in
            let (image, files) = (folder.appending("a.raw"), LocalFiles())
            try files.write("before", to: image)
            let runner = Self.runner { _ in CommandOutput(output: #"{"virtual-size": 1, "format": "raw"}"#) }
            let held = try await SourceInspector(runner: runner, files: files, writerLock: { _ in false }).hold(image)
            try body(image)
            do { try held.check() } catch let error as ExportError { return error }
            return nil
        }
    }

    @Test func aFileThatChangesWhileItIsReadIsNoticed() async throws {
        #expect(try await change { _ in } == nil)
        let problem = try await change { image in
            let file = try FileDescriptor.open(image, .writeOnly)
            try file.closeAfter { _ = try file.writeAll("after, and longer".utf8) }
        }
        #expect(problem?.diagnosis.code == "image.source-changed" && problem?.diagnosis.exit == .tryAgain)
    }

    @Test func aDeviceIsHeldWhileItIsReadAndItsWritersAreNoticed() async throws {
        let writer = Mutex(false)
        let claims = Mutex(0)
        let runner = Self.runner { _ in CommandOutput(output: #"{"virtual-size": 21474836480, "format": "raw"}"#) }
        let inspector = SourceInspector(
            runner: runner, files: MemoryFiles(["/proc/mounts": ""], devices: ["/dev/sdb"]), writerLock: { _ in writer.withLock { $0 } },
            claim: { _ in
                claims.withLock { $0 += 1 }
                return Claim { claims.withLock { $0 -= 1 } }
            })
        do {
            let held = try await inspector.hold("/dev/sdb")
            #expect(claims.withLock { $0 } == 1)
            try held.check()
            writer.withLock { $0 = true }
            #expect(throws: ExportError.changed("/dev/sdb")) { try held.check() }
        }
        #expect(claims.withLock { $0 } == 0)
    }

    @Test func aDeviceThatIsClaimedAlreadyIsRefused() async throws {
        let runner = Self.runner { _ in CommandOutput(output: #"{"virtual-size": 21474836480, "format": "raw"}"#) }
        let inspector = SourceInspector(
            runner: runner, files: MemoryFiles(["/proc/mounts": ""], devices: ["/dev/sdb"]), writerLock: { _ in false },
            claim: { _ in throw DeviceClaim.Held() })
        let problem = try await #require(throws: ExportError.self) { try await inspector.inspect("/dev/sdb") }
        #expect(problem == .busy("/dev/sdb", reasons: [.claimed("/dev/sdb")]))
    }

    @Test func theKernelSaysThatItHoldsAMountedDevice() throws {
        let source = try LocalFiles().mounts().map(\.source).first { $0.hasPrefix("/dev/") }
        guard let source, (try? LocalFiles().status(FilePath(source))?.kind) == .blockDevice else {
            try Test.cancel("no block device is mounted here")
        }
        do {
            let held = try DeviceClaim.isHeld(FilePath(source))
            #expect(held)
        } catch FileError.denied { try Test.cancel("only root may open \(source)") }
        #expect(throws: FileError.self) { try DeviceClaim.isHeld("/dev/not-there") }
    }

    @Test func theOnlyFinishedDiskIsChosen() throws {
        #expect(try AutomaticSource.choose(Self.facts()) == "/dev/sdb")
    }

    @Test func severalOrNoDisksAreNotGuessed() throws {
        var facts = try Self.facts()
        facts.vdevs = []
        facts.mounts = []
        facts.devices[0].children[0].mountpoints = []
        let several = try #require(throws: Diagnosis.self) { try AutomaticSource.choose(facts) }
        #expect(several.code == "image.source-ambiguous")
        #expect(several.exit == .usage)
        facts = try Self.facts()
        facts.devices.remove(at: 1)
        let none = try #require(throws: Diagnosis.self) { try AutomaticSource.choose(facts) }
        #expect(none.code == "image.source-none")
        #expect(none.causes == ["/dev/sda: /dev/sda1 is mounted at /boot/efi", "/dev/sda: /dev/sda2 belongs to the imported pool rpool"])
    }

    static func runner(info: @escaping @Sendable (Command) -> CommandOutput) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                switch (command.tool.name, command.arguments.first) {
                case ("lsblk", _): CommandOutput(output: lsblk)
                case ("losetup", _): CommandOutput()
                case ("zpool", _): throw CommandError.toolMissing(command.tool)
                case ("qemu-img", "info"): info(command)
                // Of a device it would say no more than its size: a gibibyte of zeros measures 1074135040 (QEMU 10.0.2).
                case ("qemu-img", "measure") where command.arguments.last?.hasPrefix("/dev/") == false:
                    CommandOutput(output: #"{"required": 3080192, "fully-allocated": 21364736}"#)
                default: nil
                }
            }
        ])
    }

    @Test func aDeviceIsReadAsRawWhateverItsFirstBytesSay() async throws {
        let runner = Self.runner { _ in CommandOutput(output: #"{"virtual-size": 21474836480, "filename": "x", "format": "raw"}"#) }
        let files = MemoryFiles(["/proc/mounts": ""], devices: ["/dev/sdb"], links: ["/dev/disk/by-id/b": "/dev/sdb"])
        let source = try await SourceInspector(runner: runner, files: files, writerLock: { _ in false }).inspect("/dev/disk/by-id/b")
        #expect(source == SourceImage(path: "/dev/sdb", form: .raw, virtualSize: .gibibytes(20), dataSize: nil))
        #expect(runner.commands.contains { $0.description == "qemu-img info --output json -f raw /dev/sdb" })
        #expect(runner.commands.allSatisfy { $0.effect == .reads })
    }

    @Test func aFilesHolesAreNoData() async throws {
        let runner = Self.runner { _ in CommandOutput(output: #"{"virtual-size": 21474836480, "format": "raw"}"#) }
        let files = MemoryFiles(["/proc/mounts": "", "/srv/a.raw": ""])
        let source = try await SourceInspector(runner: runner, files: files, writerLock: { _ in false }).inspect("/srv/a.raw")
        #expect(source.dataSize == ByteCount(3_080_192))
    }

    @Test(arguments: [
        (#"{"virtual-size": 1, "format": "qcow2", "backing-filename": "/etc/shadow"}"#, "image.source-has-backing"),
        (
            #"{"virtual-size": 1, "format": "qcow2", "format-specific": {"type": "qcow2", "data": {"data-file": "/etc/shadow"}}}"#,
            "image.source-has-backing"
        ),
        (#"{"virtual-size": 1, "format": "vdi"}"#, "image.source-format"),
    ])
    func filesThatLeanOnOthersAreRefused(info: String, code: String) async throws {
        let runner = Self.runner { _ in CommandOutput(output: info) }
        let inspector = SourceInspector(
            runner: runner, files: MemoryFiles(["/proc/mounts": "", "/srv/a.img": ""]), writerLock: { _ in false })
        let problem = try await #require(throws: ExportError.self) { try await inspector.inspect("/srv/a.img") }
        #expect(problem.diagnosis.code == code)
    }

    @Test func aRunningMachinesDiskIsRefused() async throws {
        let runner = Self.runner { _ in
            CommandOutput(status: 1, errors: "Failed to get shared \"write\" lock\nIs another process using the image [a]?")
        }
        let inspector = SourceInspector(
            runner: runner, files: MemoryFiles(["/proc/mounts": "", "/srv/a.raw": ""]), writerLock: { _ in false })
        let problem = try await #require(throws: ExportError.self) { try await inspector.inspect("/srv/a.raw") }
        #expect(problem.diagnosis.code == "image.source-busy")
    }

    @Test func whatIsNotThereIsSaid() async throws {
        let inspector = SourceInspector(runner: Self.runner { _ in CommandOutput() }, files: MemoryFiles(["/proc/mounts": ""]))
        let problem = try await #require(throws: ExportError.self) { try await inspector.inspect("/srv/none.raw") }
        #expect(problem == .sourceMissing("/srv/none.raw"))
    }
}

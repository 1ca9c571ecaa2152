import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@Suite("Work that reads before it writes")
struct PerformerTests {
    func perform(
        _ name: String, _ parameters: [String: String], _ runner: any CommandRunner, _ files: any FileSystem = MemoryFiles(),
        logs: [FilePath] = []
    ) async throws {
        let table = Performers.table(logs: logs) { _, _, _ in }
        let performer = try #require(table[name])
        try await performer(parameters, runner, files)
    }

    func problem(
        _ name: String, _ parameters: [String: String], _ runner: any CommandRunner, _ files: any FileSystem = MemoryFiles()
    ) async -> Diagnosis? {
        await KldTestSupport.problem { try await perform(name, parameters, runner, files) }
    }

    @Test("every name that a plan uses has somebody who performs it")
    func complete() throws {
        let table = Performers.table(logs: []) { _, _, _ in }
        for (sealed, disk) in [(false, "/dev/vda"), (true, "/dev/vda"), (false, "auto")] {
            let facts = disk == "auto" ? Machines.plain(.disk("vda")) : Machines.virtual
            let wanted = try request(answers(disk: disk), facts, sealed: sealed)
            let steps = try PlanView.parts(wanted).flatMap { try PlanView.plan(InstallPlanner(wanted), $0).steps }
            for case .perform(let name, _, _) in steps.flatMap({ $0.actions + $0.release + $0.undo }) { #expect(table[name] != nil) }
        }
    }

    // MARK: clean disks

    @Test("a disk without signatures is clean")
    func clean() async {
        #expect(
            await problem(
                Performers.verifyClean, ["disk": "/dev/vda"], ScriptedRunner(["wipefs --no-act --noheadings --output TYPE /dev/vda": "\n"]))
                == nil)
    }

    @Test("a disk that still has signatures is not, and they are named")
    func notClean() async {
        let problem = await problem(
            Performers.verifyClean, ["disk": "/dev/vda"],
            ScriptedRunner(["wipefs --no-act --noheadings --output TYPE /dev/vda": "gpt\nPMBR \n"]))
        #expect(problem?.code == "disk.not-clean")
        #expect(problem?.message == "/dev/vda still carries gpt, PMBR after it was wiped")
    }

    // MARK: the firmware's old entries

    @Test(
        "a reinstallation removes the firmware's entries for partitions that it wipes, and no other; without firmware or GUIDs it looks for none"
    )
    func oldEntries() async throws {
        var part = BlockDevice.part("vda1", "vfat")
        part.partitionID = "0fc63daf-0000"
        var facts = Machines.plain(.disk("vda") { $0.children = [part] })
        func step() throws -> Step? { try InstallPlanner(request(answers(disk: "/dev/vda"), facts)).plan[step: "boot.old-entries"] }
        facts.firmwareEntries = false
        #expect(try step() == nil)
        facts.firmwareEntries = true
        #expect(try step()?.actions.map(\.text) == ["boot.forget-entries partitions=0fc63daf-0000"])
        func entry(_ number: String, _ partition: String) -> String {
            "Boot\(number)* KLDload\tHD(1,GPT,\(partition),0x800,0x200000)/\\EFI\\kldload\\shimx64.efi\n"
        }
        let runner = ScriptedRunner([
            "efibootmgr --verbose": entry("0001", "0fc63daf-0000") + entry("0002", "absent"),
            "efibootmgr --quiet --bootnum 0001 --delete-bootnum": "",
        ])
        try await perform("boot.forget-entries", ["partitions": "0fc63daf-0000"], runner)
        #expect(runner.commands.count == 2)
    }

    // MARK: an earlier run's snapshot

    @Test(
        "the snapshot of an installation that goes on takes the place of its earlier one, and of no other",
        arguments: [("rpool@install\nrpool@before\n", true), ("rpool@installed\n", false), ("", false)])
    func earlierSnapshot(_ listed: String, _ isThere: Bool) async throws {
        let list = "zfs list -Hp -d 1 -t snapshot -o name rpool"
        let runner = ScriptedRunner([list: listed, "zfs destroy -r rpool@install": ""])
        try await perform(Performers.forgetSnapshot, ["snapshot": "rpool@install"], runner)
        #expect(runner.commands.map(\.description) == (isThere ? [list, "zfs destroy -r rpool@install"] : [list]))
    }

    // MARK: empty disks

    /// A machine whose disk vda was empty a while ago.
    func emptiness(
        signatures: String = "", type: String = "disk", device: String = "", others: String = "", pools: String? = nil,
        content: MemoryDisk = MemoryDisk(size: .gibibytes(20))
    ) async -> Diagnosis? {
        let listing = """
            {"blockdevices":[{"path":"/dev/vda","name":"vda","size":21474836480,"type":"\(type)"\(device)}\(others)]}
            """
        let runner = ScriptedRunner([
            { command in
                switch command.tool.name {
                case "wipefs":
                    command.description == "wipefs --no-act --noheadings --output TYPE /dev/disk/by-id/x"
                        ? CommandOutput(output: signatures) : nil
                case "lsblk": CommandOutput(output: listing)
                case "zpool": CommandOutput(output: pools ?? "")
                default: nil
                }
            }
        ])
        var texts = ["/proc/meminfo": "MemTotal: 1 kB\n"]
        if pools != nil { texts["/sys/module/zfs/version"] = "2.4\n" }
        let files = MemoryFiles(texts, links: ["/dev/disk/by-id/x": "../../vda"], disks: ["/dev/vda": content])
        return await problem(WipeApproval.verifier, ["disk": "/dev/disk/by-id/x"], runner, files)
    }

    @Test("a disk on which nothing is found is empty, whatever the others hold")
    func empty() async {
        #expect(await emptiness() == nil)
        #expect(await emptiness(pools: "") == nil)
        let other = #",{"path":"/dev/vdb","name":"vdb","size":21474836480,"type":"disk","pttype":"gpt","mountpoints":["/"]}"#
        #expect(await emptiness(others: other, pools: "tank\n\t/dev/vdb\t1G\n") == nil)
    }

    @Test("a disk on which anything is found is not, and it is told what that is")
    func notEmpty() async {
        let cases: [(String, Diagnosis?)] = [
            ("ext4", await emptiness(signatures: "ext4\n")), ("a partition table (gpt)", await emptiness(device: #","pttype":"gpt""#)),
            ("xfs", await emptiness(device: #","fstype":"xfs""#)),
            ("mounted at /data", await emptiness(device: #","mountpoints":["/data"]"#)),
            (
                "/dev/vda1",
                await emptiness(device: #","children":[{"path":"/dev/vda1","name":"vda1","size":9999,"type":"part"}]"#)
            ),
            ("the pool tank", await emptiness(pools: "tank\n\t/dev/vda\t1G\n")),
            ("the system that is running now, or its seed", await emptiness(device: #","label":"KLDSEED""#)),
            ("lsblk does not show it any more", await emptiness(type: "rom")),
        ]
        for (cause, problem) in cases {
            #expect(problem?.code == "disk.not-empty", "\(cause)")
            #expect(problem?.causes.first == cause)
        }
    }

    /// Of a disk with 21,474,836,480 bytes: either end, the last KiB, where GELI keeps what it is, and one of the places between.
    @Test(
        "data that no tool has a name for is found at both ends and in places between",
        arguments: [0, 512, 1_048_575, 10_737_418_245, 21_473_787_904, 21_474_835_456, 21_474_835_968, 21_474_836_479] as [UInt64])
    func unnamed(_ place: UInt64) async {
        let problem = await emptiness(content: MemoryDisk(size: .gibibytes(20), others: [place: 0x47]))
        #expect(problem?.code == "disk.not-empty" && problem?.causes == ["data at byte \(place)"])
    }

    @Test("erased flash reads as ones, and is empty; any other pattern is data")
    func erased() async {
        #expect(await emptiness(content: MemoryDisk(size: .gibibytes(20), fill: 0xFF)) == nil)
        #expect(
            await emptiness(content: MemoryDisk(size: .gibibytes(20), fill: 0xFF, others: [21_474_836_000: 0xFE]))?.causes == [
                "data at byte 21474836000"
            ])
        #expect(await emptiness(content: MemoryDisk(size: .gibibytes(20), fill: 0xFF, others: [0: 0]))?.causes == ["data at byte 1"])
        #expect(await emptiness(content: MemoryDisk(size: .gibibytes(20), fill: 0x55))?.causes == ["data at byte 0"])
    }

    @Test("what cannot be read is not empty, nor what ends before its size")
    func unread() async {
        let middle: UInt64 = 10 << 30
        let broken = await emptiness(content: MemoryDisk(size: .gibibytes(20), broken: (middle + 512)..<(middle + 1024)))
        #expect(broken?.code == "disk.not-empty")
        #expect(broken?.causes == ["unreadable at byte \(middle): cannot read /dev/vda: Input/output error"])
        let short = await emptiness(content: MemoryDisk(size: ByteCount(middle + 4096)))
        #expect(short?.code == "disk.not-empty" && short?.causes == ["it ends at byte \(middle + 4096), before its size"])
    }

    // MARK: accounts

    @Test("an account is the person's own by its home; a daemon's, or a group's name, is refused before anything is given to it")
    func account() async {
        func found(_ line: String, _ status: Int32 = 0) async -> Diagnosis? {
            let runner = ScriptedRunner([
                { $0.description == "chroot /target getent passwd jo" ? CommandOutput(status: status, output: line) : nil }
            ])
            return await problem("users.verify", ["target": "/target", "user": "jo"], runner)
        }
        #expect(await found("jo:x:1000:1000::/home/jo:/bin/bash\n") == nil)
        let daemon = await found("jo:x:101:102:Jo daemon,,,:/usr/lib/jo:/usr/sbin/nologin\n")
        #expect(daemon?.code == "install.account" && daemon?.causes == ["jo:x:101:102:Jo daemon,,,:/usr/lib/jo:/usr/sbin/nologin"])
        let group = await found("", 2)
        #expect(group?.code == "install.account" && group?.causes == ["it is the name of a group"])
        #expect(group?.exit == .failed)
    }

    // MARK: export

    /// A pool that can be exported after so many tries.
    final class Pool: CommandRunner {
        let tries = Mutex(0)
        let log = Mutex<[String]>([])
        let busy: Int
        let imported: Bool
        init(imported: Bool = true, busy: Int = 0) {
            self.imported = imported
            self.busy = busy
        }
        func run(_ command: Command) async throws -> CommandOutput {
            log.withLock { $0.append(command.description) }
            switch command.description {
            case "zpool list -H -o name tank": return CommandOutput(status: imported ? 0 : 1, output: imported ? "tank\n" : "")
            case "zpool export tank":
                let now = tries.withLock { tries in
                    tries += 1
                    return tries
                }
                if now <= busy {
                    throw CommandError.failed(command, CommandOutput(status: 1, errors: "cannot export 'tank': pool is busy\n"))
                }
                return CommandOutput()
            default: throw Unscripted(what: command.description)
            }
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "pipeline") }
    }

    @Test("a pool is exported")
    func export() async {
        let pool = Pool()
        #expect(await problem(Performers.exportPool, ["pool": "tank"], pool) == nil)
        #expect(pool.log.withLock { $0 } == ["zpool list -H -o name tank", "zpool export tank"])
    }

    @Test("a pool that is not there needs no export: its making may have failed")
    func notImported() async {
        let pool = Pool(imported: false)
        #expect(await problem(Performers.exportPool, ["pool": "tank"], pool) == nil)
        #expect(pool.tries.withLock { $0 } == 0)
    }

    @Test("a pool that is busy for a moment is tried again")
    func busyOnce() async {
        let pool = Pool(busy: 2)
        #expect(await problem(Performers.exportPool, ["pool": "tank"], pool) == nil)
        #expect(pool.tries.withLock { $0 } == 3)
    }

    @Test("a pool whose trouble was explained is tried again, and told in the same words")
    func explained() async {
        let pool = Pool(busy: 2)
        #expect(await problem(Performers.exportPool, ["pool": "tank"], ZFSExplainingRunner(pool)) == nil)
        #expect(pool.tries.withLock { $0 } == 3)
        let failing = ScriptedRunner([
            { $0.arguments[0] == "list" ? CommandOutput() : nil },
            { _ in CommandOutput(status: 1, errors: "cannot export 'tank': pool I/O is currently suspended\n") },
        ])
        let stuck = await problem(Performers.exportPool, ["pool": "tank"], ZFSExplainingRunner(failing))
        #expect(stuck?.code == "zfs.export" && stuck?.causes == ["cannot export 'tank': pool I/O is currently suspended"])
    }

    @Test("a pool that stays busy is an error that tells what is still mounted of it, and below the target")
    func busyForever() async {
        let files = MemoryFiles([
            "/proc/self/mounts": "tank/home /mnt/new/home zfs rw 0 0\nproc /mnt/new/proc proc rw 0 0\nproc /proc proc rw 0 0\n"
        ])
        let problem = await problem(Performers.exportPool, ["pool": "tank", "target": "/mnt/new"], Pool(busy: 100), files)
        #expect(problem?.code == "zfs.export")
        #expect(problem?.remedies == ["end what uses it, then: zpool export tank"])
        #expect(
            problem?.causes == [
                "cannot export 'tank': pool is busy", "still mounted: tank/home at /mnt/new/home",
                "still mounted: proc at /mnt/new/proc",
            ])
    }

    @Test("another failure of the export is not tried again")
    func otherFailure() async {
        let runner = ScriptedRunner([
            { $0.arguments[0] == "list" ? CommandOutput() : nil },
            { _ in CommandOutput(status: 1, errors: "cannot export 'tank': I/O error\n") },
        ])
        #expect(await problem(Performers.exportPool, ["pool": "tank"], runner)?.code == "zfs.export")
        #expect(runner.commands.filter { $0.arguments.first == "export" }.count == 1)
    }

    // MARK: mount units

    /// `zfs list -H -t filesystem -o name,mountpoint,canmount,…`, OpenZFS 2.4, below an altroot.
    static let listing = """
        rpool\tnone\toff\ton\ton
        rpool/ROOT/debian\t/target\tnoauto\ton\ton
        rpool/home\t/target/home\ton\ton\ton
        rpool/home/jo doe\t/target/home/jo doe\ton\ton\ton
        rpool/odd\t/targetting\ton\ton\ton
        rpool/var\t/target/var\toff\ton\ton
        rpool/legacy\tlegacy\ton\ton\ton

        """

    @Test("the list for systemd has no altroot in its paths, and is else as ZFS prints it")
    func mountCache() async throws {
        let runner = ScriptedRunner([{ $0.tool.name == "zfs" ? CommandOutput(output: Self.listing) : nil }])
        let files = MemoryFiles()
        try await perform(
            Performers.mountCache, ["pool": "rpool", "target": "/target", "file": "/target/etc/zfs/zfs-list.cache/rpool"], runner, files)
        #expect(
            files.texts["/target/etc/zfs/zfs-list.cache/rpool"] == """
                rpool\tnone\toff\ton\ton
                rpool/ROOT/debian\t/\tnoauto\ton\ton
                rpool/home\t/home\ton\ton\ton
                rpool/home/jo doe\t/home/jo doe\ton\ton\ton
                rpool/odd\t/targetting\ton\ton\ton
                rpool/var\t/var\toff\ton\ton
                rpool/legacy\tlegacy\ton\ton\ton

                """)
        let words = try #require(runner.commands.first).arguments
        #expect(words.prefix(5) == ["list", "-H", "-t", "filesystem", "-o"])
        #expect(words.suffix(2) == ["-r", "rpool"])
    }

    @Test("ZFS is asked for the columns that its generator reads, in its order")
    func columns() async throws {
        let runner = ScriptedRunner([{ _ in CommandOutput() }])
        try await perform(Performers.mountCache, ["pool": "p", "target": "/t", "file": "/f"], runner)
        // zfs-mount-generator(8), OpenZFS 2.4, and history_event-zfs-list-cacher.sh.
        #expect(
            try #require(runner.commands.first).arguments[5]
                == "name,mountpoint,canmount,atime,relatime,devices,exec,readonly,setuid,nbmand,encroot,keylocation,"
                + "org.openzfs.systemd:requires,org.openzfs.systemd:requires-mounts-for,org.openzfs.systemd:before,"
                + "org.openzfs.systemd:after,"
                + "org.openzfs.systemd:wanted-by,org.openzfs.systemd:required-by,org.openzfs.systemd:nofail,org.openzfs.systemd:ignore")
    }

    // MARK: logs

    @Test("logs that there are go into the system, readable by its administrators only")
    func logs() async throws {
        let files = MemoryFiles(["/var/log/kldload/install.jsonl": "{}\n"])
        try await perform(
            Performers.keepLogs, ["target": "/target"], ScriptedRunner([:]), files,
            logs: ["/var/log/kldload/install.jsonl", "/no/such.log"])
        #expect(files.texts["/target/var/log/kldload/install.jsonl"] == "{}\n")
        #expect(files.mode(of: "/target/var/log/kldload/install.jsonl") == 0o640)
    }
}

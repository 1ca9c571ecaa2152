import KldBlock
import KldBoot
public import KldCore
public import KldExec
import KldPackages
import KldZFS

/// One archive with what somebody needs who is to find out, elsewhere, what is wrong: what a maintainer of OpenZFS asks for, and kldload's own.
///
/// Nothing of it is a secret: files that hold some are not read (keys, answers, shadow, data for cloud-init, settings of zed, command lines of
/// processes), and every text is redacted (``Redaction``). Only commands look at the machine, each for so long and no longer: a suspended pool
/// cannot hang it. Texts are packed one by one.
public struct DebugBundle: Sendable {
    /// The commands feed each other.
    struct Item: Sendable {
        var name: String
        var commands: [Command]
    }

    struct Entry: Sendable, Hashable, Codable {
        var name: String
        var command: String
        var bytes: Int
        /// The beginning was left out.
        var isTruncated: Bool
        /// Why it is missing, or not whole.
        var problem: String?
    }

    private struct Report: Codable {
        var schema = "debug-bundle/1"
        var host: String
        var made: String
        var kldload: String
        var items: [Entry]
    }

    public let host: String
    public let made: Timestamp
    let version: String
    private let runner: any CommandRunner

    /// So much of one text is kept, from its end.
    static let mostBytes = 4 << 20
    /// How long one command may take.
    public static let limit = Duration.seconds(10)

    /// - Parameters:
    ///   - runner: with no limit of its own.
    ///   - limit: how long one command may take.
    public init(host: String, now: Timestamp, version: String, runner: any CommandRunner, limit: Duration = limit) {
        self.host = host
        made = now
        self.version = version
        self.runner = TimeLimitRunner(runner, limit: limit)
    }

    /// `kldload-debug-box-20261129103000`: of the archive, and of the folder in it.
    public var name: String {
        let plain = host.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "-" }
        return "kldload-debug-\(String(plain.prefix(40)))-\(made.digits)"
    }

    /// What would be asked, for a dry run.
    public static var contents: [String] { items.map { "\($0.name): \($0.commands.map(\.description).joined(separator: " | "))" } }

    /// - Parameters:
    ///   - doctor: the document of `kldload-doctor`.
    ///   - report: told the name of each text before it is asked for.
    ///   - write: takes the archive's bytes, in their order.
    /// - Throws: what `write` throws; `CancellationError`. What cannot be asked is no error: its text says why.
    public func pack(
        doctor: String, report: (String) -> Void = { _ in }, into write: @escaping ([UInt8]) throws -> Void
    ) async throws {
        let tar = TarStream(time: made, write)
        var entries: [Entry] = []
        func add(_ name: String, _ text: String, command: String = "", problem: String? = nil) throws {
            var bytes = Array(Redaction.text(text).utf8)
            let isTruncated = bytes.count > Self.mostBytes
            if isTruncated { bytes = Array(bytes.suffix(Self.mostBytes)) }
            try tar.add("\(self.name)/\(name)", bytes)
            entries.append(Entry(name: name, command: command, bytes: bytes.count, isTruncated: isTruncated, problem: problem))
        }
        try add("doctor.json", doctor)
        var processes = ""
        for item in Self.items + (await found) {
            report(item.name)
            let (text, problem) = try await answer(item)
            if item.name == "kernel/processes.txt" { processes = text }
            try add(item.name, text, command: item.commands.map(\.description).joined(separator: " | "), problem: problem)
        }
        let stuck = Self.waiting(processes)
        if !stuck.isEmpty {
            let item = Item(name: "kernel/stacks.txt", commands: [Self.files(stuck.map { "/proc/\($0)/stack" })])
            let (text, problem) = try await answer(item)
            try add(item.name, text, command: item.commands[0].description, problem: problem)
        }
        let sums = Report(host: host, made: made.description, kldload: version, items: entries)
        try tar.add("\(name)/report.json", Array(SortedJSON.document(sums).utf8))
        try tar.end()
    }

    private func answer(_ item: Item) async throws -> (text: String, problem: String?) {
        do {
            let output = try await item.commands.count == 1 ? runner.run(item.commands[0]) : runner.run(pipeline: item.commands)
            let errors = output.errors.isEmpty ? "" : "\n--- standard error\n\(output.errors)"
            let problem = output.status == 0 ? nil : "it ended with \(output.status)"
            return (output.output + errors, problem)
        } catch let error as CancellationError { throw error } catch {
            let problem = Diagnosis(of: error)
            return (problem.rendered + "\n", problem.message)
        }
    }

    /// Processes that no signal reaches: they wait for a disk or for a pool. At most fifty of them.
    static func waiting(_ processes: String) -> [String] {
        Array(processes.lines.map(\.words).filter { $0.count > 3 && $0[2].hasPrefix("D") && Int($0[0]) != nil }.map { $0[0] }.prefix(50))
    }

    // MARK: what is asked

    private static func reads(_ tool: Tool, _ words: String...) -> Command { reads(Command(tool, words, effect: .reads)) }

    /// What a tool says before it ends badly is worth as much.
    private static func reads(_ command: Command) -> Command {
        var command = command
        command.acceptedExitStatuses = Set(0...255)
        return command
    }

    /// Each under a line with its name. Runs: `tail --lines=+1 --verbose FILE…`, reads.
    private static func files(_ paths: [String]) -> Command {
        Command(Tool("tail", package: "coreutils"), ["--lines=+1", "--verbose", "--"] + paths, effect: .reads, accepting: [0, 1])
    }

    private static func last(_ lines: Int) -> Command { reads(Tool("tail", package: "coreutils"), "--lines=\(lines)") }

    private static let zpool = ZPool.tool
    private static let zfs = ZFS.tool
    private static let journal = Tool("journalctl", package: "systemd")
    private static let columns = "name,used,available,referenced,mountpoint,mounted,canmount,origin,creation"

    static var items: [Item] {
        versions + pools + kernel + disks + system
    }

    private static var versions: [Item] {
        [
            Item(
                name: "versions/system.txt",
                commands: [files(["/etc/os-release", "/proc/version", "/proc/cmdline", "/etc/kldload/release"])]),
            Item(name: "versions/openzfs.txt", commands: [ZFS.version()]),
            Item(name: "versions/module.txt", commands: [reads(Tool("modinfo", package: "kmod"), "zfs")]),
            Item(name: "versions/dkms.txt", commands: [reads("dkms", "status")]),
            Item(name: "versions/packages.txt", commands: [reads(Dpkg.listInstalled())]),
        ]
    }

    private static var pools: [Item] {
        [
            Item(name: "zfs/zpool-status.txt", commands: [reads(zpool, "status", "-v", "-t")]),
            Item(name: "zfs/zpool-list.txt", commands: [reads(zpool, "list", "-v", "-P")]),
            Item(name: "zfs/zpool-get.txt", commands: [reads(zpool, "get", "all")]),
            Item(name: "zfs/zpool-events.txt", commands: [reads(zpool, "events", "-v"), last(5000)]),
            Item(name: "zfs/zpool-history.txt", commands: [reads(zpool, "history", "-i", "-l"), last(3000)]),
            Item(name: "zfs/zpool-iostat.txt", commands: [reads(zpool, "iostat", "-v", "-l", "-y", "1", "3")]),
            Item(name: "zfs/zfs-list.txt", commands: [reads(zfs, "list", "-t", "filesystem,volume", "-o", columns)]),
            Item(
                name: "zfs/zfs-snapshots.txt",
                commands: [reads(zfs, "list", "-t", "snapshot", "-o", "name,used,referenced,creation"), last(20000)]),
            // What is not as it would be by itself.
            Item(name: "zfs/zfs-get.txt", commands: [reads(zfs, "get", "-s", "local,received,temporary", "all")]),
        ]
    }

    private static var kernel: [Item] {
        let kstats = ["arcstats", "abdstats", "dbufstats", "dmu_tx", "dnodestats", "fm", "zfetchstats", "zil", "vdev_mirror_stats"]
        return [
            Item(name: "kernel/kstats.txt", commands: [files(kstats.map { "/proc/spl/kstat/zfs/\($0)" })]),
            Item(
                name: "kernel/dbgmsg.txt",
                commands: [reads(Tool("tail", package: "coreutils"), "--lines=5000", "/proc/spl/kstat/zfs/dbgmsg")]),
            Item(
                name: "kernel/parameters.txt",
                commands: [reads("grep", "--recursive", "--no-messages", "", "/sys/module/zfs/parameters", "/sys/module/spl/parameters")]),
            Item(name: "kernel/dmesg.txt", commands: [reads(Tool("dmesg", package: "util-linux"))]),
            Item(name: "kernel/memory.txt", commands: [files(["/proc/meminfo", "/proc/swaps", "/proc/loadavg", "/proc/uptime"])]),
            Item(name: "kernel/pressure.txt", commands: [files(["cpu", "io", "memory"].map { "/proc/pressure/\($0)" })]),
            Item(name: "kernel/modules.txt", commands: [reads(Tool("lsmod", package: "kmod"))]),
            // Names, not command lines: those may hold anything.
            Item(
                name: "kernel/processes.txt",
                commands: [reads(Tool("ps", package: "procps"), "-e", "-L", "-o", "lwp,pid,stat,wchan:32,etimes,rss,comm")]),
        ]
    }

    private static var disks: [Item] {
        [
            Item(
                name: "disks/lsblk.txt",
                commands: [
                    reads(
                        Tool("lsblk", package: "util-linux"), "--output",
                        "NAME,TYPE,SIZE,ROTA,SCHED,LOG-SEC,PHY-SEC,TRAN,MODEL,SERIAL,FSTYPE,LABEL,PARTLABEL,PARTUUID,MOUNTPOINTS")
                ]),
            Item(
                name: "disks/links.txt",
                commands: [
                    reads(Tool("find", package: "findutils"), "/dev/disk/by-id", "/dev/disk/by-path", "-type", "l", "-printf", "%p %l\\n")
                ]),
            Item(name: "disks/mounts.txt", commands: [files(["/proc/self/mountinfo"])]),
        ]
    }

    private static var system: [Item] {
        [
            Item(name: "boot/firmware.txt", commands: [FirmwareEntry.list]),
            Item(
                name: "boot/esp.txt",
                commands: [reads(Tool("find", package: "findutils"), "/boot/efi", "-type", "f", "-printf", "%p %s %t\\n")]),
            Item(name: "system/journal.txt", commands: [reads(journal, "--boot", "--no-pager", "--lines=8000", "--output=short-precise")]),
            Item(
                name: "system/journal-before.txt",
                commands: [reads(journal, "--boot=-1", "--no-pager", "--lines=3000", "--output=short-precise")]),
            Item(name: "system/failed.txt", commands: [reads("systemctl", "list-units", "--failed", "--no-pager", "--full")]),
            Item(name: "system/timers.txt", commands: [reads("systemctl", "list-timers", "--all", "--no-pager", "--full")]),
            Item(name: "kldload/manifest.json", commands: [reads(Tool("cat", package: "coreutils"), InstallManifest.path)]),
        ]
    }

    /// What differs from machine to machine: statistics of each pool, kldload's logs, entries of the boot menu.
    private var found: [Item] {
        get async {
            func find(_ words: String...) async -> [String] {
                let command = Command(Tool("find", package: "findutils"), words, effect: .reads, accepting: [0, 1])
                let lines = (try? await runner.run(command))?.output.lines ?? []
                return lines.filter { $0.hasPrefix("\(words[0])/") }.sorted()
            }
            let statistics = await find(
                "/proc/spl/kstat/zfs", "-mindepth", "2", "-type", "f", "(", "-name", "state", "-o", "-name", "txgs", "-o", "-name",
                "iostats",
                "-o", "-name", "dmu_tx_assign", "-o", "-name", "guid", ")")
            let logs = await find(
                "/var/log/kldload", "-maxdepth", "1", "-type", "f", "-name", "*.jsonl", "-o", "-name", "*.log", "-type", "f")
            let entries = await find("/boot/efi/loader", "-type", "f", "-name", "*.conf")
            let settings = await find("/etc/modprobe.d", "-type", "f", "-name", "*zfs*")
            func item(_ name: String, _ paths: [String]) -> [Item] {
                paths.isEmpty ? [] : [Item(name: name, commands: [Self.files(Array(paths.prefix(200)))])]
            }
            return item("kernel/kstats-pools.txt", statistics) + item("boot/entries.txt", entries) + item("kernel/modprobe.txt", settings)
                + logs.suffix(20).map { path in
                    let file = path.split(separator: "/").last ?? ""
                    return Item(
                        name: "kldload/\(String(file.suffix(40)))",
                        commands: [Self.reads(Tool("tail", package: "coreutils"), "--bytes=1048576", path)])
                }
        }
    }
}

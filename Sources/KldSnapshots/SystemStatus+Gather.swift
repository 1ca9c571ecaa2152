import FoundationEssentials
import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldSystemd
import KldZFS
import SystemPackage

extension SystemStatus {
    static let columns = [
        "name", "type", "used", "usedbysnapshots", "compressratio", "creation", "userrefs", "keystatus", "mountpoint",
    ]

    /// Reads the machine, with a fixed number of commands however much it holds. Each part that fails makes a line; the others are told all the same.
    ///
    /// Runs: `zpool list`, `zpool status`, `zfs list` of file systems, volumes and snapshots (of pools that answer), `zfs --version`, `systemctl
    /// list-units --failed`, `systemctl show`; once each, reads.
    /// - Parameter runner: one that gives commands a limit, for a suspended pool lets none end.
    public static func gather(runner: any CommandRunner, files: any FileSystem, now: Timestamp) async throws -> SystemStatus {
        let mounts = (try? files.mountInfo()) ?? []
        let root = mounts.last { $0.place == "/" && $0.type == "zfs" }?.source
        var status = SystemStatus(
            host: text("/proc/sys/kernel/hostname", files) ?? "?", now: now, pools: [], datasets: nil, root: root, next: nil, lines: [])
        let module = text("/sys/module/zfs/version", files).flatMap { OpenZFSVersion($0) }
        var bootfs: String?
        if module == nil {
            status.lines.append(Line("zfs", .problem, "the ZFS module is not loaded", remedy: "modprobe zfs, and read its message"))
        } else {
            try await status.readPools(runner, json: module?.hasJSON ?? false)
            bootfs = status.pools.first { $0.name == root?.prefix { $0 != "/" } ?? "" }?.usage?.bootfs
            try await status.readDatasets(runner)
        }
        let tools =
            module == nil ? nil : try await asked { try await OpenZFSVersions.read(runner).tools }.value ?? nil
        let manifest = InstallManifest.read(files)
        let chain = BootChain(rawValue: manifest?.bootLoader ?? "") ?? .systemdBoot
        status.addBoot(bootfs: bootfs, chain, mounts, files)
        status.addSnapshots()
        status.addMemory(files)
        try await status.addUnits(wanted: manifest?.units ?? [], runner)
        status.addReboot(module: module, tools: tools, files)
        return status
    }

    /// A question's answer, or why there is none. Only cancelling goes on.
    private static func asked<Value>(_ body: () async throws -> Value) async throws -> (value: Value?, problem: String?) {
        do { return (try await body(), nil) } catch let error as CancellationError { throw error } catch {
            return (nil, Diagnosis(of: error).message)
        }
    }

    private static func text(_ path: String, _ files: any FileSystem) -> String? {
        (try? files.read(FilePath(path))).map { String(decoding: $0, as: UTF8.self).trimmed }
    }

    // MARK: pools and datasets

    private mutating func readPools(_ runner: any CommandRunner, json: Bool) async throws {
        let usage = try await Self.asked { try PoolUsage.parse(await runner.run(ZPool.usage()).output) }
        let reports = try await Self.asked { try PoolReport.parse(await runner.run(ZPool.statusOfAll(json: json)).output, json: json) }
        let names = ((usage.value ?? []).map(\.name) + (reports.value ?? []).map(\.name)).reduce(into: [String]()) {
            if !$0.contains($1) { $0.append($1) }
        }
        pools = names.map { name in
            Pool(
                name: name, boots: root?.hasPrefix("\(name)/") ?? false, usage: usage.value?.first { $0.name == name },
                report: reports.value?.first { $0.name == name },
                reportProblem: reports.problem, now: now)
        }
        if let problem = usage.problem {
            lines.append(Line("pools", .unknown, "pools could not be listed: \(problem)", remedy: "zpool list"))
        }
        if names.isEmpty, usage.problem == nil {
            lines.append(Line("pools", .problem, "no pool is imported", remedy: "see what there is: zpool import"))
        }
    }

    private mutating func readDatasets(_ runner: any CommandRunner) async throws {
        // A pool that is suspended answers nobody who wants to read from it.
        let ready = pools.filter { $0.state != .suspended && $0.state != .unavailable && $0.state != .faulted }.map(\.name)
        if ready.isEmpty { return }
        let names = ready.count == pools.count ? [] : ready
        let list = ZFS.list(of: names, columns: Self.columns, types: ["filesystem", "volume", "snapshot"], recursive: true)
        let (root, top) = (self.root, self.root.flatMap { root in root.lastIndex(of: "/").map { String(root[...$0]) } })
        let found = try await Self.asked {
            var sum = Datasets()
            try ListLine.each(try await runner.run(list).output, columns: Self.columns) { sum.add($0, root: root, top: top) }
            return sum
        }
        datasets = found.value
        if let problem = found.problem {
            lines.append(Line("datasets", .unknown, "datasets could not be listed: \(problem)", remedy: "zfs list"))
        }
    }

    private mutating func addSnapshots() {
        guard let datasets else { return }
        if !datasets.locked.isEmpty {
            let more = datasets.locked.count > 4 ? " and \(datasets.locked.count - 4) more" : ""
            lines.append(
                Line(
                    "locked", .info,
                    "\(datasets.locked.count) datasets are locked: " + datasets.locked.prefix(4).joined(separator: ", ") + more,
                    remedy: "zfs mount -l \(datasets.locked[0])"))
        }
        guard let newest = datasets.newest, let name = datasets.newestName else {
            lines.append(Line("snapshots", .notice, "there is no snapshot", remedy: "kldload ksnap"))
            return
        }
        let held = datasets.held > 0 ? ", \(datasets.held) held" : ""
        lines.append(
            Line(
                "snapshots", .info,
                "\(datasets.snapshots), \(ByteCount(datasets.snapshotBytes)) held by them alone\(held); the newest \(Elapsed.text(now.seconds - newest.seconds)) ago: \(name)"
            ))
    }

    // MARK: the machine

    private mutating func addBoot(bootfs: String?, _ chain: BootChain, _ mounts: [MountInfo], _ files: any FileSystem) {
        guard let root else {
            lines.append(Line("boot", .info, "the root file system is not on ZFS"))
            return
        }
        let running = root.leaf
        let count = datasets.map { "; \($0.environments) environments" } ?? ""
        let folder = FilePath("/boot/efi").appending(chain.entryFolder)
        guard mounts.contains(where: { $0.place == "/boot/efi" }), let names = try? files.list(folder) else {
            // Who may not read the ESP knows what the pool says, which is what boots while nothing is on trial.
            let told = bootfs.map { "the pool says \($0)" } ?? "the pool does not say either"
            lines.append(
                Line(
                    "boot", .unknown, "\(running) runs\(count); what boots next could not be read, \(told)",
                    remedy: "as root: kldload kbe list"))
            return
        }
        let entries = names.compactMap { name in
            (try? files.read(folder.appending(name))).flatMap { BootEntry(fileName: name, text: String(decoding: $0, as: UTF8.self)) }
        }.sorted(by: BootEntry.precedes)
        guard let entry = entries.first(where: { !$0.isExhausted }) else {
            lines.append(
                Line("boot", .problem, "\(running) runs\(count); nothing on the ESP boots next", remedy: "kldload boot restore"))
            return
        }
        next = entry.dataset
        let trial = entry.once ? ", once" : entry.counter != nil ? ", on trial" : ""
        let left = entries.filter(\.isExhausted).map(\.environment).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        lines.append(
            Line("boot", entry.dataset == root ? .ok : .notice, "\(running) runs, \(entry.environment) boots next\(trial)\(count)"))
        if !left.isEmpty {
            lines.append(
                Line(
                    "boot.failed", .notice, "did not boot well: \(left.joined(separator: ", "))", remedy: "kldload kbe list says why"))
        }
    }

    private mutating func addMemory(_ files: any FileSystem) {
        var values: [Substring: UInt64] = [:]
        for line in Self.text("/proc/meminfo", files)?.split(separator: "\n") ?? [] {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if words.count > 1 { values[words[0]] = UInt64(words[1]) }
        }
        let load = (Self.text("/proc/loadavg", files) ?? "").words.prefix(3).joined(separator: " ")
        let up =
            (Self.text("/proc/uptime", files) ?? "").words.first.flatMap { Double($0) }.map { "up \(Elapsed.text(Int64($0)))" } ?? "up ?"
        guard let total = values["MemTotal"], let available = values["MemAvailable"] else {
            lines.append(Line("memory", .unknown, "the kernel does not tell about its memory"))
            return
        }
        lines.append(
            Line(
                "memory", available < total / 20 ? .notice : .info,
                "\(ByteCount(available << 10)) of \(ByteCount(total << 10)) available; load \(load.isEmpty ? "?" : load); \(up)"))
        guard let stats = Self.text(ARCStats.path, files), let arc = ARCStats.parse(stats) else {
            lines.append(Line("arc", .unknown, "OpenZFS does not tell about its cache"))
            return
        }
        let rate = ARCStats.hitPercent(stats).map { ", \($0) % hits" } ?? ""
        lines.append(Line("arc", .info, "\(ByteCount(arc.size)) of at most \(ByteCount(arc.most))\(rate)"))
    }

    // MARK: services

    /// Units that a person looks for; not each belongs to every machine. Those of the install manifest are added, and must run.
    static let units = [
        "zfs-zed.service", "ssh.service", "sanoid.timer", "kldload-snapshot.timer", "kldload-srv-snapshot.timer", "kldload-webui.service",
        "NetworkManager.service", "systemd-networkd.service",
    ]

    private mutating func addUnits(wanted: [String], _ runner: any CommandRunner) async throws {
        let failed = try await Self.asked { Systemctl.names(try await runner.run(Systemctl.failedUnits).output) }
        if let names = failed.value {
            lines.append(
                names.isEmpty
                    ? Line("units", .ok, "none has failed")
                    : Line(
                        "units", .problem, "failed: \(names.joined(separator: ", "))", remedy: "journalctl --boot -u \(names[0])"))
        } else {
            lines.append(Line("units", .unknown, "whether units have failed could not be asked: \(failed.problem ?? "")"))
        }
        let names = Self.units + wanted.filter { !Self.units.contains($0) }
        let shown = try await Self.asked { UnitState.parse(try await runner.run(Systemctl.show(names)).output) }
        guard let states = shown.value else {
            lines.append(Line("services", .unknown, "services could not be asked about: \(shown.problem ?? "")"))
            return
        }
        var told: [String] = []
        for name in names {
            let state = states.first { $0.names.contains(name) }
            let (text, runs) = (state?.told ?? "unknown", state?.isWell ?? false)
            let short = name.hasSuffix(".service") ? String(name.dropLast(8)) : name
            told.append("\(short) \(text)")
            if runs { continue }
            if wanted.contains(name) {
                lines.append(
                    Line(
                        "service", .problem, "\(short) is \(text), and this machine was installed with it",
                        remedy: "systemctl enable --now \(name); journalctl -u \(name)"))
            } else if name == "zfs-zed.service" {
                lines.append(
                    Line(
                        "service", .notice, "zfs-zed is \(text): nobody is told of failing disks", remedy: "systemctl enable --now zfs-zed")
                )
            }
        }
        lines.append(Line("services", .info, told.joined(separator: ", ")))
    }

    // MARK: restart

    /// Whether what is on the disk is not what runs. A file that asks for a restart is not written by every package, so the kernels are compared.
    private mutating func addReboot(module: OpenZFSVersion?, tools: OpenZFSVersion?, _ files: any FileSystem) {
        var reasons: [String] = []
        let prefix = "vmlinuz-"
        let running = try? KernelRelease.running(files)
        let installed = ((try? files.list("/boot")) ?? []).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        let newest = installed.max { KernelRelease.precedes($0, $1) }
        if let running, let newest, KernelRelease.precedes(running, newest) {
            reasons.append("Linux \(newest) is installed, \(running) runs")
        }
        if let module, let tools, module != tools { reasons.append("OpenZFS \(tools) is installed, \(module) is loaded") }
        if let next, let root, next != root { reasons.append("\(next) boots next, \(root) runs") }
        if (try? files.exists("/run/reboot-required")) == true {
            let packages = Self.text("/run/reboot-required.pkgs", files)?.lines.reduce(into: [String]()) {
                if !$0.contains($1) { $0.append($1) }
            }
            reasons.append("packages ask for it" + (packages.map { ": \($0.joined(separator: ", "))" } ?? ""))
        }
        if !reasons.isEmpty {
            lines.append(Line("restart", .notice, "a restart is due: \(reasons.joined(separator: "; "))", remedy: "systemctl reboot"))
        } else if running == nil || newest == nil {
            lines.append(Line("restart", .unknown, "whether a restart is due cannot be told: no kernel was found in /boot"))
        } else {
            lines.append(Line("restart", .ok, "none is due"))
        }
    }
}

extension SystemStatus.Datasets {
    mutating func add(_ line: ListLine, root: String?, top: String?) {
        let name = line["name"]
        guard line["type"] != "snapshot" else {
            snapshots += 1
            if (line.number("userrefs") ?? 0) > 0 { held += 1 }
            let created = Timestamp(seconds: Int64(clamping: line.number("creation") ?? 0))
            if newest.map({ $0 < created }) ?? true { (newest, newestName) = (created, String(name)) }
            return
        }
        if line["type"] == "volume" { volumes += 1 } else { filesystems += 1 }
        snapshotBytes += line.number("usedbysnapshots") ?? 0
        if line["keystatus"] == "unavailable" { locked.append(String(name)) }
        if let top, name.hasPrefix(top), !name.dropFirst(top.count).contains("/") { environments += 1 }
        if let root, name == root { (rootUsed, rootRatio) = (line.bytes("used"), String(line["compressratio"].prefix { $0 != "x" })) }
    }
}

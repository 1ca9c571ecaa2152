import FoundationEssentials
import KldBoot
import KldBootEnv
package import KldCore
import KldDoctor
package import KldExec
package import KldFiles
import KldSnapshots
import KldZFS
import SystemPackage

extension KldProperty {
    /// On an environment that came from another machine and is this one's own now: the guid of the snapshot that was sent.
    package static let image = "com.kldload:image"
}

/// What a machine says of itself to whoever looks after a fleet: `kfleet self`, read over ssh.
package struct FleetReport: Sendable, Hashable, Codable {
    package struct Pool: Sendable, Hashable, Codable {
        package var name: String
        package var state: String

        package init(name: String, state: String) {
            self.name = name
            self.state = state
        }
    }

    package struct Environment: Sendable, Hashable, Codable {
        package var name: String
        /// As `kbe list` says: `good`, `on trial, …`, `failed: …`, `never activated`, `another machine's: …`.
        package var state: String
        /// The guid of the snapshot it was pushed as; `nil`: it was made here, or is not this machine's own yet.
        package var image: String?
        /// It came from another machine, and is not this one's own yet; `nil`: it is, or that machine's kldload does not tell.
        package var foreign: Bool?

        package init(name: String, state: String, image: String? = nil, foreign: Bool? = nil) {
            self.name = name
            self.state = state
            self.image = image
            self.foreign = foreign
        }
    }

    package static let currentSchema = "fleet-host/1"

    package var schema = currentSchema
    package var host: String
    package var version: String
    /// Another one after each start.
    package var boot: String
    package var running: String
    /// What is mounted at `/`.
    package var dataset: String
    /// This boot was noted as good.
    package var good: Bool
    package var next: String?
    package var environments: [Environment]
    package var pools: [Pool] = []
    package var snapshots: UInt64?
    /// Of the root's pool: a date, `running`, `never`.
    package var scrub: String?
    /// Lines of `kst` that are problems, and ESPs that cannot be used.
    package var problems: [String] = []
    /// Checks of the doctor that failed, and that warned; `nil`: it was not asked.
    package var failed: [String]?
    package var warned: [String]?

    package init(
        host: String, version: String, boot: String, running: String, dataset: String, good: Bool, next: String? = nil,
        environments: [Environment] = []
    ) {
        self.host = host
        self.version = version
        self.boot = boot
        self.running = running
        self.dataset = dataset
        self.good = good
        self.next = next
        self.environments = environments
    }

    /// - Returns: `nil` for anything that ``json`` did not write.
    package init?(json: String) {
        guard let report = try? JSONDecoder().decode(FleetReport.self, from: Data(json.utf8)), report.schema == Self.currentSchema else {
            return nil
        }
        self = report
    }

    package var json: String {
        get throws { try SortedJSON.line(self) }
    }

    /// What somebody should look at, in a few words each; empty: all is well.
    package var findings: [String] {
        pools.filter { $0.state != "ONLINE" }.map { "\($0.name) is \($0.state)" } + problems
            + (failed ?? []).map { "kldload-doctor: \($0)" } + (good ? [] : ["\(running) was not noted as good since it started"])
    }

    /// Reads the running machine.
    ///
    /// - Parameter brief: without its doctor and without its pools: for who waits for it.
    /// - Throws: ``Diagnosis`` `be.no-zfs-root`.
    ///
    /// Runs: what `kbe list`, `kst` and `kldload-doctor` run; reads.
    package static func gather(
        brief: Bool, version: String, now: Timestamp, runner: any CommandRunner, files: any FileSystem
    ) async throws -> FleetReport {
        let explaining = ZFSExplainingRunner(runner)
        let system = try await BootSystem.gather(runner: explaining, files: files)
        let marks = try PropertyRow.parse(
            await explaining.run(ZFS.get(system.top.text, [KldProperty.image], recursive: true, types: ["filesystem"])).output)
        // A clone of an environment that was pushed does not take the mark along; what lies below it inherits it, and is none.
        let images = Dictionary(marks.filter { $0.source == .local }.compactMap { row in row.value.map { (row.name, $0) } }) { $1 }
        let list = BootList(system) { id in try? files.readText(BootTrial.file(id)).trimmed }
        var report = FleetReport(
            host: (try? files.readText("/proc/sys/kernel/hostname"))?.trimmed ?? "", version: version,
            boot: (try? files.readText("/proc/sys/kernel/random/boot_id"))?.trimmed ?? "", running: system.running.leaf,
            dataset: system.running.text, good: try files.exists(BootTrial.goodMarker),
            next: list.rows.first { $0.bootsNext || $0.bootsOnce }?.name,
            environments: zip(system.environments, list.rows).map { environment, row in
                Environment(
                    name: row.name, state: row.state, image: images[row.dataset], foreign: environment.isForeign ? true : nil)
            })
        if brief { return report }
        let status = try await SystemStatus.gather(runner: explaining, files: files, now: now)
        report.pools = status.pools.map { Pool(name: $0.name, state: $0.state.description) }
        report.snapshots = status.datasets.map { UInt64($0.snapshots) }
        report.problems =
            status.problems.filter { $0.id != "pool.state" }.map { "\($0.id): \($0.text)" }
            + system.damaged.map { "\($0.problem.code): \($0.problem.message)" }
        let scan = status.pools.first { $0.name == system.pool.text }?.report?.scan
        report.scrub = scan.map { $0.ended.map { String($0.description.prefix(10)) } ?? $0.state.rawValue } ?? "never"
        let doctor = try await Doctor.run(
            CheckContext(runner: runner, files: files, now: now), checks: Check.everything)
        report.failed = doctor.results.filter { $0.status == .fail }.map(\.name)
        report.warned = doctor.results.filter { $0.status == .warn }.map(\.name)
        return report
    }
}

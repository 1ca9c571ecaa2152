import KldBootEnv
package import KldCore
package import KldExec
import KldPlan
package import KldReplicate
package import KldSSH
package import KldZFS

/// What became of a push on one machine.
package struct FleetPushRow: Sendable {
    package enum State: String, Sendable, Hashable {
        case pushed, present, failed
        /// Of a dry run.
        case planned
    }
    package var host: SSHDestination
    package var state: State
    /// What the stream was built upon, as it is called there; `nil`: all of it was sent, or nothing.
    package var base: String?
    /// Sent; `nil`: nobody counted.
    package var bytes: UInt64?
    /// Of a dry run: what would be done.
    package var plan: String?
    package var problem: Diagnosis?

    package init(_ host: SSHDestination, _ state: State) {
        self.host = host
        self.state = state
    }
}

/// Sends a boot environment to machines, as the change of what they have already. Nothing of theirs is touched, and nothing boots by it.
package struct FleetPush: Sendable {
    package struct Request: Sendable, Hashable {
        /// `NAME`, or `NAME@LABEL`.
        package var source: String
        /// How it is called there; `nil`: as here.
        package var name: String?
        /// Where nothing is in common, all of it goes.
        package var whole = false
        package var dryRun = false

        package init(_ source: String) { self.source = source }
    }

    let request: Request
    let fleet: Fleet
    let local: any CommandRunner
    /// pv is here: it counts bytes.
    let meter: Bool
    let now: Timestamp
    /// Makes the runner of one machine's stream: without a limit, and what pv says is added up.
    let streams: @Sendable (SSHDestination, SentBytes) -> any CommandRunner
    let say: @Sendable (String) -> Void

    /// Making another machine's environment one's own may mean to sign modules, and to build an initramfs anew.
    static let adoption: Int64 = 1200

    package init(
        _ request: Request, fleet: Fleet, local: any CommandRunner, meter: Bool, now: Timestamp,
        streams: @escaping @Sendable (SSHDestination, SentBytes) -> any CommandRunner, say: @escaping @Sendable (String) -> Void
    ) {
        self.request = request
        self.fleet = fleet
        self.local = local
        self.meter = meter
        self.now = now
        self.streams = streams
        self.say = say
    }

    // MARK: here

    /// What is sent. A snapshot is taken, unless one is named, or nothing was written since the last that a push took.
    ///
    /// - Parameter running: the environment that runs here; others lie beside it.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.no-snapshot`, `be.deep`, `be.name`.
    ///
    /// Runs: `zfs list` of datasets, snapshots and bookmarks, `zfs get written@LABEL`, reads; `zfs snapshot NAME@kfleet-TIME`, changes.
    package func prepare(beside running: DatasetName) async throws -> FleetLineage {
        guard let top = running.parent else {
            throw Diagnosis("fleet.no-top", "\(running) lies below nothing", remedies: ["boot environments lie in POOL/ROOT"])
        }
        let parts = request.source.split(separator: "@", omittingEmptySubsequences: false).map(String.init)
        try BootEnvironment.check(name: request.name ?? parts[0])
        let dataset = try top.appending(parts[0])
        let datasets = try ReplicaDataset.parse(await local.run(ZFS.replicas(of: top, recursive: true)).output)
        guard datasets.contains(where: { $0.name == dataset.text }) else {
            throw Diagnosis(
                "be.unknown", "there is no boot environment \(parts[0])", remedies: ["see what there is: kldload kbe list"],
                exit: .inputMissing)
        }
        guard !datasets.contains(where: { $0.name.hasPrefix(dataset.text + "/") }) else {
            throw Diagnosis(
                "be.deep", "\(parts[0]) has datasets of its own below it, and one stream holds one dataset",
                remedies: ["zfs send -R \(dataset)@SNAPSHOT sends all of them"])
        }
        let snapshots = try await listed(top)
        let own = snapshots.filter { $0.dataset == dataset.text && !$0.isBookmark }.sorted { $0.transaction < $1.transaction }
        if parts.count > 1 {
            guard parts.count == 2, let end = own.first(where: { $0.label == parts[1] }) else {
                throw Diagnosis(
                    "be.no-snapshot", "there is no snapshot \(request.source)",
                    remedies: own.isEmpty ? ["\(parts[0]) has none"] : ["one of: " + own.map(\.label).joined(separator: ", ")],
                    exit: .inputMissing)
            }
            return FleetLineage(end, datasets: datasets, snapshots: snapshots)
        }
        // The one before goes on where it was cut off, and machines that have it already need nothing; others may have taken snapshots since.
        if let last = own.last(where: { $0.label.hasPrefix("kfleet-") }) {
            let command = ZFS.written(since: try SnapshotName(dataset, last.label))
            let written = try PropertyRow.parse(await local.run(command).output).first?.value
            if written == "0" { return FleetLineage(last, datasets: datasets, snapshots: snapshots) }
        }
        let label = "kfleet-\(now.digits.prefix(8))-\(now.digits.dropFirst(8))"
        if request.dryRun {
            let end = ReplicaSnapshot(dataset: dataset.text, label: label, guid: 0, transaction: .max)
            return FleetLineage(end, datasets: datasets, snapshots: snapshots)
        }
        if !own.contains(where: { $0.label == label }) { try await local.run(ZFS.snapshot(try SnapshotName(dataset, label))) }
        let after = try await listed(top)
        guard let end = after.first(where: { $0.dataset == dataset.text && $0.label == label && !$0.isBookmark }) else {
            throw Diagnosis(
                "fleet.snapshot-gone", "\(dataset)@\(label) was taken, and is gone", remedies: ["run the same again"], exit: .tryAgain)
        }
        return FleetLineage(end, datasets: datasets, snapshots: after)
    }

    private func listed(_ top: DatasetName) async throws -> [ReplicaSnapshot] {
        try ReplicaSnapshot.parse(await local.run(ZFS.replicaSnapshots(of: top, recursive: true)).output)
    }

    // MARK: there

    /// Brings it to every machine, so many at a time; one that fails keeps no other from getting it.
    ///
    /// - Returns: one row for each, in their order.
    package func run(_ lineage: FleetLineage, to hosts: [SSHDestination]) async -> [FleetPushRow] {
        await Fleet.each(hosts, parallel: fleet.parallel) { host in
            let sent = SentBytes()
            var row = FleetPushRow(host, .failed)
            do {
                try Task.checkCancellation()
                try await push(lineage, host, sent, &row)
            } catch { row.problem = Diagnosis(of: error) }
            if row.state == .failed, let problem = row.problem { say("\(host.knownName): \(problem.message)") }
            row.bytes = sent.sum
            return row
        }
    }

    /// Runs there: `kldload kfleet self --brief`, `zfs list`, reads; `zfs receive -u -s -o origin=… -o canmount=noauto -o mountpoint=/ … NAME`,
    /// `kldload kbe adopt NAME`, changes; `zfs receive -A NAME`, destroys what had arrived of a stream that cannot go on.
    private func push(_ lineage: FleetLineage, _ host: SSHDestination, _ sent: SentBytes, _ row: inout FleetPushRow) async throws {
        let report = try await fleet.report(of: host, brief: true)
        let running = try DatasetName(report.dataset)
        guard let top = running.parent else {
            throw Diagnosis(
                "fleet.no-top", "\(report.dataset) on \(host) lies below nothing", remedies: ["boot environments lie in POOL/ROOT"])
        }
        let source = try DatasetName(lineage.end.dataset)
        let target = try top.appending(request.name ?? source.leaf)
        let datasets = try ReplicaDataset.parse(await fleet.run(ZFS.replicas(of: top, recursive: true), on: host).output)
        let snapshots = try ReplicaSnapshot.parse(await fleet.run(ZFS.replicaSnapshots(of: top, recursive: true), on: host).output)
        let token = datasets.first { $0.name == target.text }?.token
        var known: ResumeToken?
        if let token {
            let command = ZFS.describe(resume: token)
            let output = try await local.run(command)
            known = ResumeToken(output)
            if known == nil { throw CommandError.failed(command, output) }
        }
        let plan = try FleetPushPlan(
            lineage, to: target, on: host.description, datasets: datasets, snapshots: snapshots, token: known, whole: request.whole)
        let image = String(lineage.end.guid)
        // What is there and does not say otherwise is that machine's own: it may be where it was made.
        let isOwn = plan == .present && report.environments.first { $0.name == target.leaf }?.foreign != true
        if request.dryRun {
            row.state = .planned
            (row.plan, row.base) = Self.text(plan, isOwn: isOwn)
            return
        }
        let receiving = ReplicationRunner(
            streams(host, sent), try ReplicationRequest(from: ReplicaPlace(source), to: ReplicaPlace(target, on: host)), sent: sent)
        switch plan {
        case .present: break
        case .resume(let token):
            say("\(host.knownName): go on with \(lineage.end.name), which was cut off")
            try await receive(ZFS.send(resume: token), ZFS.receive(target, resumable: true), host, receiving)
        case .send(let base, let origin, let abandoning):
            if abandoning { try await fleet.run(ZFS.receiveAbort(target), on: host) }
            row.base = origin?.description
            var options = SendOptions()
            options.base = base.map { .from($0.name) }
            // An encrypted pool receives no embedded blocks.
            options.embedded = false
            say("\(host.knownName): send \(lineage.end.name)\(origin.map { ", what changed since \($0)" } ?? ", all of it")")
            // Set before the stream is read, the mark is there however much of it arrives.
            let properties: ZFSProperties = [
                "canmount": "noauto", "mountpoint": "/", KldProperty.owner: KldProperty.ownerValue,
                KldProperty.identity: KldProperty.foreign,
            ]
            try await receive(
                ZFS.send(try SnapshotName(source, lineage.end.label), options),
                ZFS.receive(target, origin: origin, properties: properties, resumable: true), host, receiving)
        }
        if !isOwn {
            say("\(host.knownName): make \(target.leaf) its own")
            try await fleet.run(fleet.tools.adopt(target.leaf, image: image), on: host, within: Self.adoption)
        }
        row.state = isOwn ? .present : .pushed
    }

    private func receive(_ send: Command, _ receive: Command, _ host: SSHDestination, _ runner: ReplicationRunner) async throws {
        _ = try await runner.run(pipeline: [send] + (meter ? [PipeViewer.command(rate: nil)] : []) + [receive.over(host)])
    }

    private static func text(_ plan: FleetPushPlan, isOwn: Bool) -> (String, base: String?) {
        switch plan {
        case .present: (isOwn ? "it is there" : "it is there; make it that machine's own", nil)
        case .resume: ("go on with what was cut off", nil)
        case .send(_, let origin?, _): ("send what changed since \(origin)", origin.description)
        case .send(_, nil, _): ("send all of it", nil)
        }
    }
}

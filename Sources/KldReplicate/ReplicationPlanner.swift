package import KldCore
package import KldExec
package import KldPlan
package import KldZFS

/// Says what is done, from what there is. Asks nothing.
package struct ReplicationPlanner: Sendable {
    package var request: ReplicationRequest
    package var facts: ReplicationFacts
    /// Of the snapshot that is taken.
    package let label: String
    /// pv is here: it counts bytes, and holds them back.
    package var meter: Bool

    package init(_ request: ReplicationRequest, _ facts: ReplicationFacts, now: Timestamp, meter: Bool) {
        self.request = request
        self.facts = facts
        self.meter = meter
        let digits = now.digits
        let stem = "\(request.tag)-\(digits.prefix(8))-\(digits.dropFirst(8))"
        let taken = Set(facts.sourceSnapshots.values.joined().map(\.label))
        var label = stem
        var number = 2
        while taken.contains(label) {
            label = "\(stem)-\(number)"
            number += 1
        }
        self.label = label
    }

    // MARK: which

    /// The datasets that are sent, in an order in which each one's parent and origin come before it.
    package var datasets: [ReplicaDataset] {
        var waiting = facts.source.filter { !request.skipParent || $0.name != request.source.dataset.text }
        var ordered: [ReplicaDataset] = []
        while !waiting.isEmpty {
            let names = Set(waiting.map(\.name))
            func isReady(_ row: ReplicaDataset) -> Bool {
                let parent = String(row.name.prefix(upTo: row.name.lastIndex(of: "/") ?? row.name.startIndex))
                return !names.contains(parent) && row.origin.map { !names.contains(Self.dataset(of: $0)) } ?? true
            }
            // Something may be cloned from what lies below it: then the origin waits, and all of it is sent.
            let index = waiting.firstIndex(where: isReady) ?? 0
            ordered.append(waiting.remove(at: index))
        }
        return ordered
    }

    private static func dataset(of snapshot: String) -> String { String(snapshot.prefix { $0 != "@" }) }

    // MARK: before anything is sent

    /// One instant of everything that is sent, held until a newer one has arrived; and what the target lies below.
    ///
    /// Runs: `zfs snapshot [-r] -o com.kldload:replica=NAME …`, `zfs hold [-r]` at the source; `zfs create -o canmount=off` at the target; changes. And
    /// `zfs release`, `zfs destroy` of snapshots of ours that were never sent; destroys.
    package func preparation() throws -> Plan {
        var steps: [Step] = []
        if request.takesSnapshot {
            let name = try SnapshotName(request.source.dataset, label)
            let place = request.source
            steps.append(
                Step(
                    "replicate.snapshot", "Snapshot \(place)",
                    [
                        .run(
                            place.at(
                                ZFS.snapshot(name, recursive: request.recursive, properties: [KldProperty.replica: request.name]))),
                        .run(place.at(ZFS.hold(name, tag: request.tag, recursive: request.recursive))),
                    ]))
        }
        var missing: [DatasetName] = []
        var above = request.skipParent && facts.target.isEmpty ? request.target.dataset : request.target.dataset.parent
        while let name = above, !facts.ancestors.contains(name.text) {
            missing.insert(name, at: 0)
            above = name.parent
        }
        if let pool = missing.first, pool.parent == nil {
            throw Diagnosis(
                "replicate.no-pool", "there is no pool \(request.target.at(pool))", remedies: ["name one that is imported: zpool list"],
                exit: .inputMissing)
        }
        if !missing.isEmpty {
            steps.append(
                Step(
                    "replicate.parents", "Make what \(request.target) lies below",
                    missing.map { .run(request.target.at(ZFS.create($0, properties: ["canmount": "off"]))) }))
        }
        steps += try unsent()
        return Plan("prepare the replication \(request.name)", steps.isEmpty ? [] : [Phase("replicate", "Replicate", steps)])
    }

    /// Snapshots of runs that never sent them, but for the last one: neither has the target one of them, nor does it wait for the rest of one.
    private func unsent() throws -> [Step] {
        try datasets.compactMap { dataset in
            let target = try request.target(of: dataset.name).text
            var needed = Set((facts.targetSnapshots[target] ?? []).map(\.guid))
            if case .to(_, let guid)? = facts.tokens[target] { needed.insert(guid) }
            let ours = (facts.sourceSnapshots[dataset.name] ?? []).filter {
                !$0.isBookmark && $0.replication == request.name && $0.label.hasPrefix(request.tag + "-")
            }
            let stale = ours.sorted { $0.transaction < $1.transaction }.dropLast().filter { !needed.contains($0.guid) }
            return Self.step(
                "replicate.tidy.unsent", request.source.at(try DatasetName(dataset.name)), tag: request.tag, held: Array(stale),
                snapshots: stale.map(\.label), bookmarks: [])
        }
    }

    // MARK: one dataset

    /// A snapshot as the plan sees it coming.
    private struct Point {
        var label: String
        var guid: UInt64
        var transaction: UInt64
        var isBookmark = false
    }

    /// Sends what the target lacks, and keeps what the next time begins from: it is held at both ends, and remembered by a bookmark.
    ///
    /// - Throws: ``Diagnosis`` `replicate.diverged`, `replicate.taken`, `replicate.no-snapshot`, `replicate.locked`; ``NameError``.
    package func plan(for dataset: ReplicaDataset) throws -> Plan {
        let source = try DatasetName(dataset.name)
        let target = request.target.at(try request.target(of: dataset.name))
        let there = facts.target.first { $0.name == target.dataset.text }
        let rows = facts.targetSnapshots[target.dataset.text] ?? []
        var have = rows.filter { !$0.isBookmark }.map { Point(label: $0.label, guid: $0.guid, transaction: $0.transaction) }
        let own = points(of: dataset.name)
        guard let end = own.last(where: { !$0.isBookmark }) else {
            throw Diagnosis(
                "replicate.no-snapshot", "\(request.source.at(source)) has no snapshot to send",
                remedies: ["leave --no-sync-snap out: then one is taken", "make one: kldload ksnap create NAME \(source)"],
                exit: .inputMissing)
        }
        var steps: [Step] = []
        var properties: ZFSProperties = ["readonly": "on"]
        if !dataset.isVolume { properties["canmount"] = "noauto" }
        var isThere = there != nil

        if let there, let token = there.token {
            switch facts.tokens[there.name] {
            case .to(let label, let guid):
                var actions = [stream(request.source.at(ZFS.send(resume: token)), to: target, [:])]
                // What was set for a dataset whose first stream was cut off is not set any more.
                if have.isEmpty { actions.append(.run(target.at(ZFS.set(target.dataset, properties)))) }
                properties = [:]
                have.append(Point(label: label, guid: guid, transaction: .max - 1))
                steps.append(Step("replicate.resume", "Go on with \(source)@\(label), which was cut off", actions, weight: 10))
            case .useless, nil:
                // Only what had arrived of it is lost.
                let abort = Step(
                    "replicate.abort", "Give up a stream that cannot go on", [.run(target.at(ZFS.receiveAbort(target.dataset)))],
                    destroys: ["what had arrived of \(target.dataset)"])
                steps.append(abort)
                if have.isEmpty { isThere = false }
            }
        }
        if isThere, have.isEmpty {
            throw Diagnosis(
                "replicate.taken", "\(target) is there, and was not made by a replication",
                remedies: [
                    "choose another target",
                    "or put it aside: zfs rename \(Command.quoted(target.dataset.text)) \(Command.quoted(target.dataset.text + "-kept"))",
                ], exit: .cannotCreate)
        }

        let begun = isThere ? there : nil
        let raw = dataset.isEncrypted && (request.raw ?? (begun.map { $0.isEncrypted && $0.isEncryptionRoot } ?? true))
        let legs = try legs(dataset, own, have, end, raw: raw, target)
        if !legs.isEmpty {
            guard raw || !dataset.isEncrypted || !dataset.isLocked else {
                throw Diagnosis(
                    "replicate.locked", "\(request.source.at(source)) is locked: without its key it can only be sent raw",
                    remedies: ["unlock it: zfs load-key \(source)", "or begin a new target with --raw"])
            }
            var actions: [Action] = []
            for (index, leg) in legs.enumerated() {
                // Only the first stream makes a dataset.
                let set = index == 0 && have.isEmpty ? properties : [:]
                actions.append(stream(request.source.at(leg.send), to: target, set, origin: leg.origin))
            }
            steps.append(Step("replicate.send", "Send \(source)@\(end.label) to \(target)", actions, weight: 10))
        }
        steps.append(keep(source, target, end))
        steps += tidy(source, target, end, rows)
        return Plan("replicate \(request.source.at(source)) to \(target)", [Phase("replicate", "Replicate", steps)])
    }

    /// Snapshots and bookmarks of a dataset of the source, the oldest first, with the one that is taken.
    private func points(of dataset: String) -> [Point] {
        let rows = facts.sourceSnapshots[dataset] ?? []
        var points = rows.map { Point(label: $0.label, guid: $0.guid, transaction: $0.transaction, isBookmark: $0.isBookmark) }
        points.sort { ($0.transaction, $0.isBookmark ? 0 : 1) < ($1.transaction, $1.isBookmark ? 0 : 1) }
        if request.takesSnapshot, !rows.contains(where: { $0.label == label && !$0.isBookmark }) {
            points.append(Point(label: label, guid: 0, transaction: .max))
        }
        return points
    }

    private struct Leg {
        var send: Command
        var origin: SnapshotName?
    }

    private func legs(
        _ dataset: ReplicaDataset, _ own: [Point], _ have: [Point], _ end: Point, raw: Bool, _ target: ReplicaPlace
    ) throws -> [Leg] {
        let source = try DatasetName(dataset.name)
        let snapshots = own.filter { !$0.isBookmark }
        func send(_ point: Point, _ base: SendOptions.Base?) throws -> Command {
            var options = SendOptions()
            options.base = base
            options.raw = raw
            // An encrypted pool receives no embedded blocks.
            options.embedded = false
            return ZFS.send(try SnapshotName(source, point.label), options)
        }
        guard let latest = have.max(by: { $0.transaction < $1.transaction }) else {
            let first = request.withSnapshotsBetween ? snapshots.first ?? end : end
            var legs: [Leg]
            if let (origin, there) = try origin(of: dataset, target) {
                legs = [Leg(send: try send(first, .from(origin)), origin: there)]
            } else {
                legs = [Leg(send: try send(first, nil))]
            }
            if first.guid != end.guid { legs.append(Leg(send: try send(end, .fromAll("@\(first.label)")))) }
            return legs
        }
        guard let base = own.last(where: { $0.guid == latest.guid && !$0.isBookmark }) ?? own.last(where: { $0.guid == latest.guid })
        else {
            let known = Set(own.map(\.guid))
            let common = have.filter { known.contains($0.guid) }.max { $0.transaction < $1.transaction }
            guard let common else {
                throw ReplicationRunner.diverged(target, why: "both ends have no snapshot in common any more", newer: [])
            }
            let newer = have.filter { $0.transaction > common.transaction }.map { "\(target.dataset)@\($0.label)" }
            throw ReplicationRunner.diverged(
                target, why: "it has \(newer.count) snapshots newer than @\(common.label), the last that both have", newer: newer,
                causes: newer.prefix(5))
        }
        let after = snapshots.filter { $0.transaction > base.transaction }
        guard let next = after.first else { return [] }
        if !base.isBookmark {
            return [Leg(send: try send(end, request.withSnapshotsBetween ? .fromAll("@\(base.label)") : .from("@\(base.label)")))]
        }
        // From a bookmark there is one step, to the next snapshot.
        let first = request.withSnapshotsBetween ? next : end
        var legs = [Leg(send: try send(first, .from("#\(base.label)")))]
        if first.transaction < end.transaction { legs.append(Leg(send: try send(end, .fromAll("@\(first.label)")))) }
        return legs
    }

    /// What a clone is sent as a change of, with its name at the target; `nil` where that will not be there: then all of it is sent.
    private func origin(of dataset: ReplicaDataset, _ target: ReplicaPlace) throws -> (String, SnapshotName)? {
        guard let origin = dataset.origin, let mark = origin.firstIndex(of: "@") else { return nil }
        let holder = Self.dataset(of: origin)
        let label = String(origin[origin.index(after: mark)...])
        guard let row = facts.sourceSnapshots[holder]?.first(where: { $0.label == label && !$0.isBookmark }) else { return nil }
        if let found = facts.targetSnapshots.values.joined().first(where: { $0.guid == row.guid && !$0.isBookmark }) {
            return (origin, try SnapshotName(DatasetName(found.dataset), found.label))
        }
        let there = try request.target(of: holder)
        // It comes before, with all its snapshots, unless there is something already.
        guard request.withSnapshotsBetween, datasets.contains(where: { $0.name == holder }),
            facts.targetSnapshots[there.text]?.isEmpty ?? true
        else { return nil }
        return (origin, try SnapshotName(there, label))
    }

    /// One stream, from one end to the other, through pv where there is one. What arrives is kept when it is cut off, and never mounted.
    private func stream(_ send: Command, to target: ReplicaPlace, _ properties: ZFSProperties, origin: SnapshotName? = nil) -> Action {
        let receive = target.at(ZFS.receive(target.dataset, origin: origin, properties: properties, resumable: true))
        return .pipeline([send] + (meter ? [PipeViewer.command(rate: request.rate)] : []) + [receive])
    }

    /// The last common snapshot is held at both ends; a bookmark stands for it should somebody destroy it at the source all the same.
    private func keep(_ source: DatasetName, _ target: ReplicaPlace, _ end: Point) -> Step {
        var actions: [Action] = []
        if let there = try? SnapshotName(target.dataset, end.label), let here = try? SnapshotName(source, end.label) {
            if request.takesSnapshot { actions.append(.run(target.at(ZFS.set(there, [KldProperty.replica: request.name])))) }
            // Status 1: it is held already.
            actions.append(.run(target.at(Self.tolerant(ZFS.hold(there, tag: request.tag)))))
            if !request.takesSnapshot { actions.append(.run(request.source.at(Self.tolerant(ZFS.hold(here, tag: request.tag))))) }
            actions.append(.run(request.source.at(ZFS.bookmark(here, as: bookmark(end.label)))))
        }
        return Step("replicate.keep", "Hold \(source)@\(end.label) at both ends", actions)
    }

    private func bookmark(_ label: String) -> String { label.hasPrefix(request.tag + "-") ? label : "\(request.tag)-\(label)" }

    /// ZFS refuses what somebody else holds or has cloned, and then it stays.
    private static func tolerant(_ command: Command) -> Command {
        var copy = command
        copy.acceptedExitStatuses = [0, 1]
        return copy
    }

    /// Earlier snapshots of this replication go at both ends, and its earlier holds and bookmarks; nothing else ever does.
    private func tidy(_ source: DatasetName, _ target: ReplicaPlace, _ end: Point, _ there: [ReplicaSnapshot]) -> [Step] {
        let here = facts.sourceSnapshots[source.text] ?? []
        let ours = Set(here.filter { $0.replication == request.name }.map(\.guid))
        func isOld(_ row: ReplicaSnapshot) -> Bool {
            row.label != end.label && row.guid != end.guid && (!row.isBookmark || row.label != bookmark(end.label))
        }
        let oldHere = here.filter { isOld($0) && request.owns($0, ours) }
        let oldThere = there.filter { !$0.isBookmark && isOld($0) && request.owns($0, ours) }.map(\.label)
        // Those of runs that were cut off before they sent anything come along in the stream.
        let passing = request.withSnapshotsBetween ? oldHere.filter { !$0.isBookmark }.map(\.label) : []
        return [
            Self.step(
                "replicate.tidy.source", request.source.at(source), tag: request.tag, held: here.filter(isOld),
                snapshots: oldHere.filter { !$0.isBookmark }.map(\.label), bookmarks: oldHere.filter(\.isBookmark).map(\.label)),
            Self.step(
                "replicate.tidy.target", target, tag: request.tag, held: there.filter(isOld),
                snapshots: oldThere + passing.filter { !oldThere.contains($0) }, bookmarks: []),
        ].compactMap { $0 }
    }

    static func step(
        _ id: String, _ place: ReplicaPlace, tag: String, held: [ReplicaSnapshot], snapshots: [String], bookmarks: [String]
    ) -> Step? {
        let held = held.filter { !$0.isBookmark && $0.holds > 0 }.compactMap { try? SnapshotName(place.dataset, $0.label) }
        var actions: [Action] = []
        if !held.isEmpty { actions.append(.run(place.at(tolerant(ZFS.release(held, tag: tag, recursive: false))))) }
        // One by one: of several, one that somebody holds would keep all.
        actions += snapshots.map { .run(place.at(tolerant(ZFS.destroy(place.dataset, snapshots: [$0])))) }
        actions += bookmarks.map { .run(place.at(tolerant(ZFS.destroy(place.dataset, bookmark: $0)))) }
        guard !actions.isEmpty else { return nil }
        return Step(
            id, "Leave earlier snapshots of this replication behind in \(place)", actions,
            destroys: snapshots.map { "\(place.dataset)@\($0)" } + bookmarks.map { "\(place.dataset)#\($0)" })
    }
}

/// pv, which counts what goes through it.
package enum PipeViewer {
    package static let tool = Tool("pv")
    package static let path = "/usr/bin/pv"

    /// Runs: `pv -n -b -i 1 [-L BYTES]`, reads: the number of bytes so far, a line each second on standard error. Source: pv(1), 1.6 to 1.9.
    package static func command(rate: ByteCount?) -> Command {
        Command(tool, ["-n", "-b", "-i", "1"] + (rate.map { ["-L", String($0.bytes)] } ?? []), effect: .reads)
    }
}

import KldBlock
import KldCore
import KldExec
import KldFiles
package import KldPlan
package import KldZFS
package import SystemPackage

/// Restores what was replicated into a dataset of its own, looks at every byte of it, and destroys it: only then is it a backup.
package struct ReplicationDrill: Sendable, Hashable {
    package var request: ReplicationRequest
    /// The dataset at both ends.
    package var source: ReplicaPlace
    package var target: ReplicaPlace
    /// Of the newest snapshot that both have.
    package var label: String
    package var isVolume: Bool
    /// It lies encrypted at the target, under a key of its own.
    package var isRaw: Bool
    /// Where it is received, on this machine.
    package var scratch: DatasetName
    /// The key, or the passphrase, of what is received raw.
    package var keyFile: FilePath?
    package var meter: Bool

    static let place: FilePath = "/run/kldload/drill"
    package static let compare = "replicate.compare"
    package static let destroy = "replicate.destroy-scratch"

    /// - Parameters:
    ///   - dataset: of the source.
    ///   - scratch: `nil`: one of its own in the local end's pool.
    /// - Throws: ``Diagnosis`` `replicate.no-local-end`, `replicate.nothing-to-restore`, `replicate.no-key`, `replicate.drill-space`; ``NameError``.
    package init(
        _ request: ReplicationRequest, _ dataset: ReplicaDataset, facts: ReplicationFacts, scratch: DatasetName?, keyFile: FilePath?,
        meter: Bool
    ) throws {
        self.request = request
        source = request.source.at(try DatasetName(dataset.name))
        target = request.target.at(try request.target(of: dataset.name))
        isVolume = dataset.isVolume
        self.keyFile = keyFile
        self.meter = meter
        let local = source.host == nil ? source : target
        guard local.host == nil else {
            throw Diagnosis(
                "replicate.no-local-end", "neither end of \(request.name) is on this machine",
                remedies: ["restore where the source or the target is"], exit: .usage)
        }
        let here = facts.sourceSnapshots[dataset.name]?.filter { !$0.isBookmark } ?? []
        let there = facts.targetSnapshots[target.dataset.text]?.filter { !$0.isBookmark } ?? []
        let known = Set(here.map(\.guid))
        // Without a source that could be compared, the newest.
        let name = target.dataset.text
        let wanted = source.host == nil ? there.filter { known.contains($0.guid) } : there
        guard let found = wanted.max(by: { $0.transaction < $1.transaction }), let copy = facts.target.first(where: { $0.name == name })
        else {
            throw Diagnosis(
                "replicate.nothing-to-restore", "\(target) holds no snapshot of \(source)",
                remedies: ["replicate first: kldload kreplicate \(request.source) \(request.target)"], exit: .inputMissing)
        }
        label = found.label
        isRaw = copy.isEncrypted && copy.isEncryptionRoot
        if isRaw, keyFile == nil, !dataset.isVolume {
            throw Diagnosis(
                "replicate.no-key", "\(target) is encrypted: without its key nobody can look at what is restored",
                remedies: ["name a file with the key or the passphrase: --key-file PATH"], exit: .usage)
        }
        if isRaw, source.host != nil, copy.isLocked, !dataset.isVolume {
            throw Diagnosis(
                "replicate.locked", "\(target) is locked, and there is nothing else to compare with",
                remedies: ["unlock it: zfs load-key \(target.dataset)", "or restore where the source is"])
        }
        self.scratch =
            try scratch
            ?? DatasetName("\(local.dataset.pool)/kldload-drill-\(request.name)")
        let room = (source.host == nil ? facts.source : facts.target).map(\.available).max() ?? ByteCount(0)
        if scratch == nil, copy.referenced > room {
            throw Diagnosis(
                "replicate.drill-space", "\(copy.referenced) would be restored, and \(room) are free in \(local.dataset.pool)",
                remedies: ["name a dataset in a larger pool: --into POOL/NAME"], exit: .cannotCreate)
        }
    }

    private var mounted: FilePath { Self.place.appending(request.name) }
    private var original: FilePath { Self.place.appending("\(request.name).original") }

    /// Runs: `zfs send NAME@LABEL | zfs receive -u -o com.kldload:owner=kldload -o com.kldload:drill=NAME -o readonly=on … SCRATCH`; then
    /// `zfs load-key`, `zfs mount SCRATCH` and `mount -t zfs -o ro NAME@LABEL`, or, of a volume, `zfs send SCRATCH@LABEL > /dev/null`; in any case at
    /// the end `umount` and `zfs destroy -r SCRATCH`, once its mark was looked at.
    package func plan() throws -> Plan {
        var options = SendOptions()
        options.raw = isRaw
        options.embedded = false
        var properties: ZFSProperties = [
            KldProperty.owner: KldProperty.ownerValue, KldProperty.drill: request.name, "readonly": "on",
        ]
        if !isVolume { properties = properties.merging(["canmount": "noauto", "mountpoint": mounted.string]) }
        let receive = ZFS.receive(scratch, properties: properties)
        let send = target.at(ZFS.send(try SnapshotName(target.dataset, label), options))
        let clearing = Action.perform(Self.destroy, ["dataset": scratch.text, "name": request.name], effect: .destroys)
        var steps = [
            Step(
                "replicate.drill.clear", "Take away what an earlier drill left",
                [.run(MountCommand.unmount(original)), .run(MountCommand.unmount(mounted)), clearing], destroys: [scratch.text]),
            Step(
                "replicate.drill.receive", "Restore \(target)@\(label) into \(scratch)",
                [.pipeline([send] + (meter ? [PipeViewer.command(rate: request.rate)] : []) + [receive])], release: [clearing], weight: 10,
                destroys: [scratch.text]),
        ]
        if isVolume {
            // A stream is every block of it, read and compared with its checksum.
            var read = ZFS.send(try SnapshotName(scratch, label), options)
            read.outputFile = "/dev/null"
            steps.append(Step("replicate.drill.read", "Read all of \(scratch)", [.run(read)], weight: 5))
        } else {
            if isRaw, let keyFile {
                steps.append(Step("replicate.drill.unlock", "Unlock \(scratch)", [.run(ZFS.loadKey(scratch, file: keyFile.string))]))
            }
            let other = source.host == nil ? source : target
            steps += [
                Step(
                    "replicate.drill.mount", "Mount both, read-only",
                    [
                        .makeDirectory(Self.place, mode: 0o700), .run(ZFS.mount(scratch)), .makeDirectory(original, mode: 0o700),
                        .run(MountCommand.mount("\(other.dataset)@\(label)", at: original, type: "zfs", options: ["ro"])),
                    ],
                    release: [
                        .run(MountCommand.unmount(original)), .run(MountCommand.unmount(mounted)), .remove(original), .remove(mounted),
                    ]),
                Step(
                    "replicate.drill.compare", "Compare every file with \(other)@\(label)",
                    [.perform(Self.compare, ["restored": mounted.string, "original": original.string], effect: .reads)], weight: 10),
            ]
        }
        return Plan("restore \(target)@\(label)", [Phase("replicate", "Restore drill", steps)])
    }

    /// - Parameter report: called with what was compared.
    package static func performers(_ report: @escaping @Sendable (TreeComparison) -> Void) -> [String: Performer] {
        [
            compare: { parameters, _, files in
                let result = try TreeComparison(
                    FilePath(parameters["restored"] ?? ""), FilePath(parameters["original"] ?? ""), files: files)
                report(result)
                if result.count > 0 {
                    throw Diagnosis(
                        "replicate.drill-differs", "\(result.count) files of what was restored are not as the original",
                        remedies: ["do not trust that copy: replicate to a new target", "look for errors of its pool: zpool status -v"],
                        exit: .problemsFound, causes: result.differences)
                }
            },
            destroy: { parameters, runner, _ in
                try await destroyScratch(try DatasetName(parameters["dataset"] ?? ""), of: parameters["name"] ?? "", runner)
            },
        ]
    }

    /// Destroys a dataset that bears kldload's mark and this drill's; nothing where there is none.
    /// - Throws: ``Diagnosis`` `replicate.scratch-taken`.
    ///
    /// Runs: `zfs list`, `zfs get com.kldload:owner,com.kldload:drill NAME`, reads; `zfs destroy -r NAME`, destroys.
    static func destroyScratch(_ name: DatasetName, of drill: String, _ runner: any CommandRunner) async throws {
        guard try await runner.run(ZFS.existing([name])).output.lines.contains(name.text) else { return }
        let rows = try PropertyRow.parse(try await runner.run(ZFS.get(name.text, [KldProperty.owner, KldProperty.drill])).output)
        guard rows.contains(where: \.marksOwnership),
            rows.contains(where: { $0.property == KldProperty.drill && $0.value == drill && $0.source == .local })
        else {
            throw Diagnosis(
                "replicate.scratch-taken", "\(name) is there, and was not made by a drill: it stays as it is",
                remedies: ["name another dataset: --into POOL/NAME"], exit: .cannotCreate)
        }
        try await runner.run(ZFS.destroy(name, recursive: true))
    }
}

extension Replication {
    /// Restores one dataset, or each of them, compares, and destroys what was restored.
    ///
    /// - Returns: how many files and bytes were looked at.
    /// - Throws: ``Diagnosis`` of the first that is not as it should be.
    package func drill(into scratch: DatasetName?, keyFile: FilePath?) async throws -> TreeComparison {
        let sum = Summing()
        for drill in try await drills(into: scratch, keyFile: keyFile) {
            try await apply(drill.plan(), to: request.target, performers: ReplicationDrill.performers { sum.add($0) })
        }
        return sum.total
    }

    /// What would be restored.
    package func drills(into scratch: DatasetName?, keyFile: FilePath?) async throws -> [ReplicationDrill] {
        let planner = try await planner()
        return try planner.datasets.map {
            try ReplicationDrill(request, $0, facts: planner.facts, scratch: scratch, keyFile: keyFile, meter: planner.meter)
        }
    }

    /// Does it, and writes down how it went where there is a record of this replication.
    package func recordedDrill(into scratch: DatasetName?, keyFile: FilePath?) async throws -> TreeComparison {
        var result = TreeComparison()
        var problem: Diagnosis?
        do { result = try await drill(into: scratch, keyFile: keyFile) } catch { problem = Diagnosis(of: error) }
        if var state = try ReplicationState.read(request.name, files), problem?.exit != .interrupted, problem?.exit != .usage {
            state.drill = ReplicationState.Drill(
                time: now, problem: problem.map { "\($0.code): \($0.message)" }, files: result.files, bytes: result.bytes)
            try state.write(files)
        }
        if let problem { throw problem }
        return result
    }
}

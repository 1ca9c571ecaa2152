import KldBlock
import KldBoot
public import KldCore
import KldExec
import KldFiles
import KldInstall
public import KldPlan
public import KldZFS
import SystemPackage

/// One disk takes another one's place, and gets its passport. Planned from facts; nothing is touched here.
public struct DiskReplacement: Sendable, Hashable {
    public struct Request: Sendable {
        public var old: String
        public var new: String
        /// The name of a disk that may be replaced though it is well.
        public var healthy: String?
        /// The name of a disk that may be wiped though it holds something.
        public var wipe: String?
        /// The whole plan is approved: what is lost of an empty disk is nothing.
        public var yes: Bool
        /// Fields of the new disk's passport.
        public var fields: [(key: String, value: String)]

        public init(
            old: String, new: String, healthy: String? = nil, wipe: String? = nil, yes: Bool = false,
            fields: [(key: String, value: String)] = []
        ) {
            self.old = old
            self.new = new
            self.healthy = healthy
            self.wipe = wipe
            self.yes = yes
            self.fields = fields
        }
    }

    /// How far it is.
    public enum Stage: Sendable, Hashable {
        /// Nothing was done, or the new disk was not given to the pool yet.
        case begin
        /// Old and new lie beside each other, and the new one is being filled.
        case filling
        /// The new one is alone in its place.
        case filled
    }

    public var record: ReplacementRecord
    public var stage: Stage
    /// What comes before the pool: wiping, partitioning.
    var preparing: [Step]
    /// The approvals that the request gives.
    public var approvals: [WipeApproval]
    /// The partition that is an ESP; the new disk starts the machine too.
    public var esp: String?
    /// Said before anything is done.
    public var losses: [String]

    // MARK: planning

    /// - Parameters:
    ///   - failing: what the old disk's own health says against it.
    ///   - espSerial: of the new disk's ESP.
    /// - Throws: ``Diagnosis`` of the words (`kdisk.unknown`, `kdisk.which`, `kdisk.no-vdev`, `kdisk.several-vdevs`), of the old disk
    ///   (`kdisk.healthy`, `kdisk.no-redundancy`, `kdisk.busy`, `kdisk.suspended`, `kdisk.kind`), of the new one (`disk.*`, `kdisk.same`),
    ///   of the partitions (`kdisk.layout`), of the passport (`passport.*`).
    public init(
        _ request: Request, _ inventory: DiskInventory, records: [ReplacementRecord], failing: [String] = [], now: Timestamp,
        espSerial: UInt32
    ) throws {
        if let resumed = try Self.resumed(request, inventory, records) {
            self = resumed
            return
        }
        let (entry, member) = try inventory.member(request.old)
        let device = member.device
        guard let guid = device.guid else { throw PassportChange.unnumbered(device.name) }
        // The pool first: what it says no to no other disk makes better.
        try Self.check(device, entry, request, failing: failing)
        let model = try Self.model(device, entry, inventory)
        let shape = try Shape(model.device, vdev: model.vdev, name: entry.name)
        let name = inventory.wholeDisk(request.new)
        if let same = inventory.facts.disk(name), same.path == entry.device?.path {
            throw Diagnosis(
                "kdisk.same", "\(request.old) and \(request.new) are the same disk",
                remedies: ["name the new disk second: kldload kdisk list"],
                exit: .usage)
        }
        let chosen = try DiskSelection.choose(name, inventory.facts, shape.least(model.device), for: "the place of \(entry.name)")
        let passport = try member.passport.carried(
            on: String(now.description.prefix(10)), setting: request.fields, serial: chosen.device.serial, model: chosen.device.model,
            oldSerial: entry.device?.serial, oldModel: entry.device?.model)
        let parts = shape.partitions(on: chosen.device, like: model.device)
        let earlier = records.first { $0.old == guid && $0.new == chosen.path && $0.newSerial == chosen.device.serial }
        let isOurs = earlier?.approved == true && Self.isHalfMade(chosen.device, parts)
        let empty = chosen.device.isEmpty
        // What no tool has a name for may be on it too, and may be lost where it is named.
        let isLookedAt = empty && request.wipe != chosen.path

        stage = .begin
        esp = shape.esp.map { Disk.partition($0, of: chosen.path) }
        let vdev = shape.vdev.map { Disk.partition($0, of: chosen.path) } ?? chosen.path
        let names = [entry.name, entry.device?.path, entry.serial, device.path, member.node, request.old].compactMap { $0 }
        record = ReplacementRecord(
            pool: device.pool, old: guid, oldNames: names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, new: chosen.path,
            newSerial: chosen.device.serial, newVdev: vdev, passport: passport.values, started: now, approved: true)
        var closed: Set<String> = []
        preparing =
            (isLookedAt
                ? [
                    Step(
                        "disk.empty.\(chosen.device.name)", "Verify that \(chosen.path) is still empty",
                        [WipeApproval.verification(of: chosen.path)])
                ] : chosen.wiping(&closed)) + (parts.isEmpty ? [] : [chosen.partitioning(parts, espSerial: espSerial)])
        let old = "\(entry.name) (\(device.pool) \(device.vdev == device.name ? "" : device.vdev + ", ")\(device.state))"
        losses =
            ["\(chosen.path) (\(chosen.device.size)) takes the place of \(old)"]
            + (empty || isOurs ? [] : ["what \(chosen.path) holds is lost: \(Self.content(of: chosen.device))"])
        approvals = []
        if isOurs, request.yes, let approval = WipeApproval(typed: chosen.path, disk: chosen.path) { approvals = [approval] }
        if let approval = WipeApproval(typed: request.wipe ?? "", disk: chosen.path), request.yes { approvals = [approval] }
        if approvals.isEmpty, let approval = WipeApproval(automatic: request.yes, empty: empty, disk: chosen.path) {
            approvals = [approval]
        }
    }

    private init(_ record: ReplacementRecord, _ stage: Stage, esp: String?) {
        self.record = record
        self.stage = stage
        self.esp = esp
        preparing = []
        approvals = []
        losses = []
    }

    /// One that an earlier run began, and whose new disk the pool has.
    private static func resumed(_ request: Request, _ inventory: DiskInventory, _ records: [ReplacementRecord]) throws -> DiskReplacement? {
        for record in records where record.isOf(old: request.old) {
            guard let new = try? inventory.find(request.new), new.name == record.new || new.device?.path == record.new,
                let member = new.members.first(where: { $0.device.pool == record.pool && $0.device.guid != record.old })
            else { continue }
            guard new.device?.serial == record.newSerial else { continue }
            if request.fields.contains(where: { record.passport[$0.key] != $0.value }) {
                throw Diagnosis(
                    "kdisk.begun", "the passport of \(record.new) was written when it was given to the pool",
                    remedies: ["go on without --set; then: kldload kdisk label \(record.new) --set …"], exit: .usage)
            }
            let old = inventory.entries.flatMap(\.members).first { $0.device.guid == record.old }?.device
            // The same place is what has the same others.
            if let old, old.place == nil || old.place != member.device.place || old.siblings != member.device.siblings {
                throw elsewhere(record)
            }
            let esp = new.device?.children.first { $0.partitionLabel == ESPLayout.partitionName }?.path
            return DiskReplacement(record, member.device.place != nil ? .filling : .filled, esp: esp)
        }
        return nil
    }

    // MARK: what is refused

    static func elsewhere(_ record: ReplacementRecord) -> Diagnosis {
        Diagnosis(
            "kdisk.not-replaced",
            "\(record.new) is in the pool \(record.pool), and not in the place of vdev \(record.old), which is still there",
            remedies: [
                "see where it is: zpool status \(record.pool)",
                "take it out, and begin again: zpool detach \(record.pool) \(record.newVdev)",
            ])
    }

    static func suspended(_ pool: String) -> Diagnosis {
        Diagnosis(
            "kdisk.suspended", "the pool \(pool) is suspended, and takes nothing",
            remedies: ["bring its disks back, then: zpool clear \(pool)"])
    }

    private static func check(
        _ device: PoolDevice, _ entry: DiskInventory.Entry, _ request: Request, failing: [String]
    ) throws(Diagnosis) {
        if device.poolState == .suspended { throw suspended(device.pool) }
        if ["spares", "l2cache"].contains(device.kind) {
            throw Diagnosis(
                "kdisk.kind", "\(entry.name) holds no data of \(device.pool): it is one of its \(device.kind)",
                remedies: ["zpool remove \(device.pool) \(device.name); zpool add \(device.pool) …"], exit: .usage)
        }
        if device.isReplacing {
            throw Diagnosis(
                "kdisk.busy", "\(entry.name) is being replaced already",
                remedies: [
                    "see how far it is: zpool status \(device.pool)", "name the same new disk to go on with it",
                    "give it up: zpool detach \(device.pool) NEW",
                ], exit: .tryAgain)
        }
        if device.isHealthy, failing.isEmpty, request.healthy != entry.name {
            throw Diagnosis(
                "kdisk.healthy", "\(entry.name) is well: \(device.state), no errors; nothing says that it should go",
                remedies: [
                    "is it the right one? kldload kdisk list; kldload kdisk locate \(entry.name)",
                    "to replace it all the same: --healthy \(entry.name)",
                ])
        }
        let others = "\(device.lost) of \(device.others) others in \(device.vdev) are lost"
        // What the old disk cannot give, the others must.
        guard device.lost <= device.parity - (device.isReadable ? 0 : 1) else {
            throw Diagnosis(
                "kdisk.no-redundancy",
                device.parity == 0
                    ? "nothing else holds the data of \(entry.name), and it is \(device.state)"
                    : "\(entry.name) cannot be replaced now: \(others), and that is all that \(device.layout) survives",
                remedies: [
                    "bring another disk of it back first: zpool status \(device.pool); kldload kdisk list",
                    "what cannot be brought back comes from a backup",
                ])
        }
    }

    // MARK: partitions

    /// The smallest disk of the same vdev that is there, with the vdev on it: what the new one's partitions are like. No larger one is needed.
    private static func model(_ device: PoolDevice, _ entry: DiskInventory.Entry, _ inventory: DiskInventory) throws(Diagnosis) -> (
        device: BlockDevice, vdev: String
    ) {
        var found: [(device: BlockDevice, vdev: String)] = []
        for sibling in device.siblings {
            for other in inventory.entries {
                guard let disk = other.device, let node = other.members.first(where: { $0.device.path == sibling })?.node else { continue }
                found.append((disk, node))
            }
        }
        if let disk = entry.device, let node = entry.members.first?.node { found.append((disk, node)) }
        // Of disks of one size the first: the old one's partitions are the last to be asked.
        if let smallest = found.map(\.device.size).min(), let model = found.first(where: { $0.device.size == smallest }) { return model }
        throw Diagnosis(
            "kdisk.layout", "no disk of \(device.vdev) is there whose partitions the new one could have",
            remedies: ["partition it by hand, then: zpool replace \(device.pool) \(device.guid ?? 0) PARTITION"])
    }

    /// How a pool's vdevs lie on its disks.
    struct Shape: Sendable, Hashable {
        /// The number of the vdev's partition; `nil`: the pool has the whole disk.
        var vdev: Int?
        var esp: Int?

        /// - Throws: ``Diagnosis`` `kdisk.layout` for partitions that neither kldload nor OpenZFS made.
        init(_ disk: BlockDevice, vdev node: String, name: String) throws(Diagnosis) {
            let parts = disk.children.filter { $0.type == "part" }
            let number = Disk.number(of: node, on: disk.path)
            let labels = parts.map { "\(Disk.number(of: $0.path, on: disk.path) ?? 0) \($0.partitionLabel ?? "")" }.sorted()
            if node == disk.path, parts.isEmpty { return }
            // What OpenZFS makes of a whole disk. Source: zpool_label_disk(), OpenZFS 2.1 to 2.4: `zfs-` and 16 digits, and an unnamed ninth.
            if labels.count == 2, labels[0].hasPrefix("1 zfs-"), labels[1].hasPrefix("9 "), number == 1 { return }
            if labels.count == 2, labels[0] == "1 \(ESPLayout.partitionName)", labels[1].hasPrefix("2 kldload "), number == 2 {
                (vdev, esp) = (2, 1)
                return
            }
            if labels.count == 1, labels[0].hasPrefix("1 kldload "), number == 1 {
                vdev = 1
                return
            }
            throw Diagnosis(
                "kdisk.layout", "the partitions of \(disk.path), which those for the place of \(name) would be like, are somebody's own",
                remedies: [
                    "partition the new disk by hand, then: zpool replace", "kldload boot restore NEW gives it what starts the machine",
                ],
                causes: labels)
        }

        /// A disk that is as large, or on which the partitions fit.
        func least(_ model: BlockDevice) -> ByteCount {
            guard vdev != nil else { return model.size }
            let sum = model.children.filter { $0.type == "part" }.reduce(UInt64(0)) { $0 + $1.size.bytes }
            return min(model.size, ByteCount(sum) + .mebibytes(8))
        }

        func partitions(on disk: BlockDevice, like model: BlockDevice) -> [PartitionSpec] {
            [esp, vdev].compactMap { $0 }.map { number in
                let part = model.children.first { Disk.number(of: $0.path, on: model.path) == number }
                let isESP = number == esp
                // All that is left, unless that is less than the others have: then as much as they.
                let size = isESP || disk.size < model.size ? part?.size : nil
                return PartitionSpec(
                    number, size: size.map { .mebibytes($0.bytes >> 20) }, type: isESP ? .efiSystem : .zfs,
                    name: part?.partitionLabel ?? "kldload")
            }
        }
    }

    /// Nothing but the partitions that an earlier run made, with nothing in the pool's.
    private static func isHalfMade(_ disk: BlockDevice, _ parts: [PartitionSpec]) -> Bool {
        disk.filesystem == nil && disk.serial != nil
            && disk.children.allSatisfy { part in
                part.children.isEmpty && part.mountpoints.isEmpty
                    && (part.filesystem == nil || part.filesystem == "vfat" && part.partitionLabel == ESPLayout.partitionName)
            }
            && disk.children.map { $0.partitionLabel ?? "" } == parts.map(\.name)
    }

    private static func content(of disk: BlockDevice) -> String {
        let found = disk.tree.compactMap { device in
            (device.filesystem ?? device.partitionTable).map { "\(device.path) \($0)\(device.label.map { " '\($0)'" } ?? "")" }
        }
        return found.isEmpty ? "partitions" : found.joined(separator: ", ")
    }

    // MARK: doing it

    static let carry = "kdisk.carry"

    /// Up to where the pool fills the new disk.
    ///
    /// - Throws: ``Diagnosis`` `zfs.name.pool`; what encoding the record throws.
    public var plan: Plan {
        get throws {
            let pool = try PoolName(record.pool)
            let carrying = Step(
                "kdisk.passport", "Give \(record.newVdev) the passport of the place",
                [.perform(Self.carry, ["record": record.file.string], effect: .changes)])
            guard stage == .begin else {
                return Plan("replace \(record.oldNames.first ?? String(record.old))", [Phase("passport", "Passport", [carrying])])
            }
            let remember = Step(
                "kdisk.record", "Remember what is being replaced", [.write(record.file, content: .text(try record.text), mode: .secret)])
            // The verification of an empty disk, and what is refused, come before anything is written down or wiped.
            let harmless = preparing.prefix { $0.effect == .reads }
            return Plan(
                "replace \(record.oldNames.first ?? String(record.old)) by \(record.new)",
                [
                    Phase("disk", "Prepare the new disk", harmless + [remember] + preparing.dropFirst(harmless.count)),
                    Phase(
                        "pool", "Give it to the pool",
                        [
                            Step(
                                "kdisk.replace", "Put \(record.newVdev) in the place of vdev \(record.old) in \(pool)",
                                [.run(ZPool.replace(pool, old: record.old, new: record.newVdev))], destroys: [record.new]),
                            carrying,
                        ]),
                ])
        }
    }

    /// When the new disk is alone in its place: its passport once more, and nothing is remembered any more.
    ///
    /// Once more, because OpenZFS keeps the properties of a top-level vdev beside those of the device: a device that was alone in a pool hands
    /// its own on to the one that takes its place. Source: `vdev_prop_get_objid()`, `vdev_top_transfer()`, OpenZFS 2.4.4.
    ///
    /// - Parameters:
    ///   - old: the passport that the old vdev still has: before OpenZFS 2.2 it lies in the pool by number, and would outlive the disk.
    ///   - manifest: of the installation; what is checked on the machine is what it names.
    public func finishing(_ store: PassportStore, old: DiskPassport, manifest: InstallManifest?) throws -> Plan {
        let pool = try PoolName(record.pool)
        let clearing = store == .dataset ? store.commands(from: old, to: DiskPassport(), pool: pool, device: record.old) : []
        var steps = [
            Step(
                "kdisk.passport", "Give \(record.newVdev) the passport of the place",
                [.perform(Self.carry, ["record": record.file.string], effect: .changes)] + clearing.map { .run($0) })
        ]
        if let renamed = manifest.flatMap(renamed) {
            let text = try InstallManifestText.render(renamed)
            steps.append(
                Step(
                    "kdisk.manifest", "Name \(record.new) in the install manifest",
                    [.write(FilePath(InstallManifest.path), content: .text(text), mode: 0o640)]))
        }
        steps.append(Step("kdisk.forget", "Forget that it was being replaced", [.remove(record.file)]))
        return Plan("replaced \(record.oldNames.first ?? String(record.old))", [Phase("finish", "Finish", steps)])
    }

    /// `nil` where the installation knew nothing of the old disk.
    private func renamed(_ manifest: InstallManifest) -> InstallManifest? {
        // Of a disk that is gone only its vdev's path is known.
        func isOld(_ disk: String) -> Bool {
            [disk, Disk.partition(1, of: disk), Disk.partition(2, of: disk)].contains { record.oldNames.contains($0) }
        }
        var copy = manifest
        copy.disks = manifest.disks.map { isOld($0) ? record.new : $0 }
        copy.specialDisks = manifest.specialDisks?.map { isOld($0) ? record.new : $0 }
        return copy == manifest ? nil : copy
    }
}

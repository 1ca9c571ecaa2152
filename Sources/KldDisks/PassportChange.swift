import KldCore
import KldBlock
import KldExec
import KldFiles
public import KldPlan
public import KldZFS

/// One passport becomes another one, and is read back.
public struct PassportChange: Sendable, Hashable {
    static let verify = "kdisk.verify"

    public var pool: PoolName
    /// The GUID of the vdev.
    public var device: UInt64
    public var store: PassportStore
    public var old: DiskPassport
    public var new: DiskPassport
    /// The old one lies where an older OpenZFS put it.
    var isOlder: Bool

    public init(
        pool: PoolName, device: UInt64, store: PassportStore, from old: DiskPassport, to new: DiskPassport, isOlder: Bool = false
    ) {
        self.isOlder = isOlder
        self.pool = pool
        self.device = device
        self.store = store
        self.old = old
        self.new = new
    }

    /// A change of the passport of a disk, as a person asks for it.
    ///
    /// - Throws: ``Diagnosis`` `passport.field`, `passport.value`, `kdisk.no-guid`.
    public init(
        _ member: DiskInventory.Member, of entry: DiskInventory.Entry, setting: [(key: String, value: String)], unsetting: [String],
        store: PassportStore
    ) throws {
        guard let guid = member.device.guid else { throw Self.unnumbered(member.device.name) }
        let new = try member.passport.changed(
            setting: setting, unsetting: unsetting, serial: entry.device?.serial, model: entry.device?.model)
        self.init(
            pool: try PoolName(member.device.pool), device: guid, store: store, from: member.passport, to: new, isOlder: member.isOlder)
    }

    static func unnumbered(_ name: String) -> Diagnosis {
        Diagnosis(
            "kdisk.no-guid", "OpenZFS does not say which number \(name) has", remedies: ["report this as a defect of kldload"], exit: .bug)
    }

    /// Nothing where nothing changes.
    public var plan: Plan {
        // A passport that lies elsewhere does not move for nothing.
        let commands = old == new ? [] : store.commands(from: old, to: new, older: isOlder, pool: pool, device: device)
        guard !commands.isEmpty else { return Plan("passport", []) }
        // Each value by its key, so that what was not kept can be named.
        var parameters = ["pool": pool.text, "device": String(device), "store": store == .vdev ? "vdev" : "dataset"]
        for (key, value) in new.values { parameters["=\(key)"] = value }
        return Plan(
            "passport",
            [
                Phase(
                    "passport", "Passport",
                    [
                        Step(
                            "kdisk.passport", "Write the passport of vdev \(device) in \(pool)",
                            commands.map { .run($0) } + [.perform(Self.verify, parameters, effect: .reads)])
                    ])
            ])
    }

    /// Does it at once: within another plan's step.
    func apply(_ runner: any CommandRunner) async throws {
        for command in store.commands(from: old, to: new, older: isOlder, pool: pool, device: device) { try await runner.run(command) }
        try await verified(runner)
    }

    /// - Throws: ``Diagnosis`` `kdisk.not-kept`.
    private func verified(_ runner: any CommandRunner) async throws {
        let kept = try await store.passports(of: pool, runner: runner)[device] ?? DiskPassport()
        let wrong = Set(kept.values.keys).union(new.values.keys).filter { kept[$0] != new[$0] }.sorted()
        guard wrong.isEmpty else {
            throw Diagnosis(
                "kdisk.not-kept", "the passport in \(pool) is not what was written: \(wrong.joined(separator: ", "))",
                remedies: [
                    "look at it: zpool get all \(pool) \(device)", "zpool status \(pool): a pool that takes no writes keeps nothing",
                ],
                causes: wrong.map { "\($0): '\(kept[$0] ?? "")', and not '\(new[$0] ?? "")'" })
        }
    }

    public static let performers: [String: Performer] = [
        verify: { parameters, runner, _ in
            let values = parameters.filter { $0.key.hasPrefix("=") }.map { (String($0.key.dropFirst()), $0.value) }
            guard let device = UInt64(parameters["device"] ?? "") else { return }
            let change = PassportChange(
                pool: try PoolName(parameters["pool"] ?? ""), device: device, store: parameters["store"] == "vdev" ? .vdev : .dataset,
                from: DiskPassport(), to: DiskPassport(Dictionary(values) { first, _ in first }))
            try await change.verified(runner)
        }
    ]
}

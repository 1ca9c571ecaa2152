public import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// One thing that a step does. Values, so that plans can be compared, printed and refused before anything happens.
public enum Action: Sendable, Hashable {
    case run(Command)
    case pipeline([Command])
    case write(FilePath, content: Content, mode: ModeBits = .file)
    case makeDirectory(FilePath, mode: ModeBits = .directory)
    case remove(FilePath)
    case symlink(FilePath, to: String)
    /// Waits until something is there, at most this many seconds.
    case waitFor(FilePath, seconds: Int)
    /// Work that only code can do, looked up by name when the plan is applied. Its parameters are part of the value.
    case perform(String, [String: String], effect: Effect)

    public enum Content: Sendable, Hashable {
        case text(String)
        case bytes([UInt8])
        case secret(Secret)

        package var bytes: [UInt8] {
            switch self {
            case .text(let text): Array(text.utf8)
            case .bytes(let bytes): bytes
            case .secret(let secret): Array(secret.reveal().utf8)
            }
        }
    }

    public var effect: Effect {
        switch self {
        case .run(let command): command.effect
        case .pipeline(let commands): commands.map(\.effect).max() ?? .reads
        case .write, .makeDirectory, .remove, .symlink: .changes
        case .waitFor: .reads
        case .perform(_, _, let effect): effect
        }
    }
}

/// A step: the smallest thing that is journalled, undone and resumed.
public struct Step: Sendable, Hashable {
    /// Stable, dotted: `zfs.pool.create`.
    public var id: String
    public var title: String
    public var actions: [Action]
    /// Only when a later step, or this one, fails; in reverse order of the steps.
    public var undo: [Action]
    /// Always, when the plan ends, in reverse order of the steps: unmount, export, unlock.
    public var release: [Action]
    /// When the plan begins after this step, because an earlier run did it: what brings back the state that later steps need and the
    /// earlier run's release took away.
    public var resume: [Action]
    /// Relative duration, for the progress bar.
    public var weight: Int
    /// The devices this step wipes; each needs an approval that names it.
    public var destroys: [String]
    /// The steps before it without which it is not done; one that the plan does not have is done already. When the step fails, it alone is
    /// undone, and every step that does not need it is still done. `nil`: it needs all before it, and its failure ends the plan.
    public var needs: [String]?

    public init(
        _ id: String, _ title: String, _ actions: [Action], undo: [Action] = [], release: [Action] = [], resume: [Action] = [],
        weight: Int = 1, destroys: [String] = [], needs: [String]? = nil
    ) {
        self.id = id
        self.title = title
        self.actions = actions
        self.undo = undo
        self.release = release
        self.resume = resume
        self.weight = weight
        self.destroys = destroys
        self.needs = needs
    }

    public var effect: Effect { destroys.isEmpty ? actions.map(\.effect).max() ?? .reads : .destroys }

    /// Something of it destroys, and no device is named that an approval could be for.
    var destroysUnnamed: Bool { destroys.isEmpty && everyAction.contains { $0.effect == .destroys } }

    /// Whatever may be done for it, at any time.
    package var everyAction: [Action] { actions + undo + release + resume }

    /// Stands among the causes where it failed.
    var cause: String { "step: \(id) (\(title))" }
}

public struct Phase: Sendable, Hashable {
    public var id: String
    public var title: String
    public var steps: [Step]
    /// Done at the same time as the phase before it: neither stands on what the other does. Their steps keep this order for `--from` and journal.
    public var beside: Bool
    public init(_ id: String, _ title: String, _ steps: [Step], beside: Bool = false) {
        self.id = id
        self.title = title
        self.steps = steps
        self.beside = beside
    }
}

/// What will be done, in order. Made by pure planners; applied by ``PlanRunner`` alone.
public struct Plan: Sendable, Hashable {
    public var title: String
    public var phases: [Phase]
    /// By the name of a disk that is wiped: what other disks lose with it, a sentence without a full stop each.
    public var losses: [String: [String]]
    public init(_ title: String, _ phases: [Phase], losses: [String: [String]] = [:]) {
        self.title = title
        self.phases = phases
        self.losses = losses
    }

    public var steps: [Step] { phases.flatMap(\.steps) }
    /// Phases in the order in which they are done; those of one group at the same time.
    var groups: [[Phase]] {
        phases.reduce(into: []) { groups, phase in
            if phase.beside, !groups.isEmpty { groups[groups.count - 1].append(phase) } else { groups.append([phase]) }
        }
    }
    /// Every device that the plan wipes, in order, once.
    public var destroys: [String] { steps.flatMap(\.destroys).reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
    /// Each step, with the ids of those that may not be done when it begins: itself, what comes later, and what is beside it.
    var notBefore: [(step: Step, later: Set<String>)] {
        var earlier: Set<String> = []
        var found: [(Step, Set<String>)] = []
        let all = Set(steps.map(\.id))
        for group in groups {
            for phase in group {
                var done = earlier
                for step in phase.steps {
                    found.append((step, all.subtracting(done)))
                    done.insert(step.id)
                }
            }
            earlier.formUnion(group.flatMap(\.steps).map(\.id))
        }
        return found
    }
    /// The ids of a step and of those that stand on it: all that come later, but for what is done beside it.
    func standing(on step: String) -> Set<String> {
        groups.reduce(into: Set<String>()) { found, group in
            // Of the step's own group only its own phase holds it.
            let isLater = !found.isEmpty
            for phase in group { found.formUnion(phase.steps.map(\.id).drop { !isLater && $0 != step }) }
        }
    }
    /// The step that failed first, as what ``PlanRunner`` throws tells; `nil`: it was none.
    package func failedStep(_ problem: Diagnosis) -> Step? { steps.first { problem.causes.first == $0.cause } }
    /// The ids of the steps before one.
    func before(_ step: String) -> Set<String> { Set(steps.map(\.id).prefix { $0 != step }) }
    public var weight: Int { steps.reduce(0) { $0 + $1.weight } }
}

/// The right to wipe one disk, or to destroy one dataset. There is no way to make one for "all disks".
public struct WipeApproval: Sendable, Hashable {
    public let disk: String
    /// Holds only for a plan that reads the disk before it destroys anything, and stops unless it is empty: see ``verification(of:)``.
    public let onlyIfEmpty: Bool

    /// The answers file says so: `KLDLOAD_FORCE_WIPE=1` and names this disk.
    public init?(forceWipe: Bool, named disks: [String], disk: String) {
        guard forceWipe, disks.contains(disk) else { return nil }
        self.disk = disk
        onlyIfEmpty = false
    }

    /// A person typed the disk's name, exactly.
    public init?(typed: String, disk: String) {
        guard !disk.isEmpty, typed == disk else { return nil }
        self.disk = disk
        onlyIfEmpty = false
    }

    /// The answers leave the choice to kldload (`KLDLOAD_DISK=auto`), and the disk held nothing when it was chosen.
    public init?(automatic: Bool, empty: Bool, disk: String) {
        guard automatic, empty, !disk.isEmpty else { return nil }
        self.disk = disk
        onlyIfEmpty = true
    }

    /// A dataset that bears kldload's own mark, and that a person named: in the command, or where it was asked for.
    public init?(owned: Bool, dataset: String) {
        guard owned, !dataset.isEmpty else { return nil }
        disk = dataset
        onlyIfEmpty = false
    }

    /// The name of what reads a disk, and fails unless it is empty: no signature, no table, nothing on top, no imported pool, no data where
    /// it is read.
    public static let verifier = "disk.verify-empty"

    /// The action without which an approval for an empty disk is worth nothing.
    public static func verification(of disk: String) -> Action { .perform(verifier, ["disk": disk], effect: .reads) }
}

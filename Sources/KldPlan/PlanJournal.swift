import Glibc
import KldCore
public import KldFiles
public import SystemPackage

/// A record of the steps begun and done, one line each, synced before a step begins: what `--from` and a person read after a crash.
public struct PlanJournal: Sendable {
    private let path: FilePath

    /// - Parameter keeping: goes on with the record that is there, for a plan that does; otherwise it begins anew.
    public init(_ path: FilePath, keeping: Bool = false, files: any FileSystem) throws {
        self.path = path
        try files.makeDirectory(path.removingLastComponent(), mode: .directory)
        if try keeping && files.exists(path) { return }
        try files.write([], to: path, mode: .file)
    }

    /// The first step of the plan that is not done; `nil` when all are.
    ///
    /// A step that was begun again makes everything after it undone: it stood on what that step made before. What is done beside it did not.
    /// - Parameter text: what a journal holds.
    public static func firstUnfinished(of plan: Plan, _ text: String) -> String? {
        let ids = plan.steps.map(\.id)
        var done: Set<String> = []
        for words in text.lines.map(\.words) where words.count == 2 {
            switch words[0] {
            case "started": done.subtract(plan.standing(on: words[1]))
            case "done": done.insert(words[1])
            default: break
            }
        }
        return ids.first { !done.contains($0) }
    }

    /// What a journal says of a step last.
    public enum State: String, Sendable, Hashable { case started, done, failed }

    /// By the step's id. - Parameter text: what a journal holds.
    public static func states(_ text: String) -> [String: State] {
        var states: [String: State] = [:]
        for words in text.lines.map(\.words) where words.count == 2 {
            if let state = State(rawValue: words[0]) { states[words[1]] = state }
        }
        return states
    }

    /// The steps that are done, of a plan whose steps say what they need.
    ///
    /// A step that was begun again makes those that need it undone, and those that need them.
    public static func finished(of plan: Plan, _ text: String) -> Set<String> {
        var done: Set<String> = []
        for words in text.lines.map(\.words) where words.count == 2 {
            switch State(rawValue: words[0]) {
            case .done: done.insert(words[1])
            case .started, .failed:
                var undone: Set = [words[1]]
                for step in plan.steps where step.needs?.contains(where: undone.contains) ?? !undone.isDisjoint(with: plan.before(step.id))
                {
                    undone.insert(step.id)
                }
                done.subtract(undone)
            case nil: break
            }
        }
        return done.intersection(plan.steps.map(\.id))
    }

    func record(_ step: String, _ state: String) throws {
        let file = try FileDescriptor.open(path, .writeOnly, options: [.append, .create, .closeOnExec], permissions: [.ownerReadWrite])
        defer { try? file.close() }
        try file.writeAll("\(state) \(step)\n".utf8)
        guard fsync(file.rawValue) == 0 || errno == EINVAL else { throw Errno(rawValue: errno) }
    }
}

/// The exit statuses of every kldload tool, after sysexits(3) where a number exists there.
public enum ExitStatus: Int32, Sendable, Codable, CaseIterable {
    case done = 0
    case failed = 1
    /// Checks ran and found problems.
    case problemsFound = 2
    case usage = 64
    case badAnswers = 65
    case inputMissing = 66
    /// A tool or a service that is needed is not there.
    case unavailable = 69
    /// A mistake of ours.
    case bug = 70
    case cannotCreate = 73
    case tryAgain = 75
    case needsRoot = 77
    case badConfiguration = 78
    case interrupted = 130
}

/// What went wrong, in the words a person can act on.
///
/// `code` is stable: tests, documentation and other programs refer to it. `message` is one sentence without a full stop at its end.
public struct Diagnosis: Error, Sendable, Hashable, Codable {
    public var code: String
    public var message: String
    public var remedies: [String]
    public var exit: ExitStatus
    /// What was underneath, already told: printed below the message, never inside it.
    public var causes: [String]

    public init(_ code: String, _ message: String, remedies: [String] = [], exit: ExitStatus = .failed, causes: [String] = []) {
        self.code = code
        self.message = message
        self.remedies = remedies
        self.exit = exit
        self.causes = causes
    }
}

/// An error that can tell a person what to do.
public protocol Diagnosable: Error {
    var diagnosis: Diagnosis { get }
}

extension Diagnosis: Diagnosable {
    public var diagnosis: Diagnosis { self }

    /// The diagnosis of any error; one that is not ``Diagnosable`` is a defect of kldload and says so.
    public init(of error: any Error) {
        if let known = error as? any Diagnosable {
            self = known.diagnosis
        } else if error is CancellationError {
            self.init("interrupted", "interrupted; what was begun has been cleaned up", exit: .interrupted)
        } else {
            self.init("internal", "unexpected error: \(error)", remedies: ["report this as a defect of kldload, with the log"], exit: .bug)
        }
    }

    /// Does one thing after another, whatever becomes of those before.
    ///
    /// - Throws: what the first one said that failed, and below it what the others said. An interrupt ends all.
    package static func collecting(_ works: [() async throws -> Void]) async throws {
        var first: Diagnosis?
        for work in works {
            do { try await work() } catch {
                try Task.checkCancellation()
                let problem = Diagnosis(of: error)
                guard first != nil else {
                    first = problem
                    continue
                }
                first?.causes += [problem.message] + problem.causes
                first?.remedies += problem.remedies
            }
        }
        if let first { throw first }
    }

    /// The text that every face prints: message, causes, remedies.
    public var rendered: String {
        var lines = ["error[\(code)]: \(message)"]
        lines += causes.map { "  because: \($0)" }
        lines += remedies.map { "  remedy: \($0)" }
        return lines.joined(separator: "\n")
    }
}

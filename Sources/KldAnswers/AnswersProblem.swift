/// One thing that is wrong with the answers.
public struct AnswersProblem: Sendable, Hashable, CustomStringConvertible {
    public let code: Code
    /// Where the key stands: the line counted from 1; `nil` for an override, or when something is missing.
    public let line: Int?
    /// The key as it was written; `nil` when the problem is not about one key.
    public let key: String?
    /// One sentence without a full stop. Never holds the value of a secret key.
    public let message: String
    public let remedy: String
    /// The key or the value that was probably meant.
    public let suggestion: String?

    /// - Parameter remedy: when absent, the question whether the suggestion was meant, or what helps with every problem of this kind.
    init(_ code: Code, line: Int? = nil, key: String? = nil, _ message: String, remedy: String? = nil, suggestion: String? = nil) {
        self.code = code
        self.line = line
        self.key = key
        self.message = message
        self.remedy = remedy ?? suggestion.map { "did you mean \($0)?" } ?? code.remedy
        self.suggestion = suggestion
    }

    /// `line 4: KLDLOAD_DISTRO: "debain" is not one of … (answers.choice)`
    public var description: String {
        let place = [line.map { "line \($0)" }, key].compactMap { $0 }.joined(separator: ": ")
        return (place.isEmpty ? message : "\(place): \(message)") + " (\(code.rawValue))"
    }
}

/// Problems as they are found, up to a number that a person can still read.
struct ProblemList {
    /// A file of a mebibyte can hold hundreds of thousands of mistakes; the work spent on them must stay in proportion.
    static let limit = 100
    private(set) var problems: [AnswersProblem] = []
    var isFull: Bool { problems.count >= ProblemList.limit }

    mutating func add(_ problem: AnswersProblem) {
        if isFull { return }
        if problems.count < ProblemList.limit - 1 {
            problems.append(problem)
        } else {
            problems.append(AnswersProblem(.tooManyProblems, "there are more problems than these; checking stopped here"))
        }
    }
}

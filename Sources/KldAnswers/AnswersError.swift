public import KldCore

/// Answers that cannot be used, with everything that is wrong about them.
public struct AnswersError: Error, Sendable, Hashable {
    /// The name of the file, or another word for where the answers came from.
    public let source: String
    /// At least one; by line, then those about no line.
    public let problems: [AnswersProblem]
    /// What the same file says in vain; see ``Answers/notes``.
    public let notes: [AnswersProblem]

    init(source: String, problems: [AnswersProblem], notes: [AnswersProblem] = []) {
        self.source = source
        self.notes = notes
        let numbered = problems.enumerated().sorted { a, b in
            (a.element.line ?? .max, a.offset) < (b.element.line ?? .max, b.offset)
        }
        self.problems = numbered.map(\.element)
    }
}

extension AnswersError: Diagnosable, CustomStringConvertible {
    /// The code is that of the problem where there is only one, `answers.invalid` otherwise; the exit status is 65, or 66 when the
    /// file is missing.
    public var diagnosis: Diagnosis {
        let first = problems.first
        let code = problems.count == 1 ? first?.code.rawValue : nil
        let missing = first?.code == .missingFile
        var remedies: [String] = []
        for problem in problems {
            // Among several guesses one must see what each is about.
            let place = problems.count > 1 && problem.suggestion != nil ? problem.line.map { "line \($0): " } ?? "" : ""
            let remedy = place + problem.remedy
            if !remedies.contains(remedy) { remedies.append(remedy) }
        }
        return Diagnosis(
            code ?? "answers.invalid", headline, remedies: remedies, exit: missing ? .inputMissing : .badAnswers,
            causes: problems.map(\.description))
    }

    private var headline: String {
        problems.count == 1 ? "\(source) has a problem" : "\(source) has \(problems.count) problems"
    }

    /// Every problem with its remedy below it.
    public var description: String {
        var lines = [headline]
        for problem in problems { lines += ["  \(problem)", "    remedy: \(problem.remedy)"] }
        return lines.joined(separator: "\n")
    }
}

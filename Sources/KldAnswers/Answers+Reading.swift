public import KldCore
public import KldFiles
public import SystemPackage

extension Answers {
    /// Reads and checks answers: lines of `KEY=VALUE`, or a JSON object where the first character is a brace.
    ///
    /// - Parameters:
    ///   - text: the content of the file.
    ///   - source: the name that messages give it.
    ///   - overrides: `KLDLOAD_KEY=value` from a command line, which replace what the text says; the value is taken as it stands.
    ///   - reference: the time zones, locales and keyboards that exist; those of the release count where it knows them.
    ///   - unsupported: what is wrong with the distribution and its release, asked where they are sound in themselves.
    /// - Throws: ``AnswersError`` with every problem there is.
    public init(
        _ text: String, source: String = "answers.env", overrides: [String] = [], reference: AnswersReference = .builtIn,
        unsupported: (Answers) -> Diagnosis? = { _ in nil }
    ) throws(AnswersError) {
        try self.init(bytes: Array(text.utf8), source: source, overrides: overrides, reference: reference, unsupported: unsupported)
    }

    /// The same from bytes, which need not be UTF-8 or text at all; takes time in proportion to their number.
    public init(
        bytes: [UInt8], source: String = "answers.env", overrides: [String] = [], reference: AnswersReference = .builtIn,
        unsupported: (Answers) -> Diagnosis? = { _ in nil }
    ) throws(AnswersError) {
        try self.init(bytes, source, overrides, reference, secretsIn: nil, unsupported)
    }

    /// - Parameter files: where files of secrets are read, so that their problems are told with the rest; `nil`: they are left alone.
    private init(
        _ bytes: [UInt8], _ source: String, _ overrides: [String], _ reference: AnswersReference, secretsIn files: (any FileSystem)?,
        _ unsupported: (Answers) -> Diagnosis?
    ) throws(AnswersError) {
        var parser = AnswersTextParser()
        parser.parse(bytes)
        // A file that is no text says nothing about which keys are missing.
        let fatal: Set<AnswersProblem.Code> = [.tooLarge, .notUTF8, .nulByte, .lineTooLong, .json]
        if parser.problems.problems.contains(where: { fatal.contains($0.code) }) {
            throw AnswersError(source: source, problems: parser.problems.problems)
        }
        var draft = AnswersDraft(
            entries: parser.entries, overrides: overrides, problems: parser.problems, reference: reference, secretsIn: files)
        let answers = Answers(draft)
        draft.checkRules(answers, unsupported)
        guard draft.problems.problems.isEmpty else {
            throw AnswersError(source: source, problems: draft.problems.problems, notes: answers.notes)
        }
        self = answers
    }

    /// Reads a file of answers and the files of secrets that it names.
    ///
    /// - Parameters:
    ///   - reference: by default what this machine knows, see ``AnswersReference/system(_:)``.
    ///   - unsupported: as with ``init(_:source:overrides:reference:unsupported:)``.
    /// - Throws: ``AnswersError`` with every problem of the file and of those that it names; `answers.missing-file` (exit status 66) when
    ///   there is no such file.
    public static func load(
        _ path: FilePath, files: any FileSystem, overrides: [String] = [], reference: AnswersReference? = nil,
        unsupported: (Answers) -> Diagnosis? = { _ in nil }
    ) throws(AnswersError) -> Answers {
        let bytes: [UInt8]
        do {
            // One byte more than there may be says that it is too large; a device may have no end.
            bytes = try files.read(path, 0..<UInt64(AnswersTextParser.largestFile + 1))
        } catch {
            throw AnswersError(source: path.string, problems: [problem(of: error, path)])
        }
        return try Answers(bytes, path.string, overrides, reference ?? AnswersReference.system(files), secretsIn: files, unsupported)
    }

    /// The same answers with other values of some keys. Names of the world that were found in lists before are not looked for again: the
    /// machine that checks this time may have others.
    ///
    /// - Parameter overrides: as with ``init(_:source:overrides:reference:unsupported:)``.
    public func replacing(_ overrides: [String]) throws(AnswersError) -> Answers {
        try Answers(environmentText, overrides: overrides, reference: .checkedBefore)
    }

    private static func problem(of error: any Error, _ path: FilePath) -> AnswersProblem {
        if case FileError.missing? = error as? FileError { return AnswersProblem(.missingFile, "\(path) does not exist") }
        let diagnosis = Diagnosis(of: error)
        return AnswersProblem(.unreadableFile, ([diagnosis.message] + diagnosis.causes).joined(separator: ": "))
    }
}

extension Answers {
    /// The value of every key that a text assigns, or its default; not checked against each other. For the answers that an installation wrote
    /// down, which lack their secrets.
    public static func values(assignedIn text: String) -> [String: String] {
        var parser = AnswersTextParser()
        parser.parse(Array(text.utf8))
        var values = Dictionary(AnswerKey.all.map { ($0.name, $0.defaultValue) }, uniquingKeysWith: { $1 })
        for entry in parser.entries where !entry.isUnreadable { values[entry.name] = entry.value }
        return values
    }
}

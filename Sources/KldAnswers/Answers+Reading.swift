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
        var parser = AnswersTextParser()
        parser.parse(bytes)
        // A file that is no text says nothing about which keys are missing.
        let fatal: Set<AnswersProblem.Code> = [.tooLarge, .notUTF8, .nulByte, .lineTooLong, .json]
        if parser.problems.problems.contains(where: { fatal.contains($0.code) }) {
            throw AnswersError(source: source, problems: parser.problems.problems)
        }
        var draft = AnswersDraft(entries: parser.entries, overrides: overrides, problems: parser.problems, reference: reference)
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
    /// - Throws: ``AnswersError``; `answers.missing-file` (exit status 66) when there is no such file.
    public static func load(
        _ path: FilePath, files: any FileSystem, overrides: [String] = [], reference: AnswersReference? = nil,
        unsupported: (Answers) -> Diagnosis? = { _ in nil }
    ) throws(AnswersError) -> Answers {
        let bytes: [UInt8]
        do {
            bytes = try files.read(path)
        } catch {
            throw AnswersError(source: path.string, problems: [problem(of: error, path)])
        }
        let answers = try Answers(
            bytes: bytes, source: path.string, overrides: overrides, reference: reference ?? AnswersReference.system(files),
            unsupported: unsupported)
        return try answers.resolvingSecrets(from: files, source: path.string)
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

    /// The same answers with each secret that lies in a file read from there: the first line, without its end.
    ///
    /// - Throws: ``AnswersError`` when a file cannot be read, is empty, or holds an unfit secret.
    public func resolvingSecrets(from files: any FileSystem, source: String = "answers.env") throws(AnswersError) -> Answers {
        var resolved = values
        var problems: [AnswersProblem] = []
        for key in AnswerKey.secrets {
            guard let path = resolved.removeValue(forKey: key.stem + AnswerKey.fileSuffix) else { continue }
            do {
                resolved[key.stem] = try Answers.secret(key, in: FilePath(path), files)
            } catch {
                problems.append(AnswersProblem(error.code, key: key.name + AnswerKey.fileSuffix, error.message, remedy: error.remedy))
            }
        }
        guard problems.isEmpty else { throw AnswersError(source: source, problems: problems, notes: notes) }
        return resolved == values ? self : Answers(AnswersDraft(valid: resolved), notes: notes)
    }

    private static func secret(_ key: AnswerKey, in path: FilePath, _ files: any FileSystem) throws(ValueFault) -> String {
        let bytes: [UInt8]
        do {
            bytes = try files.read(path)
        } catch {
            throw ValueFault(.secretFile, Diagnosis(of: error).message)
        }
        var line = bytes.prefix { $0 != 0x0A }
        if line.last == 0x0D { line.removeLast() }
        guard line.count <= 4096, !line.isEmpty, let text = String(validating: line, as: UTF8.self) else {
            throw ValueFault(.secretFile, "the first line of \(path) is empty, too long, or not UTF-8")
        }
        return try ValueCheck(reference: .builtIn).canonical(text, of: key)
    }
}

extension Answers {
    /// The value of every key that a text assigns, or its default; not checked against each other. For the answers that an installation wrote
    /// down, which lack their secrets.
    public static func values(assignedIn text: String) -> [String: String] {
        var parser = AnswersTextParser()
        parser.parse(Array(text.utf8))
        var values = Dictionary(AnswerKey.all.map { ($0.name, $0.defaultValue ?? "") }, uniquingKeysWith: { $1 })
        for entry in parser.entries where entry.value != AnswerEntry.unreadable { values[entry.name] = entry.value }
        return values
    }
}

extension Answers {
    /// The answers as a file that reads back equal, **with the secrets in clear**: for handing them to the installer in a guest.
    ///
    /// One line for each key that was given, in the order of the documents.
    public var environmentText: String { text { _, value in AnswerValueText.written(value) } }

    /// The same for logs and manifests: each secret is `<redacted>`.
    public var redactedEnvironmentText: String {
        text { key, value in key.isSecret ? "<redacted>" : AnswerValueText.written(value) }
    }

    private func text(_ written: (AnswerKey, String) -> String) -> String {
        let given = values.compactMap { stem, value in AnswerKey.ranks[stem].map { (rank: $0, value: value) } }
        return given.sorted { $0.rank < $1.rank }.map { rank, value in
            let key = AnswerKey.all[rank]
            return Answers.line(key, written(key, value)) + "\n"
        }.joined()
    }

    static func line(_ key: AnswerKey, _ written: String) -> String { "\(key.name)=\(written)" }
}

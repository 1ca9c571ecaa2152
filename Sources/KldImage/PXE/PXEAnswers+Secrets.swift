import KldAnswers
import KldCore

extension PXEAnswers {
    /// Keys whose values stand there as they are. A hash of a password is none: it lets nobody in by itself.
    static func secrets(in text: String) -> [String] {
        text.lines.compactMap { line in
            let name = String(line.prefix { $0 != "=" })
            guard let key = AnswerKey.named(name), key.isSecret, !key.name.hasSuffix("_HASH") else { return nil }
            return key.name
        }
    }

    /// Whether something in them is for few eyes, a password's hash too: who has that can guess for as long as he likes.
    static func holdSecrets(_ text: String) -> Bool {
        text.lines.contains { line in AnswerKey.named(String(line.prefix { $0 != "=" }))?.isSecret == true }
    }
}

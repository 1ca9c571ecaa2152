public import KldAnswers
import KldCore

/// Answers that the medium itself carries: a machine that starts from it, and finds none elsewhere, is installed as they say.
extension ISOBuild {
    /// What they install is on board. - Throws: ``Diagnosis`` `iso.answers-payload`.
    static func check(_ answers: Answers, payloads: [Answers]) throws(Diagnosis) {
        let wanted = LiveMedium.payload(answers)
        guard !payloads.contains(where: { LiveMedium.payload($0) == wanted }) else { return }
        throw Diagnosis(
            "iso.answers-payload", "the answers install what the medium would not carry: \(wanted)",
            remedies: [
                "carry it: --profile \(answers.profile.rawValue)", "or change KLDLOAD_PROFILE or the release in the answers",
            ], exit: .badAnswers)
    }

    /// What a person should know of a medium with such answers.
    public static func notes(_ answers: Answers) -> [String] {
        let secrets = PXEAnswers.secrets(in: answers.environmentText)
        var notes: [String] = []
        if !secrets.isEmpty {
            notes.append(
                "note: whoever has the medium can read \(secrets.joined(separator: ", ")) on it\n"
                    + "  remedy: give hashes (KLDLOAD_PASSWORD_HASH), and keep the ISO as you keep the answers")
        }
        if answers.forceWipe {
            notes.append(
                "note: every machine that starts from this medium overwrites its disk, each time\n"
                    + "  remedy: take it out when the machine has powered off, or let an empty disk be chosen: KLDLOAD_DISK=auto")
        }
        return notes
    }
}

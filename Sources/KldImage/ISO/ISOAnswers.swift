public import KldAnswers
import KldCore
import KldFiles

/// Answers that the medium itself carries: a machine that starts from it, and finds none elsewhere, is installed as they say.
extension ISOBuild {
    /// What they install would be on board: asked before anything is built.
    /// - Throws: ``Diagnosis`` `iso.answers-payload`, `install.payload-differs`.
    static func check(_ answers: Answers, payloads: [Answers]) throws {
        let wanted = LiveMedium.payload(answers)
        if let built = payloads.first(where: { LiveMedium.payload($0) == wanted }) {
            return try PayloadCheck.check(PayloadSpec(built, buildMirror: ""), for: answers)
        }
        throw Diagnosis(
            "iso.answers-payload", "the answers install what the medium would not carry: \(wanted)",
            remedies: [
                "carry it: --profile \(answers.profile.rawValue)", "or change KLDLOAD_PROFILE or the release in the answers",
            ], exit: .badAnswers)
    }

    /// The same of one payload, once it is built, where it is theirs: the packages that they add would be in it or in the mirror beside it.
    ///
    /// - Parameters:
    ///   - built: what it was built from.
    ///   - packages: the mirror's, beyond those that every mirror has.
    /// - Throws: ``Diagnosis`` `install.payload-differs`, `install.packages-missing`; ``FileError``.
    static func check(
        _ answers: Answers, _ payload: PayloadBuilder.Payload, of built: Answers, packages: [String], _ files: any FileSystem
    ) throws {
        guard LiveMedium.payload(answers) == LiveMedium.payload(built) else { return }
        try PayloadCheck.check(
            payload.info, for: answers, installed: PayloadCheck.installed(payload.folder, files),
            mirror: PayloadBuilder.additions(to: [PayloadSpec(built, buildMirror: "")], packages: packages))
    }

    /// What a person should know of a medium with such answers.
    public static func notes(_ answers: Answers) -> [String] {
        let secrets = PXEAnswers.secrets(in: answers.environmentText)
        var notes = [answers.enrolmentNote].compactMap { $0 }
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

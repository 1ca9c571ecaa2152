public import KldAnswers

extension Answers {
    /// What a person should know who installs without one: the machine may need one to start. `nil` where the answers say the password, or
    /// where nothing is signed.
    public var enrolmentNote: String? {
        guard secureBoot, mokPassword == nil else { return nil }
        return "note: with Secure Boot on, the machine does not start before somebody has typed a password at it, and the answers give "
            + "none: one is made, which stands in result.txt on the seed volume; without such a volume the machine stays on until a key says that "
            + "somebody has read it there\n"
            + "  remedy: choose one: KLDLOAD_MOK_PASSWORD; where Secure Boot is off, KLDLOAD_ENABLE_SECURE_BOOT=0"
    }
}

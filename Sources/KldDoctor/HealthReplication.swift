import KldCore
import KldReplicate

extension Check {
    static let healthOfReplication: [Check] = [
        Check("replication.lag", "every replica is as young as it should be, and can be restored", .high, replication)
    ]

    @Sendable private static func replication(_ context: CheckContext) async throws -> CheckOutcome {
        guard let now = context.now else { return .skip("the time is not known") }
        let states = try ReplicationState.all(context.files)
        guard !states.isEmpty else { return .skip("nothing is replicated from or to this machine") }
        let ill = states.compactMap { state in state.trouble(now).map { (state: state, trouble: $0) } }
        guard !ill.isEmpty else {
            return .ok(states.map { "\($0.name) \(ReplicationState.age($0.lag(now) ?? 0)) old" }.joined(separator: ", "))
        }
        let expected = ill.map { "\($0.state.name) at most \(ReplicationState.age($0.state.maxLag)) old" }.joined(separator: ", ")
        let actual = ill.map { "\($0.state.name) (\($0.state.source) to \($0.state.target)): \($0.trouble)" }.joined(separator: "; ")
        let remedy =
            ill.map { "kldload kreplicate \($0.state.source) \($0.state.target) says what is wrong" }.joined(separator: "; ")
            + "; one that has ended: kldload kreplicate forget"
        // A run that failed while the replica is young enough, or a restore that did: there is time.
        let isLate = ill.contains { ($0.state.lag(now) ?? .max) > $0.state.maxLag }
        return isLate
            ? .fail(expected: expected, actual: actual, remedy: remedy) : .warn(expected: expected, actual: actual, remedy: remedy)
    }
}

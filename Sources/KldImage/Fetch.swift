import KldExec

/// A file of a server that may not be up yet, behind a network that may not be up yet: curl, again and again. Source: curl(1), 7.88 to 8.14.
struct Fetch {
    /// curl's exit status when the server says no.
    static let refused: Int32 = 22
    private static let attempts = 20

    var address: String
    /// Beside those that every fetch has.
    var options: [String]

    init(_ address: String, _ options: [String]) {
        self.address = address
        self.options = options
    }

    /// Runs: `curl --fail … OPTIONS ADDRESS`, changes, until it succeeds.
    /// - Parameter again: whether it may end otherwise next time; told of each failure but the last that is allowed.
    /// - Returns: what curl said last.
    func run(every pause: Duration, _ runner: any CommandRunner, again: (CommandOutput) throws -> Bool) async throws -> CommandOutput {
        let command = Command(
            "curl",
            ["--fail", "--silent", "--show-error", "--location", "--proto", "=http,https", "--connect-timeout", "10"] + options + [address],
            effect: .changes, accepting: Set(0...255))
        var answer = try await runner.run(command)
        for _ in 1..<Self.attempts {
            guard answer.status != 0, try again(answer) else { break }
            try await Task.sleep(for: pause)
            answer = try await runner.run(command)
        }
        return answer
    }
}

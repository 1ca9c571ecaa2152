public import KldCore

/// What `kldload verify --format json` prints, schema `verify/1`.
public struct VerifyReport: Sendable, Hashable, Codable {
    public enum Status: String, Sendable, Hashable, Codable { case ok, fail, warn, skip }

    public struct Summary: Sendable, Hashable, Codable {
        public var ok = 0
        public var fail = 0
        public var warn = 0
        public var skip = 0
        public init() {}

        init(_ results: [Result]) {
            for result in results {
                switch result.status {
                case .ok: ok += 1
                case .fail: fail += 1
                case .warn: warn += 1
                case .skip: skip += 1
                }
            }
        }
    }

    public struct Result: Sendable, Hashable, Codable {
        public var subsystem: String
        /// The check's stable id.
        public var name: String
        public var title: String
        public var status: Status
        public var expected: String?
        /// What was found; for a skipped check, why.
        public var actual: String
        public var severity: Severity
        public var remediation: String?
    }

    public static let currentVersion = "verify/1"

    public var version: String
    public var summary: Summary
    public var results: [Result]
    /// Why nobody knew what the machine was installed as: what asks for that was skipped. `nil`: it was known.
    public var manifestProblem: String?

    init(_ results: [Result], manifestProblem: String? = nil) {
        version = VerifyReport.currentVersion
        self.results = results
        self.manifestProblem = manifestProblem
        summary = Summary(results)
    }

    /// ``ExitStatus/done``, or ``ExitStatus/problemsFound`` when a check failed; warnings are no failure.
    public var exitStatus: ExitStatus { summary.fail == 0 ? .done : .problemsFound }

    /// The document as text, keys sorted, ending in a newline.
    public var json: String {
        get throws { try SortedJSON.document(self) }
    }

    /// The report for a person: one line a check, what to do below those that are not well, the sum at the end.
    public var text: String { text(of: results) }

    /// Only what is not well, the worst first, and the sum.
    public var problems: String {
        let ill = results.filter { $0.status == .fail || $0.status == .warn }
        let ranks = Severity.allCases
        return text(
            of: ill.enumerated().sorted { a, b in
                func key(_ pair: (offset: Int, element: Result)) -> (Int, Int, Int) {
                    (pair.element.status == .fail ? 0 : 1, ranks.firstIndex(of: pair.element.severity) ?? 0, pair.offset)
                }
                return key(a) < key(b)
            }.map(\.element))
    }

    private func text(of results: [Result]) -> String {
        var lines: [String] = []
        for result in results {
            let mark = result.status.rawValue.uppercased()
            lines.append("\(mark)\(String(repeating: " ", count: 5 - mark.count))\(result.name): \(result.title): \(result.actual)")
            if result.status == .fail || result.status == .warn {
                if let expected = result.expected { lines.append("       expected: \(expected)") }
                if let remedy = result.remediation { lines.append("       remedy: \(remedy)") }
            }
        }
        lines.append("\(summary.ok) ok, \(summary.fail) failed, \(summary.warn) warnings, \(summary.skip) skipped")
        return lines.joined(separator: "\n") + "\n"
    }
}

/// Runs checks.
public enum Doctor {
    /// Runs checks, some of them side by side, and reports on all in their order; one that cannot be run to its end counts as failed.
    ///
    /// A check must not depend on another, nor disturb one: only `boot.esp.copies` mounts something, at a place of its own, and what lies in an
    /// initramfs is kept in ``InitramfsContent/known``.
    /// - Parameter only: ids or subsystems to run; empty for all. An unknown one is an error.
    /// - Throws: ``Diagnosis`` `verify.no-such-check`; cancellation.
    public static func run(_ context: CheckContext, checks: [Check] = Check.all, only: [String] = []) async throws -> VerifyReport {
        if let stranger = only.first(where: { name in !checks.contains { $0.id == name || $0.subsystem == name } }) {
            let known = checks.map(\.subsystem).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
            throw Diagnosis(
                "verify.no-such-check", "there is no check or subsystem named \(stranger)",
                remedies: ["subsystems: " + known.joined(separator: ", ")], exit: .usage)
        }
        let context = context.fresh
        let chosen = checks.filter { only.isEmpty || only.contains($0.id) || only.contains($0.subsystem) }
        let results = try await withThrowingTaskGroup(of: (Int, VerifyReport.Result).self) { group in
            var results = [VerifyReport.Result?](repeating: nil, count: chosen.count)
            // What takes the longest is not begun last.
            var waiting = chosen.indices.filter { chosen[$0].isSlow } + chosen.indices.filter { !chosen[$0].isSlow }
            waiting.reverse()
            func begin() {
                guard let index = waiting.popLast() else { return }
                group.addTask { (index, result(chosen[index], try await outcome(chosen[index], context))) }
            }
            for _ in 0..<sideBySide { begin() }
            for try await (index, result) in group {
                results[index] = result
                begin()
            }
            return results.compactMap { $0 }
        }
        return VerifyReport(results, manifestProblem: context.manifest == nil ? context.whyNoManifest : nil)
    }

    /// So many checks run at a time: they wait for processes more than they compute.
    private static let sideBySide = 4

    private static func outcome(_ check: Check, _ context: CheckContext) async throws -> CheckOutcome {
        do { return try await check.run(context) } catch let error as CancellationError { throw error } catch {
            let problem = Diagnosis(of: error)
            let actual = ([problem.message] + problem.causes).joined(separator: "; ")
            return .fail(
                expected: "a check that runs to its end", actual: actual,
                remedy: problem.remedies.first ?? (problem.exit == .needsRoot ? "run it as root" : "look into the cause named here"))
        }
    }

    private static func result(_ check: Check, _ outcome: CheckOutcome) -> VerifyReport.Result {
        func make(_ status: VerifyReport.Status, _ expected: String?, _ actual: String, _ remedy: String?) -> VerifyReport.Result {
            VerifyReport.Result(
                subsystem: check.subsystem, name: check.id, title: check.title, status: status, expected: expected, actual: actual,
                severity: check.severity, remediation: remedy)
        }
        return switch outcome {
        case .ok(let actual): make(.ok, nil, actual, nil)
        case .warn(let expected, let actual, let remedy): make(.warn, expected, actual, remedy)
        case .fail(let expected, let actual, let remedy): make(.fail, expected, actual, remedy)
        case .skip(let reason): make(.skip, nil, reason, nil)
        }
    }
}

import KldCore
import KldExec
import KldFiles
import KldSystemd

extension Check {
    static let services: [Check] = [
        Check("services.units", "the services that were asked for are enabled and run", .high, units),
        Check("services.failed", "no unit has failed", .high, failed),
    ]

    @Sendable private static func units(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        guard !manifest.units.isEmpty else { return .skip("the manifest names no units") }
        let found = try await context.units()
        let problems = manifest.units.compactMap { name -> String? in
            let unit = found.first { $0.names.contains(name) }
            guard let unit else { return "\(name) is unknown" }
            return unit.problem.map { "\(name) \($0)" }
        }
        guard problems.isEmpty else {
            return .fail(
                expected: manifest.units.joined(separator: ", "), actual: problems.joined(separator: "; "),
                remedy: "systemctl enable --now the unit; journalctl -u says why it stopped")
        }
        return .ok("\(manifest.units.count) units")
    }

    static func failedUnits(_ context: CheckContext) async throws -> [String] {
        Systemctl.names(try await context.read(Systemctl.failedUnits).output)
    }

    @Sendable private static func failed(_ context: CheckContext) async throws -> CheckOutcome {
        let names = try await failedUnits(context)
        guard names.isEmpty else {
            return .fail(
                expected: "no failed unit", actual: names.joined(separator: ", "),
                remedy: names.map { "journalctl --boot -u \($0)" }.joined(separator: "; "))
        }
        return .ok("none")
    }
}

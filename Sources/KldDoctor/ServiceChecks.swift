import KldCore
import KldExec
import KldFiles

/// What systemd knows of one unit. Source: systemctl(1) `show`, systemd 257; `Name=Value` lines, units apart by an empty line:
/// ```
/// Id=ssh.service
/// LoadState=loaded
/// ActiveState=active
/// SubState=running
/// UnitFileState=enabled
/// Type=notify
/// ```
struct UnitState: Hashable {
    var values: [String: String]
    subscript(name: String) -> String { values[name] ?? "" }

    static let properties = ["Id", "Names", "Type", "LoadState", "ActiveState", "SubState", "UnitFileState"]

    static func parse(_ output: String) -> [UnitState] {
        var units: [UnitState] = []
        var current: [String: String] = [:]
        for line in output.split(separator: "\n", omittingEmptySubsequences: false) {
            if let mark = line.firstIndex(of: "=") {
                current[String(line[..<mark])] = String(line[line.index(after: mark)...])
            } else if !current.isEmpty {
                units.append(UnitState(values: current))
                current = [:]
            }
        }
        if !current.isEmpty { units.append(UnitState(values: current)) }
        return units
    }

    /// What is wrong with it; `nil` when it is enabled and runs, or has run and is done.
    var problem: String? {
        if self["LoadState"] != "loaded" { return "is \(self["LoadState"].isEmpty ? "unknown" : self["LoadState"])" }
        if !["enabled", "enabled-runtime", "static", "indirect", "alias", "generated", "linked"].contains(self["UnitFileState"]) {
            return "is \(self["UnitFileState"].isEmpty ? "not enabled" : self["UnitFileState"])"
        }
        switch (self["ActiveState"], self["Type"]) {
        case ("active", _), ("reloading", _), ("refreshing", _): return nil
        case ("inactive", "oneshot"): return nil
        default: return "is \(self["ActiveState"]) (\(self["SubState"]))"
        }
    }
}

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
            let unit = found.first { $0["Id"] == name || $0["Names"].words.contains(name) }
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

    /// Runs: `systemctl list-units --failed --plain --no-legend --no-pager`, reads; one unit a line, its name first.
    static func failedUnits(_ context: CheckContext) async throws -> [String] {
        try await context.read("systemctl", ["list-units", "--failed", "--plain", "--no-legend", "--no-pager"]).output
            .lines.compactMap { $0.words.first }
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

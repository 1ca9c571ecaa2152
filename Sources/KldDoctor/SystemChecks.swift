import KldCore
import KldFiles
import SystemPackage

extension Check {
    static let system: [Check] = [
        Check("system.journal", "the journal survives a reboot", .medium, journal),
        Check("system.sysctl", "the profile's kernel parameters are in force", .medium, sysctl),
    ]

    /// Source: journald.conf(5), systemd 257: `Storage=persistent`, or the default `auto` with the folder there.
    @Sendable private static func journal(_ context: CheckContext) async throws -> CheckOutcome {
        let machine = try context.text("/etc/machine-id")?.trimmed ?? ""
        let folders = try context.names(in: "/var/log/journal")
        guard !folders.isEmpty else {
            return .fail(
                expected: "/var/log/journal/\(machine)", actual: "the journal is kept in memory only",
                remedy: "mkdir /var/log/journal; journalctl --flush")
        }
        guard folders.contains(machine) else {
            return .fail(
                expected: "/var/log/journal/\(machine)", actual: "only journals of other machines: \(folders.joined(separator: ", "))",
                remedy: "systemctl restart systemd-journald; journalctl --flush")
        }
        return .ok("/var/log/journal/\(machine)")
    }

    @Sendable private static func sysctl(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let wanted = (manifest.sysctl ?? [:]).sorted { $0.key < $1.key }
        guard !wanted.isEmpty else { return .skip("the profile \(manifest.profile) sets no kernel parameters") }
        let problems = try wanted.compactMap { name, value -> String? in
            // Dots in names are slashes in paths; values of several numbers are apart by a TAB.
            let path = "/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
            let actual = try context.text(path)?.words.joined(separator: " ")
            return actual == value.words.joined(separator: " ") ? nil : "\(name) is \(actual ?? "unknown"), not \(value)"
        }
        guard problems.isEmpty else {
            return .fail(
                expected: "\(wanted.count) parameters as in the profile \(manifest.profile)", actual: problems.joined(separator: "; "),
                remedy: "sysctl --system shows which file wins")
        }
        return .ok("\(wanted.count) parameters")
    }
}

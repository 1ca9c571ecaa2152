import KldCore

/// What systemd knows of one unit. Source: systemctl(1) `show`, systemd 252 to 257; `Name=Value` lines, units apart by an empty line:
/// ```
/// Id=ssh.service
/// Names=ssh.service sshd.service
/// LoadState=loaded
/// ActiveState=active
/// SubState=running
/// UnitFileState=enabled
/// Type=notify
/// ```
public struct UnitState: Sendable, Hashable {
    /// All names, aliases too.
    public var names: [String]
    /// `loaded`, `not-found`, `masked`, …
    public var load: String
    /// `active`, `inactive`, `failed`, …
    public var active: String
    public var sub: String
    /// `enabled`, `static`, …; empty for what has no unit file.
    public var file: String
    /// `oneshot`, `notify`, …; empty for what is no service.
    public var type: String

    static let properties = ["Id", "Names", "Type", "LoadState", "ActiveState", "SubState", "UnitFileState"]

    /// Source: ``Systemctl/show(_:)``.
    public static func parse(_ output: String) -> [UnitState] {
        output.split(separator: "\n", omittingEmptySubsequences: false).split(whereSeparator: \.isEmpty).map { block in
            var values: [Substring: Substring] = [:]
            for line in block {
                guard let mark = line.firstIndex(of: "=") else { continue }
                values[line[..<mark]] = line[line.index(after: mark)...]
            }
            func value(_ name: Substring) -> String { String(values[name] ?? "") }
            let (id, names) = (value("Id"), value("Names").words)
            return UnitState(
                names: names.contains(id) ? names : [id] + names, load: value("LoadState"), active: value("ActiveState"),
                sub: value("SubState"), file: value("UnitFileState"), type: value("Type"))
        }
    }

    /// Its owner has uninstalled, masked or disabled it.
    public var isTurnedOff: Bool { ["not-found", "masked"].contains(load) || file == "disabled" }

    /// It runs, or has run and is done; one that runs and is over waits for being called.
    public var isWell: Bool {
        guard load == "loaded" else { return false }
        return ["active", "reloading", "refreshing"].contains(active) || (active == "inactive" && type == "oneshot")
    }

    /// What is wrong with it; `nil` when it is enabled and ``isWell``.
    public var problem: String? {
        if load != "loaded" { return "is \(load.isEmpty ? "unknown" : load)" }
        if !["enabled", "enabled-runtime", "static", "indirect", "alias", "generated", "linked"].contains(file) {
            return "is \(file.isEmpty ? "not enabled" : file)"
        }
        return isWell ? nil : "is \(active) (\(sub))"
    }

    /// Its state in a word or two.
    public var told: String {
        if load == "not-found" || load.isEmpty { return "not installed" }
        if load != "loaded" { return load }
        if !isWell { return active }
        return active == "inactive" ? "waiting" : sub == "exited" ? "done" : "active"
    }
}

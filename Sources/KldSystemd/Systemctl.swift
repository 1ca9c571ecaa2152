import KldCore
public import KldExec

/// systemctl(1), systemd 247 to 257.
public enum Systemctl {
    static let tool = Tool("systemctl", package: "systemd")

    /// A verb that changes something: `systemctl WORDS…`.
    public static func change(_ words: [String], accepting: Set<Int32> = [0]) -> Command {
        Command(tool, words, effect: .changes, accepting: accepting)
    }

    /// Runs: `systemctl poweroff`; returns while the machine goes down.
    public static let powerOff = change(["poweroff"])

    /// Runs: `systemctl [--no-block] reboot`.
    /// - Parameter waiting: until the job is under way; a unit of the system waits for itself otherwise.
    public static func reboot(waiting: Bool = true) -> Command { change((waiting ? [] : ["--no-block"]) + ["reboot"]) }

    /// Runs: `systemctl show --no-pager --property … UNIT…`, reads; read by ``UnitState``. Units that do not exist are `LoadState=not-found`.
    public static func show(_ units: [String]) -> Command {
        Command(tool, ["show", "--no-pager", "--property", UnitState.properties.joined(separator: ",")] + units, effect: .reads)
    }

    /// Runs: `systemctl list-units --failed --plain --no-legend --no-pager`, reads; read by ``names(_:)``.
    public static let failedUnits = Command(tool, ["list-units", "--failed", "--plain", "--no-legend", "--no-pager"], effect: .reads)

    /// The units of a list: one a line, its name first.
    public static func names(_ output: String) -> [String] { output.lines.compactMap { $0.words.first } }

    /// Runs: `systemctl list-jobs --plain --no-legend --no-pager`, reads; read by ``running(_:)``.
    public static let jobs = Command(tool, ["list-jobs", "--plain", "--no-legend", "--no-pager"], effect: .reads)

    /// The units of jobs that are under way; a job is `ID UNIT TYPE STATE` (systemd 257):
    /// ```
    /// 145 cloud-final.service start running
    /// ```
    public static func running(_ output: String) -> [String] {
        output.lines.map(\.words).filter { $0.count >= 4 && $0[3] == "running" }.map { $0[1] }
    }
}

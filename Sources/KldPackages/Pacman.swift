import KldCore
public import KldExec

/// pacman. Source: pacman(8), pacman-conf(8), run with 6.0.2; 7.0, from the manuals.
public struct Pacman: PackageManager {
    public init() {}

    public var family: PackageFamily { .pacman }
    static let tool = Tool("pacman")

    /// Runs: `pacman --sync --refresh --noconfirm`, changes. Followed by nothing but a whole upgrade: Arch supports no partial ones.
    public var refresh: Command { Command(Self.tool, ["--sync", "--refresh", "--noconfirm"], effect: .changes) }

    private static func words(_ request: PackageRequest) -> [String] {
        switch request {
        case .upgrade: ["--sync", "--sysupgrade"]
        // Lists that are new and packages that are old do not go together: what is installed may need a newer library than the rest has.
        case .install(let names): ["--sync", "--sysupgrade", "--needed"] + names
        case .remove(let names): ["--remove"] + names
        }
    }

    /// Runs: `pacman --sync --sysupgrade --print --print-format …` and the like, reads. It ends with 0 where there is nothing to do, and with 1
    /// where it cannot be done.
    public func preview(_ request: PackageRequest) -> Command {
        let removed = if case .remove = request { true } else { false }
        return Command(Self.tool, Self.words(request) + ["--print", "--print-format", removed ? "- %n %v" : "+ %n %v"], effect: .reads)
    }

    /// pacman moves what is named. Runs: `pacman --sync --sysupgrade --needed NAME… --print --print-format …`, reads.
    public func previewUpgrade(moving held: [String]) -> Command? {
        preview(.install(held))
    }

    /// In the words of the format that ``preview(_:)`` gives. Not said are what was there before, and what goes because another package takes
    /// its place:
    /// ```
    /// + linux-lts 6.12.58-1
    /// - nano 8.6-1
    /// ```
    public func transaction(_ output: String) -> PackageTransaction {
        PackageTransaction(
            output.lines.compactMap { line in
                let words = line.words
                guard words.count == 3, words[0] == "+" || words[0] == "-" else { return nil }
                return words[0] == "+" ? .init(words[1], old: nil, new: words[2]) : .init(words[1], old: words[2], new: nil)
            })
    }

    /// Runs: `pacman --noconfirm --sync --sysupgrade` and the like, changes.
    public func apply(_ request: PackageRequest) -> Command {
        var command = Command(Self.tool, ["--noconfirm"] + Self.words(request), effect: .changes)
        command.tellsOnBoth = true
        return command
    }

    /// pacman ends with 0 where a script or a hook fails, even one that runs before its package is unpacked. pacman 6.0.2:
    /// ```
    /// error: command failed to execute correctly
    /// ```
    public func failures(_ output: CommandOutput) -> [String] {
        output.status == 0 ? problems(output).filter { $0.hasPrefix("error: ") } : []
    }

    public func reasons(_ output: CommandOutput) -> [String] {
        let found = problems(output)
        return found.isEmpty ? Array(output.errors.lines.suffix(6)) : Array(found.prefix(8))
    }

    /// What it could not do, and what was in the way. pacman 6.0.2:
    /// ```
    /// :: removing kld-library breaks dependency 'kld-library' required by kld-plain
    /// error: failed to prepare transaction (could not satisfy dependencies)
    /// ```
    private func problems(_ output: CommandOutput) -> [String] {
        (output.output.lines + output.errors.lines).filter { line in
            line.hasPrefix("error: ") || line.hasPrefix(":: ") && line.contains(" breaks dependency ") || line.contains(" are in conflict")
                || line.contains(" exists in filesystem")
        }
    }

    /// pacman 6.0.2:
    /// ```
    /// upgrading kld-plain...
    /// ```
    public func progress(_ line: String) -> String? {
        ["installing ", "upgrading ", "downgrading ", "reinstalling ", "removing "].contains { line.hasPrefix($0) } ? line.trimmed : nil
    }

    /// Runs: `pacman --noconfirm --sync --clean`, changes.
    public var clean: Command { Command(Self.tool, ["--noconfirm", "--sync", "--clean"], effect: .changes) }

    /// Runs: `pacman --query`, reads.
    public var listInstalled: Command { Command(Self.tool, ["--query"], effect: .reads) }
    /// ```
    /// linux-lts 6.12.58-1
    /// ```
    public func installed(_ output: String) -> [PackageHold.Package] {
        output.lines.compactMap { line in
            let words = line.words
            return words.count == 2 ? PackageHold.Package(words[0], version: words[1]) : nil
        }
    }

    /// Runs: `pacman-conf IgnorePkg`, reads: every line of the settings together, one name a line.
    public var listHeld: Command? { Command(Tool("pacman-conf", package: "pacman"), ["IgnorePkg"], effect: .reads) }
    public func held(_ output: String) -> [String] { output.lines.map(\.trimmed) }
    /// Holds stand in `/etc/pacman.conf`: see ``PackageHold/pacman(_:in:)``.
    public func release(_ names: [String]) -> Command? { nil }

    /// Runs: `pacman --sync --search WORD`, reads.
    public func search(_ word: String) -> Command { Command(Self.tool, ["--sync", "--search", word], effect: .reads, accepting: [0, 1]) }
    /// Runs: `pacman --sync --info NAME`, reads.
    public func describe(_ name: String) -> Command { Command(Self.tool, ["--sync", "--info", name], effect: .reads) }

    public var leftBeside: [String] { [".pacnew"] }
}

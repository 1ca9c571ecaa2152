import KldCore
public import KldExec

/// apk. Source: apk(8), apk-world(5), `print_change` in src/commit.c, apk-tools 2.14 and 3.0. Not run by kldload yet: see docs/upgrades.md.
public struct Apk: PackageManager {
    public init() {}

    public var family: PackageFamily { .apk }
    static let tool = Tool("apk", package: "apk-tools")

    /// Runs: `apk update`, changes.
    public var refresh: Command { Command(Self.tool, ["update"], effect: .changes) }

    private static func words(_ request: PackageRequest) -> [String] {
        switch request {
        case .upgrade: ["upgrade"]
        case .install(let names): ["add"] + names
        case .remove(let names): ["del"] + names
        }
    }

    /// Runs: `apk --simulate upgrade` and the like, reads.
    public func preview(_ request: PackageRequest) -> Command {
        Command(Self.tool, ["--simulate"] + Self.words(request), effect: .reads)
    }

    /// apk-tools 2.14. From ten changes on there is a space before the smaller numbers; a package that is taken from a tagged repository bears
    /// its tag.
    /// ```
    /// ( 1/12) Upgrading busybox (1.36.1-r28 -> 1.36.1-r29)
    /// ( 2/12) Installing hello@edge (2.12.1-r0)
    /// (12/12) Purging nano (8.2-r0)
    /// ```
    public func transaction(_ output: String) -> PackageTransaction {
        PackageTransaction(
            output.lines.compactMap { line in
                guard line.hasPrefix("("), let end = line.firstIndex(of: ")") else { return nil }
                let words = String(line[end...]).words
                guard words.count > 3 else { return nil }
                let name = String(words[2].prefix { $0 != "@" })
                let versions = words[3...].map { $0.filter { !"()".contains($0) } }.filter { $0 != "->" }
                guard let first = versions.first, let last = versions.last else { return nil }
                switch words[1] {
                case "Upgrading", "Downgrading", "Replacing": return .init(name, old: first, new: last)
                case "Installing": return .init(name, old: nil, new: last)
                case "Purging": return .init(name, old: first, new: nil)
                default: return nil
                }
            })
    }

    /// Runs: `apk upgrade` and the like, changes.
    public func apply(_ request: PackageRequest) -> Command { Command(Self.tool, Self.words(request), effect: .changes) }

    /// Runs: `apk cache clean`, changes. It ends with 1 where there is no cache.
    public var clean: Command { Command(Self.tool, ["cache", "clean"], effect: .changes, accepting: [0, 1]) }

    /// Runs: `apk list --installed`, reads.
    public var listInstalled: Command { Command(Self.tool, ["list", "--installed"], effect: .reads) }
    /// The name ends where the version begins, before the last hyphen but one:
    /// ```
    /// busybox-1.36.1-r29 x86_64 {busybox} (GPL-2.0-only) [installed]
    /// ```
    public func installed(_ output: String) -> [PackageHold.Package] {
        output.lines.compactMap { line in
            guard let parts = line.words.first?.split(separator: "-"), parts.count > 2 else { return nil }
            return PackageHold.Package(parts.dropLast(2).joined(separator: "-"), version: parts.suffix(2).joined(separator: "-"))
        }
    }

    /// Holds are the packages that the world wants at one version. Runs: `cat /etc/apk/world`, reads.
    public var listHeld: Command? { Command(Tool("cat", package: "coreutils"), ["/etc/apk/world"], effect: .reads) }
    /// ```
    /// linux-lts=6.12.58-r0
    /// hello@edge=2.12.1-r0
    /// ```
    public func held(_ output: String) -> [String] {
        output.lines.filter { line in line.contains("=") && !line.contains { "<>~".contains($0) } }.map {
            String($0.prefix { $0 != "=" && $0 != "@" })
        }
    }
    /// Runs: `apk add NAME…`, which wants them at any version again; changes.
    public func release(_ names: [String]) -> Command? { Command(Self.tool, ["add"] + names, effect: .changes) }

    /// Runs: `apk search WORD`, reads.
    public func search(_ word: String) -> Command { Command(Self.tool, ["search", word], effect: .reads) }
    /// Runs: `apk info --all NAME`, reads.
    public func describe(_ name: String) -> Command { Command(Self.tool, ["info", "--all", name], effect: .reads) }

    public var leftBeside: [String] { [".apk-new"] }
}

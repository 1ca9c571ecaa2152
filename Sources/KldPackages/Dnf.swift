import KldCore
public import KldExec

/// dnf 5 and rpm. Source: dnf5(8), dnf5-versionlock(8), 5.2; rpm(8), 4.20. Not run by kldload yet: see docs/upgrades.md.
public struct Dnf: PackageManager {
    public init() {}

    public var family: PackageFamily { .dnf }
    static let tool = Tool("dnf")

    /// Runs: `dnf makecache --refresh`, changes.
    public var refresh: Command { Command(Self.tool, ["makecache", "--refresh"], effect: .changes) }

    private static func words(_ request: PackageRequest) -> [String] {
        switch request {
        case .upgrade: ["upgrade"]
        case .install(let names): ["install"] + names
        case .remove(let names): ["remove"] + names
        }
    }

    /// Runs: `dnf --assumeno upgrade` and the like, reads: it ends with 1 when there is something to do, as if somebody had said no.
    public func preview(_ request: PackageRequest) -> Command {
        Command(Self.tool, ["--assumeno"] + Self.words(request), effect: .reads, accepting: [0, 1])
    }

    /// The table of dnf 5.2, with a line below each package that it takes the place of:
    /// ```
    /// Package            Arch   Version          Repository      Size
    /// Upgrading:
    ///  bash              x86_64 5.2.37-1.fc42    updates      8.2 MiB
    ///    replacing bash  x86_64 5.2.32-3.fc42    <unknown>    8.2 MiB
    /// Installing:
    ///  hello             x86_64 2.12.1-5.fc42    fedora     186.0 KiB
    /// Removing:
    ///  nano              x86_64 8.3-1.fc42       fedora       2.8 MiB
    /// ```
    public func transaction(_ output: String) -> PackageTransaction {
        var changes: [PackageTransaction.Change] = []
        var section = ""
        for line in output.lines {
            if !line.hasPrefix(" ") {
                section = line.hasSuffix(":") ? line.lowercased() : ""
                if section.hasPrefix("transaction summary") { break }
                continue
            }
            var words = line.words
            if words.first == "replacing" {
                words.removeFirst()
                guard words.count > 2, let last = changes.indices.last, changes[last].name == words[0] else { continue }
                changes[last].old = words[2]
                continue
            }
            guard words.count > 3, !section.isEmpty, section != "skipping packages:" else { continue }
            let removed = section.hasPrefix("removing")
            changes.append(.init(words[0], old: removed ? words[2] : nil, new: removed ? nil : words[2]))
        }
        return PackageTransaction(changes)
    }

    /// Runs: `dnf --assumeyes upgrade` and the like, changes.
    public func apply(_ request: PackageRequest) -> Command {
        Command(Self.tool, ["--assumeyes"] + Self.words(request), effect: .changes)
    }

    /// Runs: `dnf clean packages`, changes.
    public var clean: Command { Command(Self.tool, ["clean", "packages"], effect: .changes) }

    /// Runs: `rpm --query --all --queryformat …`, reads.
    public var listInstalled: Command {
        Command(Tool("rpm"), ["--query", "--all", "--queryformat", "%{NAME}\\t%{EVR}\\n"], effect: .reads)
    }
    /// ```
    /// bash⇥5.2.37-1.fc42
    /// ```
    public func installed(_ output: String) -> [PackageHold.Package] {
        output.lines.compactMap { line in
            let fields = line.split(separator: "\t").map(String.init)
            return fields.count == 2 ? PackageHold.Package(fields[0], version: fields[1].trimmed) : nil
        }
    }

    /// Runs: `dnf versionlock list`, reads.
    public var listHeld: Command? { Command(Self.tool, ["versionlock", "list"], effect: .reads) }
    /// dnf 5.2:
    /// ```
    /// # Added by 'versionlock add' command on 2026-11-20 10:11:12
    /// Package name: zfs
    /// evr = 2.3.4-1.fc42
    /// ```
    public func held(_ output: String) -> [String] {
        let prefix = "Package name: "
        return output.lines.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)).trimmed }
    }
    /// Runs: `dnf versionlock delete NAME…`, changes.
    public func release(_ names: [String]) -> Command? { Command(Self.tool, ["versionlock", "delete"] + names, effect: .changes) }

    /// Runs: `dnf search WORD`, reads.
    public func search(_ word: String) -> Command { Command(Self.tool, ["search", word], effect: .reads) }
    /// Runs: `dnf info NAME`, reads.
    public func describe(_ name: String) -> Command { Command(Self.tool, ["info", name], effect: .reads) }

    public var leftBeside: [String] { [".rpmnew"] }
}

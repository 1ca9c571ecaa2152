import KldCore
public import KldExec

/// dnf and rpm. Source: dnf(8), dnf-versionlock(8), run with 4.14 and its plugins 4.3; dnf5(8), dnf5-versionlock(8), 5.2, from the manuals;
/// rpm(8), 4.18 to 4.20.
public struct Dnf: PackageManager {
    public init() {}

    public var family: PackageFamily { .dnf }
    static let tool = Tool("dnf")

    /// Runs: `dnf --setopt=*.skip_if_unavailable=0 makecache --refresh`, changes. Without the option a repository that does not answer may be
    /// left out in silence, with exit status 0: Fedora's settings say so.
    public var refresh: Command {
        Command(Self.tool, ["--setopt=*.skip_if_unavailable=0", "makecache", "--refresh"], effect: .changes)
    }

    private static func words(_ request: PackageRequest) -> [String] {
        switch request {
        case .upgrade: ["upgrade"]
        case .install(let names): ["install"] + names
        case .remove(let names): ["remove"] + names
        }
    }

    /// Runs: `dnf --assumeno upgrade` and the like, reads: it ends with 1 when there is something to do, as if somebody had said no, and when
    /// it cannot be done: ``failures(_:)`` tells them apart.
    public func preview(_ request: PackageRequest) -> Command {
        Command(Self.tool, ["--assumeno"] + Self.words(request), effect: .reads, accepting: [0, 1])
    }

    /// What would move if nothing were held. Runs: `dnf --disableplugin=versionlock --assumeno upgrade`, reads. dnf 5 holds without a plugin.
    public func previewUpgrade(moving held: [String]) -> Command? {
        var command = preview(.upgrade)
        command.arguments.insert("--disableplugin=versionlock", at: 0)
        return command
    }

    /// Headings of packages that change; those of groups, and of packages that are skipped, are none.
    private static func changes(under heading: String) -> Bool {
        ["installing", "upgrading", "downgrading", "reinstalling", "removing"].contains { heading.hasPrefix($0) }
            && !heading.hasSuffix("groups:")
    }

    /// The table of dnf 4.14, which does not say what was there before, and of 5.2, which does. What is replaced by a package of another name
    /// goes. A row that is too long for the terminal goes on in the next line.
    /// ```
    /// Package            Architecture   Version          Repository  Size
    /// Upgrading:
    ///  kld-bad           noarch         2-1              kld        6.3 k
    /// Installing:
    ///  kld-new           noarch         2-1              kld        6.3 k
    ///      replacing  kld-old.noarch 1-1
    /// ```
    /// ```
    /// Package            Arch   Version          Repository      Size
    /// Upgrading:
    ///  bash              x86_64 5.2.37-1.fc42    updates      8.2 MiB
    ///    replacing bash  x86_64 5.2.32-3.fc42    <unknown>    8.2 MiB
    /// Removing:
    ///  nano              x86_64 8.3-1.fc42       fedora       2.8 MiB
    /// ```
    public func transaction(_ output: String) -> PackageTransaction {
        var changes: [PackageTransaction.Change] = []
        var section = ""
        var row: [String] = []
        for line in output.lines {
            guard line.hasPrefix(" ") else {
                section = line.hasSuffix(":") ? line.lowercased() : ""
                if line.hasPrefix("Transaction Summary") { break }
                continue
            }
            guard Self.changes(under: section) else { continue }
            let words = line.words
            if words.first == "replacing", words.count > 2, let last = changes.indices.last {
                let (name, version) =
                    words.count == 3 ? (words[1].split(separator: ".").dropLast().joined(separator: "."), words[2]) : (words[1], words[3])
                if changes[last].name == name { changes[last].old = version } else { changes.append(.init(name, old: version, new: nil)) }
                continue
            }
            row = line.hasPrefix("  ") ? row + words : words
            guard row.count > 3 else { continue }
            let removed = section.hasPrefix("removing")
            changes.append(.init(row[0], old: removed ? row[2] : nil, new: removed ? nil : row[2]))
            row = []
        }
        return PackageTransaction(changes)
    }

    /// Runs: `dnf --assumeyes upgrade` and the like, changes.
    public func apply(_ request: PackageRequest) -> Command {
        var command = Command(Self.tool, ["--assumeyes"] + Self.words(request), effect: .changes)
        command.tellsOnBoth = true
        return command
    }

    /// dnf ends with 0 where a script fails after its package is unpacked, as that of a kernel may, and where a package to be removed is not
    /// there. dnf 4.14, on standard error, standard output, standard error:
    /// ```
    /// Error in POSTIN scriptlet in rpm package kld-late
    /// No match for argument: nosuch
    /// Operation aborted.
    /// ```
    /// dnf 5.2 says `>>> Non-critical error in …`, and `Operation aborted by the user.`
    public func failures(_ output: CommandOutput) -> [String] {
        let lines = output.errors.lines + output.output.lines
        let told = lines.map(\.trimmed).filter {
            $0.hasPrefix("No match for argument") || $0.contains("scriptlet") && $0.lowercased().contains("error in ")
        }
        if !told.isEmpty || output.status == 0 || lines.contains(where: { $0.contains("Operation aborted") }) { return told }
        return reasons(output)
    }

    /// dnf 4.14: what it says itself, and what it prints of scripts; the rest is a table.
    /// ```
    /// error: lua script failed: [string "%prein(kld-bad-2-1.noarch)"]:1: it cannot be
    /// Error in PREIN scriptlet in rpm package kld-bad
    ///  Problem: conflicting requests
    ///   - nothing provides nosuch needed by kld-broken-2-1.noarch
    /// Error: Transaction failed
    /// Package kld-plain-1.rpm is not signed
    /// ```
    public func reasons(_ output: CommandOutput) -> [String] {
        let found = (output.errors.lines + output.output.lines).filter { line in
            ["error: ", "Error", " Problem", "  - ", "No match for argument", ">>> ", "No such command"].contains { line.hasPrefix($0) }
                && line.trimmed != "Error:" || line.hasSuffix(" is not signed")
        }
        return found.isEmpty ? Array(output.errors.lines.suffix(6)) : found.prefix(8).map(\.trimmed)
    }

    /// dnf 4.14:
    /// ```
    ///   Upgrading        : kld-plain-2-1.noarch                                   2/9
    /// ```
    public func progress(_ line: String) -> String? {
        let words = line.words
        let doing = ["Installing", "Upgrading", "Downgrading", "Reinstalling", "Erasing", "Obsoleting", "Cleanup"]
        guard words.count > 2, words[1] == ":", doing.contains(words[0]) else { return nil }
        return "\(words[0]) \(words[2])"
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
    /// dnf 4.14 prints patterns, of which those that begin with `!` hold nothing:
    /// ```
    /// kld-kernel-0:1-1.*
    /// !kld-plain-0:2-1.*
    /// ```
    /// dnf 5.2:
    /// ```
    /// # Added by 'versionlock add' command on 2026-11-20 10:11:12
    /// Package name: zfs
    /// evr = 2.3.4-1.fc42
    /// ```
    public func held(_ output: String) -> [String] {
        let prefix = "Package name: "
        return output.lines.compactMap { line in
            if line.hasPrefix(prefix) { return String(line.dropFirst(prefix.count)).trimmed }
            let line = line.trimmed
            guard line.words.count == 1, !line.hasPrefix("!"), !line.hasPrefix("#") else { return nil }
            let parts = line.split(separator: "-")
            return parts.count > 2 && parts[parts.count - 2].contains(":") ? parts.dropLast(2).joined(separator: "-") : line
        }
    }
    /// Runs: `dnf versionlock delete NAME…`, changes.
    public func release(_ names: [String]) -> Command? { Command(Self.tool, ["versionlock", "delete"] + names, effect: .changes) }

    /// Runs: `dnf search WORD`, reads.
    public func search(_ word: String) -> Command { Command(Self.tool, ["search", word], effect: .reads) }
    /// Runs: `dnf info NAME`, reads.
    public func describe(_ name: String) -> Command { Command(Self.tool, ["info", name], effect: .reads) }

    public var leftBeside: [String] { [".rpmnew"] }
}

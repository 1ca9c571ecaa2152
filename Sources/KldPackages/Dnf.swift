import KldCore
public import KldExec

/// dnf and rpm. Source: dnf(8), dnf-versionlock(8), run with 4.14 and its plugins 4.3; dnf5(8), dnf5-versionlock(8), run with 5.4.6;
/// rpm(8), 4.18 to 6.1.
public struct Dnf: PackageManager {
    public init() {}

    public var family: PackageFamily { .dnf }
    static let tool = Tool("dnf")

    /// Runs: `dnf --setopt=*.skip_if_unavailable=0 --setopt=*.metadata_expire=0 makecache --refresh`, changes. Without the first option a
    /// repository that does not answer may be left out in silence, with exit status 0: Fedora's settings say so. Without the second dnf 5.4.6
    /// keeps old lists where settings, or another root, put its cache elsewhere: its `--refresh` looks in the usual place only.
    public var refresh: Command {
        Command(
            Self.tool, ["--setopt=*.skip_if_unavailable=0", "--setopt=*.metadata_expire=0", "makecache", "--refresh"], effect: .changes)
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

    /// What would move if nothing were held. Runs: `dnf --disableplugin=versionlock --setopt=disable_excludes=* --assumeno upgrade`, reads.
    /// The first is dnf 4's; dnf 5, which holds without a plugin and says that it has none of that name, needs the second. With it packages
    /// move too that its settings exclude (`excludepkgs`).
    public func previewUpgrade(moving held: [String]) -> Command? {
        var command = preview(.upgrade)
        command.arguments.insert(contentsOf: ["--disableplugin=versionlock", "--setopt=disable_excludes=*"], at: 0)
        return command
    }

    /// Headings of packages that change; those of groups, and of packages that are skipped, are none.
    private static func changes(under heading: String) -> Bool {
        ["installing", "upgrading", "downgrading", "reinstalling", "removing"].contains { heading.hasPrefix($0) }
            && !heading.hasSuffix("groups:")
    }

    /// The table of dnf 4.14, which does not say what was there before, and of 5.4.6, which does, and writes an epoch of 0 that rpm leaves
    /// out. What is replaced by a package of another name goes. A row that is too long for dnf 4's terminal goes on in the next line.
    /// ```
    /// Package            Architecture   Version          Repository  Size
    /// Upgrading:
    ///  kld-bad           noarch         2-1              kld        6.3 k
    /// Installing:
    ///  kld-new           noarch         2-1              kld        6.3 k
    ///      replacing  kld-old.noarch 1-1
    /// ```
    /// ```
    /// Package                Arch   Version Repository      Size
    /// Upgrading:
    ///  kld-plain             noarch 0:2-1   small        2.0   B
    ///    replacing kld-plain noarch 0:1-1   small        2.0   B
    /// Removing:
    ///  kld-late              noarch 0:1-1   <unknown>    2.0   B
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
                    words.count == 3
                    ? (words[1].split(separator: ".").dropLast().joined(separator: "."), words[2]) : (words[1], Self.version(words[3]))
                if changes[last].name == name { changes[last].old = version } else { changes.append(.init(name, old: version, new: nil)) }
                continue
            }
            row = line.hasPrefix("  ") ? row + words : words
            guard row.count > 3 else { continue }
            let removed = section.hasPrefix("removing")
            let version = Self.version(row[2])
            changes.append(.init(row[0], old: removed ? version : nil, new: removed ? nil : version))
            row = []
        }
        return PackageTransaction(changes)
    }

    /// As rpm writes it: `0:2-1` is `2-1`.
    private static func version(_ text: String) -> String { text.hasPrefix("0:") ? String(text.dropFirst(2)) : text }

    /// Runs: `dnf --assumeyes upgrade` and the like, changes.
    public func apply(_ request: PackageRequest) -> Command {
        var command = Command(Self.tool, ["--assumeyes"] + Self.words(request), effect: .changes)
        command.tellsOnBoth = true
        return command
    }

    /// dnf 4.14 ends with 0 where a script fails after its package is unpacked, as that of a kernel may; both end with 0 where a package to be
    /// removed is not there. dnf 4.14, on standard error, standard output, standard error:
    /// ```
    /// Error in POSTIN scriptlet in rpm package kld-late
    /// No match for argument: nosuch
    /// Operation aborted.
    /// ```
    /// dnf 5.4.6, on standard error:
    /// ```
    /// >>> Non-critical error in %post scriptlet: kld-late-0:1-1.noarch
    /// No packages to remove for argument: nosuch
    /// Operation aborted by the user.
    /// ```
    public func failures(_ output: CommandOutput) -> [String] {
        let lines = output.errors.lines + output.output.lines
        let told = lines.map(\.trimmed).filter {
            $0.hasPrefix("No match for argument") || $0.hasPrefix("No packages to remove for argument")
                || $0.contains("scriptlet") && $0.lowercased().contains("error in ")
        }
        if !told.isEmpty || output.status == 0 || lines.contains(where: { $0.contains("Operation aborted") }) { return told }
        return reasons(output)
    }

    /// What it says itself, and what it prints of scripts; the rest is a table. Why packages are skipped is said before the transaction runs,
    /// and is no reason then. dnf 4.14:
    /// ```
    /// error: lua script failed: [string "%prein(kld-bad-2-1.noarch)"]:1: it cannot be
    /// Error in PREIN scriptlet in rpm package kld-bad
    ///  Problem: conflicting requests
    ///   - nothing provides nosuch needed by kld-broken-2-1.noarch
    /// Error: Transaction failed
    /// Package kld-plain-1.rpm is not signed
    /// ```
    /// dnf 5.4.6:
    /// ```
    /// Problem: conflicting requests
    ///   - nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small
    /// Argument 'kld-kernel-2' matches only packages excluded by versionlock.
    /// >>> Error in %pre scriptlet: kld-bad-0:1-1.noarch
    /// >>> [RPM] lua script failed: [string "%prein(kld-bad-1-1.noarch)"]:1: it cannot be
    /// Transaction failed: Rpm transaction failed.
    /// OpenPGP check for package "kld-plain-2-1.noarch" (…/kld-plain-2.rpm) from repo "small" has failed: The package is not signed.
    /// Failed to download metadata (baseurl: "file:///archive") for repository "small": Usable URL not found
    /// ```
    public func reasons(_ output: CommandOutput) -> [String] {
        let beginnings = [
            "error: ", "Error", "Problem", "- ", "No match for argument", "No packages to remove", "Argument '", "Cannot ",
            ">>> ", "Transaction failed", "OpenPGP check", "Failed to ", "No such command", "Unknown argument",
        ]
        let noise = ["Error:", "Failed to resolve the transaction:"]
        var errors = output.errors.lines
        if let running = errors.lastIndex(of: "Running transaction") { errors.removeSubrange(...running) }
        let found = (errors + output.output.lines).map(\.trimmed).filter { line in
            beginnings.contains { line.hasPrefix($0) } && !noise.contains(line) && !line.hasPrefix(">>> Running ")
                && !line.hasSuffix(".rpmnew") && !line.hasSuffix(".rpmsave") || line.hasSuffix(" is not signed")
        }
        return found.isEmpty ? Array(output.errors.lines.suffix(6)) : Array(found.prefix(8))
    }

    /// dnf 4.14, and 5.4.6, which sets numbers in columns and cuts long names:
    /// ```
    ///   Upgrading        : kld-plain-2-1.noarch                                   2/9
    /// [ 4/11] Upgrading kld-plain-0:2-1.noarch  100% |  97.7 KiB/s | 100.0   B |  00m00s
    /// ```
    public func progress(_ line: String) -> String? {
        let doing = ["Installing", "Upgrading", "Downgrading", "Reinstalling", "Removing", "Erasing", "Obsoleting", "Cleanup"]
        if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
            let words = String(line[line.index(after: end)...]).words
            return words.count > 2 && doing.contains(words[0]) ? "\(words[0]) \(words[1])" : nil
        }
        let words = line.words
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
    /// dnf 5.4.6, of `/etc/dnf/versionlock.toml`:
    /// ```
    /// # Added by 'versionlock add' command on 2026-11-29 23:24:27
    /// Package name: kld-kernel
    /// evr = 1-1
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

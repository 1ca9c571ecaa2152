import KldCore
public import KldExec

/// apk. Source: apk(8), apk-world(5), run with apk-tools 2.14.10 and 3.0.6.
public struct Apk: PackageManager {
    public init() {}

    public var family: PackageFamily { .apk }
    static let tool = Tool("apk", package: "apk-tools")

    /// Runs: `apk --update-cache update`, changes. Without the option 2.14 keeps lists that are younger than four hours. What it could not read
    /// ``failures(_:)`` knows: its exit status does not always.
    public var refresh: Command { Command(Self.tool, ["--update-cache", "update"], effect: .changes) }

    private static func words(_ request: PackageRequest) -> [String] {
        switch request {
        case .upgrade: ["upgrade"]
        case .install(let names): ["add"] + names
        case .remove(let names): ["del"] + names
        }
    }

    /// Runs: `apk --simulate upgrade` and the like, reads. It fails where a package is there whose script failed: `apk fix` runs it again.
    public func preview(_ request: PackageRequest) -> Command {
        Command(Self.tool, ["--simulate"] + Self.words(request), effect: .reads)
    }

    /// Of what there is a newer version, held or not. Runs: `apk version --limit '<'`, reads. New packages that those need are not in it.
    public func previewUpgrade(moving held: [String]) -> Command? {
        Command(Self.tool, ["version", "--limit", "<"], effect: .reads)
    }

    /// What 2.14 and 3.0 simulate. From ten changes on 3.0 sets the numbers in columns; a package that is taken from a tagged repository bears
    /// its tag.
    /// ```
    /// (1/4) Purging kld-old (1-r0)
    /// (2/4) Installing kld-new (2-r0)
    /// ( 3/12) Installing hello@edge (2.12.1-r0)
    /// (4/4) Upgrading kld-plain (1-r0 -> 2-r0)
    /// ```
    /// And what they say of versions:
    /// ```
    /// Installed:                                Available:
    /// kld-kernel-1-r0                         < 2-r0
    /// ```
    public func transaction(_ output: String) -> PackageTransaction {
        PackageTransaction(
            output.lines.compactMap { line in
                guard let (doing, words) = Self.change(line) else {
                    let words = line.words
                    guard words.count > 2, words[1] == "<", let old = Self.package(words[0]) else { return nil }
                    return .init(old.name, old: old.version, new: words[2])
                }
                guard words.count > 1 else { return nil }
                let name = String(words[0].prefix { $0 != "@" })
                let versions = words[1...].map { $0.filter { !"()".contains($0) } }.filter { $0 != "->" }
                guard let first = versions.first, let last = versions.last else { return nil }
                switch doing {
                case "Upgrading", "Downgrading", "Replacing": return .init(name, old: first, new: last)
                case "Installing": return .init(name, old: nil, new: last)
                case "Purging": return .init(name, old: first, new: nil)
                default: return nil
                }
            })
    }

    /// What follows the numbers: its first word, and the others.
    private static func change(_ line: String) -> (doing: String, words: [String])? {
        guard line.hasPrefix("("), let end = line.firstIndex(of: ")"), line[..<end].contains("/") else { return nil }
        let words = String(line[line.index(after: end)...]).words
        return words.isEmpty ? nil : (words[0], Array(words.dropFirst()))
    }

    /// Runs: `apk upgrade` and the like, changes.
    public func apply(_ request: PackageRequest) -> Command {
        var command = Command(Self.tool, Self.words(request), effect: .changes)
        command.tellsOnBoth = true
        return command
    }

    /// apk ends with 0 where a repository on a disk is not there or is not signed by a key of `/etc/apk/keys`: it goes on without it. Of others
    /// it says how many it could not reach. 2.14, and 3.0, of `apk update`, on standard error and standard output:
    /// ```
    /// WARNING: opening /media/archive: UNTRUSTED signature
    /// WARNING: opening /media/archive/x86_64/APKINDEX.tar.gz: UNTRUSTED signature
    /// OK: 3 distinct packages available
    /// ```
    /// 2.14 ends with 0 where a trigger fails, as that which makes an initramfs may. On standard error:
    /// ```
    /// ERROR: kld-trigger-1-r0.trigger: script exited with error 1
    /// ```
    /// Both end with 0 where a package stays because another needs it. Of `apk del kld-library`, on standard output:
    /// ```
    /// World updated, but the following packages are not removed due to:
    ///   kld-library: kld-plain
    /// ```
    public func failures(_ output: CommandOutput) -> [String] {
        let lines = output.errors.lines + output.output.lines
        if lines.contains(where: { $0.hasSuffix(" distinct packages available") }) {
            return lines.filter { line in ["opening ", "updating "].contains { line.hasPrefix("WARNING: " + $0) } }
        }
        var told = lines.filter { output.status == 0 && $0.hasPrefix("ERROR: ") }
        if let heading = lines.firstIndex(where: { $0.hasPrefix("World updated, but ") }) {
            told += lines[(heading + 1)...].prefix { $0.contains(": ") && !$0.hasPrefix("OK: ") }.map { "still needed: \($0.trimmed)" }
        }
        return told
    }

    /// Its errors with the lines that belong to them, what scripts of 3.0 print, and how many errors there were. 2.14:
    /// ```
    /// ERROR: unable to select packages:
    ///   nothing-has-it (no such package):
    ///     required by: kld-torn-2-r0[nothing-has-it]
    /// ERROR: kld-bad-1-r0.pre-install: script exited with error 1
    /// 1 error; 0 MiB in 4 packages
    /// ```
    /// 3.0:
    /// ```
    ///   * it cannot be
    /// ERROR: lib/apk/exec/kld-bad-1-r0.pre-install: exited with error 1
    /// 1 error; 16 B in 4 packages
    /// ```
    public func reasons(_ output: CommandOutput) -> [String] {
        var found: [String] = []
        var belongs = false
        for line in (output.errors.lines + output.output.lines).map(\.trimmed) {
            let words = line.words
            let error = line.hasPrefix("ERROR: ") || line.hasPrefix("WARNING: ")
            let sum = words.count > 1 && Int(words[0]) != nil && words[1].hasPrefix("error")
            let other = line.hasPrefix("(") || ["OK:", "Executing", "Installing", "fetch"].contains(words.first ?? "OK:")
            belongs = error || belongs && !other && !sum
            if belongs || line.hasPrefix("* ") || sum { found.append(line) }
        }
        if !found.isEmpty, !found.contains(where: { $0.hasPrefix("ERROR: ") || $0.hasPrefix("WARNING: ") }) {
            found.append("scripts of packages failed earlier: apk fix runs them again")
        }
        return found.isEmpty ? Array(output.errors.lines.suffix(6)) : Array(found.prefix(8))
    }

    /// 2.14 and 3.0:
    /// ```
    /// (4/4) Upgrading kld-plain (1-r0 -> 2-r0)
    /// ```
    public func progress(_ line: String) -> String? {
        Self.change(line).map { ([$0.doing] + $0.words).joined(separator: " ") }
    }

    /// Runs: `apk cache clean`, changes. It may end with 1 where there is no cache.
    public var clean: Command { Command(Self.tool, ["cache", "clean"], effect: .changes, accepting: [0, 1]) }

    /// Runs: `apk list --installed`, reads.
    public var listInstalled: Command { Command(Self.tool, ["list", "--installed"], effect: .reads) }
    /// The second is no package, but a name that a person gave to some:
    /// ```
    /// busybox-1.36.1-r29 x86_64 {busybox} (GPL-2.0-only) [installed]
    /// .my-deps-20261129.233656 noarch {.my-deps} () [installed]
    /// ```
    public func installed(_ output: String) -> [PackageHold.Package] {
        output.lines.compactMap { line in line.hasPrefix(".") ? nil : line.words.first.flatMap(Self.package) }
    }

    /// The name ends where the version begins, before the last hyphen but one.
    private static func package(_ text: String) -> PackageHold.Package? {
        let parts = text.split(separator: "-")
        guard parts.count > 2 else { return nil }
        return PackageHold.Package(parts.dropLast(2).joined(separator: "-"), version: parts.suffix(2).joined(separator: "-"))
    }

    /// Holds are the packages that the world wants at one version: they stay, also when the archive has that version no longer. Runs:
    /// `cat /etc/apk/world`, reads.
    public var listHeld: Command? { Command(Tool("cat", package: "coreutils"), ["/etc/apk/world"], effect: .reads) }
    /// The last two are no holds: a name for some packages, and a package from a file.
    /// ```
    /// kld-kernel=1-r0
    /// hello@edge=2.12.1-r0
    /// .my-deps=20261129.233656
    /// nano><Q1TJzjOrKV69CMfU4RwEtW+cA2PlI=
    /// ```
    public func held(_ output: String) -> [String] {
        output.lines.filter { line in
            line.contains("=") && !line.contains { "<>~".contains($0) } && !line.hasPrefix(".") && !line.hasPrefix("!")
        }.map { String($0.prefix { $0 != "=" && $0 != "@" }) }
    }
    /// Runs: `apk add NAME…`, which wants them at any version again, and moves none of them; changes.
    public func release(_ names: [String]) -> Command? { Command(Self.tool, ["add"] + names, effect: .changes) }

    /// Runs: `apk search WORD`, reads.
    public func search(_ word: String) -> Command { Command(Self.tool, ["search", word], effect: .reads) }
    /// Runs: `apk info --all NAME`, reads.
    public func describe(_ name: String) -> Command { Command(Self.tool, ["info", "--all", name], effect: .reads) }

    public var leftBeside: [String] { [".apk-new"] }
}

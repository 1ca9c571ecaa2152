public import KldCore
public import KldExec

/// apt and dpkg. Source: apt-get(8), apt-mark(8), apt.conf(5), apt 2.6 to 3.0; dpkg(1), dpkg-query(1), 1.21 to 1.22.
public struct Apt: PackageManager {
    public init() {}

    public var family: PackageFamily { .apt }
    static let get = Tool("apt-get", package: "apt")
    static let mark = Tool("apt-mark", package: "apt")

    /// Asks nothing, and keeps what a person has changed: where a package brings other settings, the new ones go beside (`.dpkg-dist`).
    private static let options = [
        "-q", "-y", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Use-Pty=0", "-o",
        "DPkg::Lock::Timeout=300",
    ]

    /// debconf's, ucf's and needrestart's ways of asking. Source: debconf(7), ucf(1), needrestart(1).
    static let silence = [
        "DEBIAN_FRONTEND": "noninteractive", "DEBIAN_PRIORITY": "critical", "UCF_FORCE_CONFFOLD": "1", "APT_LISTCHANGES_FRONTEND": "none",
        "NEEDRESTART_SUSPEND": "1",
    ]

    /// Runs: `apt-get -q … -o APT::Update::Error-Mode=any update`, changes. Without the mode an archive that does not answer is a warning,
    /// and yesterday's lists are taken for today's.
    public var refresh: Command {
        Command(Self.get, Self.options + ["-o", "APT::Update::Error-Mode=any", "update"], effect: .changes, environment: Self.silence)
    }

    private static func words(_ request: PackageRequest) -> [String] {
        switch request {
        case .upgrade: ["full-upgrade"]
        case .install(let names): ["install", "--"] + names
        case .remove(let names): ["remove", "--"] + names
        }
    }

    /// Runs: `apt-get -s -q -y full-upgrade`, `… install -- NAME…` or `… remove -- NAME…`, reads.
    public func preview(_ request: PackageRequest) -> Command {
        Command(Self.get, ["-s", "-q", "-y"] + Self.words(request), effect: .reads)
    }

    /// What would move if nothing were held. Runs: `apt-get -s -q -y --ignore-hold full-upgrade`, reads.
    public func previewUpgrade(moving held: [String]) -> Command? {
        Command(Self.get, ["-s", "-q", "-y", "--ignore-hold", "full-upgrade"], effect: .reads)
    }

    /// apt 2.6.1: an upgrade, a new package, a removal:
    /// ```
    /// Inst unzip [6.0-28] (6.0-28+deb12u1 Debian-Security:12/oldstable-security [amd64])
    /// Inst hello (2.10-3 Debian:12.15/oldstable [amd64])
    /// Remv zstd [1.5.4+dfsg2-5]
    /// ```
    public func transaction(_ output: String) -> PackageTransaction {
        PackageTransaction(
            output.lines.compactMap { line in
                let words = line.words
                guard words.count > 2, words[0] == "Inst" || words[0] == "Remv" else { return nil }
                let old = words[2].hasPrefix("[") ? String(words[2].dropFirst().prefix { $0 != "]" }) : nil
                let new = words.dropFirst(2).first { $0.hasPrefix("(") }.map { String($0.dropFirst()) }
                return .init(words[1], old: old, new: words[0] == "Remv" ? nil : new)
            })
    }

    /// Runs: `apt-get -q -y … full-upgrade`, `… install -- NAME…` or `… remove -- NAME…`, changes.
    public func apply(_ request: PackageRequest) -> Command {
        var command = Command(Self.get, Self.options + Self.words(request), effect: .changes, environment: Self.silence)
        command.tellsOnBoth = true
        return command
    }

    /// How much is to be downloaded. Runs: `apt-get --print-uris -q -y …`, reads. Its output is read by ``downloadSize(_:)``.
    public func addresses(_ request: PackageRequest) -> Command {
        Command(Self.get, ["--print-uris", "-q", "-y"] + Self.words(request), effect: .reads)
    }

    /// apt 2.6.1:
    /// ```
    /// 'http://deb.debian.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb' hello_2.10-3_amd64.deb 53080 MD5Sum:d04c2e96…
    /// ```
    public func downloadSize(_ output: String) -> ByteCount {
        ByteCount(output.lines.filter { $0.hasPrefix("'") }.reduce(0) { $0 + (UInt64($1.words.dropFirst(2).first ?? "") ?? 0) })
    }

    /// Runs: `apt-get clean`, changes.
    public var clean: Command { Command(Self.get, ["clean"], effect: .changes) }

    /// Runs: what ``Dpkg/listInstalled(in:)`` runs, reads.
    public var listInstalled: Command {
        var command = Dpkg.listInstalled()
        command.acceptedExitStatuses = [0, 1]
        return command
    }

    public func installed(_ output: String) -> [PackageHold.Package] { Dpkg.installed(output) }

    /// Runs: `apt-mark showhold`, reads. One name a line.
    public var listHeld: Command? { Command(Self.mark, ["showhold"], effect: .reads) }
    public func held(_ output: String) -> [String] { output.lines.map(\.trimmed) }

    /// Holds what is installed of these. Runs: `apt-mark hold '?and(?installed,?name(^grub-efi-amd64))' …`, changes.
    /// - Parameter patterns: names; `*` at the end matches the rest. Something must match.
    /// - Source: apt-patterns(7), apt 2.6 to 3.0.
    public static func hold(matching patterns: [String]) -> Command {
        Command(
            mark,
            ["hold"]
                + patterns.map { $0.hasSuffix("*") ? "?and(?installed,?name(^\($0.dropLast())))" : "?and(?installed,?exact-name(\($0)))" },
            effect: .changes)
    }

    /// Runs: `apt-mark unhold NAME…`, changes.
    public func release(_ names: [String]) -> Command? { Command(Self.mark, ["unhold"] + names, effect: .changes) }

    /// Runs: `apt-cache search WORD`, reads.
    public func search(_ word: String) -> Command { Command(Tool("apt-cache", package: "apt"), ["search", "--", word], effect: .reads) }
    /// Runs: `apt-cache show NAME`, reads.
    public func describe(_ name: String) -> Command {
        Command(Tool("apt-cache", package: "apt"), ["show", "--no-all-versions", "--", name], effect: .reads)
    }

    /// dpkg says on standard error which package it was, and what of it, in two lines; apt says the rest:
    /// ```
    /// dpkg: error processing package hello (--configure):
    ///  installed hello package post-installation script subprocess returned error exit status 1
    /// E: Sub-process /usr/bin/dpkg returned an error code (1)
    /// ```
    public func reasons(_ output: CommandOutput) -> [String] {
        let lines = output.errors.lines + output.output.lines
        var found: [String] = []
        for (index, line) in lines.enumerated() {
            if line.hasPrefix("dpkg: error processing") {
                let rest = index + 1 < lines.count && !lines[index + 1].hasPrefix("dpkg") ? " \(lines[index + 1].trimmed)" : ""
                found.append(line.trimmed + rest)
            } else if line.hasPrefix("E: ") || line.hasPrefix("dpkg: unrecoverable") {
                found.append(line.trimmed)
            }
        }
        return found.isEmpty ? Array(output.errors.lines.suffix(6)) : Array(found.prefix(8))
    }

    /// Lines of apt 2.6 to 3.0. Its `APT::Status-Fd` would tell percent too, on a descriptor that dpkg and its scripts do not get: none of
    /// the three that they write to.
    /// ```
    /// Get:1 http://deb.debian.org/debian trixie/main amd64 hello amd64 2.10-5 [53.2 kB]
    /// Unpacking hello (2.10-5) ...
    /// Setting up hello (2.10-5) ...
    /// ```
    public func progress(_ line: String) -> String? {
        ["Get:", "Unpacking ", "Setting up ", "Removing ", "Processing triggers "].contains { line.hasPrefix($0) } ? line.trimmed : nil
    }

    public var leftBeside: [String] { [".dpkg-dist", ".dpkg-new", ".ucf-dist"] }
}

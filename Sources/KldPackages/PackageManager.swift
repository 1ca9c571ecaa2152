import KldCore
public import KldExec

/// What is to become of packages.
public enum PackageRequest: Sendable, Hashable {
    /// Everything that is not held.
    case upgrade
    case install([String])
    case remove([String])
}

/// What a package manager would do, as it says before it does it.
public struct PackageTransaction: Sendable, Hashable {
    public struct Change: Sendable, Hashable {
        public var name: String
        /// `nil`: it is not installed.
        public var old: String?
        /// `nil`: it is removed.
        public var new: String?

        public init(_ name: String, old: String?, new: String?) {
            self.name = name
            self.old = old
            self.new = new
        }
    }

    public var changes: [Change]

    public init(_ changes: [Change]) { self.changes = changes }

    public var isEmpty: Bool { changes.isEmpty }
    /// Without those of which another version comes: of a kernel, the oldest goes when a new one is installed beside it.
    public var removals: [String] {
        let there = Set(changes.filter { $0.new != nil }.map(\.name))
        return changes.filter { $0.new == nil && !there.contains($0.name) }.map(\.name)
    }

    /// The same where the package manager does not say what was there before.
    /// - Parameter installed: versions by name.
    public func filled(from installed: [String: String]) -> PackageTransaction {
        PackageTransaction(changes.map { $0.new == nil ? $0 : Change($0.name, old: $0.old ?? installed[$0.name], new: $0.new) })
    }
}

/// One package manager's words: command lines, and what it prints. It runs nothing by itself, and knows of no other root than its own.
public protocol PackageManager: Sendable {
    var family: PackageFamily { get }

    /// Reads the archive's lists anew; changes.
    var refresh: Command { get }
    /// What would be done; reads. Its output is read by ``transaction(_:)``.
    func preview(_ request: PackageRequest) -> Command
    func transaction(_ output: String) -> PackageTransaction
    /// What an upgrade would do if these were not held; reads. `nil`: it cannot be asked.
    func previewUpgrade(moving held: [String]) -> Command?
    /// Does it, asks nothing; settings that a person has changed stay as they are; changes.
    func apply(_ request: PackageRequest) -> Command
    /// Forgets what was downloaded; changes.
    var clean: Command { get }

    /// Reads. Its output is read by ``installed(_:)``.
    var listInstalled: Command { get }
    func installed(_ output: String) -> [PackageHold.Package]
    /// Reads; `nil` where holds stand in a file: see ``PackageHold``. Its output is read by ``held(_:)``.
    var listHeld: Command? { get }
    func held(_ output: String) -> [String]
    /// `nil` where holds stand in a file. Holding is ``PackageHold/command(_:_:)``.
    func release(_ names: [String]) -> Command?

    /// For a person; reads.
    func search(_ word: String) -> Command
    /// For a person; reads.
    func describe(_ name: String) -> Command

    /// What failed although it ended with a status that is accepted: a script that the package manager only mentions, a preview that is none.
    /// Empty: nothing did.
    func failures(_ output: CommandOutput) -> [String]
    /// Why it failed, in its own words: a few lines of what it printed.
    func reasons(_ output: CommandOutput) -> [String]
    /// What it does now, from a line of what it prints; `nil` for any other line.
    func progress(_ line: String) -> String?
    /// Names of files in which a package leaves settings that it did not put in force.
    var leftBeside: [String] { get }
}

extension PackageManager {
    public func previewUpgrade(moving held: [String]) -> Command? { nil }
    public func progress(_ line: String) -> String? { nil }
    public func failures(_ output: CommandOutput) -> [String] { [] }
    public func reasons(_ output: CommandOutput) -> [String] { Array(output.errors.lines.suffix(6)) }
}

extension PackageFamily {
    /// The words of this family; `nil` for those that kldload only installs with.
    public var manager: (any PackageManager)? {
        switch self {
        case .apt: Apt()
        case .dnf: Dnf()
        case .pacman: Pacman()
        case .apk: Apk()
        case .zypper: nil
        }
    }

    /// Where each family's program lies.
    public static let programs: [(family: PackageFamily, path: String)] = [
        (.apt, "usr/bin/apt-get"), (.dnf, "usr/bin/dnf"), (.pacman, "usr/bin/pacman"), (.apk, "sbin/apk"), (.apk, "usr/bin/apk"),
    ]
}

/// What a person may name: never an option, never a path.
public enum PackageName {
    /// `nginx`, `libc6:i386`, `hello=2.10-3`, `linux-image-amd64/trixie-backports`, `@group` of dnf.
    public static func isPlain(_ name: String) -> Bool {
        guard let first = name.first, first.isASCII, first.isLetter || first.isNumber || first == "@" else { return false }
        return name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-._:=/~@".contains($0)) } && !name.contains("..")
    }

    /// Names that are equal to a pattern, or begin with one that ends in `*`, sorted.
    public static func matching(_ patterns: [String], in names: [String]) -> [String] {
        names.filter { name in
            patterns.contains { $0.hasSuffix("*") ? name.hasPrefix($0.dropLast()) : name == $0 }
        }.sorted()
    }
}

public import KldExec
import KldCore
import KldFiles
import KldPackages
import SystemPackage

/// What two environments differ in: packages, kernels, and files of `/etc`.
public struct BootDifference: Sendable, Hashable, Codable {
    public struct Change: Sendable, Hashable, Codable {
        public var name: String
        /// `nil`: it is not there.
        public var old: String?
        public var new: String?

        public init(name: String, old: String?, new: String?) {
            self.name = name
            self.old = old
            self.new = new
        }
    }

    public var packages: [Change]
    public var kernels: [Change]
    /// `+ /etc/issue` is in the newer one only, `- …` in the older one, `~ …` differs.
    public var files: [String]

    public var isEmpty: Bool { packages.isEmpty && kernels.isEmpty && files.isEmpty }

    /// Reads two trees. Runs: `dpkg-query --admindir=… --show`, `diff --brief --recursive --no-dereference`; reads.
    public static func between(_ old: BootTarget, _ new: BootTarget, runner: any CommandRunner) async throws -> BootDifference {
        let output = try await runner.run(
            Command(
                Tool("diff", package: "diffutils"),
                ["--brief", "--recursive", "--no-dereference", old.inside("/etc").string, new.inside("/etc").string], effect: .reads,
                accepting: [0, 1, 2])
        ).output
        func releases(_ target: BootTarget) -> [String: String] {
            Dictionary(target.kernels.map { ($0.release, $0.release) }, uniquingKeysWith: { $1 })
        }
        return BootDifference(
            packages: changes(try await packages(old, runner), try await packages(new, runner)),
            kernels: changes(releases(old), releases(new)),
            files: output.lines.map { file($0, old.inside("/etc").string, new.inside("/etc").string) })
    }

    /// `Only in /old/etc/ssh: moduli`, `Files /old/etc/motd and /new/etc/motd differ`, `Symbolic links …`; what else diff says stays as it is.
    /// Source: diff(1), diffutils 3.8 to 3.10.
    private static func file(_ line: String, _ old: String, _ new: String) -> String {
        for (sign, folder) in [("-", old), ("+", new)] where line.hasPrefix("Only in \(folder)") {
            let rest = line.dropFirst("Only in \(folder)".count)
            guard let end = rest.firstIndex(of: ":"), end == rest.startIndex || rest.hasPrefix("/") else { continue }
            return "\(sign) /etc\(rest[..<end])/\(rest[end...].dropFirst(2))"
        }
        if line.hasSuffix(" differ"), let start = line.firstRange(of: " \(old)/")?.upperBound,
            let middle = line.firstRange(of: " and \(new)/")?.lowerBound, start < middle
        {
            return "~ /etc/\(line[start..<middle])"
        }
        return line
    }

    static func changes(_ old: [String: String], _ new: [String: String]) -> [Change] {
        Set(old.keys).union(new.keys).filter { old[$0] != new[$0] }.sorted().map { Change(name: $0, old: old[$0], new: new[$0]) }
    }

    private static func packages(_ target: BootTarget, _ runner: any CommandRunner) async throws -> [String: String] {
        let output = try await runner.run(Dpkg.listInstalled(in: target.inside("/var/lib/dpkg"))).output
        return Dictionary(Dpkg.installed(output).map { ($0.name, $0.version) }, uniquingKeysWith: { $1 })
    }
}

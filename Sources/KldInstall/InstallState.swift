import FoundationEssentials
public import KldAnswers
import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// What an installation leaves for one that goes on from it, until the machine restarts.
public struct InstallState: Sendable, Hashable, Codable {
    public static let file: FilePath = "/run/kldload/install.identity"
    public static let journal: FilePath = "/run/kldload/install.journal"
    /// What was written down on the new system, which is exported at the end.
    public static let manifest: FilePath = "/run/kldload/install-manifest.json"

    public var identity: InstallRequest.Identity
    /// The answers it was begun with, their secrets redacted.
    public var answers: String
    /// By it two installations with the same answers have different digests: nobody finds a secret in a table of them.
    public var salt: String?
    /// Of the salt and of the answers with their secrets; `nil`: an older version began it.
    public var digest: String?
    /// The GUIDs of the partitions that were wiped; `nil`: an older version began it.
    public var wiped: [String]?

    /// - Parameter salt: at random, of this installation alone: ``randomSalt()``.
    ///
    /// Runs: `sha256sum --binary`, reads its standard input.
    public init(identity: InstallRequest.Identity, answers: Answers, salt: String, runner: any CommandRunner) async throws {
        self.identity = identity
        self.answers = answers.redactedEnvironmentText
        self.salt = salt
        digest = try await Self.digest(of: answers, salt: salt, runner)
    }

    public static func randomSalt() -> String {
        (0..<2).map { _ in String(UInt64.random(in: 0 ... .max), radix: 16) }.joined(separator: "-")
    }

    private static func digest(of answers: Answers, salt: String, _ runner: any CommandRunner) async throws -> String {
        let text = Secret("\(salt)\n\(answers.environmentText)")
        return String(try await runner.run(FileCommand.digest(of: text)).output.prefix { $0 != " " })
    }

    /// Keeps what a run wipes, in addition to what earlier ones did. One that goes on behind the disks' steps wipes nothing: what it finds is
    /// what was made.
    ///
    /// - Parameters:
    ///   - partitions: the GUIDs of those that are on the disks now.
    ///   - first: the step that the run begins with; `nil`: it begins anew.
    public mutating func keep(wiped partitions: [String], from first: String?) {
        guard let earlier = wiped, let first else {
            wiped = partitions
            return
        }
        if first.hasPrefix("disk.") { wiped = earlier + partitions.filter { !earlier.contains($0) } }
    }

    public func write(_ files: any FileSystem) throws { try files.write(Array(JSONEncoder().encode(self)), to: Self.file, mode: .secret) }

    /// The state that an installation with these answers goes on from.
    ///
    /// - Throws: ``Diagnosis`` `install.nothing-to-resume`; `install.cannot-resume` when it was begun with other answers, or on a disk that
    ///   was chosen for being empty.
    public static func resuming(_ answers: Answers, runner: any CommandRunner, files: any FileSystem) async throws -> InstallState {
        guard try files.exists(file), let state = try? JSONDecoder().decode(InstallState.self, from: Data(files.read(file))) else {
            throw Diagnosis(
                "install.nothing-to-resume", "no installation was begun since this machine started, so none can go on",
                remedies: ["leave out --from"], exit: .usage)
        }
        let differing = differences(state.answers.lines, answers.redactedEnvironmentText.lines)
        guard differing.isEmpty else {
            throw Diagnosis(
                "install.cannot-resume", "the installation was begun with other answers: \(differing.joined(separator: ", "))",
                remedies: ["give the same answers", "or begin anew: leave out --from"], exit: .usage)
        }
        if let salt = state.salt, let digest = state.digest, try await Self.digest(of: answers, salt: salt, runner) != digest {
            throw Diagnosis(
                "install.cannot-resume", "the installation was begun with another secret among the answers: a password or a passphrase",
                remedies: ["give the same answers", "or begin anew: leave out --from"], exit: .usage)
        }
        guard answers.disk != .automatic else {
            throw Diagnosis(
                "install.cannot-resume", "the disk was chosen because it was empty, and is not any more",
                remedies: ["begin anew, without --from, and name the disk: KLDLOAD_DISK=/dev/…"], exit: .usage)
        }
        return state
    }

    /// Refuses to begin with a step that stands on others that were never done.
    ///
    /// - Throws: ``Diagnosis`` `install.cannot-resume`.
    public static func check(_ plan: Plan, from first: String, files: any FileSystem) throws {
        let ids = plan.steps.map(\.id)
        // What wiped a disk, or filled a pool, in part cannot be told from what did it whole, and takes no time to speak of.
        func mustBeginAnew(_ id: String) -> Bool {
            guard let place = ids.firstIndex(of: id), let wipe = ids.firstIndex(where: { $0.hasPrefix("disk.wipe.") }),
                let datasets = ids.firstIndex(of: "zfs.datasets")
            else { return false }
            return place > wipe && place <= datasets && !id.hasPrefix("zfs.root.")
        }
        if mustBeginAnew(first) {
            throw Diagnosis(
                "install.cannot-resume", "the installation cannot go on with \(first): until the pool is filled it can only begin anew",
                remedies: ["begin anew: leave out --from"], exit: .usage)
        }
        let text = try files.exists(journal) ? files.readText(journal) : ""
        guard let place = ids.firstIndex(of: first), let unfinished = PlanJournal.firstUnfinished(of: plan, text),
            let latest = ids.firstIndex(of: unfinished), place > latest
        else { return }
        throw Diagnosis(
            "install.cannot-resume", "the installation cannot go on with \(first): \(unfinished), before it, was not done",
            remedies: (mustBeginAnew(unfinished) ? [] : ["--from \(unfinished)"]) + ["begin anew: leave out --from"], exit: .usage)
    }

    /// The keys of the lines that only one of the two has.
    private static func differences(_ old: [String], _ new: [String]) -> [String] {
        let lines = old.filter { !new.contains($0) } + new.filter { !old.contains($0) }
        return lines.map { String($0.prefix { $0 != "=" }) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}

extension InstallPlanner {
    /// Keeps a copy of the new system's `install-manifest.json` until the machine restarts.
    public func keepManifest(_ files: any FileSystem) throws {
        try files.write(InstallManifestText.render(manifest), to: InstallState.manifest)
    }
}

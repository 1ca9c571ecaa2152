import ArgumentParser
import Glibc
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTerminal
import KldZFS
import SystemPackage

/// What the tools for datasets have in common: where they run, how they ask, how they print.
struct StorageSession: Sendable {
    let runner: any CommandRunner = ZFSExplainingRunner(SubprocessRunner())
    let files = LocalFiles()
    /// What relative paths begin in.
    let folder = Host.absolute(".")

    func apply(_ plan: Plan, approvals: [WipeApproval] = [], dryRun: Bool) async throws {
        try await Host.apply(plan, approvals: approvals, dryRun: dryRun, runner: runner, performers: [:])
    }

    /// The approvals for everything that a plan destroys, once somebody has said so: by `--yes` beside its name, or by typing that here.
    ///
    /// - Parameters:
    ///   - word: what is typed; it names what is lost.
    ///   - named: it stands in the command line.
    ///   - losses: told before the question.
    static func approvals(for plan: Plan, word: String, named: Bool, yes: Bool, losses: [String], again: String) async throws
        -> [WipeApproval]
    {
        guard yes, named else {
            if yes || !Host.isAttended {
                throw Diagnosis(
                    "snapshot.unasked",
                    yes ? "--yes counts only beside the name of what is lost" : "this destroys something, and needs a yes",
                    remedies: [again], exit: .usage, causes: losses)
            }
            for line in losses { Output.errorLine(line) }
            guard try await Host.ask("Type \(word) to go on: ") == word else {
                throw Diagnosis("snapshot.refused", "it was not approved; nothing was changed", remedies: ["type it exactly as shown"])
            }
            return plan.destroys.compactMap { WipeApproval(typed: $0, disk: $0) }
        }
        for line in losses { Output.errorLine(line) }
        return plan.destroys.compactMap { WipeApproval(typed: $0, disk: $0) }
    }
}

/// How lists are printed.
struct Listing: ParsableArguments {
    @Option(help: "table or json.") var format = TableFormat.table
    @Flag(name: [.short, .customLong("quiet")], help: "Names only.") var quiet = false
}

/// What a command that makes something says.
struct Making: ParsableArguments {
    @Flag(help: "Print the plan and change nothing.") var dryRun = false
    @Option(help: "table or json.") var format = TableFormat.table
    @Flag(name: [.short, .customLong("quiet")], help: "Do not print what was made.") var quiet = false

    /// - Parameter key: the member of the document that holds the names.
    func show(_ names: [String], as key: String) {
        if quiet { return }
        if format == .json {
            Output.line(JSONText.object([("schema", .text("\(key)/1")), (key, .texts(names))]).rendered)
        } else {
            for name in names { Output.line(name) }
        }
    }
}

extension JSONText {
    static func bytes(_ count: ByteCount?) -> JSONText { .optional(count?.bytes) }
}

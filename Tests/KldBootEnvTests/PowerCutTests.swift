import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

/// FAT as a power cut leaves it: what was synced is there; every write of the plan is a place to cut.
@Suite("A power cut while an ESP is written")
struct PowerCutTests {
    /// The loader's choice from what lies on an ESP: the entry, if its image is whole.
    static func boots(_ files: MemoryFiles, _ mount: String) -> BootEntry? {
        let entries = files.texts.compactMap { path, text -> BootEntry? in
            guard path.hasPrefix("\(mount)/\(BootEntry.folder)/"), let name = path.split(separator: "/").last else { return nil }
            return BootEntry(fileName: String(name), text: text)
        }
        // The loader passes over entries whose program is missing. Source: `config_entry_add_type1()`, systemd 252.
        return entries.filter { files.texts["\(mount)/\($0.imagePath)"] != nil }.sorted(by: BootEntry.precedes).first { !$0.isExhausted }
    }

    /// Runs what a plan does to files and nothing else; ends after so many changes, the last copy of them half done.
    final class Cutter: CommandRunner {
        let files: MemoryFiles
        init(_ files: MemoryFiles) { self.files = files }
        func run(_ command: Command) async throws -> CommandOutput {
            let words = command.arguments
            switch command.tool.name {
            case "cp": try files.write(files.read(FilePath(words[0])), to: FilePath(words[1]), mode: .file)
            case "mv": try files.rename(FilePath(words[1]), to: FilePath(words[2]))
            case "cmp":
                guard try files.read(FilePath(words[0])) == files.read(FilePath(words[1])) else {
                    throw CommandError.failed(command, CommandOutput(status: 1))
                }
            case "ukify":
                let output = words.first { $0.hasPrefix("--output=") }.map { String($0.dropFirst(9)) } ?? ""
                let line = words.first { $0.hasPrefix("--cmdline=") } ?? ""
                try files.write(line, to: FilePath(output))
            default: break
            }
            return CommandOutput()
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { CommandOutput() }
    }

    static func changes(_ plan: Plan) -> [Action] { plan.steps.flatMap(\.actions) }

    /// Two ESPs of a machine, with whole images for every entry.
    static func disk(_ system: BootSystem) throws -> MemoryFiles {
        let files = MemoryFiles(["/proc/self/mounts": ""])
        for esp in system.esps {
            for entry in esp.entries {
                try files.write(entry.text, to: FilePath("\(esp.workplace.string)/\(entry.path)"))
                try files.write("--cmdline=whole", to: FilePath("\(esp.workplace.string)/\(entry.imagePath)"))
            }
        }
        return files
    }

    @Test("each ESP boots the old or the new environment, whole, after every single write of every verb")
    func everyCut() async throws {
        let (debian, test) = (Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 2, done: 1))
        let both = [debian, test]
        func two(_ entries: [BootEntry], running: String = "debian") throws -> BootSystem {
            try Fixture.system(
                [Fixture.esp(entries), Fixture.esp(entries, "/dev/vdb1", mounted: false)], running: running, bootfs: running)
        }
        let other = [debian, Fixture.entry("test", order: 50)]
        // The image that runs is another's, and starts a third one; its maker goes; an ESP lacks it.
        var sharing = Fixture.entry("test", order: 200)
        sharing.sharedImage = debian.imagePath
        var third = try Fixture.target("third")
        third.kernels[0].images = ["/dev/vda1": [debian.imagePath], "/dev/vdb1": [debian.imagePath]]
        let lone = try Fixture.system(
            [Fixture.esp([debian, sharing]), Fixture.esp([debian], "/dev/vdb1", mounted: false)], running: "test", bootfs: "test")
        let cases: [(BootSystem, Plan)] = [
            (try two([debian]), try BootEnvironments(two([debian])).activate(Fixture.target("test"))),
            (try two([debian]), try BootEnvironments(two([debian])).activate(Fixture.target("test"), once: true)),
            (
                try two(both, running: "test"),
                try BootEnvironments(two(both, running: "test")).activate(
                    BootStagingTests.matching("debian", on: ["/dev/vda1", "/dev/vdb1"]))
            ),
            (
                try two([debian]),
                Plan("refresh", [Phase("a", "A", try BootStaging(two([debian]), Fixture.target("debian"), .unchanged).steps())])
            ),
            (try two(both, running: "test"), BootTrial(try two(both, running: "test")).proven),
            (try two(other), try BootEnvironments(two(other)).destroy("test")),
            (
                try two([debian, sharing], running: "test"),
                try BootEnvironments(two([debian, sharing], running: "test")).activate(third)
            ),
            (
                try two([debian, sharing], running: "test"),
                try BootEnvironments(two([debian, sharing], running: "test")).destroy("debian")
            ),
            (lone, BootTrial(lone).equal),
        ]
        var cuts = 0
        for (system, plan) in cases {
            let actions = Self.changes(plan)
            let before = try Self.disk(system)
            let mounts = system.esps.map(\.workplace.string)
            func what(_ entry: BootEntry?) -> [String?] { [entry?.dataset, entry?.imagePath] }
            let old = mounts.map { what(Self.boots(before, $0)) }
            for count in 0...actions.count {
                let files = try Self.disk(system)
                let runner = PlanRunner(runner: Cutter(files), files: files, performers: [BootPerformers.mountESP: { _, _, _ in }])
                let head = Step("cut", "Cut", Array(actions.prefix(count)), destroys: plan.destroys)
                try await runner.apply(
                    Plan("cut", [Phase("cut", "Cut", [head])]),
                    approvals: plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
                // Cut in the middle of the next copy: under its hidden name lies half of it.
                if count < actions.count, case .run(let command) = actions[count], command.tool.name == "cp" {
                    try files.write("--cmd", to: FilePath(command.arguments[1]))
                }
                for (index, mount) in mounts.enumerated() {
                    let choice = Self.boots(files, mount)
                    let whole = choice.flatMap { files.texts["\(mount)/\($0.imagePath)"] }?.contains("=") ?? false
                    #expect(choice != nil && whole, "\(plan.title), after \(count): nothing boots from \(mount)")
                    let new = what(Self.boots(try await Self.finished(system, plan), mount))
                    #expect(what(choice) == old[index] || what(choice) == new, "\(plan.title), after \(count)")
                    cuts += 1
                }
            }
        }
        #expect(cuts > 100)
    }

    static func finished(_ system: BootSystem, _ plan: Plan) async throws -> MemoryFiles {
        let files = try disk(system)
        let all = Step("all", "All", changes(plan), destroys: plan.destroys)
        try await PlanRunner(runner: Cutter(files), files: files, performers: [BootPerformers.mountESP: { _, _, _ in }])
            .apply(Plan("all", [Phase("a", "A", [all])]), approvals: plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) })
        return files
    }
}

import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldUpkeep

@Suite("What packages add to shared folders")
struct SharedCopyTests {
    static let root: FilePath = "/run/kldload/upkeep/new"

    /// A package has put `/opt/tool` into the environment.
    private let files = MemoryFiles([
        "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\nrpool/opt /opt zfs rw 0 0\n", "/opt/other": "",
        "/run/kldload/upkeep/new/opt/tool": "whole",
    ])

    private func found() throws -> SharedFolders {
        var shared = SharedFolders(pool: "rpool", environment: "rpool/ROOT/debian", mounts: try files.mounts())
        try shared.compare(with: Self.root, files)
        return shared
    }

    /// The tools that copy. - Parameter cut: in the middle of it the copy ends.
    private func tools(cut: Bool) -> ScriptedRunner {
        let files = files
        return ScriptedRunner([
            { command in
                let places = command.arguments.suffix(2).map { FilePath($0) }
                switch command.tool.name {
                case "cp":
                    let text = cut ? "wh" : try files.readText(places[0])
                    try files.write(text, to: places[1])
                    return CommandOutput(status: cut ? 1 : 0)
                case "mv": try files.rename(places[0], to: places[1])
                case "sync": break
                default: return nil
                }
                return CommandOutput()
            }
        ])
    }

    private var leftovers: [String] { files.texts.keys.filter { $0.hasSuffix(".kldload-new") } }

    @Test("a copy that a power cut ends has nobody's name, and the next run makes it whole")
    func powerCut() async throws {
        var plan = try found().adding(from: Self.root)
        // Nobody is there to undo anything.
        for index in plan.phases[0].steps.indices { plan.phases[0].steps[index].undo = [] }
        let unfinished = plan
        await #expect(throws: Diagnosis.self) { try await PlanRunner(runner: tools(cut: true), files: files).apply(unfinished) }
        #expect(files.texts["/opt/tool"] == nil && leftovers == ["/opt/.tool.kldload-new"])
        let again = try found()
        #expect(again.missing == ["/opt/tool"] && again.differing.isEmpty)
        try again.check("new")
        try await PlanRunner(runner: tools(cut: false), files: files).apply(again.adding(from: Self.root))
        #expect(files.texts["/opt/tool"] == "whole" && leftovers.isEmpty)
    }

    @Test("a copy that fails leaves nothing")
    func failure() async throws {
        let plan = try found().adding(from: Self.root)
        await #expect(throws: Diagnosis.self) { try await PlanRunner(runner: tools(cut: true), files: files).apply(plan) }
        #expect(files.texts["/opt/tool"] == nil && leftovers.isEmpty)
        #expect(try found().unfinished.isEmpty)
    }
}

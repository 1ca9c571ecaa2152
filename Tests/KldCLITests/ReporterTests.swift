import ArgumentParser
import FoundationEssentials
import KldCore
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite struct EventLogTests {
    private let files = LocalFiles()

    private func messages(_ file: FilePath) throws -> [String] {
        try files.readText(file).lines.map { try JSONDecoder().decode(PlanEvent.self, from: Data($0.utf8)).message }
    }

    @Test func `a new run keeps the log of the one before, and only that`() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("install.jsonl")
            for run in ["first", "second", "third"] { try KldCLI.EventLog(file).append(PlanEvent(.line, message: run)) }
            #expect(try messages(file) == ["third"])
            #expect(try messages(KldCLI.EventLog.former(file)) == ["second"])
            #expect(try files.list(folder) == ["install.jsonl", "install.jsonl.1"])
        }
    }

    @Test func `a run that is resumed goes on with its log`() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("logs/install.jsonl")
            for run in ["begun", "resumed"] { try KldCLI.EventLog(file, resuming: true).append(PlanEvent(.line, message: run)) }
            #expect(try messages(file) == ["begun", "resumed"])
            #expect(try files.status(file)?.mode == 0o640)
            #expect(try !files.exists(KldCLI.EventLog.former(file)))
        }
    }

    @Test func `two processes that begin within a second have logs of their own`() {
        #expect(Host.log("image-build").lastComponent?.string.hasSuffix("-\(ProcessInfo.processInfo.processIdentifier).jsonl") == true)
    }
}

@Suite struct ReporterTests {
    private static let problem = Diagnosis("a.code", "it broke", remedies: ["mend it"], exit: .cannotCreate)
    private static let failure = PlanEvent(.planFailed, message: "it broke", diagnosis: problem)

    private func event(_ text: String?) throws -> PlanEvent {
        let text = try #require(text)
        #expect(!text.contains("\n"))
        return try JSONDecoder().decode(PlanEvent.self, from: Data(text.utf8))
    }

    @Test func `as events a failure is told once, whether a plan had begun or not`() throws {
        #expect(try event(Reporter.text(of: Self.failure, told: false, as: .json)) == Self.failure)
        #expect(Reporter.text(of: Self.failure, told: true, as: .json) == nil)
    }

    @Test(arguments: [true, false]) func `in words a failure is always told`(told: Bool) {
        for form in ProgressOptions.Form.allCases where form != .json {
            #expect(Reporter.text(of: Self.failure, told: told, as: form) == Self.problem.rendered)
        }
    }

    @Test func `a note is one event, or words with what to do`() throws {
        let note = PlanEvent(.line, message: "note: this")
        #expect(try event(Reporter.text(of: note, remedy: "that", as: .json)) == note)
        #expect(Reporter.text(of: note, remedy: "that", as: .plain) == "note: this\n  remedy: that")
        #expect(Reporter.text(of: note, remedy: nil, as: .auto) == "note: this")
        #expect(Reporter.text(of: note, remedy: nil, as: ProgressOptions.Form.none) == nil)
    }

    @Test func `the log has what tools print, before there is one too`() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("install.jsonl")
            Reporter.output("zpool said this")
            let reporter = try Reporter(try ProgressOptions.parse(["--progress", "none"]), log: file)
            Reporter.output("apt said that")
            withExtendedLifetime(reporter) {}
            let events = try LocalFiles().readText(file).lines.map { try JSONDecoder().decode(PlanEvent.self, from: Data($0.utf8)) }
            #expect(events.filter { $0.kind == .output }.map(\.message) == ["zpool said this", "apt said that"])
        }
    }

    @Test(arguments: [
        ["install", "--answers", "my.env"], ["image", "build", "my.env"], ["image", "verify", "x.qcow2"], ["iso", "build"],
        ["kexport", "/dev/sda", "qcow2"],
    ])
    func `every command with events says so before it runs`(words: [String]) throws {
        let events = try Root.parseAsRoot(words + ["--progress", "json"])
        let plain = try Root.parseAsRoot(words)
        #expect((events as? any ReportingCommand)?.form == ProgressOptions.Form.json)
        #expect((plain as? any ReportingCommand)?.form == ProgressOptions.Form.auto)
    }
}

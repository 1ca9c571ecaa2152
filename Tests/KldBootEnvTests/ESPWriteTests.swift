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

@Suite("An ESP of several that takes no write")
struct ESPWriteTests {
    private static let first = "/boot/efi"
    private static let second = "/run/kldload/boot/esp-vdb1"
    private static let debian = Fixture.entry("debian", order: 100)

    /// Writes below some places fail.
    private struct ReadOnlyFiles: FileSystemDecorator {
        let inner: any FileSystem
        let places: [String]
        private func check(_ path: FilePath) throws {
            if places.contains(where: { path.string.hasPrefix("\($0)/") }) {
                throw FileError.other(path, action: "write", reason: "Read-only file system")
            }
        }
        func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws {
            try check(path)
            try inner.write(bytes, to: path, mode: mode)
        }
        func remove(_ path: FilePath) throws {
            try check(path)
            try inner.remove(path)
        }
    }

    /// Some commands fail, with what they say.
    private struct FailingRunner: CommandRunner {
        let inner: any CommandRunner
        let complaint: @Sendable (Command) -> String?
        func run(_ command: Command) async throws -> CommandOutput {
            if let words = complaint(command) { throw CommandError.failed(command, CommandOutput(status: 1, errors: words + "\n")) }
            return try await inner.run(command)
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { try await inner.run(pipeline: pipeline) }
    }

    private struct Outcome {
        var damaged: [BootSystem.Damaged]
        var files: MemoryFiles
        /// Steps that were done.
        var done: [String]
    }

    private func two(_ entries: [BootEntry], second: [BootEntry]? = nil) throws -> BootSystem {
        try Fixture.system([Fixture.esp(entries), Fixture.esp(second ?? entries, "/dev/vdb1", mounted: false)])
    }

    /// - Parameter places: where nothing can be written.
    private func apply(
        to system: BootSystem, readOnly places: [String] = [Self.second],
        complaint: @escaping @Sendable (Command) -> String? = { _ in nil }, _ plan: (BootSystem) throws -> Plan
    ) async throws -> Outcome {
        let files = try PowerCutTests.disk(system)
        let log = EventLog()
        let runner = FailingRunner(inner: PowerCutTests.Cutter(files)) { command in
            if let said = complaint(command) { return said }
            guard ["cp", "mv"].contains(command.tool.name), let target = command.arguments.last,
                places.contains(where: { target.hasPrefix("\($0)/") })
            else { return nil }
            return "\(command.tool.name): cannot create regular file '\(target)': Read-only file system"
        }
        let work = PlanRunner(
            runner: runner, files: ReadOnlyFiles(inner: files, places: places),
            performers: [BootPerformers.mountESP: { _, _, _ in }], report: log.report)
        let after = try await system.applying(plan) { try await work.apply($0) }
        let done = log.events.filter { $0.kind == .stepDone }.compactMap(\.step)
        return Outcome(damaged: after.damaged, files: files, done: done)
    }

    @Test("keeps nobody from activating on the others, and is told")
    func activate() async throws {
        var target = try Fixture.target("test")
        target.kernels[0].images = ["/dev/vda1": [Self.debian.imagePath], "/dev/vdb1": [Self.debian.imagePath]]
        let shared = target
        let outcome = try await apply(to: two([Self.debian])) { try BootEnvironments($0).activate(shared) }
        #expect(outcome.damaged.map(\.device) == ["/dev/vdb1"] && outcome.damaged[0].problem.code == "boot.esp-damaged")
        #expect(outcome.damaged[0].problem.causes.contains("Read-only file system"))
        #expect(PowerCutTests.boots(outcome.files, Self.first)?.environment == "test" && outcome.done.last == "boot.bootfs")
        #expect(PowerCutTests.boots(outcome.files, Self.second)?.environment == "debian")
        // What stands on the first one is not written twice.
        #expect(outcome.done == ["boot.entry.vda1", "boot.bootfs"])
    }

    @Test("keeps no new kernel or initramfs from the others, neither when it is built nor when it is copied later")
    func refresh() async throws {
        func refreshing(_ target: BootTarget) -> (BootSystem) throws -> Plan {
            { Plan("refresh", [Phase("a", "A", try BootStaging($0, target, .unchanged).steps())]) }
        }
        let fresh = Fixture.entry("debian", order: 101, left: 3, generation: 2)
        let built = try await apply(to: two([Self.debian]), refreshing(Fixture.target("debian")))
        #expect(built.damaged.map(\.device) == ["/dev/vdb1"])
        #expect(PowerCutTests.boots(built.files, Self.first) == fresh)
        #expect(PowerCutTests.boots(built.files, Self.second) == Self.debian)
        let staged = try two([Self.debian, fresh], second: [Self.debian])
        let later = try await apply(to: staged, refreshing(BootStagingTests.matching("debian", generation: 2)))
        #expect(later.damaged.map(\.device) == ["/dev/vdb1"] && later.done.isEmpty)
    }

    @Test("where one ESP is copied to another, the one is passed over that the tools name")
    func copied() async throws {
        let fresh = Fixture.entry("debian", order: 101, left: 3, generation: 2)
        let staged = try two([Self.debian, fresh], second: [Self.debian])
        let target = try BootStagingTests.matching("debian", generation: 2)
        let outcome = try await apply(
            to: staged, readOnly: [],
            complaint: { command in
                guard command.tool.name == "cp", let source = command.arguments.first, source.hasPrefix("/boot/efi/") else { return nil }
                return "cp: error reading '\(source)': Input/output error"
            }
        ) { Plan("refresh", [Phase("a", "A", try BootStaging($0, target, .unchanged).steps())]) }
        #expect(outcome.damaged.map(\.device) == ["/dev/vda1"])
        #expect(outcome.done.contains("boot.entry.vdb1") && outcome.files.texts["\(Self.second)/\(fresh.imagePath)"] != nil)
    }

    @Test("what is done for good is not done twice: a new environment gets its line on the others")
    func create() async throws {
        var system = try two([Self.debian])
        system.followed = true
        let outcome = try await apply(to: system) { try BootEnvironments($0).create("next", now: Fixture.now) }
        #expect(outcome.damaged.map(\.device) == ["/dev/vdb1"])
        #expect(outcome.done == ["be.snapshot", "be.clone", "be.entry.vda1"])
        #expect(outcome.files.texts["\(Self.first)/\(Fixture.entry("next", order: 0).path)"] != nil)
    }

    @Test("where none takes a write, or no ESP is at fault, that is an error as ever")
    func none() async throws {
        let target = try Fixture.target("test")
        func code(readOnly places: [String], _ complaint: @escaping @Sendable (Command) -> String? = { _ in nil }) async throws -> String? {
            let system = try two([Self.debian])
            return await KldTestSupport.problem {
                _ = try await apply(to: system, readOnly: places, complaint: complaint) { try BootEnvironments($0).activate(target) }
            }?.causes.first
        }
        #expect(try await code(readOnly: [Self.first, Self.second])?.hasPrefix("step: boot.stage.vda1 ") == true)
        #expect(try await code(readOnly: []) { $0.tool.name == "ukify" ? "no stub" : nil }?.hasPrefix("step: boot.image ") == true)
        #expect(try await code(readOnly: []) == nil)
    }

    @Test("a step that is another one without that ESP is done again")
    func changed() async throws {
        let outcome = try await apply(to: two([Self.debian])) { system in
            let steps = system.esps.map { esp in
                let place = esp.name == "vda1" ? Self.first : Self.second
                return Step("boot.stage.\(esp.name)", "x", [.write(FilePath("\(place)/n"), content: .text("\(system.esps.count)"))])
            }
            return Plan("x", [Phase("boot", "Boot", steps)])
        }
        #expect(outcome.damaged.map(\.device) == ["/dev/vdb1"] && outcome.files.texts["\(Self.first)/n"] == "1")
    }
}

import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("Asking for approval")
struct PromptTests {
    /// Answers questions with lines, and keeps what was shown and asked.
    final class Person: Sendable {
        let lines: Mutex<[String?]>
        let asked = Mutex<[String]>([])
        let shown = Mutex<[String]>([])
        init(_ lines: [String?]) { self.lines = Mutex(lines) }

        func approvals(_ plan: Plan, given: [WipeApproval] = [], terminal: Bool = true, machine: Bool = false) async throws
            -> [WipeApproval]
        {
            try await WipePrompt.approvals(
                for: plan, given: given, terminal: terminal, machine: machine, show: { text in shown.withLock { $0.append(text) } },
                ask: { question in
                    asked.withLock { $0.append(question) }
                    return lines.withLock { $0.isEmpty ? nil : $0.removeFirst() }
                })
        }
    }

    static func plan() throws -> Plan {
        try InstallPlanner(
            request(answers("KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb"), Machines.virtual)
        ).plan
    }

    static let disks = ["/dev/disk/by-id/virtio-disk0", "/dev/disk/by-id/virtio-disk1"]

    @Test("the plan is shown once, and each disk's name approves that disk")
    func right() async throws {
        let person = Person(Self.disks)
        let plan = try Self.plan()
        #expect(try await person.approvals(plan).map(\.disk) == Self.disks)
        #expect(person.shown.withLock { $0 } == [plan.text()])
        #expect(person.asked.withLock { $0 } == Self.disks.map { "everything on \($0) will be lost. Type its name to go on: " })
    }

    @Test("whoever is asked for a disk is told what others lose with it")
    func losses() async throws {
        var plan = try Self.plan()
        plan.losses = [Self.disks[1]: ["/dev/sdx holds another part of the pool tank, whose data may be lost too"]]
        let person = Person(Self.disks)
        _ = try await person.approvals(plan)
        #expect(
            person.asked.withLock { $0 } == [
                "everything on \(Self.disks[0]) will be lost. Type its name to go on: ",
                "everything on \(Self.disks[1]) will be lost; /dev/sdx holds another part of the pool tank, whose data may be lost too. "
                    + "Type its name to go on: ",
            ])
    }

    @Test("what the answers approve is not asked for")
    func given() async throws {
        let given = Self.disks.compactMap { WipeApproval(forceWipe: true, named: [$0], disk: $0) }
        let person = Person([])
        #expect(try await person.approvals(Self.plan(), given: given) == given)
        #expect(person.shown.withLock(\.isEmpty) && person.asked.withLock(\.isEmpty))
        let second = Person([Self.disks[1]])
        #expect(try await second.approvals(Self.plan(), given: [given[0]]).map(\.disk) == Self.disks)
        #expect(second.asked.withLock(\.count) == 1)
    }

    @Test("another name, none, or the end of the input refuses", arguments: ["yes", "", "/dev/vda", "/dev/disk/by-id/virtio-disk1", nil])
    func wrong(_ typed: String?) async throws {
        let problem = await problem { _ = try await Person([typed]).approvals(Self.plan()) }
        #expect(problem?.code == "install.refused")
        #expect(problem?.message == "/dev/disk/by-id/virtio-disk0 was not approved; nothing was changed")
    }

    @Test("the second disk needs its own name")
    func second() async throws {
        await #expect(throws: Diagnosis.self) { try await Person([Self.disks[0], Self.disks[0]]).approvals(Self.plan()) }
    }

    @Test("a program, or a pipe, is never asked, and nothing is approved", arguments: [(true, true), (false, false), (false, true)])
    func nobody(_ terminal: Bool, _ machine: Bool) async throws {
        let person = Person(Self.disks)
        #expect(try await person.approvals(Self.plan(), terminal: terminal, machine: machine).isEmpty)
        #expect(person.shown.withLock(\.isEmpty) && person.asked.withLock(\.isEmpty))
    }

    // MARK: lines

    private func withPipe(_ body: (FileDescriptor, FileDescriptor) async throws -> Void) async throws {
        let (input, output) = try FileDescriptor.pipe()
        defer { try? input.close() }
        do { try await body(input, output) } catch {
            try? output.close()
            throw error
        }
        try? output.close()
    }

    @Test("lines are read one at a time, without their ends; a last one needs none")
    func lines() async throws {
        try await withPipe { input, output in
            try output.writeAll("/dev/vda\n\nrest".utf8)
            #expect(try await WipePrompt.line(from: input) == "/dev/vda")
            #expect(try await WipePrompt.line(from: input) == "")
            try output.close()
            #expect(try await WipePrompt.line(from: input) == "rest")
            #expect(try await WipePrompt.line(from: input) == nil)
        }
    }

    @Test("Ctrl-C ends a question that nobody answers")
    func cancelled() async throws {
        try await withPipe { input, output in
            let waiting = Task { try await WipePrompt.line(from: input, every: .milliseconds(1)) }
            try output.writeAll("/dev/v".utf8)
            try await Task.sleep(for: .milliseconds(20))
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
        }
    }
}

import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldDisks

@Suite struct ReplacementWorkTests {
    /// Answers of the machine that follow one another for `zpool status`.
    private func runner(_ statuses: [String], passports: [UInt64: [String: String]] = [:]) -> ScriptedRunner {
        let counter = Counter()
        let tools = Machine.tools(passports: passports)
        return ScriptedRunner([
            { command in
                if command.arguments.first == "status" { return CommandOutput(output: statuses[min(counter.next(), statuses.count - 1)]) }
                if command.arguments.first == "set" { return CommandOutput() }
                return tools[command.description].map { CommandOutput(output: $0) }
            }
        ])
    }

    private func work() async throws -> DiskReplacement {
        try await replacement(Machine.filling(), listing: DiskReplacementTests.given, records: [record])
    }

    @Test func `it is waited for until the new disk is alone, and told how far it is`() async throws {
        func part(_ issued: Int) -> String {
            Machine.filling().replacing(
                #""error_count":0"#,
                with:
                    #""error_count":0,"scan_stats":{"function":"RESILVER","state":"SCANNING","issued":\#(issued),"to_examine":200,"skipped":0}"#
            )
        }
        var told: [Int] = []
        try await work().wait(every: .zero, runner: runner([part(20), part(20), part(100), Machine.filled]), files: Machine.files()) {
            told.append($0)
        }
        #expect(told == [10, 50])
    }

    @Test func `it is known by another of its names too`() async throws {
        let link = "\(Machine.byID)wwn-0x5001-part2"
        let files = MemoryFiles(links: Machine.links.merging([link: "/dev/vdc2"]) { $1 })
        let renamed = Machine.filled.replacing("\(spare)-part2", with: link)
        try await work().wait(every: .zero, runner: runner([renamed]), files: files) { _ in }
    }

    @Test func `a new disk that fails or goes away ends the wait`() async throws {
        let work = try await work()
        #expect(
            await problem {
                try await work.wait(every: .zero, runner: runner([Machine.filling("FAULTED")]), files: Machine.files()) { _ in }
            }?.code == "kdisk.new-failed")
        #expect(
            await problem {
                try await work.wait(every: .zero, runner: runner([Machine.status(second: "FAULTED")]), files: Machine.files()) { _ in }
            }?.code == "kdisk.new-lost")
    }

    @Test func `the passport goes to the vdev that has the new path, and what else is there goes`() async throws {
        let files = MemoryFiles([record.file.string: try record.text])
        let plan = try await work().plan
        let runner = runner([Machine.filling()], passports: [42: ["slot": "7", "serial": "spare0"]])
        try await PlanRunner(runner: runner, files: files, performers: DiskReplacement.performers).apply(plan)
        #expect(!runner.commands.contains { $0.arguments.first == "set" })
        let other = self.runner([Machine.filling()], passports: [42: ["slot": "1", "asset": "A-1"]])
        let result = await problem {
            try await PlanRunner(runner: other, files: files, performers: DiskReplacement.performers).apply(plan)
        }
        #expect(
            other.commands.filter { $0.arguments.first == "set" }.map(\.description) == [
                "zpool set com.kldload:disk.slot=7 rpool 42", "zpool set com.kldload:disk.asset= rpool 42",
                "zpool set com.kldload:disk.serial=spare0 rpool 42",
            ])
        // The script kept nothing of it.
        #expect(result?.code == "kdisk.not-kept")
    }

    @Test func `what is remembered is read again, and nothing else is taken for it`() throws {
        let files = MemoryFiles([record.file.string: try record.text])
        #expect(try ReplacementRecord.all(files) == [record] && record.isOf(old: "virtio-disk1") && !record.isOf(old: "disk1"))
        #expect(try ReplacementRecord.all(MemoryFiles()).isEmpty)
        let broken = MemoryFiles(["/var/lib/kldload/disks/replace-1.json": "{}"])
        #expect(problem { _ = try ReplacementRecord.all(broken) }?.code == "kdisk.record")
    }

    @Test func `of a whole disk the pool knows the partition that it made`() {
        #expect(DiskReplacement.isSame("\(spare)-part1", spare) && DiskReplacement.isSame("/dev/sdb1", "/dev/sdb"))
        #expect(!DiskReplacement.isSame("/dev/sdb2", "/dev/sdb") && DiskReplacement.isSame("/dev/sdb2", "/dev/sdb2"))
    }

    @Test(arguments: 0..<12) func `cut off anywhere, the old disk is in the pool or the new one is, and the record says so`(cut: Int)
        async throws
    {
        let (plan, files) = (try await replacement().plan, Machine.files())
        let state = Given()
        let tools = Machine.tools(Machine.status(second: "FAULTED"))
        let inner = ScriptedRunner([
            { command in
                if command.arguments.first == "replace" { state.given() }
                if command.arguments.first == "status" {
                    return CommandOutput(output: state.isGiven ? Machine.filling() : Machine.status(second: "FAULTED"))
                }
                return tools[command.description].map { CommandOutput(output: $0) } ?? CommandOutput()
            }
        ])
        let devices = MemoryFiles(
            files.texts, devices: ["\(spare)-part1", "\(spare)-part2"], links: Machine.links.filter { !$0.key.contains("spare0-") },
            disks: ["/dev/vdc": MemoryDisk(size: .gibibytes(8))])
        let fuse = Fuse(at: cut, forever: true)
        let approvals = try await replacement().approvals
        _ = try? await PlanRunner(
            runner: FaultyRunner(inner, fuse), files: FaultyFiles(devices, fuse), performers: DiskReplacement.performers
        ).apply(plan, approvals: approvals)
        // Whatever was given to the pool was remembered before.
        if state.isGiven { #expect(try ReplacementRecord.all(devices).count == 1) }
        let isBegun = inner.commands.contains { $0.effect == .destroys }
        if isBegun { #expect(try ReplacementRecord.all(devices).count == 1) }
        // The new disk was found empty.
        if cut == 11 { #expect(isBegun) }
    }
}

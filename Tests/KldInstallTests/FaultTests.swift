import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("Installations that fail at every place")
struct FaultTests {
    struct Kind: CustomTestStringConvertible {
        var testDescription: String
        var lines: [String]
        var plan: @Sendable (InstallPlanner) throws -> Plan = { try $0.plan }
        var sealed = false
        var source: InstallRequest.Payload.Source?
    }

    static let kinds = [
        // With a key and the default password: PAM's rules are edited.
        Kind(testDescription: "one disk", lines: ["KLDLOAD_SSH_PUBKEY='\(RandomRequests.key)'"]),
        Kind(testDescription: "in two parts", lines: [], source: increment),
        Kind(testDescription: "a template", lines: [], plan: { try $0.template }, sealed: true),
        Kind(testDescription: "an image of a template", lines: [], plan: { try $0.image }, sealed: true),
        Kind(
            testDescription: "encrypted mirror with a special mirror",
            lines: [
                "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb", "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdc,/dev/vdd",
                "KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse battery'",
            ]),
    ]

    private func plan(_ kind: Kind) throws -> Plan {
        let answers = try answers(disk: "/dev/vda", kind.lines.joined(separator: "\n"))
        var request = try request(answers, Machines.virtual, sealed: kind.sealed)
        if let source = kind.source { request.payload.source = source }
        return try kind.plan(InstallPlanner(request))
    }

    struct Run {
        var problem: Diagnosis?
        var machine: SimulatedMachine
        var fuse: Fuse
        var log: EventLog
        /// How many things had happened when cleaning up began.
        var beforeCleanUp: Int
    }

    /// Applies the plan to a machine on which the n-th thing fails.
    private func install(_ plan: Plan, failing position: Int?) async throws -> Run {
        let kernel = "6.12.48+deb13-amd64"
        let devices = (0..<4).flatMap { ["/dev/disk/by-id/virtio-disk\($0)-part1", "/dev/disk/by-id/virtio-disk\($0)-part2"] }
        let efi = "/target/usr/lib/shim"
        var programs = [
            "/target/boot/initrd.img-\(kernel)": "initrd", "/target/usr/lib/modules/\(kernel)/updates/dkms/zfs.ko": "module",
            "/target/usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed": "loader",
            "/target/etc/pam.d/common-account": DefaultPasswordTests.accounts,
        ]
        for name in ["shimx64", "mmx64", "fbx64"] { programs["\(efi)/\(name).efi.signed"] = name }
        let files = MemoryFiles(programs, devices: devices, links: Machines.virtual.links)
        let machine = SimulatedMachine(files)
        let fuse = Fuse(at: position)
        let log = EventLog()
        let before = Mutex<Int?>(nil)
        var performers = Performers.table(logs: []) { _, _, _ in }
        performers = performers.mapValues { performer in
            { parameters, runner, files in
                try fuse.tick()
                try await performer(parameters, runner, files)
            }
        }
        let runner = PlanRunner(runner: FaultyRunner(machine, fuse), files: FaultyFiles(files, fuse), performers: performers) { event in
            if event.kind == .undoing || event.kind == .releasing { before.withLock { $0 = $0 ?? fuse.count } }
            log.report(event)
        }
        let problem = await problem {
            try await runner.apply(plan, approvals: plan.destroys.compactMap { WipeApproval(typed: $0, disk: $0) })
        }
        return Run(problem: problem, machine: machine, fuse: fuse, log: log, beforeCleanUp: before.withLock { $0 ?? fuse.count })
    }

    private func leftOver(_ run: Run) -> [String] {
        let state = run.machine.now
        return state.mounts.map { "mounted: \($0.place)" } + (state.pool.map { ["imported: \($0)"] } ?? [])
            + run.machine.files.texts.keys.filter { $0 == "/run/kldload/boot.efi" || $0.hasSuffix(".cpio") }
    }

    @Test("an installation that goes well leaves nothing mounted, imported or lying about", arguments: kinds)
    func success(_ kind: Kind) async throws {
        let run = try await install(plan(kind), failing: nil)
        #expect(run.problem == nil)
        #expect(leftOver(run).isEmpty)
        #expect(run.machine.now.commands.contains("zpool export rpool"))
        #expect(run.log.events.last?.kind == .planDone)
    }

    @Test("whatever fails, nothing is left mounted, imported or lying about, and the cause is told", arguments: kinds)
    func everyPlace(_ kind: Kind) async throws {
        let plan = try plan(kind)
        let places = try await install(plan, failing: nil).beforeCleanUp
        #expect(places > 40)
        for place in 0..<places {
            let run = try await install(plan, failing: place)
            #expect(run.fuse.blown)
            let told = run.problem.map { [$0.message] + $0.causes } ?? []
            #expect(told.contains { $0.contains("the fuse blew") }, "place \(place)")
            #expect(run.log.events.last?.kind == .planFailed)
            let left = leftOver(run)
            #expect(left.isEmpty, "place \(place), \(run.problem?.causes.first ?? ""): \(left)")
        }
    }

    @Test("a disk that auto took, and that is not empty any more when the plan begins, is not touched")
    func notEmptyAnyMore() async throws {
        let planner = try InstallPlanner(request(answers(disk: "auto"), Machines.plain(.disk("sda"))))
        let listing = #"{"blockdevices":[{"path":"/dev/sda","name":"sda","size":21474836480,"type":"disk","pttype":"gpt"}]}"#
        let runner = ScriptedRunner([{ $0.tool.name == "lsblk" ? CommandOutput(output: listing) : CommandOutput() }])
        let performers = Performers.table(logs: []) { _, _, _ in }
        let problem = await problem {
            try await PlanRunner(runner: runner, files: MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n"]), performers: performers).apply(
                planner.plan, approvals: planner.approvals)
        }
        #expect(problem?.code == "disk.not-empty")
        #expect(!runner.commands.contains { $0.effect != .reads })
    }

    @Test("a disk that auto took, and that holds what no tool has a name for, is not touched")
    func unnamedData() async throws {
        let facts = Machines.plain(.disk("sda"))
        let planner = try InstallPlanner(request(answers(disk: "auto"), facts))
        let runner = ScriptedRunner([{ $0.tool.name == "lsblk" ? CommandOutput(output: facts.listing) : CommandOutput() }])
        // As GELI leaves it: what it is stands in the last sector.
        let disk = MemoryDisk(size: .gibibytes(100), others: [(100 << 30) - 512: UInt8(ascii: "G")])
        let files = MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n"], disks: ["/dev/sda": disk])
        let problem = await #expect(throws: Diagnosis.self) {
            try await PlanRunner(runner: runner, files: files, performers: Performers.table(logs: []) { _, _, _ in }).apply(
                planner.plan, approvals: planner.approvals)
        }
        #expect(problem?.code == "disk.not-empty")
        #expect(problem?.causes.contains("data at byte 107374181888") == true, "\(problem?.causes ?? [])")
        #expect(!runner.commands.contains { $0.effect != .reads })
    }

    @Test("auto installs without anybody's word onto a disk that is empty")
    func automatic() async throws {
        let planner = try InstallPlanner(request(answers(disk: "auto"), Machines.plain(.disk("sda"))))
        #expect(planner.approvals.map(\.disk) == ["/dev/sda"])
        let listing = Machines.plain(.disk("sda")).listing
        let runner = ScriptedRunner([
            { $0.tool.name == "lsblk" ? CommandOutput(output: listing) : $0.tool.name == "sgdisk" ? nil : CommandOutput() }
        ])
        let performers = Performers.table(logs: []) { _, _, _ in }
        let files = MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n"], disks: ["/dev/sda": MemoryDisk(size: .gibibytes(100))])
        do {
            try await PlanRunner(runner: runner, files: files, performers: performers).apply(planner.plan, approvals: planner.approvals)
        } catch {}
        // As far as the first command that this test does not know.
        #expect(runner.commands.map(\.description).suffix(2) == ["wipefs --all /dev/sda", "sgdisk --zap-all /dev/sda"])
    }

    @Test(
        "a disk that is not the one any more that was chosen is not touched, nor any other",
        arguments: ["another link", "no link", "size", "serial", "mounted", "used", "gone"])
    func changed(_ change: String) async throws {
        let planner = try InstallPlanner(request(answers(disk: "/dev/vda", "KLDLOAD_FORCE_WIPE=1"), Machines.virtual))
        var (now, links) = (Machines.virtual, Machines.virtual.links)
        let name = Machines.virtual.stableNames["/dev/vda"] ?? ""
        switch change {
        case "another link": links[name] = "/dev/vdb"
        case "no link": links[name] = nil
        case "size": now.disks[0].size = .gibibytes(21)
        case "serial": now.disks[0].serial = "another"
        case "used": break
        case "mounted": now.disks[0].children = [.part("vda1", "ext4", mounted: ["/mnt"])]
        default: now.disks.removeFirst()
        }
        let runner = ScriptedRunner([{ [now] in $0.tool.name == "lsblk" ? CommandOutput(output: now.listing) : nil }])
        let performers = Performers.table(logs: []) { _, _, _ in }
        let problem = await #expect(throws: Diagnosis.self) {
            try await PlanRunner(
                runner: runner, files: MemoryFiles([:], links: links, claimed: change == "used" ? ["/dev/vda"] : []), performers: performers
            ).apply(
                planner.plan, approvals: planner.approvals)
        }
        #expect(problem?.code == "disk.changed" && runner.commands.allSatisfy { $0.effect == .reads })
    }

    @Test("a disk that is not clean after it was wiped stops everything before it is partitioned")
    func notClean() async throws {
        let planner = try InstallPlanner(request(answers(disk: "/dev/vda", "KLDLOAD_FORCE_WIPE=1"), Machines.virtual))
        let runner = ScriptedRunner([
            { $0.tool.name == "lsblk" ? CommandOutput(output: Machines.virtual.listing) : nil },
            { $0.arguments.first == "--no-act" ? CommandOutput(output: "zfs_member\n") : CommandOutput() },
        ])
        let performers = Performers.table(logs: []) { _, _, _ in }
        let files = MemoryFiles([:], links: Machines.virtual.links)
        let problem = await problem {
            try await PlanRunner(runner: runner, files: files, performers: performers).apply(planner.plan, approvals: planner.approvals)
        }
        #expect(problem?.code == "disk.not-clean")
        #expect(!runner.commands.contains { $0.arguments.contains("--clear") || $0.tool.name == "mkfs.vfat" })
    }
}

import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Suite("Plans broken on purpose")
struct MutantTests {
    /// Disks that have seen everything (two, or one of an image), keys, an address of one card: as many kinds of actions as there are.
    static func full(sealed: Bool, _ loader: Answers.BootLoader = .systemdBoot) throws -> InstallRequest {
        let mirror = ["KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb"]
        let lines = [
            "KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=192.0.2.2", "KLDLOAD_NET_GW=192.0.2.1", "KLDLOAD_NET_IFACE=enp1s0",
            "KLDLOAD_SSH_PUBKEY='\(RandomRequests.key)'", "KLDLOAD_BOOTLOADER=\(loader.rawValue)",
        ]
        return try request(
            answers(disk: "/dev/sda", (sealed ? lines : mirror + lines).joined(separator: "\n")), Machines.used, sealed: sealed)
    }

    static let parts: [PlanView.Part] = [.whole, .template, .image]

    func holds(_ view: PlanView) -> Bool { Invariant.all.allSatisfy { $0.check(view) == nil } }

    /// What may be missing without harm: a folder that writing a file makes anyway.
    static let harmless = ["0", "1"].flatMap { esp in
        ["loader/entries", "EFI/kldload/entries", "EFI/debian"].map { "mkdir /run/kldload/esp\(esp)/\($0) (755)" }
    }

    @Test("a plan that lacks any one of its actions is noticed", arguments: parts, Answers.BootLoader.allCases)
    func removed(_ part: PlanView.Part, _ loader: Answers.BootLoader) throws {
        let request = try Self.full(sealed: part != .whole, loader)
        let plan = try PlanView.plan(InstallPlanner(request), part)
        #expect(try holds(PlanView(request, part: part)))
        for (phase, step, action) in Self.places(plan, \.actions) {
            let text = plan.phases[phase].steps[step].actions[action].text
            // A copy's image does not use the supplement.
            if Self.harmless.contains(text) || request.sealed && text.contains("hostid.cpio") { continue }
            let view = try PlanView(request, part: part) { $0.phases[phase].steps[step].actions.remove(at: action) }
            #expect(!holds(view), "without: \(text)")
        }
    }

    @Test("a plan that lacks any one of its releases is noticed", arguments: parts, Answers.BootLoader.allCases)
    func unreleased(_ part: PlanView.Part, _ loader: Answers.BootLoader) throws {
        let request = try Self.full(sealed: part != .whole, loader)
        let plan = try PlanView.plan(InstallPlanner(request), part)
        for (phase, step, action) in Self.places(plan, \.release) {
            let text = plan.phases[phase].steps[step].release[action].text
            let view = try PlanView(request, part: part) { $0.phases[phase].steps[step].release.remove(at: action) }
            #expect(!holds(view), "without the release: \(text)")
        }
    }

    @Test("a plan for a disk that nobody named is noticed, and refused, when it does not look at the disk first")
    func unverified() async throws {
        let facts = Machines.plain(.disk("sda"), .disk("sdb") { $0.partitionTable = "gpt" })
        let request = try request(answers(disk: "auto"), facts)
        #expect(try holds(PlanView(request)))
        let changes: [(inout Plan) -> Void] = [
            { $0.phases[0].steps.removeFirst() }, { $0.phases[0].steps[0].actions = [] }, { $0.phases[0].steps.swapAt(0, 1) },
            { $0.phases[0].steps[0].actions = [WipeApproval.verification(of: "/dev/sdb")] },
        ]
        for change in changes {
            let view = try PlanView(request, change)
            #expect(!holds(view))
            let runner = ScriptedRunner.accepting
            let problem = await problem {
                try await PlanRunner(runner: runner, files: MemoryFiles(), performers: Performers.table(logs: []) { _, _, _ in })
                    .apply(view.plan, approvals: view.approvals)
            }
            #expect(problem?.code == "plan.unverified")
            #expect(runner.commands.isEmpty)
        }
    }

    @Test("a destroying step that forgets its disks is noticed")
    func unnamed() throws {
        let request = try Self.full(sealed: false)
        let plan = try InstallPlanner(request).plan
        for phase in plan.phases.indices {
            for step in plan.phases[phase].steps.indices where plan.phases[phase].steps[step].effect == .destroys {
                #expect(try !holds(PlanView(request) { $0.phases[phase].steps[step].destroys = [] }))
            }
        }
    }

    @Test(
        "a command aimed at another disk is noticed",
        arguments: [
            ("/dev/disk/by-id/ata-A", "/dev/disk/by-id/ata-C"), ("/dev/disk/by-id/ata-B-part1", "/dev/disk/by-id/ata-C-part1"),
            ("/dev/sda1", "/dev/sdc1"), ("/dev/sda", "/dev/sdc"), ("/dev/disk/by-id/ata-A-part2", "/dev/disk/by-id/ata-B-part2"),
        ])
    func aimed(_ right: String, _ wrong: String) throws {
        let request = try Self.full(sealed: false)
        let plan = try InstallPlanner(request).plan
        var tried = 0
        for (phase, step, action) in Self.places(plan, \.actions) {
            guard case .run(var command) = plan.phases[phase].steps[step].actions[action],
                let word = command.arguments.firstIndex(of: right)
            else {
                continue
            }
            // Looking twice, or at another disk, does no harm.
            if ["blockdev", "blkdiscard"].contains(command.tool.name), wrong.hasSuffix("-B") { continue }
            command.arguments[word] = wrong
            tried += 1
            let view = try PlanView(request) { [command] in $0.phases[phase].steps[step].actions[action] = .run(command) }
            #expect(!holds(view), "\(command)")
        }
        #expect(tried > 0)
    }

    @Test("two steps that change places are noticed, unless their order does not matter")
    func swapped() throws {
        let request = try Self.full(sealed: false)
        let plan = try InstallPlanner(request).plan
        let free: Set<Set<String>> = [
            ["system.pages", "system.users"], ["system.region", "system.network"], ["system.users", "system.ssh"],
            ["system.network", "system.machine-id"], ["system.names", "system.region"], ["boot.uki", "boot.fstab"],
            ["boot.fstab", "boot.esp.sda"], ["system.machine-id", "trust.configuration"],
            ["payload.unpack", "payload.tool"], ["payload.tool", "payload.snapshots"], ["finish.manifest", "finish.mounts"],
        ]
        for phase in plan.phases.indices {
            for step in plan.phases[phase].steps.indices.dropLast() {
                let ids: Set = [plan.phases[phase].steps[step].id, plan.phases[phase].steps[step + 1].id]
                if free.contains(ids) { continue }
                #expect(try !holds(PlanView(request) { $0.phases[phase].steps.swapAt(step, step + 1) }), "\(ids)")
            }
        }
    }

    private static func places(_ plan: Plan, _ actions: KeyPath<Step, [Action]>) -> [(Int, Int, Int)] {
        plan.phases.indices.flatMap { phase in
            plan.phases[phase].steps.indices.flatMap { step in
                plan.phases[phase].steps[step][keyPath: actions].indices.map { (phase, step, $0) }
            }
        }
    }
}

import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldPackages
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@testable import KldUpkeep

@Suite("An upgrade from beginning to end")
struct UpgradeTests {
    private func request(_ activation: PackageWork.Request.Activation = .trial) -> PackageWork.Request {
        var request = PackageWork.Request(.upgrade, label: "pre-upgrade")
        request.name = "next"
        request.activation = activation
        return request
    }

    @Test("the mark that keeps others from booting it keeps nobody from activating it who made it whole")
    func whole() async throws {
        let machine = try UpgradeMachine()
        let report = try await machine.work.inNewEnvironment(request())
        #expect(report.bootsNext && report.packages.map(\.name) == ["nano"])
        #expect(machine.plans.suffix(3) == ["add to shared folders", "close next", "activate boot environment next"])
        #expect(machine.lines.contains("zfs inherit com.kldload:upkeep rpool/ROOT/next"))
        #expect(machine.lines.contains { $0.hasPrefix("cp ") && $0.hasSuffix("/opt/.tool.kldload-new") })
    }

    @Test("what would not boot adds nothing to what all environments share")
    func judged() async throws {
        let machine = try UpgradeMachine(kernels: ["6.13"])
        let problem = await KldTestSupport.problem { _ = try await machine.work.inNewEnvironment(request()) }
        #expect(problem?.code == "upkeep.kernel")
        #expect(!machine.lines.contains { $0.hasPrefix("cp ") })
        #expect(machine.lines.contains("zfs destroy -r rpool/ROOT/next"))
    }

    @Test("what keeps it from being booted once is known before any package changes")
    func once() async throws {
        let place = "/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        let value = "\u{7}\0\0\0" + "arch.conf".map { "\($0)\0" }.joined() + "\0\0"
        let machine = try UpgradeMachine(more: [place: value])
        let problem = await KldTestSupport.problem { _ = try await machine.work.inNewEnvironment(request(.once)) }
        #expect(problem?.code == "boot.menu-choice")
        #expect(!machine.lines.contains { $0.hasPrefix("apt-get ") })
    }

    // MARK: what an earlier run left

    /// A machine on which `next` bears the mark. - Returns: titles of plans, and what was said.
    private func sweep(_ change: (inout BootSystem) throws -> Void) async throws -> (plans: [String], said: [String]) {
        let (debian, next) = (try DatasetName("rpool/ROOT/debian"), try DatasetName("rpool/ROOT/next"))
        var system = BootSystem(
            pool: try PoolName("rpool"), running: debian, release: "6.12", hostID: nil, commandLine: KernelCommandLine(running: ""),
            bootfs: debian.text,
            environments: [BootEnvironment(dataset: debian, mountpoint: "/"), BootEnvironment(dataset: next, isHalfMade: true)], esps: [])
        try change(&system)
        let (plans, said) = (Lines(), Lines())
        let upkeep = Upkeep(
            runner: ScriptedRunner([:]), files: MemoryFiles(), now: UpgradeMachine.now, apply: { plan, _ in plans.add(plan.title) },
            say: { said.add($0) })
        let marks = try PropertyRow.parse("rpool/ROOT/next\tcom.kldload:upkeep\tworking\tlocal\n")
        await upkeep.sweep(system, marks)
        return (plans.all, said.all)
    }

    @Test("what is half made goes, but for what somebody boots all the same: that may be all that he can go back to")
    func used() async throws {
        #expect(try await sweep { _ in }.plans.first == "leave next")
        let next = "rpool/ROOT/next"
        for order in [0, 100] {
            let found = try await sweep { system in
                let entry = BootEntry(dataset: next, release: "6.12", order: order)
                system.esps = [BootSystem.ESP(device: "/dev/vda1", free: .mebibytes(100), entries: [entry])]
            }
            #expect(found.plans.isEmpty == (order > 0))
            #expect(found.said.contains { $0.hasPrefix("next stays") } == (order > 0))
        }
        let chosen = try await sweep { $0.bootfs = next }
        let running = try await sweep { $0.running = try DatasetName(next) }
        #expect(chosen.plans.isEmpty && running.plans.isEmpty)
    }

    // MARK: in place

    @Test("of the snapshots before changes in place ten are kept, with the one that is taken; one that somebody holds stays")
    func kept() async throws {
        let label = "pre-upgrade-20231114-221320"
        // The oldest is held, and of the next an environment was made.
        let rows = (1...12).map { number in
            let (holds, clones) = (number == 1 ? 1 : 0, number == 2 ? "rpool/ROOT/x" : "")
            return "rpool/ROOT/debian@pre-upgrade-\(number)\t\(1_600_000_000 + number)\t1\t\(holds)\t\(clones)\tpre-upgrade"
        }
        let others = ["rpool/ROOT/debian@kpkg-1\t1500000000\t1\t0\t\tkpkg", "rpool/ROOT/debian@install\t1500000000\t1\t0\t\t-"]
        let fresh = "rpool/ROOT/debian@\(label)\t1700000000\t1\t0\t\tpre-upgrade"
        let machine = try UpgradeMachine(snapshots: others + rows + [fresh])
        let report = try await machine.work.inPlace(request()) {}
        #expect(report.before == "debian@\(label)" && report.packages.map(\.name) == ["nano"])
        #expect(machine.lines.filter { $0.hasPrefix("zfs destroy") } == ["zfs destroy rpool/ROOT/debian@pre-upgrade-3"])
    }

    /// Texts in the order in which they came.
    private final class Lines: Sendable {
        private let kept = Mutex<[String]>([])
        func add(_ text: String) { kept.withLock { $0.append(text) } }
        var all: [String] { kept.withLock { $0 } }
    }
}

import KldBootEnv
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@testable import KldFleet

@Suite struct AdoptionTests {
    private func system(
        next: String = "debian", running: String = "debian", children: [DatasetName: BootEnvironment.Child] = [:], isForeign: Bool = false
    ) throws -> BootSystem {
        func name(_ leaf: String) throws -> DatasetName { try DatasetName("rpool/ROOT/\(leaf)") }
        return BootSystem(
            pool: try PoolName("rpool"), running: try name(running), release: "6.12", hostID: HostID(0x0123_4567),
            commandLine: KernelCommandLine(running: "root=ZFS=rpool/ROOT/debian"), bootfs: "rpool/ROOT/\(next)",
            environments: [
                BootEnvironment(dataset: try name("debian"), mountpoint: "/"),
                BootEnvironment(dataset: try name("golden"), children: children, isForeign: isForeign),
            ], esps: [])
    }

    /// Names of marks as zfs keeps them: of one dataset, and of its snapshots, which inherit.
    private final class Marks: CommandRunner {
        struct State: Sendable {
            var identity: String?
            var image: String?
            /// As they are set on themselves.
            var snapshots: [String: String?]
            var lines: [String] = []
            /// What had happened when it was made the machine's own.
            var done: Int?
        }
        private static let name = "rpool/ROOT/golden"
        private let state: Mutex<State>
        let fuse: Fuse
        let unmounting: Int32
        let begun: String?

        init(_ begun: String?, _ fuse: Fuse = Fuse(at: nil), unmounting: Int32 = 0) {
            (self.begun, self.fuse, self.unmounting) = (begun, fuse, unmounting)
            state = Mutex(State(identity: begun, snapshots: ["\(Self.name)@own": "own", "\(Self.name)@sent": nil, "\(Self.name)@x": nil]))
        }

        var now: State { state.withLock { $0 } }
        /// Snapshots that would not be taken for another machine's.
        var trusted: [String] {
            let now = now
            return now.snapshots.filter { ($0.value ?? now.identity) != "foreign" }.keys.sorted()
        }

        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "\(pipeline)") }

        func run(_ command: Command) async throws -> CommandOutput {
            let (line, words) = (command.description, command.arguments)
            let output = try state.withLock { state -> CommandOutput in
                state.lines.append(line)
                switch (command.tool.name, words[0]) {
                case ("mount", _), ("cp", _): return CommandOutput()
                case ("umount", _): return CommandOutput(status: unmounting)
                case ("zfs", "list"):
                    let rows = state.snapshots.sorted { $0.key < $1.key }.map { "\($0.key)\t\($0.value ?? state.identity ?? "-")\n" }
                    return CommandOutput(output: rows.joined())
                case ("zfs", "set"):
                    let target = words[words.count - 1]
                    for word in words.dropFirst().dropLast() {
                        let pair = word.split(separator: "=", maxSplits: 1).map(String.init)
                        if pair[0] == "com.kldload:image" { state.image = pair[1] }
                        guard pair[0] == "com.kldload:identity" else { continue }
                        if target != Self.name {
                            state.snapshots[target] = pair[1]
                        } else {
                            state.identity = pair[1]
                            if pair[1] == "own" { state.done = fuse.count }
                        }
                    }
                    return CommandOutput()
                default: throw Unscripted(what: line)
                }
            }
            guard command.acceptedExitStatuses.contains(output.status) else { throw CommandError.failed(command, output) }
            return output
        }

        /// Adopts; taking what is the machine's own is two copies.
        func adopt(_ plan: Plan) async throws {
            let take: Performer = { _, runner, _ in
                for file in ["hostid", "shadow"] {
                    try await runner.run(Command(Tool("cp", package: "coreutils"), ["/etc/\(file)"], effect: .changes))
                }
            }
            try await PlanRunner(
                runner: FaultyRunner(self, fuse), files: FaultyFiles(MemoryFiles(), fuse),
                performers: Adoption.performers.merging(["fleet.take": take]) { $1 }
            ).apply(plan)
        }
    }

    private static let list = "zfs list -Hp -d 1 -t snapshot -o name,com.kldload:identity rpool/ROOT/golden"

    @Test(arguments: ["50", nil] as [String?])
    func `it is another machine's from the first to the last, and its snapshots are that for good`(image: String?) async throws {
        let marks = Marks(nil)
        try await marks.adopt(Adoption(system()).plan("golden", image: image))
        #expect(
            marks.now.lines == [
                "zfs set canmount=noauto rpool/ROOT/golden",
                "zfs set mountpoint=/ com.kldload:owner=kldload com.kldload:identity=foreign rpool/ROOT/golden",
                "mount -t zfs -o zfsutil rpool/ROOT/golden /run/kldload/adopt/golden", "cp /etc/hostid", "cp /etc/shadow",
                // Nothing is written to it after its snapshots were listed.
                "umount --recursive /run/kldload/adopt/golden", Self.list, "zfs set com.kldload:identity=foreign rpool/ROOT/golden@sent",
                "zfs set com.kldload:identity=foreign rpool/ROOT/golden@x",
                "zfs set com.kldload:identity=own \(image.map { "com.kldload:image=\($0) " } ?? "")rpool/ROOT/golden",
                "umount --recursive /run/kldload/adopt/golden",
            ])
        #expect(marks.now.identity == "own" && marks.now.image == image && marks.trusted == ["rpool/ROOT/golden@own"])
    }

    @Test func `a fault at whatever action leaves it another machine's, and the same again finishes it`() async throws {
        let whole = Marks("foreign")
        let plan = try Adoption(system()).plan("golden", image: "50")
        try await whole.adopt(plan)
        let last = try #require(whole.now.done)
        #expect(last == 11)
        var copied = 0
        for begun in ["foreign", nil] as [String?] {
            for (position, forever) in (0..<last).flatMap({ [($0, false), ($0, true)] }) {
                let marks = Marks(begun, Fuse(at: position, forever: forever))
                await #expect(throws: Diagnosis.self) { try await marks.adopt(plan) }
                let isCopied = marks.now.lines.contains { $0.hasPrefix("cp") }
                // One that bore no mark bears it before anything is copied into it.
                if begun != nil || isCopied {
                    #expect(marks.now.identity == "foreign" && marks.now.image == nil, "\(position)")
                    #expect(marks.trusted == ["rpool/ROOT/golden@own"], "\(position)")
                }
                if isCopied { copied += 1 }
            }
        }
        #expect(copied > 0)
    }

    @Test func `where it cannot be unmounted it is not this machine's own`() async throws {
        let marks = Marks("foreign", unmounting: 32)
        await #expect(throws: Diagnosis.self) { try await marks.adopt(Adoption(system()).plan("golden", image: nil)) }
        #expect(marks.now.identity == "foreign" && !marks.now.lines.contains(Self.list))
    }

    @Test func `one that runs, and is another machine's, is not called this one's own`() throws {
        for (isForeign, remedy) in [(false, "nothing is to do"), (true, "boot another one, and then: kldload kbe adopt golden")] {
            let problem = problem { _ = try Adoption(system(running: "golden", isForeign: isForeign)).plan("golden", image: nil) }
            #expect(problem?.code == "be.running" && problem?.remedies == [remedy])
        }
    }

    @Test func `it is closed to everybody, mounted apart, made this machine's own, and marked last`() throws {
        let plan = try Adoption(system()).plan("golden", image: "50")
        #expect(plan.steps.map(\.id) == ["fleet.properties", "be.mount", "fleet.take", "fleet.mark"])
        #expect(
            plan.commandLines == [
                "zfs set canmount=noauto rpool/ROOT/golden",
                "zfs set mountpoint=/ com.kldload:owner=kldload com.kldload:identity=foreign rpool/ROOT/golden",
                "mount -t zfs -o zfsutil rpool/ROOT/golden /run/kldload/adopt/golden", "umount --recursive /run/kldload/adopt/golden",
                "zfs set com.kldload:identity=own com.kldload:image=50 rpool/ROOT/golden",
            ])
        #expect(try Adoption(system()).plan("golden", image: nil).steps.map(\.id) == plan.steps.map(\.id))
        #expect(plan[step: "be.mount"]?.release.isEmpty == false && plan.destroys.isEmpty)
    }

    @Test func `a machine that signs what it boots signs the modules too`() throws {
        var system = try system()
        system.signing = .by(
            try CertificateIdentity([0x30, 0x0d, 0x30, 0x0b, 0x02, 0x01, 0x05, 0x30, 0x02, 0x05, 0x00, 0x30, 0x02, 0x31, 0x00]))
        let actions = try Adoption(system).plan("golden", image: nil)[step: "fleet.take"]?.actions ?? []
        #expect(actions.last == .perform("fleet.sign", ["root": "/run/kldload/adopt/golden"], effect: .changes))
    }

    @Test func `an initramfs that could not be built anew is built at the next time, though its modules are signed by then`() async throws {
        let module = "/new/usr/lib/modules/6.12/updates/dkms/zfs.ko"
        let files = MemoryFiles([
            module: "zfs", "/new/boot/vmlinuz-6.12": "kernel", "/new/boot/initrd.img-6.12": "of the other machine",
            // Neither is one to sign: without modules of DKMS, without an initramfs.
            "/new/boot/vmlinuz-6.1": "kernel", "/new/boot/initrd.img-6.1": "x", "/new/boot/vmlinuz-6.13": "kernel",
            "/new/usr/lib/modules/6.13/updates/dkms/zfs.ko": "zfs",
        ])
        let isFull = Locked(true)
        let runner = ScriptedRunner([
            { command in
                switch command.tool.name {
                case "openssl":
                    guard let out = command.arguments.last else { return nil }
                    try files.write("signature", to: FilePath(out))
                    return CommandOutput()
                case "chroot": return CommandOutput(status: isFull.value ? 1 : 0)
                default: return nil
                }
            }
        ])
        func builds() -> [String] { runner.commands.filter { $0.tool.name == "chroot" }.map(\.description) }
        let build = "chroot /new update-initramfs -u -k 6.12"
        await #expect(throws: CommandError.self) { try await Adoption.signModules(in: "/new", runner: runner, files: files) }
        let signed = files.texts[module]
        #expect(builds() == [build] && signed?.contains("signature") == true)
        isFull.value = false
        try await Adoption.signModules(in: "/new", runner: runner, files: files)
        #expect(builds() == [build, build] && files.texts[module] == signed)
        #expect(files.texts["/new/usr/lib/modules/6.13/updates/dkms/zfs.ko"] == "zfs")
    }

    @Test func `what runs, or boots next, or holds more, is left alone`() throws {
        for (plan, code) in [
            ({ try Adoption(self.system()).plan("debian", image: nil) }, "be.running"),
            ({ try Adoption(self.system(next: "golden")).plan("golden", image: nil) }, "be.active"),
            (
                {
                    try Adoption(self.system(children: [try DatasetName("rpool/ROOT/golden/var"): .init("/var")]))
                        .plan("golden", image: nil)
                },
                "be.deep"
            ),
            ({ try Adoption(self.system()).plan("nothing", image: nil) }, "be.unknown"),
        ] as [(() throws -> Plan, String)] {
            #expect { try plan() } throws: { Diagnosis(of: $0).code == code }
        }
    }
}

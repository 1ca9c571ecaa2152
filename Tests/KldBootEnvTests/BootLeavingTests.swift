import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldSystemd
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("A boot that is no good, and tools that are missing or fail")
struct BootLeavingTests {
    private static let reboot = Systemctl.reboot(waiting: false).description
    private static let list = ZPool.list().description

    @Test("a tool that is missing, or that fails, is a problem of the boot, and not the check's own error")
    func missing() async throws {
        let missing = ScriptedRunner([{ command in throw CommandError.toolMissing(command.tool) }])
        let listed = MemoryFiles([InstallManifest.path: #"{"units": []}"#])
        let problems = try await BootCheck.run(runner: missing, files: listed, limit: .zero)
        #expect(problems == ["the program zpool is not installed"])
        let failing = ScriptedRunner([{ _ in CommandOutput(status: 1, errors: "/dev/zfs: Permission denied\n") }])
        #expect(
            try await BootCheck.run(runner: failing, files: listed, limit: .zero) == [
                "zpool failed with exit status 1: /dev/zfs: Permission denied"
            ])
    }

    @Test("a file of the owner's that cannot be started is a problem, with the reason; the others are asked all the same")
    func hook() async throws {
        let (broken, good) = (BootCheck.hooks.appending("10-broken"), BootCheck.hooks.appending("20-good"))
        let files = MemoryFiles([InstallManifest.path: #"{"units": []}"#])
        for file in [broken, good] { try files.write("true\n", to: file, mode: .script) }
        let runner = ScriptedRunner([
            { command in
                if command.description == Self.list { return CommandOutput() }
                if command.tool.name == broken.string { throw CommandError.cannotStart(command, reason: "Exec format error") }
                return CommandOutput(status: 3, errors: "no\n")
            }
        ])
        #expect(
            try await BootCheck.run(runner: runner, files: files, limit: .zero) == [
                "\(broken) could not be started: Exec format error", "\(good) ended with 3: no",
            ])
    }

    /// Leaves a machine whose facts cannot be read. - Returns: how often it was restarted, and what was thrown.
    private func leave(_ problem: any Error, times: Int = 1, _ files: MemoryFiles = MemoryFiles([:])) async -> (Int, [any Error]) {
        let runner = ScriptedRunner([Self.reboot: ""])
        var thrown: [any Error] = []
        for _ in 0..<times {
            do {
                try await BootLeaving.leave(because: "ssh", runner: runner, files: files) {
                    throw problem
                } say: { _ in
                }
            } catch { thrown.append(error) }
        }
        return (runner.commands.count, thrown)
    }

    @Test("where the machine cannot be read, whatever keeps it, it restarts as often as an environment has tries")
    func blind() async throws {
        let failed = Command("zfs", ["list"], effect: .reads)
        let errors: [any Error] = [
            CommandError.toolMissing("lsblk"), CommandError.failed(failed, CommandOutput(status: 1)),
            ZFSFailure(.moduleNotLoaded, command: failed, output: CommandOutput(status: 1)),
            FileError.other("/etc/kldload/x", action: "read", reason: "not UTF-8"), Diagnosis("boot.esp-damaged", "x"),
        ]
        for error in errors {
            let (restarts, thrown) = await leave(error, times: 4)
            #expect(restarts == BootEntry.tries && thrown.count == 1, "\(error)")
        }
    }

    @Test("what the loader did not count stays up, and says why nothing could be read")
    func proven() async throws {
        let files = MemoryFiles(["/proc/cmdline": "kldload.entry=+ kldload.entry=kldload-debian-6.1.1 kldload.esp=0a\n"])
        let (restarts, thrown) = await leave(CommandError.toolMissing("zfs"), files)
        #expect(restarts == 0 && thrown.first as? CommandError == .toolMissing("zfs"))
    }

    @Test("with zfs list failing in the environment, a trial is left")
    func gathered() async throws {
        let runner = ScriptedRunner([
            { command in
                if command.description == Self.reboot { return CommandOutput() }
                if command.tool.name == "zfs" { return CommandOutput(status: 127, errors: "libzfs.so: cannot open\n") }
                return command == ListBlockDevices.command ? CommandOutput(output: GatherTests.listing) : CommandOutput()
            }
        ])
        let files = MemoryFiles(["/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n"])
        try await BootLeaving.leave(because: "x", runner: runner, files: files) {
            try await BootSystem.gather(runner: runner, files: files)
        } say: { _ in
        }
        #expect(runner.commands.last?.description == Self.reboot)
    }

    @Test("what is on trial is left with its reason; what has proved itself is not")
    func trial() async throws {
        for (left, restarts) in [(2, 1), (nil, 0)] as [(Int?, Int)] {
            let entries = [
                Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: left, done: left == nil ? 0 : 1),
            ]
            let system = try Fixture.system([Fixture.esp(entries)], running: "test")
            let (runner, files) = (ScriptedRunner([Self.reboot: ""]), MemoryFiles([:]))
            try await BootLeaving.leave(because: "ssh.service is failed", runner: runner, files: files) {
                system
            } say: { _ in
            }
            #expect(runner.commands.count == restarts)
            #expect(files.texts[BootTrial.file(entries[1].id).string] == (left == nil ? nil : "ssh.service is failed\n"))
        }
    }

    @Test("a stray byte among the pinned kernels keeps nobody from what boots")
    func pinned() throws {
        let files = MemoryFiles([:])
        try files.write(Array("# caf".utf8) + [0xe9] + Array("\n6.1.0\n".utf8), to: PinnedKernels.file, mode: .file)
        #expect(try PinnedKernels.read(files) == ["6.1.0"])
    }
}

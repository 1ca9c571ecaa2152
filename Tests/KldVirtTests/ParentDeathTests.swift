import Glibc
import KldFiles
import KldVirt
import SystemPackage
import Testing

@Suite(
    "A guest whose parent is killed",
    .enabled(if: Here.hasQEMU && Here.has("setpriv"), "qemu-system-x86_64 or setpriv is not installed"))
struct ParentDeathTests {
    @Test func diesToo() async throws {
        try await withScratch { folder in
            await #expect(processExitsWith: .signal(SIGKILL)) { [place = folder.string as String] in
                let folder = FilePath(place)
                let disk = folder.appending("probe.raw")
                try LocalFiles().write(ProbeGuest.disk, to: disk, mode: .file)
                let machine = try await VirtualMachine.start(ProbeGuest.machine(.tcg, disk: disk), qemu: Here.qemu, folder: folder)
                try LocalFiles().write("\(machine.process ?? 0)", to: folder.appending("pid"))
                kill(getpid(), SIGKILL)
            }
            let process = try #require(Int32(try LocalFiles().readText(folder.appending("pid"))))
            #expect(process > 1)
            let deadline = ContinuousClock.now + .seconds(60)
            while isAlive(process), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(20)) }
            #expect(!isAlive(process))
        }
    }

    /// A zombie counts as dead: in a container nobody may reap it.
    private func isAlive(_ process: Int32) -> Bool {
        guard let state = try? LocalFiles().readText(FilePath("/proc/\(process)/status")) else { return false }
        return !state.contains("State:\tZ")
    }
}

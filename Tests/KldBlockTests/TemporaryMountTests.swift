import KldBlock
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite struct `A short look at a file system` {
    @Test func `what a process left mounted that was killed is unmounted; where somebody looks now, nothing happens`() async throws {
        let files = MemoryFiles([
            "/proc/self/mounts":
                "x /run/kldload/look/77/one zfs ro 0 0\nx /run/kldload/look/8/two zfs ro 0 0\nx /run/kldload/look/77/one/usr zfs ro 0 0\n"
                + "/dev/vda1 /run/kldload/boot/esp-vda1 vfat rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n",
            "/proc/8/stat": "", "/run/kldload/look/77/one/x": "", "/run/kldload/look/8/two/x": "",
        ])
        let runner = ScriptedRunner([
            "umount --recursive /run/kldload/boot/esp-vda1": "", "umount --recursive /run/kldload/look/77/one/usr": "",
            "umount --recursive /run/kldload/look/77/one": "",
        ])
        try await TemporaryMount.sweep(runner: runner, files: files)
        #expect(runner.commands.count == 3)
        #expect(try files.folders(in: "/run/kldload/look") == ["8"])
    }

    @Test func `where somebody writes for a moment, nobody else reads: it is gone before they are done`() {
        var device = BlockDevice(path: "/dev/vda1", size: .gibibytes(1), type: "part")
        device.mountpoints = ["/run/kldload/boot/esp-vda1", "/run/kldload/look/7/esp"]
        #expect(device.mountpoint == nil)
        device.mountpoints.append("/boot/efi")
        #expect(device.mountpoint == "/boot/efi")
    }

    static let mount = "mount -t vfat -o ro /dev/vdb1 /run/kldload/look/7/esp"

    /// Recorded with util-linux 2.41, while the device was mounted to be written.
    static let busy = CommandOutput(
        status: 32, errors: "mount: /run/kldload/look/7/esp: /dev/vdb1 already mounted or mount point busy.\n")

    @Test func `who comes while another process has it mounted otherwise waits until it is free`() async throws {
        let tries = Mutex(0)
        let runner = ScriptedRunner([
            { command in
                guard command.description == Self.mount else { return nil }
                return tries.withLock { count in
                    count += 1
                    return count < 3 ? Self.busy : CommandOutput(output: "")
                }
            }, { $0.tool.name == "umount" ? CommandOutput(output: "") : nil },
        ])
        let seen = try await TemporaryMount(process: 7).with(
            at: "/dev/vdb1", as: "esp", type: "vfat", runner: runner, files: MemoryFiles([:])
        ) { $0 }
        #expect(seen == "/run/kldload/look/7/esp" && tries.withLock { $0 } == 3)
        #expect(runner.commands.last?.description == "umount --recursive /run/kldload/look/7/esp")
    }

    @Test func `what is damaged is not waited for, and what fails meanwhile is unmounted`() async throws {
        let damaged = CommandOutput(status: 32, errors: "mount: wrong fs type, bad option, bad superblock on /dev/vdb1\n")
        let runner = ScriptedRunner([{ $0.description == Self.mount ? damaged : nil }])
        await #expect(throws: CommandError.self) {
            try await TemporaryMount(process: 7).with(at: "/dev/vdb1", as: "esp", type: "vfat", runner: runner, files: MemoryFiles([:])) {
                _ in
            }
        }
        #expect(runner.commands.count == 1)

        let open = ScriptedRunner([{ _ in CommandOutput(output: "") }])
        await #expect(throws: CancellationError.self) {
            try await TemporaryMount(process: 7).with(at: "/dev/vdb1", as: "esp", type: "vfat", runner: open, files: MemoryFiles([:])) {
                _ in
                throw CancellationError()
            }
        }
        #expect(open.commands.last?.description == "umount --recursive /run/kldload/look/7/esp")
    }

    @Test func `the place of somebody's look is nobody else's mount point`() {
        var device = BlockDevice(path: "/dev/vdb1", size: ByteCount(1), mountpoints: ["/run/kldload/look/8/esp"])
        #expect(device.mountpoint == nil)
        device.mountpoints.append("/boot/efi")
        #expect(device.mountpoint == "/boot/efi")
    }
}

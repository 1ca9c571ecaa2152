import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldTestSupport
import SystemPackage
import Testing

@Suite("The ESP of the disk that was started")
struct MountedESPTests {
    static let variable = "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    static let guid = "AAAAAAAA-0000-4000-8000-00000000000B"

    static func mounting(_ device: String) -> String { "mount -t vfat -o umask=0077 \(device) /boot/efi" }

    /// A machine of two disks, vda and nvme0n1, that was started from the ESP `started`.
    func mount(
        started: String?, variable: [UInt8]? = nil, mounts: String = "rpool/ROOT/debian / zfs rw 0 0\n",
        pool: String = FirstBootFactsTests.pool,
        failing: [String] = []
    ) async throws -> (device: String?, commands: [String]) {
        let link = FilePath("/dev/disk/by-partuuid/\(Self.guid.lowercased())").string
        let files = MemoryFiles(
            ["/proc/self/mounts": mounts],
            links: ["/dev/disk/by-id/virtio-a-part2": "../../vda2"].merging(started.map { [link: $0] } ?? [:]) { $1 })
        if started != nil || variable != nil {
            let text = Self.guid.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
            try files.write(variable ?? ([6, 0, 0, 0] + text + [0, 0]), to: FilePath(Self.variable), mode: .file)
        }
        var answers = [
            ListBlockDevices.command.description: FirstBootFactsTests.listing, "zpool list -vHPp -o name,bootfs,altroot rpool": pool,
        ]
        for device in ["/dev/vda1", "/dev/nvme0n1p1"] {
            answers["fsck.fat -a \(device)"] = ""
            if !failing.contains(device) { answers[Self.mounting(device)] = "" }
        }
        let runner = ScriptedRunner(answers)
        let device = try await MountedESP.mount(runner: runner, files: files)
        return (device, runner.commands.filter { $0.effect == .changes }.map(\.description))
    }

    @Test("it is checked, then mounted for root alone", arguments: ["/dev/vda1", "/dev/nvme0n1p1"])
    func started(_ device: String) async throws {
        let result = try await mount(started: device)
        #expect(result.device == device)
        #expect(result.commands == ["fsck.fat -a \(device)", Self.mounting(device)])
    }

    @Test(
        "where the firmware says nothing, nonsense, or the name of a disk that is no longer there or not ours, it is the first of the pool's",
        arguments: [(nil, nil), (nil, [6, 0]), (nil, Array("6000../../../../etc/passwd".utf8)), ("/dev/sdb1", nil)] as [(String?, [UInt8]?)]
    )
    func unknown(_ device: String?, _ variable: [UInt8]?) async throws {
        #expect(try await mount(started: device, variable: variable).device == "/dev/vda1")
    }

    @Test("an ESP that does not mount is passed over for the next disk's")
    func next() async throws {
        #expect(try await mount(started: "/dev/vda1", failing: ["/dev/vda1"]).device == "/dev/nvme0n1p1")
    }

    @Test("what is mounted already stays")
    func already() async throws {
        let result = try await mount(started: nil, mounts: "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n")
        #expect(result.device == nil && result.commands.isEmpty)
    }

    @Test("no pool, no ESP, none that mounts: each says so")
    func refused() async throws {
        #expect(await problem { _ = try await mount(started: nil, mounts: "/dev/vda1 / ext4 rw 0 0\n") }?.code == "esp.no-zfs-root")
        #expect(await problem { _ = try await mount(started: nil, pool: "rpool\n\t/dev/vdz9\t1G\n") }?.code == "esp.none")
        #expect(
            await problem { _ = try await mount(started: nil, failing: ["/dev/vda1", "/dev/nvme0n1p1"]) }?.code == "esp.not-mounted")
    }
}

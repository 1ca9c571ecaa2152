import KldAnswers
import KldCore
import KldDistro
import KldExec
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("What an image cannot be asked for")
struct ImageBuildTests {
    static func request(_ lines: String...) throws -> ImageBuild.Request {
        let answers = try Answers(
            (["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/vda", "KLDLOAD_HOSTNAME=host"] + lines).joined(separator: "\n"))
        return ImageBuild.Request(
            answers: answers, formats: [.raw], folder: "/images", name: try ExportName(distro: "debian", profile: "x"), overwrite: false,
            version: "2.0.0", created: Timestamp(seconds: 0))
    }

    static func refusal(_ request: ImageBuild.Request) -> String? { problem { try ImageBuild.checkAnswers(request) }?.code }

    @Test("several disks, encryption and a wireless passphrase are refused")
    func answers() throws {
        #expect(try Self.refusal(Self.request()) == nil)
        #expect(
            try Self.refusal(Self.request("KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb")) == "image.topology")
        #expect(try Self.refusal(Self.request("KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdb")) == "image.topology")
        #expect(
            try Self.refusal(Self.request("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse'")) == "image.encrypted")
        #expect(try Self.refusal(Self.request("KLDLOAD_WIFI_SSID=office", "KLDLOAD_WIFI_PSK='twelve letters'")) == "image.wifi")
    }

    @Test("a disk that is too small for the profile is refused before anything is built", arguments: ProfileSpec.all)
    func diskSize(_ profile: ProfileSpec) throws {
        let mebibytes = profile.leastDisk.bytes >> 20
        #expect(try Self.refusal(Self.request("KLDLOAD_PROFILE=\(profile.id)", "KLDLOAD_DISK_SIZE=\(mebibytes)M")) == nil)
        // One that is written is refused with the other problems of the answers; the default is not, for a machine does not ask for it.
        #expect(throws: AnswersError.self) {
            try Self.request("KLDLOAD_PROFILE=\(profile.id)", "KLDLOAD_DISK_SIZE=\(mebibytes - 1)M")
        }
        #expect(
            try Self.refusal(Self.request("KLDLOAD_PROFILE=\(profile.id)")) == (profile.leastDisk > .gibibytes(8) ? "image.disk-size" : nil)
        )
    }

    @Test("all that an image cannot be asked for is told at once")
    func together() throws {
        let request = try Self.request(
            "KLDLOAD_ZFS_SPECIAL_DISKS=/dev/vdb", "KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse'",
            "KLDLOAD_WIFI_SSID=office", "KLDLOAD_WIFI_PSK='twelve letters'", "KLDLOAD_PROFILE=kvm")
        let problem = #expect(throws: Diagnosis.self) { try ImageBuild.checkAnswers(request) }
        #expect(problem?.code == "image.answers" && problem?.exit == .badAnswers)
        #expect(
            problem?.causes.compactMap { $0.split(separator: "(").last } == [
                "image.topology)", "image.encrypted)", "image.wifi)", "image.disk-size)",
            ])
        #expect(problem?.remedies.contains("set KLDLOAD_DISK_SIZE=16G or more") == true)
    }

    @Test("no room for what the profile holds is noticed before the work")
    func room() throws {
        func fits(_ free: ByteCount, _ line: String) -> Bool {
            let exporter = ImageExporter(runner: ScriptedRunner([]), files: MemoryFiles(free: free), stage: { _ in nil })
            let problem = problem { _ = try exporter.plan(ImageBuild.expected(Self.request(line))) }
            #expect(problem == nil || problem?.code == "image.no-space")
            return problem == nil
        }
        #expect(!fits(ByteCount(1_000_000_000), "KLDLOAD_PROFILE=core"))
        #expect(fits(.mebibytes(1100), "KLDLOAD_PROFILE=core"))
        #expect(!fits(.mebibytes(1100), "KLDLOAD_PROFILE=server"))
    }

    @Test("programs that a build runs only later are missed before it begins, all of them at once")
    func tools() throws {
        let problem = #expect(throws: Diagnosis.self) { try Workshop.requireTools(path: "/nowhere") }
        #expect(problem?.code == "image.tools-missing" && problem?.exit == .unavailable)
        #expect(problem?.message.hasSuffix(": " + Workshop.tools.map(\.name).joined(separator: ", ")) == true)
        #expect(
            problem?.remedies == [
                "apt-get install apt dosfstools mmdebstrap mtools qemu-utils squashfs-tools xz-utils zstd"
            ])
    }
}

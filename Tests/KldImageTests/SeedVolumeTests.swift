import KldCore
import KldExec
import KldImage
import KldTestSupport
import SystemPackage
import Testing

@Suite("Seed volumes")
struct SeedVolumeTests {
    static let mount = "mount -o ro,nosuid,nodev,noexec /dev/sdb1 /run/kldload/seed"
    static let unmount = "umount --recursive /run/kldload/seed"

    func device(_ links: [String: String]) throws -> FilePath? {
        let files = MemoryFiles(Dictionary(uniqueKeysWithValues: Set(links.values).map { ($0, "") }))
        for (link, device) in links { try files.symlink(FilePath(link), to: device) }
        return try SeedVolume.find(files)?.device
    }

    @Test("each label is found, of a file system or of a partition", arguments: SeedVolume.labels)
    func labels(_ label: String) throws {
        #expect(try device(["/dev/disk/by-label/\(label)": "/dev/sdb1"]) == "/dev/sdb1")
        #expect(try device(["/dev/disk/by-partlabel/\(label)": "/dev/sdb1"]) == "/dev/sdb1")
    }

    @Test("one volume under two names is one; without any there is none; other labels are others")
    func one() throws {
        #expect(try device(["/dev/disk/by-label/KLDSEED": "/dev/sdb1", "/dev/disk/by-partlabel/KLDLOAD-SEED": "/dev/sdb1"]) == "/dev/sdb1")
        #expect(try device([:]) == nil)
        #expect(try device(["/dev/disk/by-label/KLDSEED2": "/dev/sdb1", "/dev/disk/by-label/CIDATA": "/dev/sdc"]) == nil)
    }

    @Test("two volumes are refused: nobody knows which one was meant")
    func two() {
        do {
            _ = try device(["/dev/disk/by-label/KLDSEED": "/dev/sdb1", "/dev/disk/by-label/KLDLOAD-SEED": "/dev/sr0"])
            Issue.record("accepted")
        } catch {
            #expect(Diagnosis(of: error).code == "autoinstall.several-seeds")
            #expect(Diagnosis(of: error).causes == ["/dev/sdb1", "/dev/sr0"])
        }
    }

    @Test("labels fit where they are put: FAT holds eleven characters")
    func fat() { #expect(SeedVolume.labels.contains { $0.utf8.count <= 11 }) }

    @Test("the answers are read from a volume that is mounted read-only and unmounted again")
    func answers() async throws {
        let runner = ScriptedRunner([Self.mount: "", Self.unmount: ""])
        let files = MemoryFiles(["/run/kldload/seed/answers.env": "KLDLOAD_DISTRO=debian\n"])
        let text = try await SeedVolume(device: "/dev/sdb1").answers(runner: runner, files: files)
        #expect(String(decoding: text, as: UTF8.self) == "KLDLOAD_DISTRO=debian\n")
        #expect(runner.commands.map(\.description) == [Self.mount, Self.unmount])
    }

    @Test("a seed volume without answers is an error, and is unmounted too")
    func empty() async throws {
        let runner = ScriptedRunner([Self.mount: "", Self.unmount: ""])
        do {
            _ = try await SeedVolume(device: "/dev/sdb1").answers(runner: runner, files: MemoryFiles())
            Issue.record("read")
        } catch { #expect(Diagnosis(of: error).code == "autoinstall.no-answers") }
        #expect(runner.commands.last?.description == Self.unmount)
    }
}

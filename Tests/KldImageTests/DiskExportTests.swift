import FoundationEssentials
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("What is on a disk that is exported")
struct InstalledSystemTests {
    static let payload = """
        {"schema":"payload/1","kernel":"6.12.48","openZFS":"2.3.2","packageCount":2,"spec":{"kind":"target","distro":"debian",
        "suite":"trixie","backports":false,"profile":"server","locale":"en_US.UTF-8","extraPackages":[],"groups":[],"installedMirror":"m"}}
        """
    static let unknown = ImageDescription(
        distro: "unknown", suite: "unknown", profile: "unknown", created: Timestamp(seconds: 0), kldload: "1")

    private func read(_ texts: [String: String]) async throws -> InstalledSystem {
        let list = "chroot /target " + InstalledPackage.list(.dpkg).description
        let runner = ScriptedRunner([list: "libc6:amd64\t2.41-12\tamd64\tglibc\t2.41-12\tGNU Libc Maintainers <a@b>\tinstalled\n"])
        return try await InstalledSystem.read("/target", runner: runner, files: MemoryFiles(texts))
    }

    @Test("a machine that kldload installed is named like its image would be, with a bill of materials")
    func installed() async throws {
        let system = try await read([
            "/target/usr/lib/kldload/payload.json": Self.payload, "/target/boot/vmlinuz-6.12.48": "", "/target/var/lib/dpkg/status": "",
        ])
        #expect(try system.name?.text == "kldload-debian-server")
        let image = system.describing(Self.unknown)
        #expect([image.distro, image.suite, image.profile] == ["debian", "trixie", "server"])
        #expect([image.kernel, image.openzfs] == ["6.12.48", "2.3.2"])
        let sbom = try #require(try system.sbom(of: image))
        #expect(sbom.packages.map(\.name) == ["libc6"])
        #expect(sbom.components.count == 2)
        // As it goes over the guest's channel, among events.
        let line = String(decoding: try JSONEncoder().encode(system), as: UTF8.self)
        #expect(!line.contains("\n") && InstalledSystem(line: line) == system)
        #expect(throws: (any Error).self) { try JSONDecoder().decode(PlanEvent.self, from: Data(line.utf8)) }
        let event = String(decoding: try JSONEncoder().encode(PlanEvent(.line, message: "x")), as: UTF8.self)
        #expect(InstalledSystem(line: event) == nil)
    }

    @Test(
        "the name that is known when the guest has looked into the copy is checked then: one that is taken is refused, unless another was asked for"
    )
    func nameTaken() async throws {
        let system = try await read(["/target/usr/lib/kldload/payload.json": Self.payload])
        let unknown = try ExportPlanTests.request([.qcow2])
        let files = MemoryFiles(["/out/kldload-debian-server.qcow2": "mine"], free: ByteCount(0))
        let exporter = ExportPlanTests.exporter(ScriptedRunner([]), files)
        #expect(throws: ExportError.exists(["/out/kldload-debian-server.qcow2"])) {
            try exporter.checkNames(DiskExport.described(unknown, system, named: nil))
        }
        let asked = try ExportName(sanitising: "mine")
        #expect(try exporter.checkNames(DiskExport.described(unknown, system, named: asked)).outputs.map(\.name) == ["mine.qcow2"])
    }

    @Test("a kernel that an upgrade brought is not called by the old one's number")
    func upgraded() async throws {
        let system = try await read(["/target/usr/lib/kldload/payload.json": Self.payload, "/target/boot/vmlinuz-6.12.60": ""])
        #expect(system.kernel == nil && system.openZFS == nil && system.profile == "server")
    }

    @Test("another system says what it is; its profile, and so its name, stay unknown")
    func foreign() async throws {
        let text = "NAME=\"Debian\"\nID=debian\nVERSION_CODENAME='bookworm'\nVERSION_ID=\"12\"\n"
        let system = try await read(["/target/usr/lib/os-release": text])
        #expect(system.distro == "debian" && system.suite == "bookworm")
        #expect(try system.name == nil && system.sbom(of: Self.unknown) == nil)
        #expect(system.describing(Self.unknown).profile == "unknown")
        #expect(try await read([:]).describing(Self.unknown) == Self.unknown)
    }
}

@Suite("What an export leaves and says")
struct DiskExportTests {
    @Test("a device whose data nobody knows is copied wherever there is any room, which is said; a file needs the room for its data")
    func room() throws {
        func source(_ data: ByteCount?) -> SourceImage {
            SourceImage(path: "/dev/sdb", form: .raw, virtualSize: .gibibytes(1024), dataSize: data)
        }
        #expect(problem { try DiskExport.requireRoom(for: source(nil), in: "/cache/work", free: .gibibytes(4)) } == nil)
        #expect(problem { try DiskExport.requireRoom(for: source(.gibibytes(3)), in: "/cache/work", free: .gibibytes(4)) } == nil)
        let refused = problem { try DiskExport.requireRoom(for: source(.gibibytes(5)), in: "/cache/work", free: .gibibytes(4)) }
        #expect(refused?.code == "image.no-space")
        var request = try ExportPlanTests.request([.qcow2], source: "/dev/sdb", size: .gibibytes(1024), data: nil)
        let note = try #require(try DiskExport.note(ExportPlan(request)))
        #expect(note.hasPrefix("/dev/sdb has \(ByteCount.gibibytes(1024)), and how much of that is data only reading it tells: "))
        request.source.dataSize = .gibibytes(3)
        #expect(try DiskExport.note(ExportPlan(request)) == nil)
    }

    @Test("a copy that fills the cache's file system is no failure of qemu-img")
    func copyFailed() throws {
        let source = SourceImage(path: "/dev/sdb", form: .raw, virtualSize: .gibibytes(8), dataSize: nil)
        func said(_ errors: String) -> Diagnosis {
            let error = CommandError.failed(Command("qemu-img", [], effect: .changes), CommandOutput(status: 1, errors: errors))
            return Diagnosis(of: DiskExport.copyFailed(error, of: source, in: "/cache/work"))
        }
        let full = said("qemu-img: error while writing at byte 2143289344: No space left on device\n")
        #expect(full.code == "image.no-space" && full.exit == .cannotCreate && full.message.contains("/cache/work is full"))
        #expect(said("qemu-img: error while reading at byte 0: Input/output error\n").code == "command.failed")
    }

    @Test("a stage is said once; after that come percentages, and every event says how much is done of all")
    func narrated() {
        let narrator = ExportNarrator()
        let events = [
            ExportProgress(.converting, format: .qcow2, finished: 0, total: 2),
            ExportProgress(.converting, format: .qcow2, percent: 43.7, finished: 0, total: 2),
            ExportProgress(.digesting, format: .qcow2, finished: 0, total: 2),
            ExportProgress(.converting, format: .raw, finished: 1, total: 2),
            ExportProgress(.converting, format: .raw, percent: 100, finished: 1, total: 2),
            ExportProgress(.publishing, finished: 2, total: 2), ExportProgress(.done, percent: 100, finished: 2, total: 2),
        ].map(narrator.event)
        #expect(events.map(\.kind) == [.line, .output, .line, .line, .output, .line, .line])
        #expect(
            events.map(\.message) == [
                "converting qcow2 (0 of 2 done)", "converting qcow2 43 % (0 of 2 done)", "digesting qcow2 (0 of 2 done)",
                "converting raw (1 of 2 done)", "converting raw 100 % (1 of 2 done)", "publishing (2 of 2 done)", "done (2 of 2 done)",
            ])
        #expect(events.map(\.done) == [0, 34, 90, 100, 180, 200, 200])
        #expect(events.allSatisfy { $0.total == 200 })
    }
}

import KldBlock
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Making seed volumes")
struct SeedCreateTests {
    static func stick(filesystem: String? = "vfat", mounted: [String] = []) -> [BlockDevice] {
        [
            BlockDevice(
                path: "/dev/sdb", size: .gibibytes(8),
                children: [BlockDevice(path: "/dev/sdb1", size: .gibibytes(8), type: "part", filesystem: filesystem, mountpoints: mounted)])
        ]
    }

    @Test("an image file is whole or absent, and only its owner reads it")
    func image() {
        let plan = SeedVolume.creating("/out/seed.img", answers: "/tmp/x/answers.env")
        #expect(
            plan.text() == """
                plan: make a seed volume
                seed: Seed volume
                  + seed.create: Write /out/seed.img
                      write /out/seed.img.part (600, 0 bytes)
                      truncate --size=4194304 /out/seed.img.part
                      mkfs.vfat -n KLDLOADSEED /out/seed.img.part
                      mcopy -i /out/seed.img.part /tmp/x/answers.env ::answers.env
                      mv --force --no-target-directory /out/seed.img.part /out/seed.img
                      undo: remove /out/seed.img.part

                """)
        #expect(SeedVolume.labels.contains(SeedVolume.fatLabel) && SeedVolume.fatLabel.count <= 11)
    }

    @Test("what the answers name lies beside them, under its own name")
    func files() throws {
        func copies(_ plan: Plan) -> [String] {
            plan.steps.flatMap(\.actions).compactMap { action in
                guard case .run(let command) = action, command.tool.name == "mcopy" else { return nil }
                return command.arguments.dropFirst(2).joined(separator: " ")
            }
        }
        let extra: [FilePath] = ["/keys/mok.key", "/keys/mok.pem"]
        let expected = ["/tmp/a ::answers.env", "/keys/mok.key ::mok.key", "/keys/mok.pem ::mok.pem"]
        #expect(copies(SeedVolume.creating("/out/seed.img", answers: "/tmp/a", files: extra)) == expected)
        #expect(copies(try SeedVolume.creating(on: "/dev/sdb", answers: "/tmp/a", files: extra, devices: Self.stick())) == expected)
    }

    @Test("a file that is not there, or whose name is taken or odd, is refused before anything is written")
    func extra() {
        let files = MemoryFiles([
            "/a/mok.key": "", "/b/MOK.KEY": "", "/a/answers.env": "", "/a/kldload-x": "", "/a/a b": "", "/a/mok.pem": "",
        ])
        func cause(_ extra: FilePath...) -> String? {
            do {
                try SeedVolume.check(extra, files)
                return nil
            } catch {
                #expect(error.code == "seed.file")
                return error.causes.first
            }
        }
        #expect(cause("/a/mok.key", "/a/mok.pem") == nil)
        #expect(cause("/a/none") == "there is no such file" && cause("/a") == "there is no such file")
        #expect(cause("/a/mok.key", "/b/MOK.KEY") == "another one has that name" && cause("/a/answers.env") == "another one has that name")
        #expect(cause("/a/kldload-x") == "it cannot have that name there" && cause("/a/a b") == "it cannot have that name there")
    }

    @Test("a stick is overwritten only with an approval that names it")
    func stick() throws {
        let plan = try SeedVolume.creating(on: "/dev/sdb", answers: "/tmp/a", devices: Self.stick())
        #expect(plan.destroys == ["/dev/sdb"])
        #expect(throws: Diagnosis.self) { try PlanRunner.check(plan, approvals: []) }
        let other = try #require(WipeApproval(typed: "/dev/sdc", disk: "/dev/sdc"))
        #expect(throws: Diagnosis.self) { try PlanRunner.check(plan, approvals: [other]) }
        let own = try #require(WipeApproval(typed: "/dev/sdb", disk: "/dev/sdb"))
        #expect(throws: Never.self) { try PlanRunner.check(plan, approvals: [own]) }
    }

    @Test("what is mounted, part of a pool, or not there is refused")
    func refused() {
        func code(_ device: String, _ devices: [BlockDevice]) -> String? {
            problem { _ = try SeedVolume.creating(on: device, answers: "/tmp/a", devices: devices) }?.code
        }
        #expect(code("/dev/sdb1", Self.stick()) == nil)
        #expect(code("/dev/sdz", Self.stick()) == "seed.no-device")
        for device in ["/dev/sdb", "/dev/sdb1"] {
            #expect(code(device, Self.stick(mounted: ["/media/x"])) == "seed.in-use")
            for member in ["zfs_member", "LVM2_member"] { #expect(code(device, Self.stick(filesystem: member)) == "seed.in-use") }
        }
        var locked = Self.stick()
        locked[0].readOnly = true
        #expect(code("/dev/sdb", locked) == "seed.in-use")
    }

    @Test(
        "the volume that is made holds the answers",
        .enabled(
            if: ["mkfs.vfat", "mcopy"].allSatisfy { name in
                ["/usr/sbin/", "/usr/bin/", "/sbin/"].contains { (try? LocalFiles().exists(FilePath($0 + name))) ?? false }
            }, "needs dosfstools and mtools"))
    func real() async throws {
        try await Scratch.with { folder in
            let (files, runner) = (LocalFiles(), SubprocessRunner())
            let (answers, image) = (folder.appending("answers.env"), folder.appending("seed.img"))
            try files.write("KLDLOAD_DISTRO=debian\n", to: answers)
            try await PlanRunner(runner: runner, files: files).apply(SeedVolume.creating(image, answers: answers))
            let read = Command(Tool("mcopy", package: "mtools"), ["-i", image.string, "::answers.env", "-"], effect: .reads)
            #expect(try await runner.run(read).output == "KLDLOAD_DISTRO=debian\n")
            #expect(try files.status(image)?.mode == 0o600)
        }
    }
}

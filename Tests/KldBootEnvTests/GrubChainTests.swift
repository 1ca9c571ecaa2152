import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

/// The machine of ``Fixture``, started by GRUB.
enum GrubFixture {
    static let id = HostID(0x0123_4567)

    static func parts(_ name: String, initramfs: Int = 1) -> KernelParts {
        KernelParts(
            release: Fixture.release, initramfs: initramfs, hostID: id,
            commandLine: KernelCommandLine(running: "root=ZFS=rpool/ROOT/\(name) boot=zfs rw console=tty0 panic=15"))
    }

    static func entry(
        _ name: String, order: Int, left: Int? = nil, done: Int = 0, generation: Int = 1, initramfs: Int = 1, once: Bool = false
    ) -> BootEntry {
        var entry = Fixture.entry(name, order: order, left: left, done: done, generation: generation, once: once)
        entry.parts = parts(name, initramfs: initramfs)
        return entry
    }

    static func esp(_ entries: [BootEntry], _ device: String = "/dev/vda1", mounted: Bool = true) -> BootSystem.ESP {
        var esp = Fixture.esp(entries, device, mounted: mounted)
        esp.images = Dictionary(entries.flatMap(\.files).map { ($0, ByteCount.mebibytes(30)) }, uniquingKeysWith: { $1 })
        return esp
    }

    static func system(_ esps: [BootSystem.ESP] = [esp([entry("debian", order: 100)])], running: String = "debian") throws -> BootSystem {
        var system = try Fixture.system(esps, running: running, bootfs: running)
        system.chain = .grub
        return system
    }

    /// - Parameter present: of its parts, on the devices.
    static func target(_ name: String, initramfs: Int = 1, present: [String: Set<String>]) throws -> BootTarget {
        var target = try Fixture.target(name)
        let parts = parts(name, initramfs: initramfs)
        target.kernels[0].parts = .init(
            parts: parts, sizes: Dictionary(uniqueKeysWithValues: parts.files.map { ($0, ByteCount.mebibytes(30)) }), present: present)
        return target
    }
}

@Suite("Boot environments behind GRUB")
struct GrubChainTests {
    static let shared = Set(GrubFixture.parts("debian").files)

    @Test("an environment with the same kernel costs one small file on each ESP, on trial")
    func activate() throws {
        let system = try GrubFixture.system()
        let plan = try BootEnvironments(system).activate(GrubFixture.target("test", present: ["/dev/vda1": Self.shared]))
        #expect(plan.steps.map(\.id) == ["boot.entry.vda1", "boot.bootfs"])
        let entry = GrubFixture.entry("test", order: 200, left: 3)
        #expect(
            plan.steps[0].actions == [
                .write(FilePath("/boot/efi/EFI/kldload/entries/\(entry.id).env"), content: .text(entry.text)), ESPFile.sync("/boot/efi"),
            ])
    }

    @Test("a new initramfs is staged under another name, beside the one that boots, on every ESP, before its entry")
    func refresh() throws {
        let old = [GrubFixture.entry("debian", order: 100)]
        let system = try GrubFixture.system([GrubFixture.esp(old), GrubFixture.esp(old, "/dev/vdb1", mounted: false)])
        let kept = Self.shared.subtracting(["EFI/kldload/initrd-\(Fixture.release).1"])
        let target = try GrubFixture.target("debian", initramfs: 2, present: ["/dev/vda1": kept, "/dev/vdb1": kept])
        let steps = try BootStaging(system, target, .unchanged).steps()
        #expect(steps.map(\.id) == ["boot.supplement", "boot.stage.vda1", "boot.stage.vdb1", "boot.entry.vda1", "boot.entry.vdb1"])
        #expect(
            steps[1].actions.map(\.text) == [
                "mkdir /boot/efi/EFI/kldload (755)",
                "cp /boot/initrd.img-\(Fixture.release) /boot/efi/EFI/kldload/.initrd-\(Fixture.release).2.new",
                "sync --file-system /boot/efi",
                "cmp /boot/initrd.img-\(Fixture.release) /boot/efi/EFI/kldload/.initrd-\(Fixture.release).2.new",
                "mv --force /boot/efi/EFI/kldload/.initrd-\(Fixture.release).2.new /boot/efi/EFI/kldload/initrd-\(Fixture.release).2",
                "sync --file-system /boot/efi",
            ])
        #expect(
            try BootStaging(system, target, .unchanged).entry()
                == GrubFixture.entry("debian", order: 101, left: 3, generation: 2, initramfs: 2))
    }

    @Test("room is needed for what an ESP lacks, and for no more")
    func room() throws {
        var system = try GrubFixture.system()
        system.esps[0].free = .mebibytes(35)
        #expect(throws: Never.self) {
            try BootStaging(system, GrubFixture.target("test", present: ["/dev/vda1": Self.shared]), .always).steps()
        }
        let lacking = try GrubFixture.target("test", initramfs: 2, present: ["/dev/vda1": []])
        #expect { try BootStaging(system, lacking, .always).steps() } throws: { Diagnosis(of: $0).code == "boot.esp-full" }
    }

    @Test("nothing is staged without a host id, even where every file is there")
    func hostID() throws {
        var system = try GrubFixture.system()
        system.hostID = nil
        let target = try GrubFixture.target("test", present: ["/dev/vda1": Self.shared])
        #expect { try BootStaging(system, target, .always).steps() } throws: { Diagnosis(of: $0).code == "boot.no-host-id" }
    }

    @Test("the line of a clone, and of an environment that gets another name, starts its own root")
    func lines() throws {
        let created = try BootEnvironments(GrubFixture.system()).create("next", now: Fixture.now)
        #expect(BootMenuTests.written(created) == [GrubFixture.entry("next", order: 0)])
        let entries = [GrubFixture.entry("debian", order: 200), GrubFixture.entry("test", order: 100, left: 2, done: 1)]
        let renamed = try BootEnvironments(GrubFixture.system([GrubFixture.esp(entries)])).rename("test", to: "works")
        #expect(BootMenuTests.written(renamed) == [GrubFixture.entry("works", order: 100, left: 2, done: 1)])
        #expect(renamed.steps.first?.id == "be.rename")
        // To FAT both names are one: the line that is taken away must not be the new one.
        let larger = try BootEnvironments(GrubFixture.system([GrubFixture.esp(entries)])).rename("test", to: "TEST")
        #expect(BootMenuTests.written(larger).map(\.generation) == [2])
    }

    @Test("a line that an older release gave another root is told by doctor boot, and written anew on every ESP")
    func wrongRoot() throws {
        let (debian, right) = (GrubFixture.entry("debian", order: 100), GrubFixture.entry("test", order: 200, left: 3))
        var wrong = right
        wrong.parts = GrubFixture.parts("debian")
        func esps(_ entry: BootEntry) -> [BootSystem.ESP] {
            [GrubFixture.esp([debian, entry]), GrubFixture.esp([debian, entry], "/dev/vdb1", mounted: false)]
        }
        let healing = BootTrial(try GrubFixture.system(esps(wrong))).equal
        #expect(healing.steps.map(\.id) == ["boot.entry.vda1.\(right.id)", "boot.entry.vdb1.\(right.id)"])
        #expect(BootMenuTests.written(healing) == [right, right])
        #expect(BootTrial(try GrubFixture.system(esps(right))).equal.steps.isEmpty)

        func predict(_ entry: BootEntry) throws -> BootPrediction {
            var target = try GrubFixture.target("test", present: [:])
            target.kernels[0].matching = ["/dev/vda1": [entry.id], "/dev/vdb1": [entry.id]]
            let facts = BootPrediction.Facts(target: target, module: true, signatures: [:], firmware: .off, enrolment: .absent)
            return BootPrediction(try GrubFixture.system(esps(entry)), facts)
        }
        let failed = try predict(wrong).findings.filter { $0.status == .fail }
        #expect(failed.map(\.name) == ["root"] && failed.first?.text.contains("rpool/ROOT/debian") == true)
        #expect(try predict(right).starts)
    }

    @Test("files go with the last entry that needs them")
    func destroy() throws {
        let entries = [GrubFixture.entry("debian", order: 200), GrubFixture.entry("test", order: 100, initramfs: 2)]
        let system = try GrubFixture.system([GrubFixture.esp(entries)])
        let plan = try BootEnvironments(system).destroy("test")
        #expect(
            plan.steps.first?.actions.map(\.text).filter { $0.hasPrefix("remove") } == [
                "remove /boot/efi/\(entries[1].path)", "remove /boot/efi/EFI/kldload/initrd-\(Fixture.release).2",
            ])
    }

    @Test(
        "a boot that went well has no counter any more, everywhere; what a power cut left is taken away; an ESP that lacks files gets them once"
    )
    func proven() throws {
        let (debian, test) = (GrubFixture.entry("debian", order: 100), GrubFixture.entry("test", order: 200, left: 2, done: 1))
        var first = GrubFixture.esp([debian, test])
        first.images["EFI/kldload/initrd-\(Fixture.release).7"] = .mebibytes(30)
        var second = GrubFixture.esp([debian, test], "/dev/vdb1", mounted: false)
        second.images = [:]
        var system = try GrubFixture.system([first, second], running: "test")
        system.selected = test.id.lowercased()
        let steps = BootTrial(system).proven.steps
        var good = test
        good.counter = nil
        #expect(
            steps.map(\.id) == [
                "boot.good.vda1", "boot.good.vdb1", "boot.reason", "boot.tidy.vda1", "boot.copy.vdb1.\(test.id)",
            ])
        #expect(steps[0].actions.first == .write(FilePath("/boot/efi/\(test.path)"), content: .text(good.text)))
        #expect(steps[3].actions.first?.text == "remove /boot/efi/EFI/kldload/initrd-\(Fixture.release).7")
        #expect(steps[4].actions.map(\.text).filter { $0.hasPrefix("cp") }.count == 3)
    }

    @Test("what is on an ESP is known by what it holds: the same file has the same name for every environment")
    func separated() async throws {
        let entry = GrubFixture.entry("debian", order: 100)
        func kernel(_ name: String, root: String, initrd: String) async throws -> BootTarget.Kernel {
            let system = try GrubFixture.system()
            let files = MemoryFiles([
                "\(root)/boot/vmlinuz-\(Fixture.release)": "kernel", "\(root)/boot/initrd.img-\(Fixture.release)": initrd,
                "\(root)/usr/lib/modules/\(Fixture.release)/x": "", "/boot/efi/\(entry.files[0])": "kernel",
                "/boot/efi/\(entry.files[1])": "initramfs",
            ])
            let id = try #require(system.hostID)
            try files.write(InitramfsSupplement.hostID(id), to: FilePath("/boot/efi/\(entry.files[2])"), mode: .file)
            var environment = try system.environment(name)
            environment.mountpoint = root.isEmpty ? "/" : root
            let runner = ScriptedRunner([
                "lsinitramfs \(root)/boot/initrd.img-\(Fixture.release)": "usr/lib/modules/zfs.ko\nusr/sbin/zpool\n"
            ])
            return try await BootTarget.with(environment, runner: runner, files: files) { target in
                try #require(await target.compared(system, runner: runner, files: files).kernels.first)
            }
        }
        let own = try await kernel("debian", root: "", initrd: "initramfs")
        #expect(own.matching == ["/dev/vda1": [entry.id]] && own.parts?.parts == entry.parts && own.hasModule == nil)
        let clone = try await kernel("test", root: "/be", initrd: "initramfs")
        #expect(clone.matching.isEmpty && clone.parts?.parts == GrubFixture.parts("test") && clone.hasModule == nil)
        #expect(clone.parts?.lacking(on: "/dev/vda1") == [])
        let changed = try await kernel("test", root: "/be", initrd: "another one")
        #expect(changed.parts?.parts == GrubFixture.parts("test", initramfs: 2) && changed.hasModule == true)
        #expect(changed.parts?.lacking(on: "/dev/vda1") == ["EFI/kldload/initrd-\(Fixture.release).2"])
    }
}

import KldBoot
import KldCore
import KldPlan
import KldTestSupport
import Testing

@testable import KldBootEnv

@Suite("Files on an ESP to which nothing leads")
struct ESPLeftoverTests {
    static let folder = "EFI/kldload"
    /// Left on the first ESP, which is mounted at `/boot/efi`.
    static let left = [
        ".kldload-test-6.1.1.efi.new", ".recovery.efi.new", "kldload-old-6.1.1.efi", "kldload-theirs-6.1.1.efi", ".notes.new", "other.efi",
        "grubx64.efi",
    ]
    static let texts = Dictionary(uniqueKeysWithValues: left.map { ("/boot/efi/\(folder)/\($0)", "x") })
    static let theirs = ["/boot/efi/loader/entries/theirs.conf": "title Theirs\nefi \\EFI\\KLDLOAD\\KLDLOAD-THEIRS-6.1.1.EFI\n"]

    private static func removed(_ steps: [Step]) -> [String] {
        steps.flatMap(\.actions).map(\.text).filter { $0.hasPrefix("remove ") }.map { String($0.leaf) }
    }

    @Test("go with the next good boot and with the next refresh; others' stay, and what others' entries lead to")
    func gone() async throws {
        let system = try await DamagedESPTests().gather(more: Self.texts.merging(Self.theirs) { $1 })
        let gone = [".kldload-test-6.1.1.efi.new", ".recovery.efi.new", "kldload-old-6.1.1.efi"]
        for plan in [BootTrial(system).proven, BootTrial(system).equal] {
            #expect(plan.steps.map(\.id) == ["boot.tidy.vda1"] && Self.removed(plan.steps) == gone)
        }
        // Without that entry its image is kldload's own again.
        let alone = try await DamagedESPTests().gather(more: Self.texts)
        #expect(Self.removed(BootTrial(alone).equal.steps) == gone + ["kldload-theirs-6.1.1.efi"])
        #expect(try await BootTrial(DamagedESPTests().gather()).equal.steps.isEmpty)
    }

    @Test("stay where an entry cannot be read, and while the first boot writes; images stay where another ESP's entries are not known")
    func unknown() async throws {
        let unreadable = "/boot/efi/loader/entries/x.conf"
        let entry = try await DamagedESPTests().gather(unreadable: unreadable, more: Self.texts.merging([unreadable: "x"]) { $1 })
        #expect(entry.damaged.isEmpty && BootTrial(entry).equal.steps.isEmpty)
        let mounts = [
            "/proc/self/mounts":
                "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n/dev/vda1 /run/kldload/firstboot/esp0 vfat rw 0 0\n"
        ]
        let first = try await DamagedESPTests().gather(more: Self.texts.merging(mounts) { $1 })
        #expect(BootTrial(first).equal.steps.isEmpty)
        let damaged = try await DamagedESPTests().gather(unmountable: ["/dev/vdb1"], more: Self.texts)
        #expect(Self.removed(BootTrial(damaged).equal.steps) == [".kldload-test-6.1.1.efi.new", ".recovery.efi.new"])
    }

    @Test("are none where an entry of another ESP leads to them, whatever that ESP has for a copy of it")
    func otherESP() throws {
        let (own, test) = (Fixture.entry("debian", order: 100), Fixture.entry("test", order: 50))
        var shared = own
        shared.sharedImage = "EFI/kldload/kldload-x-6.1.1.efi"
        var first = Fixture.esp([own])
        first.images[test.imagePath] = .mebibytes(70)
        first.images[shared.imagePath] = .mebibytes(70)
        let system = try Fixture.system([first, Fixture.esp([shared, test], "/dev/vdb1")])
        #expect(system.orphans(on: first).isEmpty)
        #expect(system.orphans(on: first, without: [test]).keys.sorted() == [test.imagePath])
        #expect(system.orphans(on: first, without: [test], keeping: [test.imagePath.uppercased()]).isEmpty)
        // Nor does an image go with its entry to which another menu leads.
        var claimed = first
        claimed.entries.append(test)
        claimed.claimed = [test.imagePath]
        let step = claimed.removing([test], keeping: [], "x", "X")
        #expect(Self.removed(step.map { [$0] } ?? []) == [test.path.leaf])
    }

    @Test("take nobody's room: they go before an image is staged, also one that was to be this very image")
    func room() throws {
        let debian = Fixture.entry("debian", order: 100)
        var esp = Fixture.esp([debian])
        esp.free = .mebibytes(10)
        let target = try Fixture.target("test")
        func steps() throws -> [Step] { try BootStaging(Fixture.system([esp]), target, .always).steps() }
        #expect { try steps() } throws: { Diagnosis(of: $0).code == "boot.esp-full" }
        esp.leftovers["EFI/kldload/.kldload-x-6.1.1.efi.new"] = .mebibytes(63)
        #expect { try steps() } throws: { Diagnosis(of: $0).code == "boot.esp-full" }
        esp.leftovers["EFI/kldload/.kldload-x-6.1.1.efi.new"] = .mebibytes(64)
        #expect(try steps().map(\.id).prefix(3) == ["boot.clear.vda1", "boot.image", "boot.stage.vda1"])
        #expect(try Self.removed(Array(steps().prefix(1))) == [".kldload-x-6.1.1.efi.new"])
        esp.leftovers = [:]
        let own = Fixture.entry("test", order: 0).imagePath
        esp.images[own] = .mebibytes(70)
        #expect(try Self.removed(Array(steps().prefix(1))) == [own.leaf])
        // Nothing is looked for where nothing is staged.
        let same = try BootStaging(Fixture.system([esp]), BootStagingTests.matching("debian"), .always)
        #expect(try same.steps().isEmpty)
    }

    @Test("are not what an entry of GRUB's is about to lead to")
    func grub() throws {
        let debian = GrubFixture.entry("debian", order: 100)
        var esp = GrubFixture.esp([debian])
        let (wanted, other) = ("EFI/kldload/initrd-\(Fixture.release).2", "EFI/kldload/initrd-\(Fixture.release).7")
        esp.images[wanted] = .mebibytes(30)
        esp.images[other] = .mebibytes(30)
        let system = try GrubFixture.system([esp])
        // The kernel is lacking, the initramfs is there.
        let target = try GrubFixture.target("test", initramfs: 2, present: ["/dev/vda1": [wanted]])
        let steps = try BootStaging(system, target, .always).steps()
        #expect(steps.first?.id == "boot.clear.vda1" && Self.removed(Array(steps.prefix(1))) == [other.leaf])
    }
}

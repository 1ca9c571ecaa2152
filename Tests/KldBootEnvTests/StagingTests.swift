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

@Suite("What boots is staged on every ESP")
struct BootStagingTests {
    static let id = "kldload-test-\(Fixture.release).1"

    @Test("activating: the image on every ESP, then the entries, then bootfs")
    func activate() throws {
        let debian = Fixture.entry("debian", order: 100)
        let system = try Fixture.system([Fixture.esp([debian]), Fixture.esp([debian], "/dev/vdb1", mounted: false)])
        let plan = try BootEnvironments(system).activate(Fixture.target("test"))
        #expect(
            plan.text() == """
                plan: activate boot environment test
                be: Boot environments
                  + boot.image: Build the boot image of test, Linux \(Fixture.release)
                      mkdir /run/kldload/boot (700)
                      write /run/kldload/boot/hostid.cpio (644, 512 bytes)
                      ukify build --linux=/run/kldload/look/root/boot/vmlinuz-\(Fixture.release) \
                --initrd=/run/kldload/look/root/boot/initrd.img-\(Fixture.release) --initrd=/run/kldload/boot/hostid.cpio \
                '--cmdline=root=ZFS=rpool/ROOT/test boot=zfs rw console=tty0 panic=15 kldload.environment=selected' --uname=\(Fixture.release) \
                --os-release=@/run/kldload/look/root/usr/lib/os-release --stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub \
                --output=/run/kldload/boot/\(Self.id).efi
                      release: remove /run/kldload/boot/\(Self.id).efi
                      release: remove /run/kldload/boot/hostid.cpio
                  + boot.stage.vda1: Stage it on /dev/vda1
                      mkdir /boot/efi/EFI/kldload (755)
                      cp /run/kldload/boot/\(Self.id).efi /boot/efi/EFI/kldload/.\(Self.id).efi.new
                      sync --file-system /boot/efi
                      cmp /run/kldload/boot/\(Self.id).efi /boot/efi/EFI/kldload/.\(Self.id).efi.new
                      mv --force /boot/efi/EFI/kldload/.\(Self.id).efi.new /boot/efi/EFI/kldload/\(Self.id).efi
                      sync --file-system /boot/efi
                  + boot.stage.vdb1: Stage it on /dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1 (700)
                      boot.mount-esp at=/run/kldload/boot/esp-vdb1 device=/dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1/EFI/kldload (755)
                      cp /run/kldload/boot/\(Self.id).efi /run/kldload/boot/esp-vdb1/EFI/kldload/.\(Self.id).efi.new
                      sync --file-system /run/kldload/boot/esp-vdb1
                      cmp /run/kldload/boot/\(Self.id).efi /run/kldload/boot/esp-vdb1/EFI/kldload/.\(Self.id).efi.new
                      mv --force /run/kldload/boot/esp-vdb1/EFI/kldload/.\(Self.id).efi.new /run/kldload/boot/esp-vdb1/EFI/kldload/\(Self.id).efi
                      sync --file-system /run/kldload/boot/esp-vdb1
                      release: umount --recursive /run/kldload/boot/esp-vdb1
                  + boot.entry.vda1: Enter \(Self.id)+3.conf on /dev/vda1
                      write /boot/efi/loader/entries/\(Self.id)+3.conf (644, 295 bytes)
                      sync --file-system /boot/efi
                  + boot.entry.vdb1: Enter \(Self.id)+3.conf on /dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1 (700)
                      boot.mount-esp at=/run/kldload/boot/esp-vdb1 device=/dev/vdb1
                      write /run/kldload/boot/esp-vdb1/loader/entries/\(Self.id)+3.conf (644, 295 bytes)
                      sync --file-system /run/kldload/boot/esp-vdb1
                      release: umount --recursive /run/kldload/boot/esp-vdb1
                  + boot.bootfs: The pool's bootfs is rpool/ROOT/test
                      zpool set bootfs=rpool/ROOT/test rpool

                """)
    }

    static func matching(_ name: String, generation: Int = 1, on devices: [String] = ["/dev/vda1"]) throws -> BootTarget {
        let id = Fixture.entry(name, order: 0, generation: generation).id
        return try Fixture.target(name, matching: Dictionary(uniqueKeysWithValues: devices.map { ($0, [id]) }))
    }

    @Test("an image of the same kernel is rewritten instead of built again")
    func donor() throws {
        var target = try Fixture.target("test")
        target.kernels[0].donor = .init(device: "/dev/vda1", path: Fixture.entry("debian", order: 0).imagePath)
        let step = try #require(BootStaging(Fixture.system(), target, .always).steps().first)
        #expect(
            step.actions.map(\.text) == [
                "mkdir /run/kldload/boot (700)",
                "boot.rewrite cmdline=root=ZFS=rpool/ROOT/test boot=zfs rw console=tty0 panic=15 "
                    + "kldload.environment=selected from=/boot/efi/EFI/kldload/kldload-debian-\(Fixture.release).1.efi to=/run/kldload/boot/\(Self.id).efi",
            ])
    }

    @Test("the image that runs starts another environment with the same kernel and initramfs: an entry is all that it needs")
    func shared() throws {
        let debian = Fixture.entry("debian", order: 100)
        let system = try Fixture.system([Fixture.esp([debian]), Fixture.esp([debian], "/dev/vdb1", mounted: false)])
        var target = try Fixture.target("test")
        target.kernels[0].images = ["/dev/vda1": [debian.imagePath]]
        let staging = BootStaging(system, target, .always)
        var expected = Fixture.entry("test", order: 200, left: 3)
        expected.sharedImage = debian.imagePath
        #expect(try staging.entry() == expected)
        #expect(try staging.entry().text.contains("efi /\(debian.imagePath)\n"))
        // The second ESP lacks what fits: it gets the very one.
        #expect(try staging.steps().map(\.id) == ["boot.stage.vdb1", "boot.entry.vda1", "boot.entry.vdb1", "boot.bootfs"])
        target.kernels[0].images["/dev/vdb1"] = [debian.imagePath]
        #expect(
            try BootStaging(system, target, .always).steps().map(\.id) == ["boot.entry.vda1", "boot.entry.vdb1", "boot.bootfs"])
    }

    @Test("an environment that the loader cannot name as it is has an image of its own, which starts it by root= alone")
    func capitals() throws {
        let system = try Fixture.system()
        #expect(try !Fixture.target("Other").commandLine(system).words.contains(EnvironmentChoice.word))
        #expect(try Fixture.target("other").commandLine(system).words.contains(EnvironmentChoice.word))
    }

    @Test("an image that starts others keeps its name when the environment that it was made for is gone")
    func takenName() throws {
        var other = Fixture.entry("other", order: 100)
        other.sharedImage = Fixture.entry("test", order: 0).imagePath
        let debian = Fixture.entry("debian", order: 50)
        let entry = try BootStaging(Fixture.system([Fixture.esp([debian, other])]), Fixture.target("test"), .always).entry()
        #expect(entry.generation == 2 && entry.sharedImage == nil)
        // And it stays on the ESP for as long as somebody needs it.
        let system = try Fixture.system([Fixture.esp([debian, other, Fixture.entry("test", order: 10)])])
        #expect(system.needed(without: [Fixture.entry("test", order: 10)]).contains(Fixture.entry("test", order: 0).imagePath))
    }

    @Test("an environment that boots already and has not changed needs nothing")
    func nothing() throws {
        let system = try Fixture.system()
        #expect(try BootEnvironments(system).activate(Self.matching("debian")).steps.isEmpty)
        #expect(try BootStaging(system, Self.matching("debian"), .unchanged).steps().isEmpty)
    }

    @Test("going back needs no image: one small file, on trial again, above all others")
    func back() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200)]
        let staging = BootStaging(
            try Fixture.system([Fixture.esp(entries)], running: "test", bootfs: "test"), try Self.matching("debian"), .always)
        #expect(try staging.entry() == Fixture.entry("debian", order: 300, left: 3))
        #expect(try staging.steps().map(\.id) == ["boot.entry.vda1", "boot.bootfs"])
        // The old name goes after the new one is there.
        #expect(
            try staging.steps()[0].actions.map(\.text).filter { !$0.hasPrefix("sync") } == [
                "write /boot/efi/loader/entries/kldload-debian-\(Fixture.release).1+3.conf (644, 301 bytes)",
                "remove /boot/efi/loader/entries/kldload-debian-\(Fixture.release).1.conf",
            ])
    }

    @Test("the running environment, unchanged, is not on trial")
    func proven() throws {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: 3)]
        let staging = BootStaging(try Fixture.system([Fixture.esp(entries)]), try Self.matching("debian"), .always)
        #expect(try staging.entry() == Fixture.entry("debian", order: 300))
    }

    @Test("once: a single try, and bootfs stays")
    func once() throws {
        let staging = BootStaging(try Fixture.system(), try Fixture.target("test"), .once)
        #expect(try staging.entry() == Fixture.entry("test", order: 200, left: 1, once: true))
        #expect(try !staging.steps().contains { $0.id == "boot.bootfs" })
    }

    @Test("once: what has proved itself stays what the machine falls back to, and what boots next anyway stays as it is")
    func onceBeside() throws {
        let (debian, next) = (Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200))
        let system = try Fixture.system([Fixture.esp([debian, next])], running: "test", bootfs: "test")
        let staging = BootStaging(system, try Self.matching("debian"), .once)
        var expected = Fixture.entry("debian", order: 300, left: 1, generation: 2, once: true)
        expected.sharedImage = debian.imagePath
        #expect(try staging.entry() == expected)
        #expect(try staging.steps().map(\.id) == ["boot.entry.vda1"])
        #expect(try !staging.steps().flatMap(\.actions).contains { $0.text.hasPrefix("remove") })
        #expect(try BootStaging(system, Self.matching("test"), .once).steps().isEmpty)
        // Afterwards it is taken away, and what it stood beside is what is activated.
        expected.counter = BootEntry.Counter(left: 0, done: 1)
        let after = try Fixture.system([Fixture.esp([debian, next, expected])], running: "test", bootfs: "test")
        #expect(BootTrial(after).healing.map(\.id) == ["boot.tidy.vda1"])
        let both = try Fixture.target("debian", matching: ["/dev/vda1": [debian.id, expected.id]])
        #expect(try BootStaging(after, both, .always).entry() == Fixture.entry("debian", order: 400, left: 3))
    }

    @Test("a changed kernel or initramfs is a new build beside the old one, on trial, and never above what is chosen")
    func changed() throws {
        let entries = [Fixture.entry("debian", order: 100)]
        let changed = BootStaging(try Fixture.system([Fixture.esp(entries)]), try Fixture.target("debian"), .unchanged)
        #expect(try changed.entry() == Fixture.entry("debian", order: 101, left: 3, generation: 2))
        let pending = entries + [Fixture.entry("test", order: 200, left: 3)]
        let below = BootStaging(try Fixture.system([Fixture.esp(pending)]), try Fixture.target("debian"), .unchanged)
        #expect(try below.entry().order == 101)
    }

    @Test("an ESP that lacks the image gets the very one that another ESP has, the others are left alone")
    func missing() throws {
        let debian = Fixture.entry("debian", order: 100)
        let system = try Fixture.system([Fixture.esp([debian]), Fixture.esp([], "/dev/vdb1", mounted: false)])
        let steps = try BootStaging(system, Self.matching("debian"), .unchanged).steps()
        #expect(steps.map(\.id) == ["boot.stage.vdb1", "boot.entry.vdb1"])
        #expect(steps[0].actions.map(\.text).contains { $0.contains("/boot/efi/\(debian.imagePath)") })
        #expect(steps[0].release.map(\.text) == ["umount --recursive /run/kldload/boot/esp-vdb1"])
    }

    @Test("an ESP that lacks an image which no other one has gets one that is built")
    func missingEverywhere() throws {
        let system = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100)]), Fixture.esp([], "/dev/vdb1")])
        let steps = try BootStaging(system, Fixture.target("debian"), .unchanged).steps()
        #expect(steps.map(\.id).prefix(2) == ["boot.image", "boot.stage.vda1"])
    }

    @Test("a kernel that was removed goes from the ESPs, unless it runs")
    func removed() throws {
        var old = Fixture.entry("debian", order: 50)
        old.release = "6.12.1"
        let system = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100), old])])
        #expect(try BootStaging(system, Self.matching("debian"), .unchanged).steps().map(\.id) == ["boot.outdated.vda1"])
        var running = system
        running.release = "6.12.1"
        #expect(try BootStaging(running, Self.matching("debian"), .unchanged).steps().isEmpty)
        // Another environment's kernels are its own affair.
        #expect(try BootStaging(system, Self.matching("debian"), .always).steps().isEmpty)
    }

    @Test("what cannot be staged is refused before anything is touched, with a remedy")
    func refusals() throws {
        func code(_ change: (inout BootSystem, inout BootTarget) -> Void) throws -> String? {
            var (system, target) = (try Fixture.system(), try Fixture.target("test"))
            change(&system, &target)
            let problem = problem { _ = try BootStaging(system, target, .always).steps() }
            #expect(problem?.remedies.isEmpty != true)
            return problem?.code
        }
        #expect(try code { _, target in target.kernels = [] } == "boot.no-kernel")
        #expect(try code { system, _ in system.esps = [] } == "boot.no-esp")
        #expect(try code { system, _ in system.esps[0].free = .mebibytes(73) } == "boot.esp-full")
        #expect(try code { system, _ in system.esps[0].free = .mebibytes(74) } == nil)
        #expect(try code { system, _ in system.builder = nil } == "boot.no-builder")
        #expect(try code { system, _ in system.hostID = nil } == "boot.no-host-id")
    }
}

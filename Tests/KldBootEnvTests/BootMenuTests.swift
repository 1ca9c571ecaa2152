import KldBoot
import KldCore
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("Lines of the boot menu")
struct BootMenuTests {
    private static let debian = Fixture.entry("debian", order: 100)

    /// Two ESPs, and an initramfs that starts what the menu chose.
    private static func system(_ entries: [BootEntry] = [debian], followed: Bool = true) throws -> BootSystem {
        var system = try Fixture.system([Fixture.esp(entries), Fixture.esp(entries, "/dev/vdb1", mounted: false)])
        system.followed = followed
        return system
    }

    static func written(_ plan: Plan) -> [BootEntry] {
        plan.steps.flatMap(\.actions).compactMap { action in
            guard case .write(let path, .text(let text), _) = action else { return nil }
            return BootEntry(fileName: path.lastComponent?.string ?? "", text: text)
        }
    }

    @Test("a clone of what runs gets a line on each ESP, last of all, of the image that runs; it is not activated by that")
    func created() throws {
        let plan = try BootEnvironments(Self.system()).create("next", now: Fixture.now)
        #expect(plan.steps.map(\.id) == ["be.snapshot", "be.clone", "be.entry.vda1", "be.entry.vdb1"])
        let lines = Self.written(plan)
        #expect(lines.count == 2 && Set(lines).count == 1)
        let line = try #require(lines.first)
        #expect(line.dataset == "rpool/ROOT/next" && line.order == 0 && line.counter == nil && line.imagePath == Self.debian.imagePath)
        #expect(BootList.state(line) { _ in nil } == "never activated")

        var after = try Self.system([Self.debian, line])
        #expect(after.next == Self.debian)
        for index in after.esps.indices { after.esps[index].entries = [line, Fixture.entry("debian", order: 100, left: 0, done: 3)] }
        #expect(after.next == line, "when all else has failed")
    }

    @Test("no line where the image starts its own environment alone, for a clone of another one, or for work in progress")
    func without() throws {
        func ids(_ system: BootSystem, _ name: String = "next", from: String? = nil, marks: ZFSProperties = [:]) throws -> [String] {
            try BootEnvironments(system).create(name, from: from, now: Fixture.now, marks: marks).steps.map(\.id)
        }
        #expect(try !ids(Self.system(followed: false)).contains { $0.hasPrefix("be.entry") })
        #expect(try !ids(Self.system(), "Next").contains { $0.hasPrefix("be.entry") }, "loaders tell names in small letters")
        #expect(try !ids(Self.system(), from: "test").contains { $0.hasPrefix("be.entry") })
        #expect(try !ids(Self.system(), from: "debian@install").contains { $0.hasPrefix("be.entry") })
        #expect(try !ids(Self.system(), marks: ["com.kldload:work": "1"]).contains { $0.hasPrefix("be.entry") })
        #expect(try ids(Self.system(), from: "debian").contains { $0.hasPrefix("be.entry") })
    }

    @Test("an environment that is renamed keeps its place in the menu, and its tries")
    func renamed() throws {
        var old = Fixture.entry("test", order: 200, left: 2, done: 1)
        old.sharedImage = Self.debian.imagePath
        var system = try Self.system([Self.debian, old])
        system.esps[0].images = [Self.debian.imagePath: .mebibytes(70)]
        system.esps[1].images = system.esps[0].images
        // It is what boots next, so another one has to be.
        let top = Fixture.entry("debian", order: 300, generation: 2)
        system.esps[0].entries.append(top)
        system.selected = Self.debian.id
        let plan = try BootEnvironments(system).rename("test", to: "works")
        let lines = Self.written(plan)
        #expect(lines.count == 2 && Set(lines).count == 1)
        #expect(lines.first?.dataset == "rpool/ROOT/works" && lines.first?.order == 200 && lines.first?.counter == old.counter)
        #expect(plan.steps.first?.id == "be.rename")
        let gone = plan.steps.filter { $0.id.hasPrefix("be.unstage") }.flatMap(\.actions).map(\.text).joined(separator: "\n")
        #expect(gone.contains(old.fileName) && !gone.contains("rm \(Self.debian.imagePath)") && !gone.contains(".efi"))
    }

    @Test("each of several lines of one kernel gets a name of its own")
    func renamedTwice() throws {
        var first = Fixture.entry("test", order: 200)
        var second = Fixture.entry("test", order: 201, left: 3, generation: 2)
        first.sharedImage = Self.debian.imagePath
        second.sharedImage = Self.debian.imagePath
        var system = try Self.system([Self.debian, first, second])
        system.esps[0].images = [Self.debian.imagePath: .mebibytes(70)]
        system.esps[1].images = system.esps[0].images
        system.esps[0].entries.append(Fixture.entry("debian", order: 300, generation: 2))
        system.selected = Self.debian.id
        let lines = Self.written(try BootEnvironments(system).rename("test", to: "works"))
        #expect(Set(lines.map(\.fileName)).count == 2 && Set(lines.map(\.order)) == [200, 201])
    }

    @Test("a line that nobody tried does not keep an image that nothing else starts")
    func idle() throws {
        var line = Fixture.entry("test", order: 0)
        line.sharedImage = Self.debian.imagePath
        let before = try Self.system([Self.debian, line])
        #expect(BootTrial(before).healing.isEmpty)
        // A newer build has proved itself.
        var newer = Fixture.entry("debian", order: 101, generation: 2)
        var after = try Self.system([Self.debian, newer, line])
        after.selected = newer.id
        let tidy = BootTrial(after).healing.filter { $0.id.hasPrefix("boot.tidy") }.flatMap(\.actions).map(\.text).joined(separator: "\n")
        #expect(tidy.contains(line.fileName) && tidy.contains(Self.debian.imagePath))
        newer.counter = .init(left: 3)
        after = try Self.system([Self.debian, newer, line])
        #expect(BootTrial(after).healing.isEmpty, "the newer one is still on trial")
    }

    @Test("the menu keeps the running kernel, the newest and the one before, and what is pinned")
    func kernels() throws {
        func entry(_ release: String, order: Int, left: Int? = nil) -> BootEntry {
            BootEntry(dataset: "rpool/ROOT/debian", release: release, order: order, counter: left.map { .init(left: $0) })
        }
        let releases = ["6.12.9", Fixture.release, "6.12.50", "6.12.51", "6.12.60"]
        func gone(pinned: Set<String> = [], running: String = "6.12.60", onTrial: Set<String> = []) throws -> [String] {
            let entries = releases.enumerated().map { entry($1, order: 100 * ($0 + 1), left: onTrial.contains($1) ? 3 : nil) }
            var system = try Self.system(entries)
            system.release = running
            system.pinned = pinned
            let text = BootTrial(system).healing.flatMap(\.actions).map(\.text).joined(separator: "\n")
            return releases.filter { text.contains("kldload-debian-\($0).1.conf") }
        }
        #expect(try gone() == ["6.12.9", Fixture.release, "6.12.50"])
        #expect(try gone(pinned: ["6.12.9"]) == [Fixture.release, "6.12.50"])
        #expect(try gone(running: Fixture.release) == ["6.12.9", "6.12.50"])
        #expect(try gone(onTrial: ["6.12.60"]) == ["6.12.9", Fixture.release], "what has not proved itself replaces nothing")
    }

    @Test("a kernel is pinned by its release, which must have a line")
    func pin() throws {
        var system = try Self.system()
        func text(_ plan: Plan) -> String? {
            for case .write(let path, .text(let text), _) in plan.steps.flatMap(\.actions) where path == PinnedKernels.file { return text }
            return nil
        }
        #expect(try text(PinnedKernels.changing(Fixture.release, pinned: true, system)) == "\(Fixture.release)\n")
        let problem = #expect(throws: Diagnosis.self) { try PinnedKernels.changing("6.1", pinned: true, system) }
        #expect(problem?.code == "boot.unknown-kernel")
        system.pinned = [Fixture.release, "6.1"]
        #expect(try PinnedKernels.changing(Fixture.release, pinned: true, system).steps.isEmpty)
        #expect(try text(PinnedKernels.changing("6.1", pinned: false, system)) == "\(Fixture.release)\n")
        #expect(try PinnedKernels.read(MemoryFiles(["/etc/kldload/pinned-kernels": "# mine\n6.1\n\n"])) == ["6.1"])
        #expect(try PinnedKernels.read(MemoryFiles([:])).isEmpty)
    }

    @Test("what was chosen in the loader's menu for every start boots next, is said, and forgotten by activating")
    func chosen() throws {
        let test = Fixture.entry("test", order: 50)
        var system = try Self.system([Self.debian, test])
        system.told = LoaderChoice(always: test.fileName.lowercased())
        #expect(system.next == test)
        let plan = try BootEnvironments(system).activate(Fixture.target("debian", matching: ["/dev/vda1": [Self.debian.id]]))
        #expect(plan.steps.last?.id == "be.menu-choice")
        #expect(plan.commandLines.last?.hasPrefix("chattr -i /sys/firmware/efi/efivars/LoaderEntryDefault-") == true)
        let problem = #expect(throws: Diagnosis.self) {
            try BootEnvironments(system).activate(Fixture.target("debian"), once: true)
        }
        #expect(problem?.code == "boot.menu-choice")
        // A name that no entry has any more: the loader goes by the order.
        system.told = LoaderChoice(always: "kldload-gone-6.1.1.conf")
        #expect(system.next == Self.debian)
        let prediction = BootPrediction(system, .init(module: true, signatures: [:], firmware: .off, enrolment: .absent))
        #expect(prediction.findings.contains { $0.status == .warn && $0.text.contains("kldload-gone-6.1.1.conf") })
        system.told = LoaderChoice(once: "\(RecoveryImage.entryID).conf")
        let recovery = BootPrediction(system, .init(module: true, signatures: [:], firmware: .off, enrolment: .absent))
        #expect(recovery.findings.contains { $0.name == "once" && $0.text.contains("the recovery image") })

        let place = "/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        let value = "\u{7}\0\0\0" + "Kldload-Test.conf".map { "\($0)\0" }.joined() + "\0\0"
        let files = MemoryFiles([place: value])
        #expect(LoaderChoice.read(files) == LoaderChoice(always: "kldload-test.conf"))
        // Of a machine that does not run: only where the firmware means what is on its disks.
        #expect(LoaderChoice.read(files, [Self.debian, test]) == LoaderChoice())
        let meant = "\u{7}\0\0\0" + test.fileName.map { "\($0)\0" }.joined() + "\0\0"
        let known = LoaderChoice.read(MemoryFiles([place: meant]), [Self.debian, test])
        #expect(known == LoaderChoice(always: test.fileName.lowercased()))
    }

    @Test("what is staged when no ESP has an entry any more counts before what a disk says that comes back")
    func floor() throws {
        var system = try Self.system([])
        system.floor = 28_000_000
        for choice in [BootStaging.Choice.always, .unchanged] {
            let entry = try BootStaging(system, Fixture.target("debian"), choice).entry()
            #expect(entry.order > 28_000_000)
            let back = Fixture.entry("test", order: 500)
            #expect([back, entry].sorted(by: BootEntry.precedes).first == entry)
        }
    }
}

import KldBlock
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

@Suite("An ESP of several that cannot be used")
struct DamagedESPTests {
    static let loader = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    private static let entry = Fixture.entry("debian", order: 100)

    /// A mirror whose second ESP is not mounted.
    ///
    /// - Parameters: unmountable: devices; unreadable: a place; alone: it has the second disk only; lost: the second disk's has no file system; more: files.
    func gather(
        unmountable: Set<String> = [], unreadable: String? = nil, denied: Bool = false, alone: Bool = false, lost: Bool = false,
        more: [String: String] = [:]
    ) async throws -> BootSystem {
        let vdevs = alone ? "\t/dev/vdb2\t7G\n" : "\tmirror-0\t7G\n\t/dev/vda2\t7G\n\t/dev/vdb2\t7G\n"
        let look = TemporaryMount().place(alone ? "esp0" : "esp1").string
        let second = #"{"path":"/dev/vdb1","name":"vdb1","size":1073741824,"type":"part","#
        let listing = GatherTests.listing.replacing(
            second + #""fstype":"vfat","label":"EFI","#, with: second + #""fstype":null,"partlabel":"EFI system partition","#)
        let answers = [
            ListBlockDevices.command.description: lost ? listing : GatherTests.listing,
            "zpool list -vHPp -o name,bootfs,altroot rpool": "rpool\trpool/ROOT/debian\t-\n" + vdevs,
            ZFS.list(try DatasetName("rpool/ROOT"), columns: BootSystem.columns, types: ["filesystem"]).description:
                "rpool/ROOT\tfilesystem\t1\t1\t1\t-\tnone\toff\t-\t-\nrpool/ROOT/debian\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t-\n",
            "mount -t vfat -o ro,umask=0077 /dev/vdb1 \(look)": "", "umount --recursive \(look)": "",
        ]
        let runner = ScriptedRunner([
            { command in
                guard command.tool.name == "mount", unmountable.contains(where: { command.arguments.contains($0) }) else { return nil }
                return CommandOutput(status: 32, errors: "mount: /x: can't read superblock on /dev/vdb1.\n")
            }, { answers[$0.description].map { CommandOutput(output: $0) } },
        ])
        let texts = [
            "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n",
            "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=zfs rw\n", "/proc/sys/kernel/osrelease": Fixture.release + "\n",
            "/usr/bin/ukify": "", "/boot/efi/\(Self.entry.path)": Self.entry.text, "/boot/efi/\(Self.entry.imagePath)": "image",
            "\(look)/\(Self.entry.path)": Self.entry.text, "\(look)/\(Self.entry.imagePath)": "image",
        ]
        let memory = MemoryFiles(texts.merging(more) { $1 })
        try memory.write(HostID.placeholder.fileContent, to: "/etc/hostid", mode: .file)
        var files: any FileSystem = memory
        if let unreadable { files = UnreadableFiles(memory, below: unreadable, denied: denied) }
        return try await BootSystem.gather(runner: runner, files: files)
    }

    @Test("one that cannot be mounted is told with its disk and what helps; the other one is written to")
    func unmountable() async throws {
        let system = try await gather(unmountable: ["/dev/vdb1"])
        #expect(system.esps.map(\.device) == ["/dev/vda1"])
        let damaged = try #require(system.damaged.first)
        #expect(damaged.device == "/dev/vdb1" && damaged.disk == "/dev/vdb" && damaged.problem.code == "boot.esp-damaged")
        #expect(damaged.warning.contains("/dev/vdb1") && damaged.warning.contains("can't read superblock"))
        #expect(damaged.warning.contains("kldload kdisk replace /dev/vdb NEW") && damaged.warning.contains("--format /dev/vdb1"))
        var changed = try Fixture.target("debian")
        changed.kernels[0].release = "6.13.1"
        let steps = try BootStaging(system, changed, .always).steps()
        #expect(steps.map(\.id).prefix(3) == ["boot.image", "boot.stage.vda1", "boot.entry.vda1"])
        #expect(!steps.contains { $0.id.hasSuffix("vdb1") })
        #expect(try await gather().damaged.isEmpty)
    }

    @Test("one that has lost its file system is told in the same way; where there is no other, nobody is stopped for it")
    func lost() async throws {
        let system = try await gather(lost: true)
        #expect(system.esps.map(\.device) == ["/dev/vda1"])
        let damaged = try #require(system.damaged.first)
        #expect(damaged.device == "/dev/vdb1" && damaged.disk == "/dev/vdb" && damaged.problem.code == "boot.esp-lost")
        #expect(damaged.warning.contains("kldload boot restore --format /dev/vdb1"))
        let warned = BootPrediction(system, .init(module: true, signatures: [:], firmware: .off, enrolment: .absent)).findings.filter {
            $0.status == .warn && $0.name == "ESP"
        }
        #expect(warned.count == 1 && warned[0].text.contains("/dev/vdb1 should be an ESP"))
        #expect(try await gather(alone: true, lost: true).damaged.map(\.device) == ["/dev/vdb1"])
    }

    @Test("one that is mounted and cannot be read is passed over in the same way")
    func unreadable() async throws {
        let system = try await gather(unreadable: "/boot/efi")
        #expect(system.esps.map(\.device) == ["/dev/vdb1"] && system.damaged.map(\.device) == ["/dev/vda1"])
        #expect(system.damaged.first?.problem.causes.first?.contains("Input/output error") == true)
    }

    @Test("where it is the only one, or none works, it is refused; and whoever may not read it is not told that it is damaged")
    func none() async throws {
        await #expect { try await self.gather(unmountable: ["/dev/vdb1"], unreadable: "/boot/efi") } throws: {
            Diagnosis(of: $0).code == "boot.esp-damaged"
        }
        await #expect { try await self.gather(unmountable: ["/dev/vdb1"], alone: true) } throws: {
            Diagnosis(of: $0).code == "boot.esp-damaged"
        }
        await #expect { try await self.gather(unreadable: "/boot/efi", denied: true) } throws: { Diagnosis(of: $0).code == "file.denied" }
    }

    @Test("doctor boot predicts from those that work, and warns of the damaged one")
    func prediction() throws {
        let damaged = BootSystem.Damaged(device: "/dev/vdb1", disk: "/dev/vdb", problem: .damagedESP("/dev/vdb1", causes: []))
        let prediction = try BootPredictionTests.predict { system, facts in
            system.esps.removeLast()
            system.damaged = [damaged]
            facts.signatures["/dev/vdb1"] = nil
        }
        let warnings = prediction.findings.filter { $0.status == .warn }
        #expect(prediction.starts && warnings.map(\.name) == ["ESP"] && prediction.environment == "debian")
        #expect(warnings.first?.text.contains("/dev/vdb") == true && warnings.first?.remedy?.contains("kdisk replace /dev/vdb") == true)
        // Where nothing boots, it is still said.
        let none = try BootPredictionTests.predict { system, _ in
            for index in system.esps.indices { system.esps[index].entries = [] }
            system.damaged = [damaged]
        }
        #expect(!none.starts && none.findings.contains { $0.status == .warn })
    }

    // MARK: A trial

    /// `test` runs, on trial; its first ESP, where the loader took the try, is damaged.
    private func trial(counted: Bool?, left: Int = 3, done: Int = 0) throws -> BootTrial {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: left, done: done)]
        var system = try Fixture.system([Fixture.esp(entries, "/dev/vdb1")], running: "test")
        system.selected = entries[1].id.lowercased()
        system.wasCounted = counted
        system.damaged = [.init(device: "/dev/vda1", problem: .damagedESP("/dev/vda1", causes: []))]
        return BootTrial(system)
    }

    @Test("a try that was taken on the damaged one counts: the environment is blessed on the other, or left")
    func countedElsewhere() throws {
        let trial = try trial(counted: true)
        #expect(trial.counted?.environment == "test" && trial.pending?.environment == "test")
        #expect(trial.proven.steps.map(\.id).prefix(2) == ["boot.good.vdb1", "boot.reason"])
        // Without that word it was staged since, as ever; and so it is with all ESPs there.
        #expect(try self.trial(counted: nil).counted == nil && self.trial(counted: false).counted == nil)
        var whole = trial
        whole.system.damaged = []
        #expect(whole.counted == nil)
    }

    @Test("what has proved itself is not restarted because another ESP still has its counter, and is blessed there too")
    func provenElsewhere() throws {
        let proven = try trial(counted: false, left: 2, done: 1)
        #expect(proven.counted == nil && proven.proven.steps.map(\.id).first == "boot.good.vdb1")
        #expect(try trial(counted: true, left: 2, done: 1).counted != nil && trial(counted: nil, left: 2, done: 1).counted != nil)
        // The loader's word is about what it started.
        var other = proven
        other.system.selected = "kldload-debian-\(Fixture.release).1"
        #expect(other.counted != nil)
    }

    @Test("an ESP that took no writes when the environment proved itself gets the plain name with the next good boot")
    func late() throws {
        let good = Fixture.entry("test", order: 200)
        let system = try Fixture.system(
            [Fixture.esp([good]), Fixture.esp([Fixture.entry("test", order: 200, left: 1, done: 2)], "/dev/vdb1")], running: "test",
            bootfs: "test")
        let steps = BootTrial(system).proven.steps
        #expect(steps.map(\.id) == ["boot.good.vdb1"] && BootTrial(system).pending == nil)
        #expect(steps[0].actions.first == .write(FilePath("/boot/efi/\(good.path)"), content: .text(good.text)))
    }

    /// Two ESPs with an environment on trial; these devices take no writes.
    private func bless(failing: Set<String>, left: Int? = 2) async throws -> (rest: Plan, failed: [BootSystem.Damaged], done: [String]) {
        let entries = [Fixture.entry("debian", order: 100), Fixture.entry("test", order: 200, left: left, done: left == nil ? 0 : 1)]
        let late = [entries[0], Fixture.entry("test", order: 200, left: 1, done: 1)]
        let system = try Fixture.system([Fixture.esp(entries), Fixture.esp(late, "/dev/vdb1")], running: "test")
        var done: [String] = []
        let (rest, failed) = try await BootTrial(system).bless { plan in
            if plan.steps.contains(where: { step in failing.contains { step.id.hasSuffix($0) } }) { throw Fuse.Blown() }
            done += plan.steps.map(\.id)
        }
        return (rest, failed, done)
    }

    @Test("one that takes no writes keeps the others from nothing, and is passed over for the rest; where none does, the boot is not good")
    func blessing() async throws {
        let one = try await bless(failing: ["vda1"])
        #expect(one.done == ["boot.good.vdb1"] && one.failed.map(\.device) == ["/dev/vda1"])
        #expect(one.rest.steps.map(\.id) == ["boot.reason", "boot.bootfs"])
        let both = try await bless(failing: [])
        #expect(both.done == ["boot.good.vda1", "boot.good.vdb1"] && both.failed.isEmpty)
        #expect(both.rest.steps.map(\.id) == ["boot.reason", "boot.bootfs"])
        await #expect(throws: Fuse.Blown.self) { try await self.bless(failing: ["vda1", "vdb1"]) }
        // It has proved itself: the other ESP says so.
        let proven = try await bless(failing: ["vdb1"], left: nil)
        #expect(proven.done.isEmpty && proven.failed.map(\.device) == ["/dev/vdb1"])
    }
}

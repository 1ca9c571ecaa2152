import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

/// What became of its tasks, and of a first boot that was cut off.
extension FirstBootTests {
    // MARK: tasks

    /// One boot with a journal. - Parameter failing: the begin of a command that fails.
    private func apply(_ boot: FirstBoot, failing: String, journal: FilePath) async throws -> (problem: Diagnosis?, events: [PlanEvent]) {
        let log = KldTestSupport.EventLog()
        let runner = ScriptedRunner([{ CommandOutput(status: !failing.isEmpty && $0.description.hasPrefix(failing) ? 1 : 0) }])
        let record = try PlanJournal(journal, keeping: true, files: LocalFiles())
        let problem = await problem {
            try await PlanRunner(
                runner: runner, files: MemoryFiles(), performers: FirstBoot.performers, journal: record, report: log.report
            ).apply(boot.plan)
        }
        return (problem, log.events)
    }

    @Test(
        "a task that fails takes only those along that need it; the next boot does what is missing, and nothing that is done",
        arguments: [
            ("fatlabel", ["esp-serial"], []), ("zpool reguid", ["pool-guid"], []),
            ("sgdisk --randomize-guids", ["gpt-guids.virtio-disk0"], []),
            ("sgdisk --move-second-header", ["grow.virtio-disk0"], []), ("sfdisk", ["grow.virtio-disk0"], []),
            ("zpool online", ["grow.virtio-disk0"], []), ("ssh-keygen", ["ssh-keys"], []), ("ukify", ["image"], []),
            ("openssl req", ["signing-key"], ["sign-modules", "image"]), ("", [], []),
        ] as [(String, [String], [String])])
    func resumes(_ command: String, _ failed: [String], _ skipped: [String]) async throws {
        try await Scratch.with { folder in
            let journal = folder.appending("journal")
            let signs = command.hasPrefix("openssl")
            let extras = FirstBoot.Extras(espSerial: 7, mountTable: Self.mountTable, signs: signs)
            let first = try await apply(Self.clone(extras: extras), failing: command, journal: journal)
            func ids(_ kind: PlanEvent.Kind) -> [String] {
                first.events.filter { $0.kind == kind }.compactMap { $0.step.map { String($0.dropFirst("firstboot.".count)) } }
            }
            #expect(ids(.stepFailed) == failed)
            #expect(ids(.stepSkipped) == skipped + (failed.isEmpty ? [] : ["done"]))
            #expect((first.problem == nil) == failed.isEmpty)
            #expect(first.problem?.causes.first?.hasPrefix("step: firstboot.\(failed.first ?? "")") ?? true)
            // The next boot: an image that was not built has no host id, and the initramfs makes another one up.
            let built = ids(.stepDone).contains("image")
            let grown = !["sgdisk --move-second-header", "sfdisk"].contains(command)
            let next = try Self.clone(
                hostID: identity.hostID, runningHostID: built ? nil : HostID(0x0101_0101), sealed: !failed.isEmpty,
                room: grown ? ByteCount(0) : .gibibytes(4), journal: LocalFiles().readText(journal), extras: extras)
            let left = try next.plan.steps.map { String($0.id.dropFirst("firstboot.".count)) }
            let missing = (failed + skipped).filter { $0 != "ssh-keys" }
            #expect(left == (built ? [] : ["host-id"]) + ["ssh-keys"] + missing + ["done"])
            #expect(try await apply(next, failing: "", journal: journal).problem?.code == (signs ? "trust.no-modules" : nil))
        }
    }

    @Test("every task names what it needs, and none comes before it; only the last one needs all")
    func needs() throws {
        let plan = try Self.clone(extras: Self.extras).plan
        try PlanRunner.check(plan, approvals: [])
        #expect(plan.steps.filter { $0.needs == nil }.map(\.id) == ["firstboot.done"])
        #expect(
            plan[step: "firstboot.image"]?.needs == ["firstboot.host-id", "firstboot.signing-key", "firstboot.sign-modules"])
    }

    @Test("a disk without a name of its own gets new GUIDs again: the journal may mean another one")
    func unstableName() throws {
        let journal = ["gpt-guids.virtio-disk0", "gpt-guids.vdb"].map { "started firstboot.\($0)\ndone firstboot.\($0)\n" }.joined()
        let steps = try Self.mirror([:], journal: journal).plan.steps
        #expect(steps.map(\.id).filter { $0.hasPrefix("firstboot.gpt-guids.") } == ["firstboot.gpt-guids.vdb"])
    }

    @Test("the status says of each task what became of it, over several boots")
    func status() throws {
        let files = MemoryFiles()
        #expect(try FirstBootStatus.read(files) == FirstBootStatus(.notBegun, []))
        let plan = try Self.clone(extras: FirstBoot.Extras(espSerial: 7, signs: true)).plan
        try FirstBootStatus.write(plan, files)
        try files.write(
            "started firstboot.host-id\ndone firstboot.host-id\nstarted firstboot.pool-guid\nfailed firstboot.pool-guid\n"
                + "started firstboot.signing-key\nfailed firstboot.signing-key\nstarted firstboot.esp-serial\n", to: FirstBoot.journalFile)
        let status = try FirstBootStatus.read(files)
        #expect(status.state == .unfinished)
        #expect(
            status.tasks.map { "\($0.state.rawValue) \($0.id.dropFirst("firstboot.".count))" } == [
                "done host-id", "waiting ssh-keys", "failed pool-guid", "waiting gpt-guids.virtio-disk0", "waiting grow.virtio-disk0",
                "begun esp-serial", "failed signing-key", "skipped sign-modules", "skipped image", "skipped done",
            ])
        #expect(status.tasks[2].title == "A GUID of its own for the pool")
        // The next boot has another list: what is done stays in view, what is no task any more does not.
        try FirstBootStatus.write(Plan("first boot", [Phase("p", "P", plan.steps.filter { $0.id == "firstboot.pool-guid" })]), files)
        #expect(try FirstBootStatus.read(files).tasks.map(\.id) == ["firstboot.host-id", "firstboot.pool-guid"])
        try files.write("", to: FirstBoot.doneMarker)
        #expect(try FirstBootStatus.read(files).state == .done)
    }

    // MARK: interrupted

    /// A clone's file system before its first boot.
    private func sealedFiles() -> MemoryFiles {
        MemoryFiles([
            FirstBoot.sealedMarker.string: "", "/boot/initrd.img-\(Self.kernel)": "initrd", "/boot/vmlinuz-\(Self.kernel)": "linux",
            "/run/kldload/firstboot/esp0/EFI/kldload/\(Self.image)": "old", "/etc/fstab": Self.mountTable,
        ])
    }

    /// One boot: reads what is there, does what is left. A power cut ends it without any clean-up.
    private func boot(_ files: MemoryFiles, cut position: Int?, id: UInt32) async throws -> (
        done: Bool, things: Int, machine: SimulatedMachine
    ) {
        let machine = SimulatedMachine(files)
        let fuse = Fuse(at: position, forever: true)
        var facts = Self.clone(
            hostID: (try? files.read("/etc/hostid")).flatMap { HostID(fileContent: $0) },
            // Another number at each boot, as gather() makes it.
            extras: FirstBoot.Extras(espSerial: id, mountTable: try files.readText("/etc/fstab")))
        facts.sealed = try files.exists(FirstBoot.sealedMarker)
        // The old image carries no host id: each boot of it makes another one up.
        let image = files.texts["/run/kldload/firstboot/esp0/EFI/kldload/\(Self.image)"]
        facts.runningHostID = image == "old" ? HostID(id) : nil
        try? await PlanRunner(runner: FaultyRunner(machine, fuse), files: FaultyFiles(files, fuse)).apply(facts.plan)
        return (try files.exists(FirstBoot.doneMarker), fuse.count, machine)
    }

    @Test("the id that the pool was imported with wins over the one that an interrupted first boot wrote")
    func runningHostID() throws {
        let plan = try Self.clone(hostID: HostID(0xABCD_EF01)).plan
        #expect(plan[step: "firstboot.host-id"]?.actions == [.write("/etc/hostid", content: .bytes(identity.hostID.fileContent))])
        #expect(try Self.supplement(plan) == Self.supplement(Self.clone().plan))
    }

    @Test("a power cut at any instant leaves a machine whose next boot finishes, with one host id everywhere")
    func powerCut() async throws {
        let whole = sealedFiles()
        let things = try await boot(whole, cut: nil, id: 7).things
        #expect(things > 12)
        for position in 0..<things {
            let files = sealedFiles()
            let first = try await boot(files, cut: position, id: 7)
            let image = files.texts["/run/kldload/firstboot/esp0/EFI/kldload/\(Self.image)"] ?? ""
            #expect(image == "old" || image.hasPrefix("initrd"), "the old image or the new one, at \(position)")
            if !first.done {
                let second = try await boot(files, cut: nil, id: 8)
                #expect(second.done, "cut \(position)")
            }
            let id = try #require(HostID(fileContent: try files.read("/etc/hostid")))
            #expect(id == HostID(image == "old" ? 8 : 7), "cut \(position)")
            // What the image carries is what the machine says.
            let expected = try #require(Self.supplement(Self.clone(hostID: id, runningHostID: nil).plan))
            let built = try files.read(FilePath("/run/kldload/firstboot/esp0/EFI/kldload/\(Self.image)"))
            #expect(built == Array("initrd".utf8) + expected, "cut \(position)")
            // The mount table names the number that the ESP got last.
            let serial: UInt32 = first.done ? 7 : 8
            #expect(try files.readText("/etc/fstab").contains("UUID=\(Disk.fatUUID(serial)) "), "cut \(position)")
        }
    }
}

import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Boot environments in two parts")
struct IncrementTests {
    static func chained(_ lines: String...) throws -> InstallRequest {
        var request = try request(answers(disk: "/dev/vda", lines.joined(separator: "\n")), Machines.virtual)
        request.payload.source = increment
        return request
    }

    private func holds(_ view: PlanView) -> Bool { Invariant.all.allSatisfy { $0.check(view) == nil } }

    @Test("a stream is written to a disk that is known by udev's link, and may be read by everybody")
    func packed() throws {
        let disk: FilePath = "/dev/disk/by-id/virtio-stream"
        let plan = try PayloadPack(spec: .debian13, archive: "/a.tar.zst", scratch: "/dev/vdb", root: disk, rest: "/dev/vdd").plan
        let writing = plan.commands.filter { $0.outputFile != nil }
        #expect(writing.map(\.outputFile) == [disk])
        #expect(writing.allSatisfy { $0.followsOutputLink && $0.outputPermissions.contains(.otherRead) && $0.effect == .changes })
    }

    @Test("but for how the boot environment arrives, the installation is the same, with the same tools and approvals, and as long")
    func same() throws {
        var whole = try Self.chained()
        guard case .stream(_, _, let rest) = increment else { return }
        whole.payload.source = .stream(root: "/medium/root.zfs", rest: rest)
        let (one, two) = (try InstallPlanner(whole), try InstallPlanner(Self.chained()))
        let (plan, parts) = (try one.plan, try two.plan)
        func others(_ plan: Plan) -> [Step] { plan.steps.filter { !$0.id.hasPrefix("zfs.root") } }
        #expect(others(plan) == others(parts))
        #expect(parts.steps.map(\.id).filter { $0.hasPrefix("zfs.root") } == ["zfs.root", "zfs.root.increment", "zfs.root.mount"])
        #expect(plan.destroys == parts.destroys && one.approvals == two.approvals)
        func tools(_ plan: Plan) -> Set<Tool> { Set(plan.commands.map(\.tool)) }
        #expect(tools(plan) == tools(parts))
        #expect(abs(plan.weight - parts.weight) < 10)
    }

    @Test("a plan that lacks an action of theirs, or takes their steps in another order, is noticed")
    func broken() throws {
        let request = try Self.chained()
        #expect(try holds(PlanView(request)))
        let plan = try InstallPlanner(request).plan
        let phase = try #require(plan.phases.firstIndex { $0.id == "storage" })
        let first = try #require(plan.phases[phase].steps.firstIndex { $0.id == "zfs.root" })
        for step in first..<first + 3 {
            for action in plan.phases[phase].steps[step].actions.indices {
                let view = try PlanView(request) { $0.phases[phase].steps[step].actions.remove(at: action) }
                #expect(!holds(view), "without: \(plan.phases[phase].steps[step].actions[action].text)")
            }
            #expect(try !holds(PlanView(request) { $0.phases[phase].steps.swapAt(step, step + 1) }), "step \(step)")
        }
        let mount = plan.phases[phase].steps[first + 2].actions[0]
        #expect(try !holds(PlanView(request) { $0.phases[phase].steps[first].actions.append(mount) }))
    }

    @Test("the second part goes on from the first as it came: nothing is mounted before it is there, in a run that goes on either")
    func resumed() async throws {
        let plan = try InstallPlanner(Self.chained()).plan
        let approvals = plan.destroys.compactMap { WipeApproval(typed: $0, disk: $0) }
        func said(from step: String) async throws -> [String] {
            let runner = ScriptedRunner([
                { command in
                    // It has seen enough.
                    if command.description.hasPrefix("zfs create -o mountpoint=/home ") { throw Fuse.Blown() }
                    return CommandOutput()
                }
            ])
            let performers = Performers.table(logs: []) { _, _, _ in }
            do {
                try await PlanRunner(runner: runner, files: MemoryFiles(), performers: performers).apply(
                    plan, approvals: approvals, from: step)
                Issue.record("the fuse did not blow")
            } catch {}
            return runner.commands.map(\.description).filter { $0.hasPrefix("zpool import") || $0.hasPrefix("zfs ") }
        }
        let opened = "zpool import -N -R /target -d /dev/disk/by-id rpool"
        let mounted = ["zfs mount rpool/ROOT/debian", "zfs destroy rpool/ROOT/debian@payload,increment"]
        let received = "zfs receive -u rpool/ROOT/debian < /medium/kldload/payloads/debian-trixie-server/increment.zfs"
        #expect(try await said(from: "zfs.root.increment").prefix(4) == [opened, received] + mounted)
        #expect(try await said(from: "zfs.root.mount").prefix(3) == [opened] + mounted)
        #expect(try await said(from: "zfs.datasets").prefix(2) == [opened, mounted[0]])
    }

    // MARK: packing

    static let pack = IncrementPack(
        compatibility: "openzfs-2.3-linux", base: "/dev/base", whole: "/dev/whole", scratch: "/dev/scratch", result: "/dev/result")

    @Test("what one boot environment has beyond another is packed so")
    func packing() throws {
        #expect(
            try Self.pack.plan.text(contents: true) == """
                plan: pack what one payload has beyond another
                  WIPES /dev/scratch
                unpack: Put both onto ZFS
                  ! pack.disk: Partition the scratch disk
                      sgdisk --clear --set-alignment=2048 --new=1:0:0 --typecode=1:BF00 '--change-name=1:kldload payload' /dev/scratch
                      udevadm settle --timeout=30
                      wait for /dev/scratch1 (at most 30 s)
                  ! pack.pool: Create a pool
                      mkdir /target (755)
                      zpool create -o ashift=12 -o compatibility=openzfs-2.3-linux -O acltype=posixacl -O canmount=off -O compression=lz4 \
                -O dnodesize=auto -O normalization=formD -O relatime=on -O xattr=sa -O mountpoint=none -O com.kldload:owner=kldload \
                -R /target payload /dev/scratch1
                      release: umount --recursive /target/whole
                      release: umount --recursive /target/base
                      release: zfs.export pool=payload target=/target
                  + increment.base: Receive the base
                      zfs receive -u -o atime=off -o canmount=noauto -o mountpoint=/base payload/base < /dev/base
                      zfs set compression=zstd-3 payload/base
                      zfs mount payload/base
                  + increment.whole: Receive the boot environment
                      zfs receive -u -o atime=off -o canmount=noauto -o mountpoint=/whole -o readonly=on payload/whole < /dev/whole
                      zfs mount payload/whole
                pack: Pack what differs
                  ! increment.copy: Make the base what the boot environment is
                      rsync --archive --hard-links --acls --xattrs --numeric-ids --modify-window=-1 --delete --one-file-system --checksum \
                /target/whole/ /target/base/
                      increment.compare from=/target/whole to=/target/base
                  + increment.send: Write the stream
                      zfs snapshot payload/base@increment
                      zfs send -L -c -i payload/base@payload payload/base@increment > /dev/result
                      sync

                """)
    }

    @Test("a copy that is not what it should be is not packed, and what differs is told")
    func copies() async throws {
        // rsync 3.4.1, --itemize-changes
        let differing = ScriptedRunner([{ _ in CommandOutput(output: ".f....og... etc/shadow\n*deleting   etc/left\n") }])
        let compare = try #require(IncrementPack.performers["increment.compare"])
        let places = ["from": "/target/whole", "to": "/target/base"]
        let problem = await #expect(throws: Diagnosis.self) { try await compare(places, differing, MemoryFiles()) }
        #expect(problem?.code == "factory.increment")
        #expect(problem?.causes == [".f....og... etc/shadow", "*deleting   etc/left"])
        let same = ScriptedRunner.accepting
        try await compare(places, same, MemoryFiles())
        #expect(same.commands.map(\.effect) == [.reads])
        #expect(same.commands.first?.description.hasSuffix(" --dry-run --itemize-changes /target/whole/ /target/base/") == true)
    }
}

private let hasRsync = (try? LocalFiles().exists("/usr/bin/rsync")) ?? false

/// Two trees as builds make them: every file has the same time.
@Suite("Copying what differs, with the real rsync", .enabled(if: hasRsync, "needs rsync"))
struct IncrementContractTests {
    let files = LocalFiles()
    let runner = SubprocessRunner()

    @Test("the base becomes what the whole is, whatever was there, and what is the same is not touched")
    func copies() async throws {
        try await Scratch.with { folder in
            var pack = IncrementTests.pack
            pack.target = folder
            let (base, whole) = (folder.appending("base"), folder.appending("whole"))
            for tree in [base, whole] {
                try files.write("same", to: tree.appending("etc/same"), mode: .file)
                // As long as the other one.
                try files.write(tree == base ? "old" : "new", to: tree.appending("etc/changed"), mode: .file)
                try files.write("mode", to: tree.appending("etc/mode"), mode: tree == base ? .file : .secret)
            }
            try files.write("left", to: base.appending("usr/left/over"))
            try files.write("a folder was here", to: whole.appending("usr/left"))
            try files.write("x", to: base.appending("usr/folder/x"))
            try files.symlink(whole.appending("usr/folder"), to: "/elsewhere")
            try files.write("one", to: whole.appending("usr/one"))
            try await runner.run(
                Command(
                    Tool("ln", package: "coreutils"), [whole.appending("usr/one").string, whole.appending("usr/two").string],
                    effect: .changes))
            try await runner.run(
                Command(
                    Tool("find", package: "findutils"),
                    [folder.string, "-exec", "touch", "--no-dereference", "--date=@1767225600", "{}", "+"], effect: .changes))
            func inode(_ path: String) async throws -> String {
                try await runner.run(
                    Command(
                        Tool("stat", package: "coreutils"), ["--format=%i %Z", base.pushing(FilePath(path)).string], effect: .reads)
                ).output
            }
            let untouched = try await inode("etc/same")
            let compare = try #require(IncrementPack.performers["increment.compare"])
            let places = ["from": whole.string, "to": base.string]
            await #expect(throws: Diagnosis.self) { try await compare(places, runner, files) }

            let copy = try #require(
                pack.plan.steps.flatMap(\.actions).lazy.compactMap { action in
                    if case .run(let command) = action, command.tool.name == "rsync" { command } else { nil }
                }.first)
            try await runner.run(copy)
            try await compare(places, runner, files)
            #expect(try files.readText(base.appending("etc/changed")) == "new")
            #expect(try files.status(base.appending("etc/mode"))?.mode == .secret)
            #expect(try files.readText(base.appending("usr/left")) == "a folder was here")
            #expect(try files.readLink(base.appending("usr/folder")) == "/elsewhere")
            #expect(try await inode("usr/one") == inode("usr/two"))
            #expect(try await inode("etc/same") == untouched)
        }
    }
}

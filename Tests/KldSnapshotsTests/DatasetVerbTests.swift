import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldSnapshots

private func lines(_ plan: Plan) -> [String] {
    plan.steps.flatMap(\.actions).compactMap { if case .run(let command) = $0 { command.description } else { nil } }
}

@Suite struct DirectoryDatasetTests {
    func plan(_ paths: [String], parents: Bool = false, options: [String] = [], _ files: MemoryFiles = Machine.files()) throws -> [String] {
        lines(
            try DirectoryDataset.plan(
                paths.map { FilePath($0) }, parents: parents, options: options, storage: Machine.storage(), files: files
            ).plan)
    }

    @Test(arguments: [
        ("/srv/media", "zfs create rpool/srv/media"), ("/var/mail", "zfs create rpool/var/mail"),
        ("/data", "zfs create -o mountpoint=/data rpool/data"),
        ("/home/my data/sub folder", "zfs create 'rpool/home/my data/sub folder'"),
        ("/srv/Müller", "zfs create -o 'mountpoint=/srv/Müller' rpool/srv/M_ller"),
        ("/home/Järg", "zfs create -o 'mountpoint=/home/Järg' rpool/home/J_rg-2"),
        ("/home/Jörg/x/../photos", "zfs create rpool/home/J_rg/photos"),
    ])
    func `a folder becomes a dataset below the one that its own folder is`(path: String, line: String) throws {
        #expect(try plan([path]) == [line])
    }

    @Test func `options are set, and folders above are made on request`() throws {
        #expect(
            try plan(["/srv/a/b"], parents: true, options: ["recordsize=1M", "com.example:note=a=b"]) == [
                "zfs create rpool/srv/a", "zfs create -o recordsize=1M -o com.example:note=a=b rpool/srv/a/b",
            ])
        #expect(try plan(["/srv/a", "/srv/a/b"]) == ["zfs create rpool/srv/a", "zfs create rpool/srv/a/b"])
    }

    @Test(arguments: [
        (["/srv/a/b"], [], "directory.parent"), (["/etc/x"], [], "directory.parent"), (["/tmp/new"], [], "directory.parent"),
        (["/srv"], [], "directory.is-dataset"), (["/locked"], [], "directory.is-dataset"), (["/tmp"], [], "directory.is-dataset"),
        (["/srv/www"], [], "directory.not-empty"), (["/etc/fstab"], [], "directory.not-folder"), (["srv/x"], [], "directory.relative"),
        (["/locked/x"], [], "directory.parent"), (["/srv/x"], ["compression"], "directory.option"),
        (["/srv/x"], ["mountpoint=/y"], "directory.option"), (["/srv/x", "/srv/x"], [], "directory.is-dataset"),
        (["/"], [], "directory.relative"),
    ])
    func `what would hide something, or belong nowhere, is refused`(paths: [String], options: [String], expected: String) {
        #expect(problem { _ = try plan(paths, options: options) }?.code == expected)
    }

    @Test func `an empty folder is taken, a full one above it is not covered`() throws {
        let files = Machine.files()
        try files.makeDirectory("/srv/empty", mode: .directory)
        #expect(try plan(["/srv/empty"], files) == ["zfs create rpool/srv/empty"])
        #expect(problem { _ = try plan(["/srv/www/x"], parents: true) }?.code == "directory.not-empty")
    }
}

@Suite struct DatasetCloneTests {
    func clone(_ source: String, _ target: String, list: String = Machine.list) throws -> DatasetClone {
        try DatasetClone(source, to: target, storage: Machine.storage(list), folder: "/", files: Machine.files(), now: Machine.now)
    }

    @Test(
        arguments: [
            ("rpool/srv@snap", "rpool/srv-copy", ["zfs clone rpool/srv@snap rpool/srv-copy"]),
            (
                "rpool/vms/web server", "rpool/vms/copy",
                [
                    "zfs snapshot 'rpool/vms/web server@kclone-copy-20260806070640'",
                    "zfs clone 'rpool/vms/web server@kclone-copy-20260806070640' rpool/vms/copy",
                ]
            ),
            ("/dev/zvol/rpool/vms/web+server", "rpool/vms/copy", nil),
            (
                "/home/my data", "/srv/copy",
                [
                    "zfs snapshot 'rpool/home/my data@kclone-copy-20260806070640'",
                    "zfs clone 'rpool/home/my data@kclone-copy-20260806070640' rpool/srv/copy",
                ]
            ),
            ("/srv/.zfs/snapshot/a", "/srv/Alt-ä", ["zfs clone -o 'mountpoint=/srv/Alt-ä' rpool/srv@a rpool/srv/Alt-_"]),
            ("/srv", "/data", nil), ("rpool/ROOT/debian@install", "rpool/look", ["zfs clone rpool/ROOT/debian@install rpool/look"]),
        ] as [(String, String, [String]?)])
    func `datasets, snapshots, volumes and paths are cloned`(source: String, target: String, expected: [String]?) throws {
        let made = lines(try clone(source, target).plan())
        if let expected { #expect(made == expected) } else { #expect(made.count == 2) }
    }

    @Test func `it says where the clone will be, and what is not cloned with it`() throws {
        #expect(
            try clone("rpool/home", "rpool/home/copy").mountpoint == "/home/copy" && clone("rpool/home", "rpool/home/copy").children == 2)
        #expect(try clone("rpool/home@x", "rpool/copy").mountpoint == nil)
    }

    @Test(arguments: [
        ("/srv/www", "/srv/copy", "clone.inside"), ("rpool/srv", "tank/copy", "clone.other-pool"),
        ("rpool/srv", "rpool/home", "dataset.exists"),
        ("rpool/srv", "rpool/none/copy", "dataset.no-parent"), ("rpool/locked", "rpool/copy", "dataset.locked"),
        ("rpool/ROOT/debian", "rpool/ROOT/copy", "clone.boot-environment"), ("rpool/vms/web server", "/srv/copy", "clone.volume-path"),
        ("rpool/srv", "/home/my data", "directory.is-dataset"), ("rpool/srv", "/srv/www", "directory.not-empty"),
        ("rpool/srv", "rpool/srv/www", "directory.not-empty"), ("rpool/srv@", "rpool/copy", "zfs.name.snapshot"),
        ("rpool/none", "rpool/copy", "dataset.unknown"),
    ])
    func `what cannot be, or would hide something, is refused before anything is made`(source: String, target: String, expected: String)
        async
    {
        #expect(problem { _ = try clone(source, target) }?.code == expected)
    }

    @Test func `a snapshot's name that is taken is counted up; a snapshot left over is named`() async throws {
        let scripted = ScriptedRunner([
            { command in
                guard command.arguments[0] == "snapshot" else { return nil }
                let taken = command.arguments[1].hasSuffix("070640")
                return taken ? CommandOutput(status: 1, errors: "cannot create snapshot 'x': dataset already exists\n") : CommandOutput()
            },
            {
                $0.arguments.last == "rpool/bad"
                    ? CommandOutput(status: 1, errors: "cannot create 'rpool/bad': out of space\n") : CommandOutput()
            },
        ])
        let runner = ZFSExplainingRunner(scripted)
        try await clone("rpool/srv", "rpool/good").apply(runner: runner, files: Machine.files())
        #expect(scripted.commands.last?.arguments == ["clone", "rpool/srv@kclone-good-20260806070640-2", "rpool/good"])
        let problem = await problem { try await clone("rpool/srv", "rpool/bad").apply(runner: runner, files: Machine.files()) }
        #expect(
            problem?.code == "zfs.no-space"
                && problem?.remedies.last?.hasSuffix("ksnap destroy rpool/srv@kclone-bad-20260806070640-2") == true)
    }
}

@Suite struct SpaceReportTests {
    static let list = """
        rpool\tfilesystem\t9000\t0\t5000\t100\t1.85\t0\t0\tnone\tno\toff\t-
        rpool/home/my data\tfilesystem\t700\t200\t300\t500\t1.00x\t1000\t900\t/home/my data\tyes\ton\t-
        rpool/locked\tfilesystem\t10\t0\t10\t10\t1.00\t0\t0\t/locked\tno\ton\tunavailable
        rpool/vms/web server\tvolume\t50\t0\t10\t10\t1.00\t-\t-\t-\t-\t-\t-

        """

    @Test func `quotas, snapshots and states are told`() throws {
        let rows = try SpaceReport.parse(Self.list)
        #expect(rows.map(\.state) == ["holds others", "mounted", "locked", "volume"])
        #expect(rows[1].quota == ByteCount(900) && rows[0].quota == nil && rows[3].quota == nil && rows[1].ratio == "1.00")
        #expect(rows[1].snapshots == ByteCount(200) && rows[1].mountpoint == "/home/my data")
    }

    @Test func `everything is two calls; a path is its dataset and its pool`() async throws {
        let types = ["filesystem", "volume"]
        let pools = "rpool\t10\t5\t5\t3\t50\t1.00\tONLINE\toff\t-\ntank\t10\t5\t5\t3\t50\t1.00\tONLINE\toff\t-\n"
        let runner = Machine.runner([
            ZFS.list(of: [], columns: SpaceReport.columns, types: types): Self.list,
            ZFS.list(of: ["rpool/home/my data"], columns: SpaceReport.columns, types: types): Self.list.split(separator: "\n")[1] + "\n",
            ZPool.usage(): pools,
        ])
        let all = try await SpaceReport.gather([], recursive: false, folder: "/", runner: runner, files: Machine.files())
        #expect(all.rows.count == 4 && all.pools.count == 2 && runner.commands.count == 2)
        let one = try await SpaceReport.gather(
            ["/home/my data/letter"], recursive: false, folder: "/", runner: runner, files: Machine.files())
        #expect(one.rows.count == 1 && one.pools.map(\.name) == ["rpool"])
    }
}

import KldCore
import KldExec
import KldZFS
import Testing

@Suite struct SnapshotRowTests {
    // Columns as `zfs list -Hp -t snapshot,bookmark` of OpenZFS 2.1 to 2.4 prints them.
    static let list = """
        rpool/my data@before the move\tsnapshot\t8192\t98304\t1786000000\t5312\t2\trpool/copy,rpool/the other
        rpool/my data@-x\tsnapshot\t0\t98304\t1786000000\t5313\t0\t-
        rpool/my data#sent\tbookmark\t-\t-\t1786000001\t5312\t-\t-

        """

    @Test func `snapshots and bookmarks are told apart, whatever their names hold`() throws {
        let rows = try SnapshotRow.parse(Self.list)
        #expect(rows.map(\.dataset) == Array(repeating: "rpool/my data", count: 3))
        #expect(rows.map(\.label) == ["before the move", "-x", "sent"] && rows.map(\.isBookmark) == [false, false, true])
        #expect(rows[0].clones == ["rpool/copy", "rpool/the other"] && rows[0].holds == 2 && rows[0].used == ByteCount(8192))
        #expect(rows[1].clones.isEmpty && rows[1].transaction == 5313 && rows[1].created == rows[0].created)
    }

    @Test(arguments: ["rpool@a\tsnapshot\n", "no datasets available", "a\tb\tc\td\te\tf\tg\th\ti\n"])
    func `another form is refused`(text: String) {
        #expect { try SnapshotRow.parse(text) } throws: { Diagnosis(of: $0).code == "zfs.unreadable" }
    }

    @Test func `fields are cut at bytes: a mark that Unicode joins to the tab before it stays in its field`() throws {
        var places: [String] = []
        try ListLine.each("a\t\u{301}x\u{2028}y\nb\t-\n", columns: ["name", "mountpoint"]) { places.append(String($0["mountpoint"])) }
        #expect(places == ["\u{301}x\u{2028}y", ""])
    }

    @Test func `ten thousand rows are read`() throws {
        let text = (0..<10_000).map { "rpool/d\($0 % 1000)@s\($0)\tsnapshot\t1\t2\t3\t\($0)\t0\t-\n" }.joined()
        let rows = try SnapshotRow.parse(text)
        #expect(rows.count == 10_000 && rows[9999].name == "rpool/d999@s9999")
    }

    @Test func `holds and previews are read`() {
        #expect(
            SnapshotHold.parse("rpool/my data@a\taudit 2026\tThu Aug  6 07:06 2026\nrpool@b\tx\tThu Aug  6 07:06 2026\n")
                == [SnapshotHold(snapshot: "rpool/my data@a", tag: "audit 2026"), SnapshotHold(snapshot: "rpool@b", tag: "x")])
        let preview = DestroyPreview.parse("destroy\trpool/my data@a\ndestroy\trpool/my data@b\nreclaim\t8192\n")
        #expect(preview.names == ["rpool/my data@a", "rpool/my data@b"] && preview.reclaimed == ByteCount(8192))
    }
}

@Suite struct SnapshotChangeTests {
    @Test func `every kind of change is read, with its octal digits as the bytes they stand for`() throws {
        let changes = try SnapshotChange.parse(
            "M\t/\t/srv/\n+\tF\t/srv/J\\0303\\0266rg\\0040one\n-\t@\t/srv/a\\0134b\nR\tF\t/srv/old\t/srv/new\nM\tF\t/srv/linked\t(+1)\n")
        #expect(changes.map(\.kind) == [.modified, .added, .removed, .renamed, .modified])
        #expect(changes.map(\.type) == ["folder", "file", "link", "file", "file"])
        #expect(changes[1].path == "/srv/Jörg one" && changes[2].path == "/srv/a\\b")
        #expect(changes[3].newPath == "/srv/new" && changes[4].newPath == nil)
    }

    @Test func `nothing changed is no error, another form is`() {
        #expect(throws: Never.self) { try SnapshotChange.parse("") }
        #expect { try SnapshotChange.parse("Unable to obtain diffs\n") } throws: { Diagnosis(of: $0).code == "zfs.unreadable" }
    }
}

@Suite struct SnapshotCommandTests {
    let (a, b): (SnapshotName, SnapshotName)
    init() throws { (a, b) = (try SnapshotName("rpool/my data@x"), try SnapshotName("rpool/home@x")) }

    @Test func `a set is one transaction`() {
        #expect(ZFS.snapshot(set: [a, b]).description == "zfs snapshot 'rpool/my data@x' rpool/home@x")
        #expect(ZFS.snapshot(set: [a, b], recursive: true).arguments == ["snapshot", "-r", "rpool/my data@x", "rpool/home@x"])
    }

    @Test func `what destroys says so, and never takes more along than is named`() {
        let destroy = ZFS.destroy(a.dataset, snapshots: ["x", "y z"])
        #expect(destroy.arguments == ["destroy", "rpool/my data@x,y z"] && destroy.effect == .destroys)
        let dry = ZFS.destroy(a.dataset, snapshots: ["x"], dryRun: true)
        #expect(dry.arguments == ["destroy", "-nvp", "rpool/my data@x"] && dry.effect == .reads)
        #expect(ZFS.rollback(to: b).arguments == ["rollback", "rpool/home@x"] && ZFS.rollback(to: b).effect == .destroys)
        #expect(ZFS.destroy(b.dataset, bookmark: "sent").arguments == ["destroy", "rpool/home#sent"])
    }

    @Test func `lists reach as far as is asked`() {
        #expect(ZFS.snapshots(of: []).arguments.prefix(4) == ["list", "-Hp", "-t", "snapshot"])
        #expect(ZFS.snapshots(of: ["a", "b c"]).arguments.prefix(4) == ["list", "-Hp", "-d", "1"])
        let deep = ZFS.snapshots(of: ["a", "b c"], recursive: true, bookmarks: true).arguments
        #expect(deep.prefix(5) == ["list", "-Hp", "-r", "-t", "snapshot,bookmark"] && deep.suffix(2) == ["a", "b c"])
        #expect(ZFS.diff(a, nil).arguments == ["diff", "-FH", "rpool/my data@x", "rpool/my data"])
        #expect(ZFS.written(since: a).arguments.suffix(2) == ["written@x", "rpool/my data"])
        #expect(ZFS.hold([a, b], tag: "t", recursive: false).arguments == ["hold", "t", "rpool/my data@x", "rpool/home@x"])
    }
}

import KldCore
import KldExec
import KldZFS
import Testing

@Suite struct ReplicaTests {
    // Columns as `zfs list -Hp` of OpenZFS 2.4 prints them.
    @Test func `datasets are read with what a replication must know of them`() throws {
        let rows = try ReplicaDataset.parse(
            "tank/my data\tfilesystem\t-\taes-256-gcm\ttank/my data\tunavailable\t1-e604ea4bf-e0-789c63\t1000\t98304\n"
                + "tank/my data/v\tvolume\ttank/x@a b\taes-256-gcm\ttank/my data\tavailable\t-\t1000\t8192\n"
                + "tank/plain\tfilesystem\t-\toff\t-\t-\t-\t1000\t8192\n")
        #expect(rows.map(\.isEncrypted) == [true, true, false] && rows.map(\.isEncryptionRoot) == [true, false, false])
        #expect(rows.map(\.isLocked) == [true, false, false] && rows.map(\.token) == ["1-e604ea4bf-e0-789c63", nil, nil])
        #expect(rows[1].isVolume && rows[1].origin == "tank/x@a b" && rows[2].origin == nil && rows[0].referenced == ByteCount(98304))
    }

    @Test func `snapshots and bookmarks are read with their guid`() throws {
        let rows = try ReplicaSnapshot.parse(
            "rpool/my data@a\tsnapshot\t18391847292348123000\t5312\t1795228380\t1\toff-site\n"
                + "rpool/my data#a\tbookmark\t18391847292348123000\t5312\t1795228380\t-\t-\n")
        #expect(rows[0].guid == 18_391_847_292_348_123_000 && rows[0].guid == rows[1].guid && rows.map(\.isBookmark) == [false, true])
        #expect(rows[0].replication == "off-site" && rows[1].replication == nil && rows[0].holds == 1 && rows[1].name == "rpool/my data#a")
        #expect { try ReplicaSnapshot.parse("rpool@a\tsnapshot\t-\t1\t1\t0\t-\n") } throws: { Diagnosis(of: $0).code == "zfs.unreadable" }
    }

    // The form of `zfs_send_resume_impl`, OpenZFS 2.1 to 2.4; on standard output where nothing is sent.
    static let contents = """
        resume token contents:
        nvlist version: 0
        \tobject = 0x72a
        \toffset = 0x5f80000
        \tbytes = 0x90c3f2184
        \ttoguid = 0xc7442ab399a28a9b
        \ttoname = rpool/my data@2025-12-05_07:36:58_weekly
        \tcompressok = 1
        \trawok = 1
        full\trpool/my data@2025-12-05_07:36:58_weekly\t3711767360
        size\t3711767360

        """

    @Test func `what was cut off says what it was of`() {
        #expect(
            ResumeToken(CommandOutput(output: Self.contents)) == .to(label: "2025-12-05_07:36:58_weekly", guid: 0xc744_2ab3_99a2_8a9b))
    }

    @Test(arguments: [
        "cannot resume send: 'rpool/home@a' used in the initial send no longer exists\n",
        "cannot resume send: 'rpool/home@a' is no longer the same snapshot used in the initial send\n",
        "cannot resume send: incremental source 0xc7442ab399a28a9b no longer exists\n", "cannot resume send: resume token is corrupt\n",
    ])
    func `a stream whose source is gone cannot go on`(errors: String) {
        #expect(ResumeToken(CommandOutput(status: 1, output: "resume token contents:\n", errors: errors)) == .useless(errors.trimmed))
    }

    @Test func `whatever else goes wrong is no reason to give it up`() {
        #expect(ResumeToken(CommandOutput(status: 1, errors: "cannot open '/dev/zfs': Permission denied\n")) == nil)
        #expect(ResumeToken(CommandOutput(output: "size\t1\n")) == nil)
    }

    @Test func `commands say what they do`() throws {
        let (name, snapshot) = (try DatasetName("rpool/my data"), try SnapshotName("rpool/my data@a"))
        #expect(ZFS.replicas(of: name, recursive: true).arguments.prefix(4) == ["list", "-Hp", "-r", "-t"])
        #expect(
            ZFS.replicaSnapshots(of: name, recursive: false).arguments.prefix(6) == ["list", "-Hp", "-d", "1", "-t", "snapshot,bookmark"])
        #expect(ZFS.describe(resume: "1-a").arguments == ["send", "-nvP", "-t", "1-a"])
        #expect(ZFS.bookmark(snapshot, as: "b").arguments == ["bookmark", "rpool/my data@a", "rpool/my data#b"])
        #expect(ZFS.loadKey(name, file: "/k").arguments == ["load-key", "-L", "file:///k", "rpool/my data"])
        #expect(ZFS.set(snapshot, ["a": "1"]).arguments == ["set", "a=1", "rpool/my data@a"])
    }
}

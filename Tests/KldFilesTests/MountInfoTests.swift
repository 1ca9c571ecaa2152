import KldFiles
import Testing

@Suite struct `The tree of mounts` {
    private static let text = """
        22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
        28 1 0:25 / / rw,relatime shared:1 - zfs rpool/ROOT/debian rw,xattr
        40 28 0:40 / /srv rw,relatime shared:20 master:3 - zfs rpool/srv ro,xattr
        41 28 0:41 / /mnt/two\\040words ro,relatime - zfs tank/two\\040words rw
        not a mount
        """

    @Test func `is read with its parents, and with names as they are`() {
        let mounts = MountInfo.parse(Self.text)
        #expect(mounts.map(\.place) == ["/sys", "/", "/srv", "/mnt/two words"])
        #expect(mounts.map(\.isReadOnly) == [false, false, true, true])
        #expect(mounts[2].id == 40 && mounts[2].parent == 28 && mounts[2].type == "zfs" && mounts[3].source == "tank/two words")
    }

    @Test(arguments: [
        ("90 40 0:9 / /srv rw - tmpfs tmpfs rw", "/srv"), ("90 28 0:9 / /mnt rw - tmpfs tmpfs rw", "/mnt/two words"),
        ("90 28 0:9 / /mn rw - tmpfs tmpfs rw", nil), ("90 40 0:9 / /srv/data rw - tmpfs tmpfs rw", nil),
        ("90 40 0:9 / /srv rw - zfs rpool/srv rw", nil), ("90 28 0:9 / /run rw - tmpfs tmpfs rw", nil),
    ])
    func `tells what is hidden by what`(line: String, hidden: String?) {
        let mounts = MountInfo.parse(Self.text + "\n" + line + "\n")
        #expect(mounts.filter { $0.cover(in: mounts) != nil }.map(\.place) == [hidden].compactMap { $0 })
    }

    @Test func `is read of this machine`() throws {
        let mounts = try LocalFiles().mountInfo()
        #expect(mounts.contains { $0.place == "/" } && mounts.contains { $0.type == "proc" })
    }
}

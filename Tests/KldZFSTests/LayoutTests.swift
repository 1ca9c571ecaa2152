import KldCore
import KldZFS
import Testing

@Suite struct `vdev layouts` {
    @Test func `become the words of zpool create`() throws {
        #expect(try VdevLayout(.single, disks: ["/a"]).words == ["/a"])
        #expect(try VdevLayout(.mirror, disks: ["/a", "/b", "/c"]).words == ["mirror", "/a", "/b", "/c"])
        #expect(try VdevLayout(.raidz(parity: 2), disks: ["/a", "/b", "/c", "/d"]).words == ["raidz2", "/a", "/b", "/c", "/d"])
        #expect(
            try VdevLayout(.mirrorStripe, disks: ["/a", "/b", "/c", "/d"]).words == ["mirror", "/a", "/b", "mirror", "/c", "/d"])
    }

    @Test(arguments: [
        (VdevTopology.single, 2), (.single, 0), (.mirror, 1), (.raidz(parity: 1), 2), (.raidz(parity: 2), 3), (.raidz(parity: 3), 4),
        (.mirrorStripe, 2), (.mirrorStripe, 5),
    ])
    func `need enough disks`(topology: VdevTopology, count: Int) {
        #expect(throws: VdevLayoutError.disks(topology, count: count)) {
            try VdevLayout(topology, disks: (0..<count).map { "/dev/d\($0)" })
        }
    }

    @Test func `make special vdevs as redundant as the root vdevs`() throws {
        let one = try VdevLayout(.single, disks: ["/a"], special: ["/s"])
        #expect(one.words == ["/a", "special", "/s"] && one.mismatch == nil)
        let mirror = try VdevLayout(.mirror, disks: ["/a", "/b"], special: ["/s", "/t", "/u", "/v"])
        #expect(mirror.words == ["mirror", "/a", "/b", "special", "mirror", "/s", "/t", "mirror", "/u", "/v"] && mirror.mismatch == nil)
        let raidz = try VdevLayout(.raidz(parity: 1), disks: ["/a", "/b", "/c"], special: ["/s", "/t"])
        #expect(raidz.words.suffix(4) == ["special", "mirror", "/s", "/t"] && raidz.mismatch == nil)
    }

    @Test func `ask for -f only where zpool create would not take them otherwise`() throws {
        let odd = try VdevLayout(.single, disks: ["/a"], special: ["/s", "/t"])
        #expect(odd.words == ["/a", "special", "mirror", "/s", "/t"])
        #expect(odd.mismatch != nil)
    }

    @Test func `refuse a special vdev that would be the weak spot`() {
        #expect(throws: VdevLayoutError.special(.mirror, count: 1, width: 2)) {
            try VdevLayout(.mirror, disks: ["/a", "/b"], special: ["/s"])
        }
        #expect(throws: VdevLayoutError.special(.raidz(parity: 2), count: 2, width: 3)) {
            try VdevLayout(.raidz(parity: 2), disks: ["/a", "/b", "/c", "/d"], special: ["/s", "/t"])
        }
    }

    @Test func `refuse a disk named twice and one without a full path`() {
        #expect(throws: VdevLayoutError.repeated("/a")) { try VdevLayout(.mirror, disks: ["/a", "/a"]) }
        #expect(throws: VdevLayoutError.repeated("/a")) { try VdevLayout(.single, disks: ["/a"], special: ["/a"]) }
        #expect(throws: VdevLayoutError.notAbsolute("sda")) { try VdevLayout(.single, disks: ["sda"]) }
    }

    @Test(arguments: ["single", "mirror", "raidz1", "raidz2", "raidz3", "mirror-stripe"])
    func `are read from the answers' words`(text: String) { #expect(VdevTopology(text)?.text == text) }

    @Test func `are not guessed`() { #expect(VdevTopology("raid5") == nil) }
}

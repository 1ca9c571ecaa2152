import KldCore
import KldZFS
import Testing

@Suite struct `OpenZFS versions` {
    @Test(arguments: [
        ("2.4.4-1~bpo13+1\n", 2, 4, 4), ("v2.3.0-rc1", 2, 3, 0), ("zfs-kmod-2.1.11-1+deb12u1", 2, 1, 11), ("2.2.99-1_g123", 2, 2, 99),
        ("zfs-0.8.6-1", 0, 8, 6), ("2.4", 2, 4, 0),
    ])
    func `are read in all their spellings`(text: String, major: Int, minor: Int, patch: Int) {
        #expect(OpenZFSVersion(text) == OpenZFSVersion(major, minor, patch))
    }

    @Test(arguments: ["", "zfs", "kmod", "x.y"]) func `are not guessed`(text: String) { #expect(OpenZFSVersion(text) == nil) }

    @Test func `compare by number`() throws {
        #expect(OpenZFSVersion(2, 10) > OpenZFSVersion(2, 9, 9))
        #expect(!OpenZFSVersion(2, 2, 9).hasJSON && OpenZFSVersion(2, 3).hasJSON && OpenZFSVersion(3, 0).hasJSON)
    }

    @Test func `of tools and module are told apart`() {
        let both = OpenZFSVersions.parse("zfs-2.4.4-1~bpo13+1\nzfs-kmod-2.3.9-1\n")
        #expect(both.tools == OpenZFSVersion(2, 4, 4) && both.module == OpenZFSVersion(2, 3, 9))
        // zfs --version of 2.4.4 without the module, as recorded.
        let tools = OpenZFSVersions.parse("zfs-2.4.4-1~bpo13+1\n")
        #expect(tools.tools?.text == "2.4.4-1~bpo13+1" && tools.module == nil)
    }
}

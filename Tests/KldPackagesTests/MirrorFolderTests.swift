import SystemPackage
import KldPackages
import Testing

@Suite("The folder of an offline mirror")
struct MirrorFolderTests {
    @Test("a folder whose name has blanks is one word of apt's sources")
    func blanks() throws {
        let source = AptSource(uri: "file:/mnt/Big Disk/a b/debian", suite: "trixie", components: ["main"], keyring: "/key.gpg")
        let mirror = OfflineMirror(sources: [source], pins: [], state: "/mnt/Big Disk/state")
        let lines = try #require(mirror.texts.first { $0.path == "sources.list" }).text
        #expect(lines.hasSuffix("] file:/mnt/Big%20Disk/a%20b/debian trixie main\n"))
    }
}

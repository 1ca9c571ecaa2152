import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite("Names under which files are written")
struct OutputNameTests {
    private let files = MemoryFiles(
        ["/out/k.iso": "old", "/out/folder/x": "", "/log": "a shell's"], devices: ["/dev/sdb"],
        links: [
            "/out/link": "k.iso", "/out/stick": "/dev/sdb", "/out/below": "folder", "/out/nowhere": "none",
            "/dev/disk/by-id/usb-x": "../../sdb", "/dev/stdout": "/log",
        ])

    @Test("a file may be replaced, and a link to one, and what is not there made", arguments: ["k.iso", "link", "new.iso", "nowhere"])
    func allowed(_ name: String) { #expect(problem { try files.requireFile(at: FilePath("/out/\(name)")) } == nil) }

    @Test(
        "a device keeps its node, and a folder what is in it",
        arguments: [
            ("/dev/sdb", "a device"), ("/dev/disk/by-id/usb-x", "a device"), ("/out/stick", "a device"), ("/out/folder", "a folder"),
            ("/out/below", "a folder"), ("/dev/stdout", "no file"),
        ])
    func refused(_ path: String, _ what: String) {
        let found = problem { try files.requireFile(at: FilePath(path), device: "dd") }
        #expect(found?.code == "output.not-a-file" && found?.exit == .usage)
        #expect(found?.message == "\(path) is \(what), and is not replaced by a file")
        #expect(found?.remedies == [what == "a folder" ? "name a file in it: \(path)/NAME" : "dd"])
    }
}

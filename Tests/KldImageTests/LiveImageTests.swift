import Glibc
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("The live environment's file system")
struct LiveImageTests {
    /// With the real mksquashfs. The tar names no root, as mmdebstrap's does not.
    @Test("its root is root's, closed to others, and the same at every build")
    func root() async throws {
        try await Scratch.with { folder in
            let (runner, files) = (SubprocessRunner(), LocalFiles())
            let (tree, tar, image) = (folder.appending("tree"), folder.appending("t.tar"), folder.appending("i.squashfs"))
            try files.write("a\n", to: tree.appending("a"))
            try await runner.run(Command("tar", ["--create", "--file", tar.string, "--directory", tree.string, "a"], effect: .changes))
            try await runner.run(LiveImage.squash(tar, to: image, root: geteuid() == 0))
            let list = try await runner.run(
                Command(Tool("unsquashfs", package: "squashfs-tools"), ["-lln", image.string], effect: .reads)
            ).output
            let words = list.lines.first { $0.hasSuffix("squashfs-root") }?.words ?? []
            #expect(Array(words.prefix(2)) == ["drwxr-xr-x", "0/0"] && words.contains("2026-01-01"), "\(list)")
        }
    }

    @Test("an ordinary user becomes root of a namespace for it")
    func namespace() {
        let command = LiveImage.squash("/t.tar", to: "/i", root: false)
        #expect(command.description.hasPrefix("unshare --user --map-root-user mksquashfs - /i -tar "))
        #expect(command.environment["SOURCE_DATE_EPOCH"] != nil && command.input == .file("/t.tar"))
        #expect(LiveImage.squash("/t.tar", to: "/i", root: true).tool.name == "mksquashfs")
    }
}

import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("The file of the live ISO")
struct ISOImageTests {
    static let digest = String(repeating: "ab", count: 32)

    private func answers(_ lines: String...) throws -> Answers {
        try Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=web-1", "KLDLOAD_DISK=auto"] + lines).joined(separator: "\n"))
    }

    /// - Parameter look: at every command that changes something.
    private func runner(_ look: @escaping @Sendable (Command) throws -> Void = { _ in }) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                if command.tool.name == "sha256sum" { return CommandOutput(output: "\(Self.digest) *x\0") }
                try look(command)
                return CommandOutput()
            }
        ])
    }

    @Test("answers lie on it, root's alone; the list that servers show to everybody has no digest of them")
    func listed() async throws {
        let files = MemoryFiles(["/cache/root.zfs": "root"])
        let listed: [(String, FilePath)] = [("kldload/payloads/debian-trixie-core/root.zfs", "/cache/root.zfs")]
        let image = ISOImage(runner: runner(), files: files)
        let items = try await image.contents(
            listed, bases: [:], answers: answers("KLDLOAD_PASSWORD=Correct-Horse-7"), version: "1", in: "/work")
        let places = Dictionary(uniqueKeysWithValues: items.map { ($0.0, $0.1.string) })
        let names = [".disk/info", "VERSION", "boot/grub/grub.cfg", "kldload/autoinstall.env", MediumList.path, listed[0].0]
        #expect(places.keys.sorted() == names)
        let own = try #require(places["kldload/autoinstall.env"])
        #expect(files.texts[own]?.contains("KLDLOAD_PASSWORD=Correct-Horse-7") == true && files.mode(of: own) == .secret)
        let list = try MediumList(text: #require(files.texts[places[MediumList.path] ?? ""]))
        #expect(list.files.map(\.path) == [listed[0].0] && list.files.map(\.size) == [ByteCount(4)])

        let without = try await image.contents(listed, bases: [:], answers: nil, version: "1", in: "/work")
        #expect(!without.map { $0.0 }.contains("kldload/autoinstall.env"))
    }

    @Test("one with secrets is its owner's alone before anything is written into it, and stays so under its name")
    func secret() async throws {
        let files = MemoryFiles(["/out/k.iso.part": "left"])
        let looking = runner { _ in
            #expect(files.mode(of: "/out/k.iso.part") == .secret)
            #expect(files.texts["/out/k.iso.part"] == "")
        }
        let image = ISOImage(runner: looking, files: files)
        let made = try await image.write([("a", "/w/a")], esp: "/w/esp.img", to: "/out/k.iso", isPrivate: true)
        #expect(made.digest.hex == Self.digest)
        #expect(files.mode(of: "/out/k.iso") == .secret && files.mode(of: "/out/k.iso.sha256") == .secret)
        #expect(files.texts["/out/k.iso.sha256"] == "\(Self.digest)  k.iso\n" && files.texts["/out/k.iso.part"] == nil)
    }

    @Test("any other is as the user's umask says, whatever a killed build has left")
    func plain() async throws {
        let files = MemoryFiles()
        try files.write("left", to: "/out/k.iso.part", mode: .secret)
        let writing = runner { command in
            guard command.tool.name == "xorriso" else { return }
            #expect(files.mode(of: "/out/k.iso.part") == nil)
            try files.write("iso", to: "/out/k.iso.part")
        }
        let image = ISOImage(runner: writing, files: files)
        _ = try await image.write([("a", "/w/a")], esp: "/w/esp.img", to: "/out/k.iso", isPrivate: false)
        #expect(files.mode(of: "/out/k.iso") == .file && files.mode(of: "/out/k.iso.sha256") == .file)
    }

    @Test(
        "secrets are what nobody else may know, hashes of passwords too",
        arguments: ["PASSWORD=Correct-Horse-7", "MOK_PASSWORD=enrol-7", ""])
    func secrets(_ line: String) throws {
        let text = try (line.isEmpty ? answers() : answers("KLDLOAD_\(line)")).environmentText
        #expect(PXEAnswers.holdSecrets(text) == !line.isEmpty)
        #expect(PXEAnswers.holdSecrets("KLDLOAD_HOSTNAME=web-1\nKLDLOAD_PASSWORD_HASH='$6$x$y'\n"))
    }

    @Test(
        "the real xorriso writes into the file that is there, and leaves its mode",
        .enabled(if: (try? LocalFiles().exists("/usr/bin/xorriso")) ?? false, "needs xorriso"))
    func xorriso() async throws {
        try await Scratch.with { folder in
            let (files, real) = (LocalFiles(), SubprocessRunner())
            let (part, esp, item) = (folder.appending("k.iso.part"), folder.appending("esp.img"), folder.appending("a"))
            try files.write("", to: part, mode: .secret)
            try files.write("content\n", to: item)
            try await real.run(Command(Tool("truncate", package: "coreutils"), ["--size=1M", esp.string], effect: .changes))
            try await real.run(ISOBuild.xorriso([("a", item)], esp: esp, to: part))
            let status = try #require(try files.status(part))
            #expect(status.mode == .secret && status.size > .mebibytes(1))
        }
    }
}

import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

/// Files and their versions are real ones: what is known of a file must never outlive it.
@Suite("What is in an initramfs")
struct InitramfsContentTests {
    private let files = LocalFiles()

    private func content(_ file: FilePath, _ folder: FilePath, _ names: String?) async throws -> (InitramfsContent?, asked: Int) {
        let runner = ScriptedRunner(names.map { ["lsinitramfs \(file)": $0] } ?? [:])
        let content = try await InitramfsContent.of(file, runner: runner, files: files, known: folder.appending("cache/known.json"))
        return (content, runner.commands.count)
    }

    @Test("names of OpenZFS' module, of its tool and of the host id's file count; names that merely look like them do not")
    func judged() {
        let whole = InitramfsContent(["etc/hostid", "usr/lib/modules/6.12/updates/dkms/zfs.ko.xz", "usr/sbin/zpool"])
        #expect(whole.count == 3 && whole.holdsOpenZFS && whole.holdsZPool && whole.holdsHostID)
        #expect(InitramfsContent(["zfs.ko"]).holdsOpenZFS && InitramfsContent(["lib/zfs.ko"]).holdsOpenZFS)
        let none = InitramfsContent(["etc/hostid.bak", "scripts/zfs", "lib/libzfs.so", "xzfs.ko", "zfs.kobold", "etc/zpool.d", "zpool"])
        #expect(!none.holdsOpenZFS && !none.holdsZPool && !none.holdsHostID)
    }

    @Test("a file is looked into once, and again when it was written, replaced by one of the same size, or what is known cannot be read")
    func once() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("initrd.img")
            try files.write("one", to: file)
            var (found, asked) = try await content(file, folder, "zfs.ko\n")
            #expect(found == InitramfsContent(["zfs.ko"]) && asked == 1)
            // A script without an answer would throw.
            (found, asked) = try await content(file, folder, nil)
            #expect(found == InitramfsContent(["zfs.ko"]) && asked == 0)

            try files.write("two", to: file)
            (found, asked) = try await content(file, folder, "other\n")
            #expect(found == InitramfsContent(["other"]) && asked == 1)

            try files.write("{", to: folder.appending("cache/known.json"))
            (found, asked) = try await content(file, folder, "again\n")
            #expect(found == InitramfsContent(["again"]) && asked == 1)
            (found, asked) = try await content(file, folder, nil)
            #expect(found == InitramfsContent(["again"]) && asked == 0)
        }
    }

    @Test("what could not be listed is not known; no more is kept than a machine has use for")
    func kept() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("initrd.img")
            try files.write("x", to: file)
            let missing = ScriptedRunner([{ throw CommandError.toolMissing($0.tool) }])
            let known = folder.appending("known.json")
            #expect(try await InitramfsContent.of(file, runner: missing, files: files, known: known) == nil)
            #expect(try !files.exists(known))
            for number in 0..<40 {
                try files.write("\(number)", to: file)
                let runner = ScriptedRunner(["lsinitramfs \(file)": "zfs.ko\n"])
                _ = try await InitramfsContent.of(file, runner: runner, files: files, known: known)
            }
            let text = try files.readText(known)
            #expect(text.split(separator: "\"count\"").count - 1 == 8)
        }
    }

    @Test("where nothing can be written it is looked into each time, and a file without a version too")
    func unwritable() async throws {
        try await Scratch.with { folder in
            let file = folder.appending("initrd.img")
            try files.write("x", to: file)
            try files.write("no folder", to: folder.appending("cache"))
            for _ in 0..<2 { #expect(try await content(file, folder, "zfs.ko\n").asked == 1) }
        }
        let memory = MemoryFiles(["/initrd.img": "x"])
        for _ in 0..<2 {
            let runner = ScriptedRunner(["lsinitramfs /initrd.img": "zfs.ko\n"])
            #expect(try await InitramfsContent.of("/initrd.img", runner: runner, files: memory)?.holdsOpenZFS == true)
            #expect(runner.commands.count == 1)
        }
        #expect(memory.texts.count == 1)
    }
}

import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

private let entry = BootEntry(dataset: "rpool/ROOT/debian", release: "6.12.48+deb13-amd64", order: 100)

@Suite("Entries of the boot menu")
struct BootEntryTests {
    @Test("are named by environment, kernel and build, and found by the loader's default")
    func names() {
        #expect(entry.path == "loader/entries/kldload-debian-6.12.48+deb13-amd64.1.conf")
        #expect(entry.imagePath == "EFI/kldload/kldload-debian-6.12.48+deb13-amd64.1.efi")
        let pattern = ESPLayout.loaderConfiguration(timeoutSeconds: 5).lines.first { $0.hasPrefix("default ") }?.words[1] ?? ""
        #expect(pattern.hasSuffix("*") && entry.fileName.hasPrefix(pattern.dropLast()))
    }

    @Test("what is written is read again, with any counter", arguments: [nil, (3, 0), (2, 1), (0, 3)] as [(Int, Int)?])
    func roundTrip(counter: (Int, Int)?) throws {
        var counted = entry
        counted.counter = counter.map { BootEntry.Counter(left: $0.0, done: $0.1) }
        counted.once = counter != nil
        #expect(BootEntry(fileName: counted.fileName, text: counted.text) == counted)
        #expect(counted.isExhausted == (counter?.0 == 0))
    }

    @Test("an id is known without the counter that a loader leaves on it")
    func ids() {
        for (name, id) in [
            ("a-6.1.2+3", "a-6.1.2"), ("a-6.1.2+2-1", "a-6.1.2"), ("a-6.1.2", "a-6.1.2"), ("a-6.1+deb13-amd64.1", "a-6.1+deb13-amd64.1"),
            ("a-6.1+deb13-amd64.1+0-3", "a-6.1+deb13-amd64.1"), ("a+", "a+"), ("a+1-2-3", "a+1-2-3"),
        ] { #expect(BootEntry.id(name) == id) }
    }

    @Test("another entry's image is read again; one that lies elsewhere is nobody's image")
    func sharedImage() throws {
        var entry = BootEntry(dataset: "rpool/ROOT/next", release: "6.12", order: 200)
        let own = entry.imagePath
        entry.sharedImage = "EFI/kldload/kldload-debian-6.12.1.efi"
        #expect(entry.text.contains("efi /EFI/kldload/kldload-debian-6.12.1.efi\n") && entry.files == [entry.imagePath])
        #expect(try #require(BootEntry(fileName: entry.fileName, text: entry.text)) == entry)
        for path in ["EFI/kldload/shimx64.efi", "EFI/Linux/kldload-x.efi", "EFI/kldload/kldload-x/../../y.efi", own] {
            let text = entry.text.replacing(entry.imagePath, with: path)
            #expect(BootEntry(fileName: entry.fileName, text: text)?.imagePath == own, "\(path)")
        }
    }

    @Test("the loader's own renaming of a counted entry is understood: +3, +2-1, +1-2, +0-3")
    func counting() {
        for (suffix, left, done) in [("+3", 3, 0), ("+2-1", 2, 1), ("+1-2", 1, 2), ("+0-3", 0, 3)] {
            let read = BootEntry(fileName: "\(entry.id)\(suffix).conf", text: entry.text)
            #expect(read?.counter == BootEntry.Counter(left: left, done: done))
            #expect(read?.fileName == "\(entry.id)\(suffix).conf")
        }
    }

    @Test("a release that ends like a counter is none")
    func release() throws {
        let entry = BootEntry(dataset: "rpool/ROOT/a", release: "6.12+3-2", order: 1)
        let read = try #require(BootEntry(fileName: entry.fileName, text: entry.text))
        #expect(read.counter == nil && read == entry)
    }

    @Test(
        "others' entries are none of ours",
        arguments: [
            ("arch.conf", "title Arch\nefi /EFI/Linux/arch.efi\n"), ("kldload-x.conf", "title x\n"),
            ("kldload-other.conf", entry.text), (entry.fileName.replacing(".conf", with: ".conf.new"), entry.text),
            (entry.fileName.replacing(".conf", with: "+x.conf"), entry.text),
        ])
    func foreign(name: String, text: String) { #expect(BootEntry(fileName: name, text: text) == nil) }

    @Test("the loader's order: what failed comes last, then the highest order")
    func order() {
        var failed = BootEntry(dataset: "rpool/ROOT/new", release: "7", order: 300, counter: .init(left: 0, done: 3))
        let (older, newer) = (entry, BootEntry(dataset: "rpool/ROOT/b", release: "6", order: 200))
        #expect([failed, older, newer].sorted(by: BootEntry.precedes) == [newer, older, failed])
        failed.counter?.left = 1
        #expect([failed, older, newer].sorted(by: BootEntry.precedes).first == failed)
    }
}

@Suite("Boot images are compared with what they were built of")
struct ImageMatchTests {
    static let line = "root=ZFS=rpool/ROOT/debian boot=zfs rw panic=15"

    static let kernel = Array("kernel of some length".utf8)
    static let initrd = Array("initramfs".utf8)
    static let supplement = InitramfsSupplement.hostID(.placeholder)

    static func files(
        line: String = line, kernel: [UInt8] = kernel, initrd: [UInt8] = initrd, supplement: [UInt8] = supplement, code: String = "stub",
        slack: Int = 0
    ) throws -> MemoryFiles {
        let files = MemoryFiles()
        try files.write(Self.kernel, to: "/boot/vmlinuz-6", mode: .file)
        try files.write(Self.initrd, to: "/boot/initrd.img-6", mode: .file)
        try files.write(EFIProgram.bytes([(".text", Array("stub".utf8))]), to: "/stub", mode: .file)
        let image = EFIProgram.bytes(
            [
                (".text", Array(code.utf8)), (".cmdline", Array(line.utf8)), (".linux", kernel),
                (".initrd", InitramfsSupplement.joined(initrd, supplement)),
            ], slack: slack)
        try files.write(image, to: "/esp/image.efi", mode: .file)
        return files
    }

    static let image = UnifiedKernelImage(
        linux: "/boot/vmlinuz-6", initrds: ["/boot/initrd.img-6", "/x"], commandLine: KernelCommandLine(running: line), release: "6",
        osRelease: "/os-release", stub: "/stub", output: "/out")

    static func matches(_ files: MemoryFiles) -> Bool { image.compare("/esp/image.efi", supplement: supplement, files) == .exact }

    @Test("an image of the same parts matches, however its sections are padded", arguments: [0, 1, 509])
    func same(slack: Int) throws {
        #expect(Self.matches(try Self.files(slack: slack)))
        #expect(try UnifiedKernelImage.commandLine(of: "/esp/image.efi", Self.files(slack: slack))?.root == "rpool/ROOT/debian")
    }

    @Test("one that differs in any part does not")
    func different() throws {
        #expect(!Self.matches(try Self.files(line: Self.line + " quiet")))
        #expect(!Self.matches(try Self.files(kernel: Self.kernel + [1])))
        #expect(!Self.matches(try Self.files(kernel: Array(Self.kernel.dropLast()))))
        #expect(!Self.matches(try Self.files(initrd: Array("initramfz".utf8))))
        #expect(!Self.matches(try Self.files(initrd: Array("initramf".utf8))))
        #expect(!Self.matches(try Self.files(supplement: [])))
        #expect(!Self.matches(try Self.files(supplement: InitramfsSupplement.hostID(#require(HostID(7))))))
        #expect(!Self.matches(try Self.files(code: "STUB")))
    }

    @Test("one of the same kernel is rewritten for another root, where there is room, and boots nothing else then")
    func rewritten() throws {
        let other = Self.image.commandLine.rooted(at: "rpool/ROOT/another-one")
        var wanted = Self.image
        wanted.commandLine = other
        let roomy = try Self.files(slack: 512)
        #expect(wanted.compare("/esp/image.efi", supplement: Self.supplement, roomy) == .otherCommandLine)
        #expect(wanted.compare("/esp/image.efi", supplement: Self.supplement, try Self.files()) == .none)
        let whole = try roomy.read("/esp/image.efi")
        try roomy.write(UnifiedKernelImage.rewritten(whole, commandLine: other), to: "/esp/image.efi", mode: .file)
        #expect(wanted.compare("/esp/image.efi", supplement: Self.supplement, roomy) == .exact)
        #expect(try roomy.read("/esp/image.efi").count == whole.count)
        #expect(try UnifiedKernelImage.commandLine(of: "/esp/image.efi", roomy) == other)
        // Back to a shorter one: nothing of the longer one stays.
        try roomy.write(
            UnifiedKernelImage.rewritten(roomy.read("/esp/image.efi"), commandLine: Self.image.commandLine), to: "/esp/image.efi",
            mode: .file)
        #expect(Self.image.compare("/esp/image.efi", supplement: Self.supplement, roomy) == .exact)
        #expect(throws: Diagnosis.self) { try UnifiedKernelImage.rewritten(EFIProgram.bytes([(".text", [1])]), commandLine: other) }
        let tight = try Self.files().read("/esp/image.efi")
        #expect(throws: Diagnosis.self) { try UnifiedKernelImage.rewritten(tight, commandLine: other) }
    }

    @Test("what is no image, or is cut off, does not")
    func broken() throws {
        let files = try Self.files()
        let whole = try files.read("/esp/image.efi")
        for length in [0, 0x30, 0x2000, whole.count - 1] {
            try files.write(Array(whole.prefix(length)), to: "/esp/image.efi", mode: .file)
            #expect(!Self.matches(files), "\(length)")
        }
        try files.remove("/esp/image.efi")
        #expect(!Self.matches(files))
    }
}

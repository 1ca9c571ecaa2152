import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

private let parts = KernelParts(
    release: "6.12.48+deb13-amd64", kernel: 1, initramfs: 2, hostID: HostID(0x0123_4567),
    commandLine: KernelCommandLine(running: "root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0 panic=15"))
private let entry = BootEntry(
    dataset: "rpool/ROOT/debian", release: "6.12.48+deb13-amd64", order: 100, counter: .init(left: 3), parts: parts)

@Suite("Entries of GRUB's menu")
struct GrubEntryTests {
    @Test("an entry is an environment block; what GRUB changes lies in its first sector, and its length does not change")
    func block() throws {
        #expect(entry.path == "EFI/kldload/entries/kldload-debian-6.12.48+deb13-amd64.1.env")
        #expect(
            entry.text.prefix { $0 != "\n" } == "# GRUB Environment Block"
                && entry.text.lines.filter { !$0.hasPrefix("#") } == [
                    "kld_left=3", "kld_done=0", "kld_order=100", "kld_id=kldload-debian-6.12.48+deb13-amd64.1", "kld_generation=1",
                    "kld_once=no", "kld_dataset=rpool/ROOT/debian", "kld_release=6.12.48+deb13-amd64",
                    "kld_title=debian (Linux 6.12.48+deb13-amd64)", "kld_kernel=/EFI/kldload/vmlinuz-6.12.48+deb13-amd64.1",
                    "kld_initrd=/EFI/kldload/initrd-6.12.48+deb13-amd64.2 /EFI/kldload/hostid-01234567.cpio",
                    "kld_options=root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0 panic=15",
                ])
        #expect(entry.text.utf8.count == 1024)
        var tried = entry
        tried.counter = .init(left: 2, done: 1)
        #expect(tried.text.utf8.count == 1024 && tried.text.utf8.dropFirst(512).elementsEqual(entry.text.utf8.dropFirst(512)))
        #expect(tried.fileName == entry.fileName)
        // GRUB needs one `#` at the end at least. Source: grub2 2.12, `grub-core/lib/envblk.c`.
        var long = entry
        long.parts?.commandLine.words.append(String(repeating: "x", count: 1024 - entry.text.filter { $0 != "#" }.utf8.count))
        #expect(long.text.utf8.count % 1024 == 0 && long.text.hasSuffix("#"))
    }

    @Test("what is written is read again, with any counter", arguments: [nil, (3, 0), (2, 1), (0, 3)] as [(Int, Int)?])
    func roundTrip(counter: (Int, Int)?) {
        var counted = entry
        counted.counter = counter.map { BootEntry.Counter(left: $0.0, done: $0.1) }
        counted.once = counter != nil
        #expect(BootEntry(fileName: counted.fileName, text: counted.text) == counted)
    }

    @Test("others' files are no entries")
    func foreign() {
        #expect(BootEntry(fileName: "grubenv.env", text: "# GRUB Environment Block\nsaved_entry=0\n###") == nil)
        #expect(BootEntry(fileName: "kldload-other.env", text: entry.text) == nil)
        #expect(BootEntry(fileName: entry.fileName, text: String(entry.text.dropFirst())) == nil)
        #expect(BootEntry(fileName: entry.fileName, text: "") == nil)
    }

    @Test("the kernel is told which entry it was started by, and passes on none of that")
    func words() {
        let line = "BOOT_IMAGE=/EFI/kldload/vmlinuz-6.1 root=ZFS=a/b rw kldload.entry=kldload-b-6.1 kldload.esp=0a0b"
        #expect(KernelCommandLine.started(line) == ("kldload-b-6.1", "0a0b"))
        #expect(KernelCommandLine(running: line).description == "root=ZFS=a/b rw")
        #expect(KernelCommandLine.started("root=ZFS=a/b kldload.esp=") == (nil, nil))
    }

    @Test("the kernel is told whether its start is counted, in a word that older releases know and pass over", arguments: ["", "2", "0"])
    func counted(left: String) {
        let line = "root=ZFS=a/b rw kldload.entry=+\(left) kldload.entry=kldload-b-6.1 kldload.esp=0a0b"
        #expect(KernelCommandLine.counted(line) == !left.isEmpty)
        #expect(KernelCommandLine.started(line) == ("kldload-b-6.1", "0a0b"))
        #expect(KernelCommandLine(running: line).description == "root=ZFS=a/b rw")
        #expect(KernelCommandLine.counted("root=ZFS=a/b kldload.entry=kldload-b-6.1") == nil)
        #expect(GrubMenu.text.contains(" kldload.entry=+$kld_left kldload.entry=$kld_id "))
    }

    @Test("files are numbered by kind and release")
    func numbers() {
        #expect(KernelParts.Kind.initramfs.number(of: parts.initrds[0], "6.12.48+deb13-amd64") == 2)
        #expect(KernelParts.Kind.initramfs.number(of: parts.initrds[0], "6.12.48+deb13") == nil)
        #expect(KernelParts.Kind.kernel.number(of: parts.initrds[0], "6.12.48+deb13-amd64") == nil)
        #expect(parts.files.allSatisfy { KernelParts.isPart(path: $0) && !BootEntry.isImage($0) })
        #expect(!KernelParts.isPart(path: "EFI/kldload/grubx64.efi") && !KernelParts.isPart(path: "EFI/debian/vmlinuz-1"))
        #expect(parts.files.filter(BootEntry.isProgram) == [parts.kernel])
    }
}

@Suite("GRUB's menu")
struct GrubMenuTests {
    static let hasScriptCheck = (try? LocalFiles().exists("/usr/bin/grub-script-check")) == true

    @Test("GRUB's own parser takes the menu and the settings", .enabled(if: hasScriptCheck, "this needs grub-script-check(1)"))
    func syntax() async throws {
        for text in [GrubMenu.text, GrubMenu.configuration(timeoutSeconds: 5)] {
            try await SubprocessRunner().run(
                Command(Tool("grub-script-check", package: "grub-common"), [], effect: .reads, input: .text(text)))
        }
    }

    @Test("every try has its step down, and the last one ends at 0")
    func countdown() {
        for left in 2...BootEntry.tries {
            #expect(GrubMenu.text.contains("[ \"$kld_left\" = \(left) ]; then\n\t\t\tset kld_left=\(left - 1)\n"))
        }
        #expect(GrubMenu.text.contains("else\n\t\t\tset kld_left=0\n"))
        // It is written before the kernel is loaded.
        let (save, start) = (GrubMenu.text.firstRange(of: "save_env"), GrubMenu.text.firstRange(of: "if linux "))
        #expect(save.flatMap { save in start.map { save.lowerBound < $0.lowerBound } } == true)
    }
}

@Suite("What starts GRUB, on an ESP that is in use")
struct GrubLoaderTests {
    static let programs = EFIPrograms(
        shim: "usr/shim", mokManager: "usr/mm", fallback: "usr/fb", systemdBoot: "usr/boot.signed", stub: "usr/stub",
        grub: .init(program: "usr/grub.signed", configuration: "EFI/debian/grub.cfg"))
    static let loader = ESPLoader(chain: .grub, programs: programs, timeoutSeconds: 5, label: "KLDload", key: nil)

    static func machine() throws -> MemoryFiles {
        let files = MemoryFiles()
        for (source, target) in ESPLayout.copies(programs, .grub) {
            for place in ["/\(source)", "/esp/\(target)"] {
                try files.write(ESPLoaderTests.program(source), to: FilePath(place), mode: .file)
            }
        }
        for case .write(let path, let content, _) in loader.filling(from: "/", on: "/esp") {
            try files.write(content.bytes, to: path, mode: .file)
        }
        return files
    }

    @Test("shim finds GRUB under its usual name, in both places; nothing of systemd-boot is there")
    func copies() throws {
        let copies = ESPLayout.copies(Self.programs, .grub)
        #expect(copies.filter { $0.source == "usr/grub.signed" }.map(\.target) == ["EFI/BOOT/grubx64.efi", "EFI/kldload/grubx64.efi"])
        #expect(!copies.contains { $0.source == "usr/boot.signed" })
        let files = try Self.machine()
        #expect(files.texts["/esp/EFI/debian/grub.cfg"] == GrubMenu.configuration(timeoutSeconds: 5))
        #expect(files.texts["/esp/EFI/kldload/menu.cfg"] == GrubMenu.text)
        #expect(!files.texts.keys.contains { $0.hasPrefix("/esp/loader") })
        #expect(try Self.loader.difference(from: "/", on: "/esp", files).isEmpty)
    }

    @Test("people may change the settings; what another tool put in their place, and an old menu, are renewed")
    func different() throws {
        let files = try Self.machine()
        try files.write("set timeout=0\nsource /EFI/kldload/menu.cfg\n", to: "/esp/EFI/debian/grub.cfg")
        #expect(try Self.loader.difference(from: "/", on: "/esp", files).isEmpty)
        try files.write("search.fs_uuid 1234 root\nconfigfile $prefix/grub.cfg\n", to: "/esp/EFI/debian/grub.cfg")
        try files.write("# an older one\n", to: "/esp/EFI/kldload/menu.cfg")
        let difference = try Self.loader.difference(from: "/", on: "/esp", files)
        #expect(difference.missing == ["EFI/debian/grub.cfg"] && difference.outdated == ["EFI/kldload/menu.cfg"])
        #expect(!difference.starts)
        let writes = Self.loader.renewing(difference.paths, from: "/", on: "/esp", scratch: "/run/s").filter {
            if case .write = $0 { true } else { false }
        }
        #expect(writes.map(\.text).map { $0.words[1] } == ["/esp/EFI/debian/grub.cfg", "/esp/EFI/kldload/menu.cfg"])
    }
}

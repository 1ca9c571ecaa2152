import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

@Suite("What starts the boot loader, on an ESP that is in use")
struct ESPLoaderTests {
    static let programs = EFIPrograms(
        shim: "usr/shim", mokManager: "usr/mm", fallback: "usr/fb", systemdBoot: "usr/boot.signed", stub: "usr/stub")
    static let loader = ESPLoader(programs: programs, configuration: "timeout 5\n", label: "KLDload", key: nil)
    static let targets = ESPLayout.copies(programs).map(\.target)

    static func program(_ code: String, generation: Int = 4) -> [UInt8] {
        EFIProgram.bytes([(".text", Array(code.utf8)), (".sbat", Array("sbat,1,SBAT Version\nshim,\(generation),UEFI shim,shim,1\n".utf8))])
    }

    /// A system and an ESP that was filled from it.
    static func machine(_ loader: ESPLoader = loader) throws -> MemoryFiles {
        let files = MemoryFiles()
        for (source, target) in ESPLayout.copies(loader.programs) {
            for place in ["/\(source)", "/esp/\(target)"] { try files.write(program(source), to: FilePath(place), mode: .file) }
        }
        for case .write(let path, let content, _) in loader.filling(from: "/", on: "/esp") {
            try files.write(content.bytes, to: path, mode: .file)
        }
        return files
    }

    @Test("an ESP that was just filled lacks nothing, whatever people wrote into its settings")
    func equal() throws {
        let files = try Self.machine()
        try files.write("timeout 0\n", to: "/esp/loader/loader.conf")
        #expect(try Self.loader.difference(from: "/", on: "/esp", files).isEmpty)
    }

    @Test("what is missing, cut off or of another version is found")
    func different() throws {
        let files = try Self.machine()
        try files.remove("/esp/loader/loader.conf")
        try files.remove("/esp/EFI/kldload/mmx64.efi")
        try files.write(Self.program("cut off").dropLast(1) + [], to: "/esp/EFI/kldload/grubx64.efi", mode: .file)
        try files.write(Self.program("older", generation: 3), to: "/esp/EFI/BOOT/BOOTX64.EFI", mode: .file)
        try files.write(Self.program("other"), to: "/esp/EFI/kldload/shimx64.efi", mode: .file)
        let difference = try Self.loader.difference(from: "/", on: "/esp", files)
        #expect(difference.missing == ["loader/loader.conf", "EFI/kldload/mmx64.efi", "EFI/kldload/grubx64.efi"])
        #expect(difference.outdated == ["EFI/BOOT/BOOTX64.EFI", "EFI/kldload/shimx64.efi"])
        // The removable path is whole.
        #expect(difference.starts)
        #expect(!ESPLoader.Difference(missing: difference.missing + ["EFI/BOOT/grubx64.efi"]).starts)
    }

    @Test("what a failing disk does not give is missing, and is written anew")
    func unreadable() throws {
        let files = UnreadableFiles(try Self.machine(), below: "/esp/EFI/BOOT/BOOTX64.EFI")
        let difference = try Self.loader.difference(from: "/", on: "/esp", files)
        #expect(difference.missing == ["EFI/BOOT/BOOTX64.EFI"] && difference.outdated.isEmpty)
    }

    @Test("a program that firmware may already demand is never replaced by an older one")
    func newer() throws {
        let files = try Self.machine()
        try files.write(Self.program("newer", generation: 5), to: "/esp/EFI/kldload/shimx64.efi", mode: .file)
        #expect(try Self.loader.difference(from: "/", on: "/esp", files).isEmpty)
    }

    @Test("what a package that was removed cannot give is not asked for")
    func removed() throws {
        let files = try Self.machine()
        try files.remove("/usr/shim")
        try files.remove("/esp/EFI/BOOT/BOOTX64.EFI")
        #expect(try Self.loader.difference(from: "/", on: "/esp", files).isEmpty)
    }

    @Test("a machine whose key is gone leaves alone what it signed with it")
    func keyless() throws {
        var own = Self.loader
        own.programs.systemdBoot = "usr/boot"
        own.key = MachineOwnerKey()
        let files = try Self.machine(own)
        try files.write(EFIProgram.signed(Self.program("usr/boot"), [1, 2, 3]), to: "/esp/EFI/kldload/grubx64.efi", mode: .file)
        #expect(try own.difference(from: "/", on: "/esp", files).isEmpty)
    }

    @Test("a loader that the firmware would refuse does not take the place of one that starts")
    func untrusted() throws {
        for key in [nil, MachineOwnerKey()] {
            var own = Self.loader
            own.programs.systemdBoot = "usr/boot"
            own.key = key
            own.isTrusted = false
            let files = try Self.machine(own)
            try files.write(EFIProgram.signed(Self.program("usr/boot"), [1, 2, 3]), to: "/esp/EFI/kldload/grubx64.efi", mode: .file)
            #expect(try own.difference(from: "/", on: "/esp", files).isEmpty)
        }
    }

    @Test("each file is renewed whole or not at all, and what nobody signed is signed before it gets there")
    func renewing() throws {
        var own = Self.loader
        own.programs.systemdBoot = "usr/boot"
        own.key = MachineOwnerKey()
        let texts = own.renewing(
            ["loader/loader.conf", "EFI/BOOT/BOOTX64.EFI", "EFI/kldload/grubx64.efi"], from: "/", on: "/esp", scratch: "/run/s"
        ).map(\.text)
        #expect(
            texts == [
                "mkdir /esp/EFI/BOOT (755)", "mkdir /esp/EFI/kldload (755)", "mkdir /esp/loader/entries (755)",
                "write /esp/loader/loader.conf (644, 10 bytes)", "cp /usr/shim /esp/EFI/BOOT/.BOOTX64.EFI.new", "sync --file-system /esp",
                "cmp /usr/shim /esp/EFI/BOOT/.BOOTX64.EFI.new", "mv --force /esp/EFI/BOOT/.BOOTX64.EFI.new /esp/EFI/BOOT/BOOTX64.EFI",
                "sync --file-system /esp", "cp /usr/boot /run/s/loader.efi",
                "sbsign --key /var/lib/dkms/mok.key --cert /var/lib/dkms/mok.pem --output /run/s/loader.efi /run/s/loader.efi",
                "sbverify --cert /var/lib/dkms/mok.pem /run/s/loader.efi", "cp /run/s/loader.efi /esp/EFI/kldload/.grubx64.efi.new",
                "sync --file-system /esp", "cmp /run/s/loader.efi /esp/EFI/kldload/.grubx64.efi.new",
                "mv --force /esp/EFI/kldload/.grubx64.efi.new /esp/EFI/kldload/grubx64.efi", "sync --file-system /esp",
                "remove /run/s/loader.efi", "sync --file-system /esp",
            ])
    }

    @Test("entries are found by partition and loader, switched off and under any title too; other systems' and other partitions' are not")
    func oldEntries() {
        let (gone, there) = ("0fc63daf-8483-4772-8e79-3d69d8477de4", "aaaaaaaa-8483-4772-8e79-3d69d8477de4")
        func line(_ number: String, _ title: String, _ partition: String, _ folder: String = "kldload") -> String {
            "Boot\(number) \(title)\tHD(1,GPT,\(partition),0x800,0x200000)/\\EFI\\\(folder)\\shimx64.efi\n"
        }
        let output =
            "BootCurrent: 0001\nBootOrder: 0001,000A\n"
            + [
                line("0001*", "KLDload", there), line("000A*", "KLDload", gone.uppercased()), line("000B ", "mine", gone),
                line("0003*", "debian", gone, "debian"),
            ].joined()
        #expect(FirmwareEntry.numbers(of: [gone], in: output) == ["000A", "000B"])
        #expect(FirmwareEntry.numbers(of: [], in: output) == [])
        #expect(FirmwareEntry.delete("000A").description == "efibootmgr --quiet --bootnum 000A --delete-bootnum")
    }

    @Test("the firmware's entry of a partition is told by its GUID, in the words of both versions of efibootmgr")
    func firmware() {
        let new =
            "BootCurrent: 0001\nBoot0001* KLDload\tHD(1,GPT,0fc63daf-8483-4772-8e79-3d69d8477de4,0x800,0x200000)/\\EFI\\kldload\\shimx64.efi\n"
        let old = "Boot0001* KLDload\tHD(1,GPT,0FC63DAF-8483-4772-8E79-3D69D8477DE4,0x800,0x200000)/File(\\EFI\\KLDLOAD\\SHIMX64.EFI)\n"
        for output in [new, old] {
            #expect(FirmwareEntry.isListed("0fc63daf-8483-4772-8e79-3d69d8477de4", in: output))
            #expect(!FirmwareEntry.isListed("aaaaaaaa-8483-4772-8e79-3d69d8477de4", in: output))
        }
        #expect(!FirmwareEntry.isListed("0fc63daf-8483-4772-8e79-3d69d8477de4", in: new.replacing("kldload", with: "debian")))
    }

    @Test("a loader that this machine signed is its own package's, by all but signature and checksum")
    func signed() async throws {
        try await Scratch.with { folder in
            let (files, runner) = (LocalFiles(), SubprocessRunner())
            let key = MachineOwnerKey(root: folder)
            try await PlanRunner(runner: runner, files: files).apply(
                Plan("t", [Phase("t", "T", [Step("t", "T", [.makeDirectory(key.home)] + key.creating(name: "t", scratch: folder))])]))
            let signer = try key.identity(files)
            let plain = Self.program("loader")
            var signed = EFIProgram.signed(plain, [1, 2] + signer.issuer + signer.serial)
            // As sbsign does: the checksum is that of the whole file.
            signed.replaceSubrange(0x58 + 64..<0x58 + 67, with: [7, 8, 9])
            #expect(try ESPLoader.isCurrent(signed, plain, signer: signer))
            #expect(try !ESPLoader.isCurrent(plain, plain, signer: signer))
            #expect(try !ESPLoader.isCurrent(EFIProgram.signed(plain, [1, 2, 3]), plain, signer: signer))
            #expect(try !ESPLoader.isCurrent(signed, Self.program("newer"), signer: signer))
        }
    }
}

import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

@Suite("EFI programs")
struct PortableExecutableTests {
    /// The headers of a program with these sections: address and length.
    static func program(_ sections: [(UInt32, UInt32)], alignment: UInt32 = 0x1000) -> [UInt8] {
        func little(_ value: UInt32, _ count: Int = 4) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
        }
        var bytes = [UInt8](repeating: 0, count: 0x40)
        bytes.replaceSubrange(0..<2, with: [0x4d, 0x5a])
        bytes.replaceSubrange(0x3c..<0x40, with: little(0x40))
        bytes += [0x50, 0x45, 0, 0] + little(0x8664, 2) + little(UInt32(sections.count), 2) + little(0) + little(0) + little(0)
        bytes += little(240, 2) + little(0, 2)
        var optional = [UInt8](repeating: 0, count: 240)
        optional.replaceSubrange(32..<36, with: little(alignment))
        bytes += optional
        for (address, length) in sections {
            bytes += [UInt8](".text\0\0\0".utf8) + little(length) + little(address) + [UInt8](repeating: 0, count: 24)
        }
        return bytes
    }

    @Test("the end of its sections is found, whatever their order")
    func end() throws {
        let program = try PortableExecutable(Self.program([(0x5000, 0x1234), (0x1000, 0x10)]))
        #expect(program.end == 0x6234)
        #expect(program.alignment == 0x1000)
    }

    @Test("anything else is refused", arguments: [[], [0x4d, 0x5a], Array(repeating: 0, count: 200), Array(program([]).prefix(0x50))])
    func refused(bytes: [UInt8]) { #expect(throws: Diagnosis.self) { try PortableExecutable(bytes) } }

    @Test("sections are laid behind the stub's, each on a page of its own")
    func layout() throws {
        let program = try PortableExecutable(Self.program([(0x1000, 0x4321)]))
        let files: [(file: FilePath, length: UInt64)] = [("/o", 100), ("/c", 0x1000), ("/u", 1), ("/l", 0x2001), ("/i", 5)]
        let command = UnifiedKernelImage.assemble(files, stub: "/stub", program, output: "/out.efi")
        #expect(
            command.description
                == "objcopy --add-section .osrel=/o --change-section-vma .osrel=0x6000 --add-section .cmdline=/c --change-section-vma .cmdline=0x7000"
                + " --add-section .uname=/u --change-section-vma .uname=0x8000 --add-section .linux=/l --change-section-vma .linux=0x9000"
                + " --add-section .initrd=/i --change-section-vma .initrd=0xc000 /stub /out.efi")
    }
}

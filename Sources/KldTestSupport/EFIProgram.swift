/// Programs as far as kldload reads them.
public enum EFIProgram {
    /// A program with a signature behind it, as its headers say.
    public static func signed(_ program: [UInt8], _ signature: [UInt8]) -> [UInt8] {
        var bytes = program
        // Behind the DOS header, the signature of PE, and 24 bytes of headers: the optional header, and its fifth directory.
        for (place, value) in [(0x58 + 144, program.count), (0x58 + 148, signature.count)] {
            for index in 0..<4 { bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        }
        return bytes + signature
    }

    /// An EFI program with these sections, each longer than its content by some zeros.
    public static func bytes(_ sections: [(String, [UInt8])], slack: Int = 0) -> [UInt8] {
        func little(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        var bytes = [UInt8](repeating: 0, count: 0x40)
        bytes.replaceSubrange(0..<2, with: [0x4d, 0x5a])
        bytes.replaceSubrange(0x3c..<0x40, with: little(0x40))
        bytes += [0x50, 0x45, 0, 0, 0x64, 0x86] + little(sections.count)[..<2] + little(0) + little(0) + little(0) + [240, 0, 0, 0]
        var optional = [UInt8](repeating: 0, count: 240)
        optional.replaceSubrange(0..<2, with: [0x0b, 0x02])
        optional.replaceSubrange(32..<36, with: little(0x1000))
        optional.replaceSubrange(108..<112, with: little(16))
        bytes += optional
        var place = 0x2000
        for (index, (name, content)) in sections.enumerated() {
            // Code is as long as in the stub.
            let size = content.count + (name == ".text" ? 0 : slack)
            let padded: [UInt8] = Array(name.utf8) + [UInt8](repeating: 0, count: 8 - name.utf8.count)
            bytes += padded + little(size) + little(0x10000 * (index + 1)) + little(size) + little(place) + [UInt8](repeating: 0, count: 16)
            place += size
        }
        bytes += [UInt8](repeating: 0, count: 0x2000 - bytes.count)
        for (name, content) in sections { bytes += content + [UInt8](repeating: 0, count: name == ".text" ? 0 : slack) }
        return bytes
    }
}

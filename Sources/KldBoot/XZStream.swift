/// What `xz` has packed: one stream of blocks, with an index behind them.
///
/// Linux unpacks the blocks of one stream and nothing behind it (`lib/xz`, `kernel/module/decompress.c`, 6.12), so that two packed files one
/// behind the other, which `xz` itself reads as one, are no module. Source: The .xz File Format 1.2.1.
enum XZStream {
    private static let headerMagic: [UInt8] = [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]
    private static let footerMagic: [UInt8] = [0x59, 0x5A]
    private static let ends = 12

    private struct Parts {
        /// The kind of checksum behind each block.
        var flags: ArraySlice<UInt8>
        var blocks: ArraySlice<UInt8>
        var count: UInt64
        var records: ArraySlice<UInt8>

        /// `nil` for everything but exactly one whole stream. What is in the blocks is not looked at.
        init?(_ file: [UInt8]) {
            guard file.count >= 2 * XZStream.ends + 8, file.starts(with: headerMagic), file.suffix(2).elementsEqual(footerMagic) else {
                return nil
            }
            flags = file[6..<8]
            let footer = file.count - XZStream.ends
            guard file[(footer + 8)..<(footer + 10)].elementsEqual(flags), XZStream.number(file[8..<12]) == XZStream.checksum(flags),
                XZStream.number(file[footer..<(footer + 4)]) == XZStream.checksum(file[(footer + 4)..<(footer + 10)])
            else { return nil }
            let size = (Int(XZStream.number(file[(footer + 4)..<(footer + 8)])) + 1) * 4
            guard size >= 8, size <= footer - XZStream.ends else { return nil }
            blocks = file[XZStream.ends..<(footer - size)]
            let index = file[(footer - size)..<(footer - 4)]
            guard index.first == 0, XZStream.number(file[(footer - 4)..<footer]) == XZStream.checksum(index) else { return nil }
            var rest = index.dropFirst()
            guard let count = XZStream.integer(&rest) else { return nil }
            self.count = count
            let first = rest.startIndex
            var packed: UInt64 = 0
            for _ in 0..<count {
                guard let length = XZStream.integer(&rest), XZStream.integer(&rest) != nil, length <= UInt64(blocks.count) else {
                    return nil
                }
                packed += (length + 3) / 4 * 4
            }
            records = file[first..<rest.startIndex]
            guard packed == UInt64(blocks.count), rest.count < 4, rest.allSatisfy({ $0 == 0 }) else { return nil }
        }
    }

    /// One stream that unpacks to what both do, one behind the other; nothing is packed anew.
    /// - Returns: `nil` where one of them is not exactly one whole stream, or where their blocks have different checksums.
    static func joined(_ first: [UInt8], _ second: [UInt8]) -> [UInt8]? {
        guard let one = Parts(first), let two = Parts(second), one.flags == two.flags else { return nil }
        var index: [UInt8] = [0] + integer(one.count + two.count) + one.records + two.records
        index += [UInt8](repeating: 0, count: (4 - index.count % 4) % 4)
        let tail = bytes(UInt32(index.count / 4)) + one.flags
        return Array(first[..<ends]) + one.blocks + two.blocks + index + bytes(checksum(index[...])) + bytes(checksum(tail[...])) + tail
            + footerMagic
    }

    /// Seven bits in each byte, the lowest first, at most nine bytes. Section 1.2.
    private static func integer(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for place in 0..<UInt64(9) {
            guard let byte = bytes.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << (7 * place)
            if byte < 0x80 { return value }
        }
        return nil
    }

    private static func integer(_ value: UInt64) -> [UInt8] {
        var (rest, result) = (value, [UInt8]())
        while rest >= 0x80 {
            result.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return result + [UInt8(rest)]
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) } }

    private static func bytes(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }

    /// CRC-32 of IEEE 802.3. Section 6; what it is taken of is short.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
        }
    }
}

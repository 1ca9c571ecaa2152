extension StringProtocol {
    /// With the bytes that programs write as a backslash and octal digits: a space is `\040` in mount tables, and `\0040` for zfs diff.
    ///
    /// Source: proc_pid_mounts(5), Linux man-pages 6.9; zfs-diff(8), OpenZFS 2.4.
    package func withoutOctalEscapes(digits count: Int = 3) -> String {
        guard utf8.contains(UInt8(ascii: "\\")) else { return String(self) }
        var bytes: [UInt8] = []
        var rest = Array(utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(count)
            if byte == UInt8(ascii: "\\"), digits.count == count, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(count)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

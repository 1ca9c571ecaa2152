import KldCore

/// Writes an archive piece by piece. Source: POSIX.1-2017 pax(1), "ustar Interchange Format"; GNU tar 1.34 and bsdtar read it.
struct TarStream {
    private let write: ([UInt8]) throws -> Void
    private let time: Timestamp

    init(time: Timestamp, _ write: @escaping ([UInt8]) throws -> Void) {
        self.time = time
        self.write = write
    }

    /// One file, root's alone. - Parameter name: at most 100 bytes.
    func add(_ name: String, _ content: [UInt8]) throws {
        try write(Self.header(name, count: content.count, time))
        try write(content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512))
    }

    func end() throws { try write([UInt8](repeating: 0, count: 1024)) }

    private static func header(_ name: String, count: Int, _ time: Timestamp) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at place: Int, room: Int) {
            for (index, byte) in text.utf8.prefix(room).enumerated() { header[place + index] = byte }
        }
        func octal(_ value: Int64, at place: Int, digits: Int) {
            let text = String(value, radix: 8)
            put(String(repeating: "0", count: max(0, digits - text.utf8.count)) + text, at: place, room: digits)
        }
        put(name, at: 0, room: 100)
        octal(0o600, at: 100, digits: 7)
        octal(0, at: 108, digits: 7)
        octal(0, at: 116, digits: 7)
        octal(Int64(count), at: 124, digits: 11)
        octal(time.seconds, at: 136, digits: 11)
        put("        ", at: 148, room: 8)
        put("0", at: 156, room: 1)
        put("ustar\u{0}00root", at: 257, room: 12)
        put("root", at: 297, room: 4)
        let sum = header.reduce(Int64(0)) { $0 + Int64($1) }
        octal(sum, at: 148, digits: 6)
        header[154] = 0
        header[155] = UInt8(ascii: " ")
        return header
    }
}

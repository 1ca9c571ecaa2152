public import KldCore

/// Small archives that a UKI carries behind the distribution's initramfs, so that nothing of one machine lies in a shared one.
public enum InitramfsSupplement {
    /// `/etc/hostid`, which OpenZFS reads when it imports the root pool.
    public static func hostID(_ id: HostID) -> [UInt8] {
        var archive = CPIOArchive()
        archive.add(directory: "etc")
        archive.add(file: "etc/hostid", content: id.fileContent)
        return archive.finished
    }

    /// An initramfs with other content for some of its files, where they lie in an archive that is not compressed, as compressed modules do
    /// (initramfs-tools since 0.142). What is compressed behind it stays as it is.
    ///
    /// - Parameter files: by path, without a slash in front. - Returns: `nil` unless each of them is there.
    public static func replacing(_ files: [String: [UInt8]], in initramfs: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(initramfs.count)
        var missing = Set(files.keys)
        let rest = walk(initramfs) { path, entry, content in
            if let path, let file = files[path] {
                result +=
                    initramfs[entry.lowerBound..<(entry.lowerBound + 54)] + CPIOArchive.digits(UInt32(file.count))
                    + initramfs[(entry.lowerBound + 62)..<content.lowerBound] + file
                result.pad(to: 4)
                missing.remove(path)
            } else {
                result += initramfs[entry]
            }
        }
        return missing.isEmpty ? result + initramfs[rest...] : nil
    }

    /// What files hold that lie in an archive that is not compressed, of those that are there.
    static func contents(of names: Set<String>, in initramfs: [UInt8]) -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        _ = walk(initramfs) { path, _, content in
            if let path, names.contains(path) { found[path] = Array(initramfs[content]) }
        }
        return found
    }

    /// Where the archives end that are not compressed, and what is compressed begins.
    static func compressedPart(of initramfs: [UInt8]) -> Int { walk(initramfs) { _, _, _ in } }

    /// Every entry of the archives that are not compressed, with its header, and its content; zeros between two archives have no
    /// path. - Returns: where they end.
    private static func walk(_ initramfs: [UInt8], _ body: (_ path: String?, _ entry: Range<Int>, _ content: Range<Int>) -> Void) -> Int {
        func number(_ place: Int) -> Int? {
            guard place + 8 <= initramfs.count else { return nil }
            return Int(String(decoding: initramfs[place..<(place + 8)], as: UTF8.self), radix: 16)
        }
        func aligned(_ place: Int) -> Int { (place + 3) / 4 * 4 }
        var place = 0
        while place < initramfs.count {
            guard initramfs[place] != 0 else {
                body(nil, place..<(place + 1), place..<place)
                place += 1
                continue
            }
            guard initramfs[place...].starts(with: Array("070701".utf8)), let size = number(place + 54), let length = number(place + 94),
                length > 0, aligned(aligned(place + 110 + length) + size) <= initramfs.count
            else { break }
            let content = aligned(place + 110 + length)
            let end = aligned(content + size)
            body(
                String(decoding: initramfs[(place + 110)..<(place + 110 + length - 1)], as: UTF8.self), place..<end,
                content..<(content + size))
            place = end
        }
        return place
    }

    /// A supplement behind an initramfs, where nobody else joins the two: the kernel looks for the next archive at a multiple of four, and
    /// skips zeros on its way there. Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst` (6.12).
    public static func joined(_ initramfs: [UInt8], _ supplement: [UInt8]) -> [UInt8] {
        var whole = initramfs
        whole.pad(to: 4)
        return whole + supplement
    }
}

extension ValueCheck {
    static func storage(_ value: String, _ type: AnswerType) throws(ValueFault) -> String {
        switch type {
        case .disk:
            if value == "auto" { return value }
            return try disk(value)
        case .disks:
            let words = value.split(orAt: 0x2C)
            guard words.count <= 256 else { throw ValueFault(.disk, "\(words.count) disks were given, 256 are allowed") }
            var disks: [String] = []
            for word in words { disks.append(try disk(word)) }
            return disks.joined(separator: " ")
        case .poolName: return try poolName(value)
        case .size:
            // The least an installation fits on: ESP, system, room for one more boot environment.
            guard let bytes = size(value), (4 << 30...64 << 40).contains(bytes) else {
                throw ValueFault(.size, "\(shown(value)) is not a size from 4G to 64T")
            }
            return value.uppercased()
        default: return try path(value)
        }
    }

    private static func disk(_ value: String) throws(ValueFault) -> String {
        let bytes = Array(value.utf8)
        let parts = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { string($0) }
        guard bytes.count <= 255, parts.count >= 3, parts[0].isEmpty, parts[1] == "dev",
            bytes.allSatisfy({ isAlphanumeric($0) || "/._:@+=#-".utf8.contains($0) }),
            parts.dropFirst(2).allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." })
        else { throw ValueFault(.disk, "\(shown(value)) is not the path of a disk") }
        let byContent = parts.count > 3 && parts[2] == "disk" && ["by-uuid", "by-label", "by-partuuid", "by-partlabel"].contains(parts[3])
        if byContent || isPartition(Array(parts[parts.count - 1].utf8), shortName: parts.count == 3) {
            throw ValueFault(.diskIsPartition, "\(shown(value)) is a partition or a file system, not a whole disk")
        }
        return value
    }

    /// `sda1`, `vdb2`, `nvme0n1p3`, `mmcblk0p1`, `…-part1`: the names that the kernel and udev give to partitions.
    private static func isPartition(_ name: [UInt8], shortName: Bool) -> Bool {
        let digits = name.count - (name.lastIndex { !isDigit($0) } ?? -1) - 1
        guard digits > 0 else { return false }
        let stem = string(name.dropLast(digits))
        if stem.hasSuffix("-part") { return true }
        guard shortName else { return false }
        let letters = stem.utf8.allSatisfy(isLower)
        if letters, ["sd", "vd", "hd", "xvd"].contains(where: { stem.hasPrefix($0) && stem.utf8.count > $0.utf8.count }) { return true }
        guard stem.hasSuffix("p"), let before = stem.utf8.dropLast().last, isDigit(before) else { return false }
        return ["nvme", "mmcblk", "loop", "nbd", "md", "zd"].contains(where: stem.hasPrefix)
    }

    /// Source: zpool-create(8) and `pool_namecheck`, OpenZFS 2.4; without the blank and the colon that it would allow.
    private static func poolName(_ value: String) throws(ValueFault) -> String {
        let bytes = Array(value.utf8)
        let reserved =
            ["mirror", "raidz", "draid", "spare"].contains(where: value.hasPrefix) || value == "log"
            || (bytes.count > 1 && bytes[0] == UInt8(ascii: "c") && isDigit(bytes[1]))
        guard let first = bytes.first, isLetter(first), bytes.count <= 64, !reserved,
            bytes.allSatisfy({ isAlphanumeric($0) || "_-.".utf8.contains($0) })
        else { throw ValueFault(.poolName, "\(shown(value)) cannot be the name of a pool") }
        return value
    }

    /// Bytes of `8G`, `512M`, `8GiB`; a bare number counts bytes.
    static func size(_ value: String) -> UInt64? {
        let bytes = Array(value.uppercased().utf8)
        let number = bytes.prefix(while: isDigit)
        guard let count = decimal(number) else { return nil }
        let shift: UInt64
        switch string(bytes[number.endIndex...]) {
        case "", "B": shift = 0
        case "K", "KIB": shift = 10
        case "M", "MIB": shift = 20
        case "G", "GIB": shift = 30
        case "T", "TIB": shift = 40
        default: return nil
        }
        let (product, overflow) = UInt64(count).multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : product
    }

    private static func path(_ value: String) throws(ValueFault) -> String {
        let parts = value.utf8.split(separator: UInt8(ascii: "/")).map { string($0) }
        guard value.hasPrefix("/"), value.utf8.count <= 4095, !parts.contains(".."), !value.utf8.contains(0x09) else {
            throw ValueFault(.path, "\(shown(value)) is not an absolute path")
        }
        return value
    }
}

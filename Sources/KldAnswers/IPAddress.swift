/// An address of IPv4 or IPv6.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    public enum Family: Sendable, Hashable {
        case v4, v6
        public var bits: Int { self == .v4 ? 32 : 128 }
    }
    public let family: Family
    /// The address as a number; an IPv4 one uses the low 32 bits.
    public let number: UInt128

    init(_ family: Family, _ number: UInt128) {
        self.family = family
        self.number = number
    }

    /// Dotted decimal of four numbers without leading zeros, or RFC 4291 text, without zone and without prefix.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count <= 45 else { return nil }
        if bytes.contains(UInt8(ascii: ":")) {
            guard let number = IPAddress.v6(bytes) else { return nil }
            self.init(.v6, number)
        } else {
            guard let number = IPAddress.v4(bytes[...]) else { return nil }
            self.init(.v4, UInt128(number))
        }
    }

    private static func v4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            // A leading zero means octal to some readers.
            guard part.count <= 3, part.count == 1 || part.first != 0x30, let value = decimal(part), value < 256 else { return nil }
            number = number << 8 | UInt32(value)
        }
        return number
    }

    private static func v6(_ bytes: [UInt8]) -> UInt128? {
        let parts = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count >= 3, parts.count <= 9 else { return nil }
        var groups: [UInt16] = []
        var gap: Int?
        for (index, part) in parts.enumerated() {
            if part.isEmpty {
                let atEdge = index == 0 || index == parts.count - 1
                if atEdge {
                    // "::" at an edge gives two empty parts: the outer one counts for nothing, but must have an empty neighbour.
                    let neighbour = index == 0 ? 1 : index - 1
                    guard parts[neighbour].isEmpty else { return nil }
                    continue
                }
                guard gap == nil else { return nil }
                gap = groups.count
            } else if index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let number = v4(part) else { return nil }
                groups += [UInt16(number >> 16), UInt16(truncatingIfNeeded: number)]
            } else {
                guard part.count <= 4, part.allSatisfy(isHex), let group = UInt16(string(part), radix: 16) else { return nil }
                groups.append(group)
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        return groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    /// RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`.
    public var description: String {
        if family == .v4 { return [24, 16, 8, 0].map { String((number >> $0) & 0xFF) }.joined(separator: ".") }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: number >> (112 - 16 * $0)) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count { best = start..<end }
            start = max(end, start + 1)
        }
        let words = groups.map { String($0, radix: 16) }
        guard best.count >= 2 else { return words.joined(separator: ":") }
        return words[..<best.lowerBound].joined(separator: ":") + "::" + words[best.upperBound...].joined(separator: ":")
    }

    /// Can a host on a network bear it? Not unspecified, loopback, multicast or broadcast.
    public var isUsableByHost: Bool {
        switch family {
        case .v4:
            let first = number >> 24
            return first != 0 && first != 127 && first < 224
        case .v6: return number > 1 && number >> 120 != 0xFF
        }
    }
}

/// An address with the length of its network's prefix: `10.0.1.50/24`.
public struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    public let address: IPAddress
    /// 0 to 32, or to 128 with IPv6.
    public let prefix: Int

    public init?(_ address: IPAddress, prefix: Int) {
        guard (0...address.family.bits).contains(prefix) else { return nil }
        self.address = address
        self.prefix = prefix
    }

    public init?(_ cidr: String) {
        let parts = cidr.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), parts[1].utf8.count <= 3, let prefix = decimal(parts[1].utf8)
        else { return nil }
        self.init(address, prefix: prefix)
    }

    private var hostMask: UInt128 {
        let hostBits = address.family.bits - prefix
        return hostBits == 128 ? .max : (UInt128(1) << hostBits) - 1
    }
    /// The address with its host part cleared.
    public var network: IPAddress { IPAddress(address.family, address.number & ~hostMask) }
    /// The address with every host bit set: IPv4's broadcast address.
    public var last: IPAddress { IPAddress(address.family, address.number | hostMask) }
    public func contains(_ other: IPAddress) -> Bool {
        other.family == address.family && other.number & ~hostMask == network.number
    }
    /// Addresses that hosts may bear: all but the first and the last of an IPv4 network that has more than two.
    public var hostCount: UInt128 {
        if hostMask == .max { return .max }
        return address.family == .v4 && prefix < 31 ? hostMask - 1 : hostMask + 1
    }
    public var description: String { "\(address)/\(prefix)" }
}

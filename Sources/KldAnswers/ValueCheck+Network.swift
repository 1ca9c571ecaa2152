extension ValueCheck {
    static func network(_ value: String, _ type: AnswerType) throws(ValueFault) -> String {
        switch type {
        case .hostName: return try hostName(value)
        case .domainName:
            guard isDomainName(Array(value.utf8)) else { throw ValueFault(.domain, "\(shown(value)) is not a domain name") }
            return value.lowercased()
        case .host:
            guard IPAddress(value) != nil || isDomainName(Array(value.utf8)) else {
                throw ValueFault(.domain, "\(shown(value)) is neither a name nor an address of a machine")
            }
            return value.lowercased()
        case .interface: return try interface(value)
        case .ipAddress: return try address(value).description
        case .ipAddressOrNetwork:
            if value.utf8.contains(UInt8(ascii: "/")) {
                guard let network = IPNetwork(value) else { throw ValueFault(.cidr, "\(shown(value)) is not an address and a prefix") }
                return network.description
            }
            return try address(value).description
        case .ipAddresses:
            let words = value.split(orAt: 0x2C)
            guard words.count <= 16 else { throw ValueFault(.ipAddress, "\(words.count) addresses were given, 16 are allowed") }
            var addresses: [String] = []
            for word in words { addresses.append(try address(word).description) }
            return addresses.joined(separator: ",")
        case .cidr:
            guard let network = IPNetwork(value) else { throw ValueFault(.cidr, "\(shown(value)) is not a network") }
            guard network.address == network.network else {
                throw ValueFault(
                    .cidr, "\(shown(value)) has bits set beyond its prefix", remedy: "did you mean \(network.network)/\(network.prefix)?")
            }
            return network.description
        default: return try url(value)
        }
    }

    private static func hostName(_ value: String) throws(ValueFault) -> String {
        if let name = HostName(value) { return name.value }
        if value.utf8.count > 63 { throw ValueFault(.hostname, "the host name has \(value.utf8.count) bytes, 63 are allowed") }
        if value.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: ".") }) {
            throw ValueFault(.hostname, "\(shown(value)) could be taken for a number or an address")
        }
        // Where a plain substitution makes a name of it, offer that.
        let mended = value.lowercased().map { $0 == "_" || $0 == " " ? "-" : String($0) }.joined()
        throw ValueFault(.hostname, "\(shown(value)) is not a host name", remedy: HostName(mended).map { "did you mean \($0)?" })
    }

    private static func address(_ value: String) throws(ValueFault) -> IPAddress {
        guard let address = IPAddress(value) else { throw ValueFault(.ipAddress, "\(shown(value)) is not an IP address") }
        return address
    }

    /// The kernel's `dev_valid_name`, and narrower: no character that a configuration file would have to quote.
    private static func interface(_ value: String) throws(ValueFault) -> String {
        let bytes = value.utf8
        guard let first = bytes.first, isAlphanumeric(first), bytes.count <= 15,
            bytes.allSatisfy({ isAlphanumeric($0) || "._-".utf8.contains($0) })
        else { throw ValueFault(.interface, "\(shown(value)) is not the name of a network interface") }
        guard value != "lo" else {
            throw ValueFault(.interface, "lo is the machine's own loopback", remedy: "name an interface towards the network")
        }
        return value
    }

    private static func url(_ value: String) throws(ValueFault) -> String {
        func fault(_ message: String) -> ValueFault { ValueFault(.url, message) }
        guard value.utf8.count <= 2048,
            value.utf8.allSatisfy({ isAlphanumeric($0) || "-._~:/[]@!$&()*+,;=%".utf8.contains($0) })
        else { throw fault("the address is too long or holds a character that has no place in one") }
        guard let scheme = ["https://", "http://"].first(where: value.hasPrefix) else {
            throw fault("\(shown(value)) does not begin with https:// or http://")
        }
        let rest = Array(value.utf8.dropFirst(scheme.utf8.count))
        let authority = rest.prefix { $0 != UInt8(ascii: "/") }
        // Without the value: it may well hold a password.
        guard !authority.contains(UInt8(ascii: "@")) else { throw fault("the address holds a user or a password") }
        var host = authority
        if authority.first == UInt8(ascii: "[") {
            guard let end = authority.firstIndex(of: UInt8(ascii: "]")),
                IPAddress(string(authority[(authority.startIndex + 1)..<end]))?.family == .v6
            else { throw fault("\(shown(value)) names no machine") }
            host = authority[..<(end + 1)]
        } else {
            host = authority.prefix { $0 != UInt8(ascii: ":") }
            guard isDomainName(Array(host)) else { throw fault("\(shown(value)) names no machine") }
        }
        let port = authority[host.endIndex...]
        if !port.isEmpty {
            guard port.first == UInt8(ascii: ":"), let number = decimal(port.dropFirst()), (1...65535).contains(number) else {
                throw fault("\(shown(value)) has no valid port")
            }
        }
        return value
    }
}

public import KldCore

/// Where the HTTP tree of a network boot is served: `http://10.0.1.5:8080/kldload`, without a slash at its end.
public struct PXEAddress: Sendable, Hashable, CustomStringConvertible {
    /// `http` or `https`. Firmware, GRUB and iPXE fetch little or nothing by the latter; the live environment and the answers come by it.
    public let scheme: String
    /// A name, or an address of IPv4. The TFTP server is taken to be there too.
    public let host: String
    public let port: UInt16?
    /// Empty, or `/kldload`.
    public let path: String

    /// - Throws: ``Diagnosis`` `pxe.bad-url`.
    public init(_ text: String) throws(Diagnosis) {
        let scheme = text.hasPrefix("http://") ? "http" : text.hasPrefix("https://") ? "https" : ""
        guard !scheme.isEmpty else { throw Self.bad(text, "it begins with neither http:// nor https://") }
        let rest = text.dropFirst(scheme.count + "://".count)
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else { throw Self.bad("", "no user name and no password: every machine that starts would be told") }
        guard !authority.contains("[") else { throw Self.bad(text, "machines are started over IPv4: give its address, or a name") }
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let host = String(parts[0])
        guard !host.isEmpty, host.utf8.count < 254, host.allSatisfy({ Self.isPlain($0) || $0 == "." }) else {
            throw Self.bad(text, "it names no host")
        }
        var port: UInt16?
        if parts.count > 1 {
            port = UInt16(parts[1])
            guard parts[1].allSatisfy(\.isASCII), let given = port, given > 0 else { throw Self.bad(text, "a port is a number from 1 to 65535") }
        }
        var path = String(rest.dropFirst(authority.count))
        while path.hasSuffix("/") { path.removeLast() }
        guard path.allSatisfy({ Self.isPlain($0) || "._~/".contains($0) }), !path.contains("//"), !path.contains("..") else {
            throw Self.bad(text, "its path may hold letters, digits and . _ ~ - / only")
        }
        (self.scheme, self.host, self.port, self.path) = (scheme, host.lowercased(), port, path)
    }

    private static func isPlain(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "-")
    }

    private static func bad(_ text: String, _ cause: String) -> Diagnosis {
        Diagnosis(
            "pxe.bad-url", "\(text.isEmpty ? "that" : "'\(text)'") is no address that machines could start from",
            remedies: ["name this server as they reach it: --url http://10.0.1.5, with :PORT and /PATH where it needs them"], exit: .usage,
            causes: [cause])
    }

    public var description: String { "\(scheme)://\(host)\(port.map { ":\($0)" } ?? "")\(path)" }
}

import KldCore

/// A package URL: the name of a package across all package managers. Source: https://github.com/package-url/purl-spec, 1.0.
package enum PackageURL {
    /// `pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=trixie`.
    /// - Parameters:
    ///   - namespace: the distribution.
    ///   - suite: the qualifier `distro`; left out when empty.
    package static func text(_ package: InstalledPackage, namespace: String, suite: String) -> String {
        var version = package.version
        var qualifiers: [(String, String)] = [("arch", package.architecture), ("distro", suite)]
        let type: String
        switch package.manager {
        case .dpkg: type = "deb"
        case .rpm:
            type = "rpm"
            // purl keeps rpm's epoch apart from the version.
            if let colon = version.firstIndex(of: ":") {
                qualifiers.append(("epoch", String(version[..<colon])))
                version = String(version[version.index(after: colon)...])
            }
        case .pacman: type = "alpm"
        }
        let query = qualifiers.filter { !$0.1.isEmpty }.sorted { $0.0 < $1.0 }.map { "\($0.0)=\(encoded($0.1))" }.joined(separator: "&")
        return "pkg:\(type)/\(encoded(namespace.lowercased()))/\(encoded(package.name))@\(encoded(version))"
            + (query.isEmpty ? "" : "?" + query)
    }

    /// A part of our own, or of a project without a package manager: `pkg:generic/openzfs@2.3.4`.
    package static func generic(_ name: String, version: String) -> String { "pkg:generic/\(encoded(name))@\(encoded(version))" }

    /// Percent-encodes all but letters, digits, `.`, `-`, `_`, `~` and the colon, which must stay as it is.
    private static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if byte.isASCIIAlphanumeric || ".-_~:".utf8.contains(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

package import KldCore
package import KldExec
package import SystemPackage

/// A SHA-256 digest: 64 lower-case hexadecimal digits.
public struct FileDigest: Sendable, Hashable, Codable, CustomStringConvertible {
    public let hex: String

    /// - Returns: `nil` unless there are 64 hexadecimal digits.
    public init?(hex: some StringProtocol) {
        guard hex.utf8.count == 64, hex.allSatisfy(\.isHexDigit) else { return nil }
        self.hex = hex.lowercased()
    }

    public var description: String { "sha256:" + hex }

    /// Encoded as `sha256:<hex>`, so that another algorithm can be told apart.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard text.hasPrefix("sha256:"), let digest = FileDigest(hex: text.dropFirst(7)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a SHA-256 digest: \(text)")
        }
        self = digest
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Digests of files, by the tool that every distribution has.
package enum SHA256Sum {
    /// Reads what ``FileCommand`` prints: `e3b0c442… *name` (coreutils 9.1).
    /// - Throws: ``Diagnosis`` `image.digest-unreadable`.
    package static func parse(_ output: String) throws(Diagnosis) -> FileDigest {
        guard let digest = FileDigest(hex: output.prefix(64)), output.dropFirst(64).first == " " else {
            throw Diagnosis("image.digest-unreadable", "sha256sum printed something that is not understood", exit: .bug, causes: [output])
        }
        return digest
    }

    /// That of a file. Runs: `sha256sum --binary --zero -- FILE`, reads.
    /// - Throws: ``CommandError``; ``Diagnosis`` `image.digest-unreadable`.
    package static func digest(of file: FilePath, _ runner: any CommandRunner) async throws -> FileDigest {
        try parse(try await runner.run(FileCommand.digest(of: file)).output)
    }

    /// The text of a `.sha256` file, which `sha256sum --check` reads: digest, two blanks, name.
    package static func checkFile(_ entries: [(name: String, digest: FileDigest)]) -> String {
        entries.map { "\($0.digest.hex)  \($0.name)\n" }.joined()
    }
}

package import KldCore
import SystemPackage

/// What a live medium carries, as it says itself: a file of lines `SHA256 BYTES PATH`.
package struct MediumList: Sendable, Hashable {
    package struct File: Sendable, Hashable {
        /// Below the medium's top.
        package var path: String
        package var size: ByteCount
        package var digest: FileDigest

        package init(path: String, size: ByteCount, digest: FileDigest) {
            self.path = path
            self.size = size
            self.digest = digest
        }
    }

    /// Where it lies on the medium, and below a server's address.
    package static let path = "kldload/medium.list"

    package var files: [File] = []

    package init(_ files: [File] = []) { self.files = files }

    /// - Throws: ``Diagnosis`` `medium.list-unreadable`.
    package init(text: String) throws(Diagnosis) {
        for line in text.lines {
            let words = line.split(separator: " ", maxSplits: 2).map(String.init)
            guard words.count == 3, let digest = FileDigest(hex: words[0]), let size = UInt64(words[1]), Self.isPlain(words[2]) else {
                throw Diagnosis(
                    "medium.list-unreadable", "the list of what the medium carries is not understood",
                    remedies: ["make the medium again, with this version: kldload iso build"], exit: .inputMissing, causes: [line])
            }
            files.append(File(path: words[2], size: ByteCount(size), digest: digest))
        }
    }

    /// Of names that need no quoting inside a word or an address; nothing leads out of the folder.
    private static func isPlain(_ path: String) -> Bool {
        path.isPlain(besides: "._-/+~") && !path.hasPrefix("/") && !path.split(separator: "/").contains("..")
    }

    package var text: String { files.map { "\($0.digest.hex) \($0.size.bytes) \($0.path)\n" }.joined() }

    package func callAsFunction(_ path: String) -> File? { files.first { $0.path == path } }

    /// What lies in a folder.
    package func files(in folder: String) -> [File] { files.filter { $0.path.hasPrefix(folder + "/") } }
}

package import KldCore
import SystemPackage

/// What a live medium carries, as it says itself: a file of lines `SHA256 BYTES PATH`.
///
/// Where a stream builds on another one, the first line is `kldload-medium 2`, which earlier versions refuse, and there are lines
/// `increment PATH BASE`.
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
    /// The path of the stream that an increment builds on, by the increment's.
    package var bases: [String: String] = [:]

    private static let head = "kldload-medium "
    private static let version = "2"
    private static let increment = "increment"

    package init(_ files: [File] = [], bases: [String: String] = [:]) {
        self.files = files
        self.bases = bases
    }

    /// - Throws: ``Diagnosis`` `medium.list-unreadable`.
    package init(text: String) throws(Diagnosis) {
        var lines = text.lines
        let second = lines.first == Self.head + Self.version
        if second { lines.removeFirst() }
        for line in lines {
            let words = line.split(separator: " ", maxSplits: 2).map(String.init)
            guard words.count == 3, Self.isPlain(words[2]) else { throw Self.unreadable(line) }
            if second, words[0] == Self.increment {
                guard Self.isPlain(words[1]), bases.updateValue(words[2], forKey: words[1]) == nil else { throw Self.unreadable(line) }
            } else if let digest = FileDigest(hex: words[0]), let size = UInt64(words[1]) {
                files.append(File(path: words[2], size: ByteCount(size), digest: digest))
            } else {
                throw Self.unreadable(line)
            }
        }
        // A base is whole: two streams are received, never more.
        if let (path, base) = bases.sorted(by: { $0.key < $1.key }).first(where: { bases[$0.value] != nil }) {
            throw Self.unreadable("\(path) builds on \(base), which is an increment itself")
        }
    }

    private static func unreadable(_ cause: String) -> Diagnosis {
        Diagnosis(
            "medium.list-unreadable", "the list of what the medium carries is not understood",
            remedies: ["make the medium again, with this version: kldload iso build"], exit: .inputMissing, causes: [cause])
    }

    static func missing(_ base: String, of path: String) -> Diagnosis {
        Diagnosis(
            "medium.base-missing", "the medium lacks \(base), on which \(path) builds; nothing was changed",
            remedies: [
                "make the medium again: kldload iso build", "or copy the ISO whole: a copy of single files needs that one too",
            ], exit: .inputMissing)
    }

    /// Of names that need no quoting inside a word or an address; nothing leads out of the folder.
    private static func isPlain(_ path: String) -> Bool {
        path.isPlain(besides: "._-/+~") && !path.hasPrefix("/") && !path.split(separator: "/").contains("..")
    }

    package var text: String {
        let lines = files.map { "\($0.digest.hex) \($0.size.bytes) \($0.path)\n" }.joined()
        if bases.isEmpty { return lines }
        return Self.head + Self.version + "\n" + lines
            + bases.sorted { $0.key < $1.key }.map { "\(Self.increment) \($0.key) \($0.value)\n" }.joined()
    }

    package func callAsFunction(_ path: String) -> File? { files.first { $0.path == path } }

    /// What the file of a stream builds on; `nil` for one that is whole. - Throws: ``Diagnosis`` `medium.base-missing`.
    package func base(of path: String) throws(Diagnosis) -> File? {
        guard let base = bases[path] else { return nil }
        guard let file = self(base) else { throw Self.missing(base, of: path) }
        return file
    }

    /// What the streams in a folder build on, which lies elsewhere. - Throws: ``Diagnosis`` `medium.base-missing`.
    package func bases(in folder: String) throws(Diagnosis) -> [File] {
        var found: [File] = []
        for file in files(in: folder) { if let base = try base(of: file.path) { found.append(base) } }
        return found
    }

    /// What lies in a folder.
    package func files(in folder: String) -> [File] { files.filter { $0.path.hasPrefix(folder + "/") } }
}

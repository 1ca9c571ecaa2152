public import KldCore
public import KldExec
public import SystemPackage

/// A part of signed archives in a folder: the indexes as their owner has signed them, and some of the packages that they name.
///
/// An apt with settings of its own installs from it and from nothing else, and verifies all that it takes as if it came from the whole
/// archive. The system's own sources and lists are neither read nor changed. Source: apt.conf(5), sources.list(5), apt 2.6 to 3.0.
public struct OfflineMirror: Sendable, Hashable {
    /// Of the archives, as the apt that runs sees them: `file:/mnt/debian`.
    public var sources: [AptSource]
    public var pins: [AptPin]
    /// What apt writes, and what it is told; to be removed afterwards. As the apt that runs sees it.
    public var state: FilePath
    /// dpkg's list of what is installed; `nil`: the system's own.
    public var status: FilePath?

    public init(sources: [AptSource], pins: [AptPin], state: FilePath, status: FilePath? = nil) {
        self.sources = sources
        self.pins = pins
        self.state = state
        self.status = status
    }

    /// Below ``state``, to be made.
    public static let folders = ["lists/partial", "cache/archives/partial"]

    /// Below ``state``, to be written.
    public var texts: [(path: String, text: String)] {
        [
            ("sources.list", sources.map { Self.line($0) + "\n" }.joined()), ("preferences", pins.map(\.stanza).joined(separator: "\n")),
            (AptSettings.file, settings.text),
        ]
    }

    /// An index of a medium is as old as the medium, and the machine's clock may be wrong: of this source alone its date counts for nothing. Its
    /// signature does. There are no other indexes than these, and no names of them by their digest.
    ///
    /// A folder's name may hold blanks, which end a word there. Source: `ParseQuoteWord()`, `apt-pkg/contrib/strutl.cc`, apt 2.6 to 3.0.
    static func line(_ source: AptSource) -> String {
        let uri = source.uri.replacing(" ", with: "%20")
        return "deb [signed-by=\(source.keyring) check-date=no check-valid-until=no by-hash=no target=Packages] \(uri) \(source.suite) "
            + source.components.joined(separator: " ")
    }

    private var settings: AptSettings {
        let more = [("Dpkg::Use-Pty", "0"), ("Dpkg::Options::", "--force-confdef"), ("Dpkg::Options::", "--force-confold")]
        return AptSettings(folder: state, more: more + (status.map { [("Dir::State::status", $0.string)] } ?? []))
    }

    /// Reads the indexes and verifies their signatures. Runs: `apt-get -q -o APT::Update::Error-Mode=any update`, changes.
    public var refresh: Command { apt(["-o", "APT::Update::Error-Mode=any", "update"]) }

    /// Looks at every package that an installation would take, whole, and installs nothing.
    ///
    /// Runs: `apt-get -q -y --download-only install -- NAME…`, changes.
    public func verify(_ names: [String]) -> Command { apt(["-y", "--download-only", "install", "--"] + names) }

    /// Runs: `apt-get -q -y install -- NAME…`, changes.
    public func install(_ names: [String]) -> Command {
        var command = apt(["-y", "install", "--"] + names)
        command.tellsOnBoth = true
        return command
    }

    private func apt(_ words: [String]) -> Command {
        Command(Apt.get, ["-q"] + words, effect: .changes, environment: Apt.silence.merging(settings.environment) { $1 })
    }
}

/// A package file of an archive, as apt chose it.
public struct AptDownload: Sendable, Hashable {
    public var uri: String
    public var size: ByteCount
    public var sha256: String

    public init(uri: String, size: ByteCount, sha256: String) {
        self.uri = uri
        self.size = size
        self.sha256 = sha256
    }

    /// apt 2.6.1, `--print-uris` with `Acquire::ForceHash=SHA256`:
    /// ```
    /// 'http://deb.debian.org/debian/pool/main/h/htop/htop_3.4.1-5_amd64.deb' htop_3.4.1-5_amd64.deb 171412 SHA256:42725cc15e…
    /// ```
    /// - Returns: `nil` for any other line.
    init?(line: String) {
        let words = line.words
        guard words.count == 4, line.hasPrefix("'"), words[0].count > 2, words[0].hasSuffix("'"), let size = UInt64(words[2]),
            words[3].hasPrefix("SHA256:"), words[3].utf8.count == 71
        else { return nil }
        self.init(uri: String(words[0].dropFirst().dropLast()), size: ByteCount(size), sha256: String(words[3].dropFirst(7)))
    }

    /// Where it lies in an archive: `pool/main/h/htop/htop_3.4.1-5_amd64.deb`. apt writes `+` and the like in addresses as `%2b`.
    /// - Returns: `nil` when it is not of that archive, or its address leads out of it.
    public func path(in archive: String) -> String? {
        guard uri.hasPrefix(archive + "/") else { return nil }
        var (bytes, rest) = ([UInt8](), uri.utf8.dropFirst(archive.utf8.count + 1))
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.count == 2, digits.allSatisfy(\.isHexDigit), let decoded = UInt8(digits, radix: 16) else { return nil }
            bytes.append(decoded)
            rest = rest.dropFirst(2)
        }
        let path = String(decoding: bytes, as: UTF8.self)
        return path.hasPrefix("/") || path.split(separator: "/").contains("..") ? nil : path
    }
}

import FoundationEssentials
import KldBoot
import KldCore
package import KldFiles
package import SystemPackage

/// Unique marks in the place of secrets, so that a search can prove that sealing took them out.
///
/// A mark is 32 hexadecimal digits, the first bytes of at least 16 KiB of random bytes. Why so much: ZFS compresses each record and keeps
/// the compressed form only if that saves an eighth. A small text would be stored compressed, or inside the block pointer itself
/// (`embedded_data`), cut into pieces; then a search of the raw disk misses it and proves nothing. A record that is nearly all random
/// does not get smaller, neither with lz4 nor with zstd, so it is stored as it is and the mark can be found.
/// Source: zfsprops(7) `compression`, zpool-features(7) `embedded_data`, OpenZFS 2.4.
package struct SealCanaries: Sendable, Hashable, Codable {
    package struct Canary: Sendable, Hashable, Codable {
        package var classID: String
        /// Relative to the root, or to the ``place``.
        package var path: String
        package var marker: String
        package var place: Place?
    }

    /// Where something lies that is no file of the root: what ``plantElsewhere(in:_:)`` makes, and whoever has the disk puts there.
    package enum Place: String, Sendable, Hashable, Codable, CaseIterable {
        /// Files of the ESP.
        case esp
        /// A file of the ESP that is removed again: it stays in free clusters.
        case espDeleted = "esp-deleted"
        /// An archive that is appended to each initramfs of `/boot`.
        case initramfs
        /// The same, appended to each boot image of the ESP.
        case bootImage = "boot-image"
        /// Lines that are appended to the bundle of trusted authorities.
        case trustBundle = "trust-bundle"
        /// A file that only a snapshot holds.
        case snapshot
        /// A file that is removed again: its blocks are free.
        case freed
    }

    package private(set) var canaries: [Canary]
    /// For the classes that have no files of their own in the root.
    package private(set) var elsewhere: [Canary]
    /// How many random bytes follow each mark. A test that looks at files and not at disks needs few.
    package var fillerBytes: Int

    /// Chooses a mark for every target that lies in files: several per class, one for each pattern.
    ///
    /// - Parameter seed: decides every mark. A different one for each image, or one image's marks are found in another.
    package init(seed: UInt64, catalogue: [SealClass] = SealCatalogue.classes, fillerBytes: Int = 16 << 10) {
        self.fillerBytes = fillerBytes
        var taken: Set<String> = []
        canaries = catalogue.flatMap { sealClass in
            sealClass.targets.flatMap { target in
                target.patterns.compactMap { pattern in
                    let path = Self.path(pattern, target.operation)
                    // Lines of several classes share a file; a whole file is one class's.
                    let key = target.operation.keepsOtherLines ? "\(path) \(target.operation)" : path
                    guard taken.insert(key).inserted else { return nil }
                    return Canary(classID: sealClass.id, path: path, marker: Self.marker(seed, sealClass.id, key), place: nil)
                }
            }
        }
        let built: [(classID: String, path: String, place: Place)] = [
            ("esp-free-clusters", "deleted", .espDeleted), ("initramfs", "etc/hostid", .initramfs),
            ("initramfs", "etc/zfs/zpool.cache", .initramfs), ("unified-kernel-images", "etc/hostid", .bootImage),
            ("unified-kernel-images", "etc/zfs/zpool.cache", .bootImage), ("trust-bundle", "bundle", .trustBundle),
            ("zfs-snapshots", "snapshot", .snapshot), ("free-space", "freed", .freed),
        ]
        elsewhere = (Self.onESP(catalogue) + built).map { item in
            Canary(
                classID: item.classID, path: item.path, marker: Self.marker(seed, item.classID, item.place.rawValue, item.path),
                place: item.place)
        }
    }

    /// The files of the root's patterns that lie on the ESP when it is mounted, below the ESP.
    private static func onESP(_ catalogue: [SealClass]) -> [(classID: String, path: String, place: Place)] {
        var found: [(classID: String, path: String, place: Place)] = []
        for sealClass in catalogue {
            for pattern in sealClass.targets.flatMap(\.patterns) {
                guard let start = ["boot/efi*/", "boot/efi/", "efi*/"].first(where: pattern.text.hasPrefix) else { continue }
                let path = PathPattern(String(pattern.text.dropFirst(start.count))).sample
                if !found.contains(where: { $0.path == path }) { found.append((sealClass.id, path, .esp)) }
            }
        }
        return found
    }

    package var markers: [ByteScanner.Pattern] {
        (canaries + elsewhere).map {
            ByteScanner.Pattern(name: "\($0.classID) \($0.place.map { "\($0.rawValue):" } ?? "")\($0.path)", text: $0.marker)
        }
    }

    /// Makes what is to be put into the places that are no files of the root: a file for each place in `folder`, for the ESP a folder.
    package func plantElsewhere(in folder: FilePath, _ files: any FileSystem) throws {
        for place in Place.allCases {
            let here = elsewhere.filter { $0.place == place }
            let root = folder.appending(place.rawValue)
            switch place {
            case .esp:
                for canary in here {
                    try files.write(
                        SealOperation.remove.planted(canary.marker, before: [], fillerBytes: fillerBytes),
                        to: root.pushing(FilePath(canary.path)), mode: .file)
                }
            case .initramfs, .bootImage: try files.write(archive(here), to: root, mode: .file)
            case .trustBundle:
                // One long line of a comment: what is no certificate is no harm.
                let content = here.flatMap {
                    SealOperation.edit(.dropPrefixes(["# "])).planted($0.marker, before: [], fillerBytes: fillerBytes)
                }
                try files.write(content, to: root, mode: .file)
            case .espDeleted, .snapshot, .freed:
                try files.write(
                    here.flatMap { SealOperation.remove.planted($0.marker, before: [], fillerBytes: fillerBytes) }, to: root, mode: .file)
            }
        }
    }

    /// As a hook of an initramfs would put them there.
    private func archive(_ canaries: [Canary]) -> [UInt8] {
        var archive = CPIOArchive()
        archive.add(directory: "etc")
        archive.add(directory: "etc/zfs")
        for canary in canaries {
            archive.add(file: canary.path, content: SealOperation.remove.planted(canary.marker, before: [], fillerBytes: fillerBytes))
        }
        return archive.finished
    }

    private static func path(_ pattern: PathPattern, _ operation: SealOperation) -> String {
        switch operation {
        case .clear, .clearFiles: pattern.sample + "/canary"
        default: pattern.meansFolder ? pattern.sample + "/canary" : pattern.sample
        }
    }

    private static func marker(_ seed: UInt64, _ words: String...) -> String {
        var generator = SplitMix64(state: words.joined(separator: "\n").utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 })
        return (0..<2).map { _ in
            let digits = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Puts every mark into a tree that is not sealed yet. Files that are there keep their content when the class edits lines, and are
    /// replaced when it removes or empties the file.
    package func plant(in root: FilePath, _ files: any FileSystem, catalogue: [SealClass] = SealCatalogue.classes) throws {
        var operations: [String: SealOperation] = [:]
        for sealClass in catalogue {
            for target in sealClass.targets {
                for pattern in target.patterns {
                    let path = Self.path(pattern, target.operation)
                    let key = "\(sealClass.id) \(path)"
                    if operations[key] == nil { operations[key] = target.operation }
                }
            }
        }
        for canary in canaries {
            let path = root.pushing(FilePath(canary.path))
            let operation = operations["\(canary.classID) \(canary.path)"] ?? .remove
            let old = try files.status(path)
            let before = old?.kind == .file && operation.keepsOtherLines ? try files.read(path) : []
            let content = operation.planted(canary.marker, before: before, fillerBytes: fillerBytes)
            if let old, old.kind == .file {
                try files.replace(path, with: content, mode: old.mode)
            } else {
                try files.write(content, to: path, mode: .secret)
            }
        }
    }

    /// The marks as JSON, to be kept outside the image for the search.
    package func json() throws -> String { try SortedJSON.document(self) }

    package init(json text: String) throws { self = try JSONDecoder().decode(Self.self, from: Data(text.utf8)) }
}

extension SealOperation {
    var keepsOtherLines: Bool { if case .edit = self { true } else { false } }

    /// A file's content with the mark where this operation must find it.
    func planted(_ marker: String, before: [UInt8], fillerBytes: Int) -> [UInt8] {
        // The mark must stay in a record that does not shrink, even beside a long text that does.
        let count = max(fillerBytes, 8 * before.count)
        var generator = SplitMix64(state: marker.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
        guard case .edit(let edit) = self else {
            return Array(marker.utf8) + (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        }
        let gap: [UInt8] = before.isEmpty || before.last == UInt8(ascii: "\n") ? [] : [UInt8(ascii: "\n")]
        return before + gap + edit.plantedLines(marker, count, &generator) + [UInt8(ascii: "\n")]
    }
}

extension LineEdit {
    /// Lines that this edit takes out or changes, beginning with the mark's own.
    fileprivate func plantedLines(_ marker: String, _ count: Int, _ generator: inout SplitMix64) -> [UInt8] {
        // Nearly eight bits in each byte, and none that separates lines, words, keys or fields.
        func filler() -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(count)
            while bytes.count < count {
                let byte = UInt8(truncatingIfNeeded: generator.next())
                if byte > 0x20, byte != 0x7f, !":=#".utf8.contains(byte) { bytes.append(byte) }
            }
            return bytes
        }
        switch self {
        case .dropPrefixes(let words): return Array("\(words.first ?? "")\(marker)".utf8) + filler()
        case .dropFirstWords(let words): return Array("\(words.first ?? "") \(marker)".utf8) + filler()
        case .dropKeys(let keys): return Array("\(keys.first ?? "")=\(marker)".utf8) + filler()
        case .dropRecords(let word): return Array("\(word) /dev/md0\n  UUID=\(marker)".utf8) + filler()
        case .replaceKey(let key, _): return Array("\(key)=\(marker)".utf8) + filler()
        case .lockPasswords: return Array("canary:\(marker)".utf8) + filler() + Array(":0:0:99999:7:::".utf8)
        case .shadowPasswords: return Array("canary:\(marker)".utf8) + filler() + Array(":65000:65000::/nonexistent:/usr/sbin/nologin".utf8)
        case .dropMachineIDs:
            // Only whole lines of 32 digits go, so the filler is such lines. Digits of both cases are enough chance for lz4, not for zstd.
            let digits = Array("0123456789abcdefABCDEF".utf8)
            let lines = (0..<count / 33).map { _ in
                String(decoding: (0..<32).map { _ in digits[Int(generator.next() % UInt64(digits.count))] }, as: UTF8.self)
            }
            return Array(([marker] + lines).joined(separator: "\n").utf8)
        }
    }
}

/// Random enough not to be compressible, and the same for the same seed. Not for secrets.
///
/// Source: Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

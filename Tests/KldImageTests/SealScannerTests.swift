import Glibc
import KldCore
import KldFiles
import SystemPackage
import Testing

@testable import KldImage

@Suite struct SealScannerTests {
    private let marker = "0123456789abcdef0123456789abcdef"

    /// Writes pieces at offsets; what lies between is a hole.
    private func image(_ folder: FilePath, size: Int64, _ pieces: [(Int64, [UInt8])]) throws -> FilePath {
        let path = folder.appending("disk.raw")
        let file = try FileDescriptor.open(path, .writeOnly, options: [.create, .truncate], permissions: [.ownerReadWrite])
        defer { try? file.close() }
        try #require(ftruncate(file.rawValue, off_t(size)) == 0)
        for (offset, bytes) in pieces { try file.writeAll(toAbsoluteOffset: offset, bytes) }
        return path
    }

    @Test func aMarkIsFoundOnceWhereverAChunkEnds() throws {
        try withTemporaryFolder { folder in
            for shift in Int64(0)...70 {
                let noise = (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 7 | 1) }
                let path = try image(folder, size: 400, [(0, noise), (shift, Array(marker.utf8)), (300, Array(marker.utf8))])
                let scanner = try ByteScanner([.init(name: "m", text: marker)], chunkBytes: 64)
                #expect(try scanner.scan(path).hits.map(\.offset) == [UInt64(shift), 300], "shift \(shift)")
            }
        }
    }

    @Test func marksOfDifferentLengthsAndMarksWithinMarksAreAllFound() throws {
        try withTemporaryFolder { folder in
            let patterns = ["abcdefgh", "abcdefghij", "cdefghij", "zzzzzzzz"].map { ByteScanner.Pattern(name: $0, text: $0) }
            let path = try image(folder, size: 40, [(0, Array("xabcdefghijyzzzzzzzzz-abcdefgh".utf8))])
            for chunk in [1, 11, 16, 4096] {
                let hits = try ByteScanner(patterns, chunkBytes: chunk).scan(path).hits
                #expect(
                    Set(hits.map { "\($0.name)@\($0.offset)" }) == [
                        "abcdefgh@1", "abcdefghij@1", "cdefghij@3", "zzzzzzzz@12", "zzzzzzzz@13", "abcdefgh@22",
                    ])
                #expect(hits.count == 6)
            }
        }
    }

    @Test func holesAreSkippedAndWhatLiesBetweenThemIsFound() throws {
        try withTemporaryFolder { folder in
            let size: Int64 = 20 << 30
            let data = Array(repeating: UInt8(ascii: "-"), count: 4096 - 16) + Array(marker.utf8)
            let path = try image(folder, size: size, [(0, data), (7 << 30, data), (size - 32, Array(marker.utf8))])
            let scanner = try ByteScanner([.init(name: "m", text: marker)])
            let clock = ContinuousClock()
            let start = clock.now
            let findings = try scanner.scan(path)
            #expect(findings.hits.map(\.offset) == [4080, 7 << 30 + 4080, UInt64(size - 32)])
            #expect(findings.bytesRead < 1 << 20)
            #expect(findings.bytesRead + findings.bytesInHoles == UInt64(size))
            #expect(clock.now - start < .seconds(10))
        }
    }

    @Test func everyMarkOfTheCatalogueIsFoundInOnePass() throws {
        try withTemporaryFolder { folder in
            let canaries = SealCanaries(seed: 3)
            var pieces: [(Int64, [UInt8])] = []
            for (index, canary) in (canaries.canaries + canaries.elsewhere).enumerated() {
                pieces.append((Int64(index) * 97 + 5, Array(canary.marker.utf8)))
            }
            let path = try image(folder, size: Int64(pieces.count) * 97 + 64, pieces)
            let hits = try ByteScanner(canaries.markers, chunkBytes: 1024).scan(path).hits
            #expect(hits.map(\.offset) == pieces.map { UInt64($0.0) })
            #expect(hits.map(\.name) == canaries.markers.map(\.name))
        }
    }

    @Test func theListOfHitsIsBounded() throws {
        try withTemporaryFolder { folder in
            let path = try image(folder, size: 320, [(0, Array(String(repeating: marker, count: 10).utf8))])
            let findings = try ByteScanner([.init(name: "m", text: marker)], maximumHits: 3).scan(path)
            #expect(findings.hits.count == 3 && findings.isTruncated)
        }
    }

    @Test func patternsThatCannotBeSearchedForAreRefused() {
        #expect(throws: Diagnosis.self) { try ByteScanner([.init(name: "short", text: "abc")]) }
        #expect(throws: Diagnosis.self) { try ByteScanner([.init(name: "zero", bytes: [1, 2, 3, 4, 0, 5, 6, 7, 8])]) }
    }

    @Test func aMissingImageIsNamed() throws {
        let scanner = try ByteScanner([.init(name: "m", text: marker)])
        #expect(throws: FileError.missing("/nowhere/disk.raw")) { try scanner.scan("/nowhere/disk.raw") }
    }
}

@Suite struct SealCanaryTests {
    @Test func marksAreUniqueReproducibleAndDifferentInEachImage() {
        let canaries = SealCanaries(seed: 4).canaries
        #expect(Set(canaries.map(\.marker)).count == canaries.count)
        #expect(canaries.allSatisfy { $0.marker.utf8.count == 32 })
        #expect(SealCanaries(seed: 4).canaries == canaries)
        #expect(Set(SealCanaries(seed: 5).canaries.map(\.marker)).isDisjoint(with: canaries.map(\.marker)))
        let classes = Set(canaries.map(\.classID))
        for sealClass in SealCatalogue.classes where !sealClass.targets.isEmpty {
            #expect(classes.contains(sealClass.id), "\(sealClass.id)")
        }
    }

    @Test func marksTravelAsJSON() throws {
        let canaries = SealCanaries(seed: 6)
        #expect(try SealCanaries(json: canaries.json()) == canaries)
    }

    /// lz4 saves bytes only where four bytes come again; a ZFS record is stored as it is unless an eighth is saved.
    @Test(arguments: [
        SealOperation.remove, .edit(.dropPrefixes(["x"])), .edit(.dropKeys(["k"])), .edit(.lockPasswords), .edit(.dropMachineIDs),
    ])
    func plantedContentDoesNotCompress(_ operation: SealOperation) {
        let before = Array(String(repeating: "the same text again and again\n", count: 40).utf8)
        let content = operation.planted(
            "0123456789abcdef0123456789abcdef", before: operation.keepsOtherLines ? before : [], fillerBytes: 16 << 10)
        #expect(content.count >= 16 << 10)
        // As a greedy lz4 does it: a repetition of at least four bytes costs three.
        var places: [UInt32: Int] = [:]
        var saved = 0
        var index = 0
        while index + 4 <= content.count {
            let word = content[index..<index + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            var length = 0
            if let place = places[word] {
                while index + length < content.count, content[place + length] == content[index + length] { length += 1 }
            }
            places[word] = index
            if length >= 4 { saved += length - 3 }
            index += max(length, 1)
        }
        #expect(saved < content.count / 8, "\(saved) of \(content.count)")
    }
}

import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

/// With the real xz, told to read one stream, which is all that a kernel reads.
@Suite("Packed files are joined")
struct XZStreamTests {
    static let xz = Tool("xz", package: "xz-utils")
    let files = LocalFiles()
    let runner = SubprocessRunner()

    /// How many streams and blocks xz finds.
    static func counted(_ file: FilePath, _ runner: SubprocessRunner) async throws -> [Int] {
        let text = try await runner.run(Command(xz, ["--robot", "--list", file.string], effect: .reads)).output
        let line = text.split(separator: "\n").first { $0.hasPrefix("file") }
        return line?.split(separator: "\t").dropFirst().prefix(2).compactMap { Int($0) } ?? []
    }

    private func packed(_ content: [UInt8], _ options: [String], _ folder: FilePath) async throws -> [UInt8] {
        let (plain, packed) = (folder.appending("plain"), folder.appending("packed"))
        try files.write(content, to: plain, mode: .file)
        try await runner.run(Command(Self.xz, options + ["--stdout", plain.string], effect: .reads, outputFile: packed))
        return try files.read(packed)
    }

    private static func content(_ length: Int, _ seed: UInt64) -> [UInt8] {
        var random = SeededGenerator(seed)
        return (0..<length).map { _ in UInt8.random(in: 0..<32, using: &random) }
    }

    @Test(
        "of how many blocks they are, and how long their content is, one stream unpacks to both",
        arguments: [(0, 5), (5, 0), (0, 0), (1, 1), (4096, 700), (70_000, 1), (300_000, 40_000)])
    func joins(first: Int, second: Int) async throws {
        try await Scratch.with { folder in
            let (one, two) = (Self.content(first, 1), Self.content(second, 2))
            // With blocks of 2 kB, of which the largest here has 146: their number and their lengths take more than one byte.
            for block in ["2KiB", "1MiB"] {
                let options = ["--check=crc32", "--block-size=\(block)"]
                let file = folder.appending("joined.xz")
                try files.write(
                    #require(XZStream.joined(await packed(one, options, folder), await packed(two, options, folder))), to: file, mode: .file
                )
                let size = block == "2KiB" ? 2048 : 1 << 20
                #expect(try await Self.counted(file, runner) == [1, (first + size - 1) / size + (second + size - 1) / size])
                let plain = folder.appending("unpacked")
                try await runner.run(
                    Command(Self.xz, ["--decompress", "--single-stream", "--stdout", file.string], effect: .reads, outputFile: plain))
                #expect(try files.read(plain) == one + two)
            }
        }
    }

    @Test("what is no whole stream, is more than one, or has other checksums is not joined")
    func refuses() async throws {
        try await Scratch.with { folder in
            let good = try await packed(Self.content(5000, 3), ["--check=crc32", "--block-size=2KiB"], folder)
            let other = try await packed([1, 2, 3], ["--check=crc64"], folder)
            #expect(XZStream.joined(good, good) != nil)
            #expect(XZStream.joined(good, other) == nil)
            #expect(XZStream.joined(other, good) == nil)
            #expect(XZStream.joined(good + good, good) == nil, "two streams")
            #expect(XZStream.joined(good + [0, 0, 0, 0], good) == nil, "padding behind a stream")
            for length in 0..<good.count { #expect(XZStream.joined(Array(good[..<length]), good) == nil, "\(length) bytes") }
            // Whatever is changed in header, index or footer is seen; the blocks have checksums of their own, which who unpacks them looks at.
            let index = good.count - 12 - (Int(good[good.count - 8]) + 1) * 4
            for place in Array(0..<12) + Array(index..<good.count) {
                for bit in 0..<8 {
                    var bad = good
                    bad[place] ^= 1 << UInt8(bit)
                    #expect(XZStream.joined(bad, good) == nil, "byte \(place), bit \(bit)")
                    #expect(XZStream.joined(good, bad) == nil, "byte \(place), bit \(bit)")
                }
            }
        }
    }
}

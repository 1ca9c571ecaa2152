import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Pruning the cache")
struct CachePruneTests {
    let files = LocalFiles()
    let runner = SubprocessRunner()

    /// Two payloads, one used long ago, and what a killed build left.
    private func with(_ body: (ArtifactCache, FilePath) async throws -> Void) async throws {
        try await Scratch.with { root in
            let cache = ArtifactCache(root: root, runner: runner)
            for inputs in ["old", "new"] {
                _ = try await cache.artifact("target", inputs: inputs) { try files.write("content", to: $0.appending("rootfs.tar")) }
                // The record of the first use is made by the second look.
                _ = try await cache.artifact("target", inputs: inputs) { _ in Issue.record("built twice") }
            }
            try files.write("half", to: root.appending("live/.abc.partial/live.tar"))
            let record = root.appending("verified/target-\(try await cache.key("old"))")
            try await runner.run(Command(Tool("touch", package: "coreutils"), ["--date=@1000000", record.string], effect: .changes))
            try await body(cache, root)
        }
    }

    @Test("what was not used for long goes, and what a killed build left; the rest stays")
    func prune() async throws {
        try await with { cache, root in
            let (old, new) = (try await cache.key("old"), try await cache.key("new"))
            let entries = try await cache.entries()
            #expect(Set(entries.map(\.name)) == ["live/abc", "target/\(old)", "target/\(new)"])
            #expect(entries.allSatisfy { $0.size > ByteCount(0) })
            #expect(entries.filter(\.partial).map(\.name) == ["live/abc"])
            let now: Int64 = 1_000_000 + 40 * 86_400
            #expect(Set(try await cache.prunable(olderThan: 30 * 86_400, now: now).map(\.name)) == ["live/abc", "target/\(old)"])
            for entry in try await cache.prunable(olderThan: 30 * 86_400, now: now) { try cache.remove(entry) }
            #expect(try await cache.entries().map(\.name) == ["target/\(new)"])
            #expect(try !files.exists(root.appending("verified/target-\(old)")))
        }
    }

    @Test("what the disk lost is found though nothing was touched, and is built again")
    func verify() async throws {
        try await with { cache, root in
            #expect(try await cache.verify().isEmpty)
            let old = try await cache.key("old")
            let folder = root.appending("target/\(old)")
            try files.write("cOntent", to: folder.appending("rootfs.tar"))
            // As if it had been like that when it was last read whole.
            let stamps = Command(
                Tool("stat", package: "coreutils"), ["--format=%n %s %i %.9Y %.9Z", "--"] + (try files.list(folder)), effect: .reads,
                workingDirectory: folder)
            try files.write(await runner.run(stamps).output, to: root.appending("verified/target-\(old)"))
            _ = try await cache.artifact("target", inputs: "old") { _ in Issue.record("it was noticed without being read") }
            #expect(try await cache.verify().map(\.name) == ["target/\(old)"])
            _ = try await cache.artifact("target", inputs: "old") { try files.write("content", to: $0.appending("rootfs.tar")) }
            #expect(try await cache.verify().isEmpty)
        }
    }

    @Test("what was used within a day is never taken, and nothing that is being built")
    func inUse() async throws {
        try await with { cache, _ in
            let old = try await cache.key("old")
            #expect(try await cache.prunable(olderThan: 0, now: 1_000_000 + 3600).map(\.name) == ["live/abc"])
            let lock = try FileLock(cache.lock("live", "abc"))
            #expect(try await cache.prunable(olderThan: 0, now: 1_000_000 + 90_000).map(\.name) == ["target/\(old)"])
            let left = try #require(await cache.entries().first { $0.partial })
            #expect(throws: Diagnosis.self) { try cache.remove(left) }
            withExtendedLifetime(lock) {}
        }
    }

    @Test("an empty cache has nothing") func empty() async throws {
        try await Scratch.with { folder in
            let entries = try await ArtifactCache(root: folder.appending("none"), runner: runner).entries()
            #expect(entries.isEmpty)
        }
    }
}

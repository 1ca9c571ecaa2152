import KldCore
import KldExec
import KldFiles
@testable import KldImage
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("The cache of built things")
struct PayloadCacheTests {
    /// Counts how often something was built.
    final class Count: Sendable {
        private let number = Mutex(0)
        var value: Int { number.withLock { $0 } }
        func add() { number.withLock { $0 += 1 } }
    }

    let files = LocalFiles()

    func with(_ body: (ArtifactCache, FilePath) async throws -> Void) async throws {
        try await Scratch.with { folder in
            try await body(ArtifactCache(root: folder.appending("cache"), runner: SubprocessRunner()), folder.appending("cache"))
        }
    }

    func build(_ cache: ArtifactCache, _ count: Count, inputs: String = "in") async throws -> FilePath {
        try await cache.artifact("thing", inputs: inputs) { folder in
            count.add()
            try files.write("built\n", to: folder.appending("a file"))
            try files.write("second", to: folder.appending("b"))
        }
    }

    @Test("what was built once is not built again, and keeps its place")
    func once() async throws {
        try await with { cache, _ in
            let count = Count()
            let first = try await build(cache, count)
            let second = try await build(cache, count)
            #expect(first == second)
            #expect(count.value == 1)
            #expect(try files.readText(first.appending("a file")) == "built\n")
            #expect(try files.list(first) == ["SHA256SUMS", "a file", "b", "inputs"])
            #expect(try files.readText(first.appending("inputs")) == "in")
        }
    }

    @Test("other inputs are another thing, and so is another kind")
    func inputs() async throws {
        try await with { cache, root in
            let count = Count()
            let first = try await build(cache, count, inputs: "one")
            let second = try await build(cache, count, inputs: "two")
            let other = try await cache.artifact("other", inputs: "one") { try files.write("", to: $0.appending("x")) }
            #expect(count.value == 2)
            #expect(Set([first, second, other]).count == 3)
            #expect(other == root.appending("other").appending(first.lastComponent?.string ?? ""))
        }
    }

    @Test("the key is the start of the inputs' SHA-256")
    func key() async throws {
        try await with { cache, _ in
            let key = try await cache.key("abc")
            #expect(key == "ba7816bf8f01cfea")
        }
    }

    enum Damage: String, CaseIterable { case changed, emptied, removed, sumsRemoved, sumsEmptied }

    @Test("what is no longer as it was built is built again", arguments: Damage.allCases)
    func corrupted(_ damage: Damage) async throws {
        try await with { cache, _ in
            let count = Count()
            let folder = try await build(cache, count)
            switch damage {
            case .changed: try files.write("buult\n", to: folder.appending("a file"))
            case .emptied: try files.write("", to: folder.appending("a file"))
            case .removed: try files.remove(folder.appending("b"))
            case .sumsRemoved: try files.remove(folder.appending("SHA256SUMS"))
            case .sumsEmptied: try files.write("", to: folder.appending("SHA256SUMS"))
            }
            let again = try await build(cache, count)
            #expect(again == folder)
            #expect(count.value == 2)
            #expect(try files.readText(folder.appending("a file")) == "built\n")
            _ = try await build(cache, count)
            #expect(count.value == 2)
        }
    }

    @Test("what is built again because it was damaged is said")
    func noticed() async throws {
        try await with { cache, _ in
            let told = Mutex<[String]>([])
            var cache = cache
            cache.noticing = { line in told.withLock { $0.append(line) } }
            let folder = try await build(cache, Count())
            #expect(told.withLock { $0 }.isEmpty)
            try files.write("", to: folder.appending("a file"))
            _ = try await build(cache, Count())
            #expect(told.withLock { $0 } == ["\(folder) is not what was written there: building it again"])
        }
    }

    @Test("a file system without room is refused before anything is built, with both numbers")
    func noRoom() async throws {
        let memory = MemoryFiles(free: .mebibytes(700))
        let cache = ArtifactCache(root: "/cache", runner: ScriptedRunner([]), files: memory)
        let problem = #expect(throws: Diagnosis.self) { try cache.requireRoom(.gibibytes(5), for: "building target") }
        #expect(problem?.code == "cache.no-space" && problem?.exit == .cannotCreate)
        #expect(problem?.message == "building target needs up to 5 GiB; /cache has 700 MiB")
        // Root file systems are put together elsewhere.
        let other = #expect(throws: Diagnosis.self) {
            try cache.requireTemporaryRoom(.gibibytes(3), for: "building target", in: "/var/tmp")
        }
        #expect(other?.code == "cache.no-temporary-space" && other?.exit == .cannotCreate)
        #expect(other?.message == "building target needs up to 3 GiB for temporary files; /var/tmp has 700 MiB")
    }

    @Test("a build that fails leaves nothing, and the next one begins anew")
    func failed() async throws {
        try await with { cache, root in
            let count = Count()
            await #expect(throws: Fuse.Blown.self) {
                _ = try await cache.artifact("thing", inputs: "in") { folder in
                    try files.write("half", to: folder.appending("half"))
                    throw Fuse.Blown()
                }
            }
            #expect(try files.list(root.appending("thing")).isEmpty)
            let folder = try await build(cache, count)
            #expect(try files.list(folder) == ["SHA256SUMS", "a file", "b", "inputs"])
        }
    }

    @Test("what a power cut left half built is thrown away")
    func leftOver() async throws {
        try await with { cache, root in
            let key = try await cache.key("in")
            try files.write("half", to: root.appending("thing/.\(key).partial/half"))
            let folder = try await build(cache, Count())
            #expect(try files.list(folder) == ["SHA256SUMS", "a file", "b", "inputs"])
            #expect(try files.list(root.appending("thing")) == [key])
        }
    }

    @Test("a folder without its sums is not taken for a result")
    func unfinished() async throws {
        try await with { cache, root in
            let count = Count()
            let key = try await cache.key("in")
            try files.write("wrong", to: root.appending("thing/\(key)/a file"))
            let folder = try await build(cache, count)
            #expect(try files.readText(folder.appending("a file")) == "built\n")
            #expect(count.value == 1)
        }
    }

    @Test("builders at the same time build once; those that wait are told, and get the same")
    func concurrent() async throws {
        try await Scratch.with { folder in
            let (count, told) = (Count(), Count())
            let cache = ArtifactCache(root: folder, runner: SubprocessRunner()) { _ in told.add() }
            let results = try await withThrowingTaskGroup(of: FilePath.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        try await cache.artifact("thing", inputs: "in") { partial in
                            count.add()
                            try await Task.sleep(for: .milliseconds(300))
                            try LocalFiles().write("x", to: partial.appending("x"))
                        }
                    }
                }
                return try await group.reduce(into: Set<FilePath>()) { $0.insert($1) }
            }
            #expect(count.value == 1)
            #expect(results.count == 1)
            #expect(told.value == 5)
        }
    }

    @Test("when the first of two builders fails, the second builds")
    func firstFails() async throws {
        try await Scratch.with { folder in
            let count = Count()
            let cache = ArtifactCache(root: folder, runner: SubprocessRunner())
            let succeeded = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        (try? await cache.artifact("thing", inputs: "in") { partial in
                            count.add()
                            try await Task.sleep(for: .milliseconds(200))
                            if count.value == 1 { throw Fuse.Blown() }
                            try LocalFiles().write("x", to: partial.appending("x"))
                        }) != nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(succeeded == 1)
            #expect(count.value == 2)
        }
    }

    @Test("a file's digest is told from what was written down")
    func digest() async throws {
        try await with { cache, _ in
            let folder = try await build(cache, Count())
            let digest = try cache.digest(of: "b", in: folder)
            #expect(digest == "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4")
            #expect(try cache.digest(of: "none", in: folder) == nil)
        }
    }

    @Test("the cache lies where the user's caches lie")
    func place() {
        #expect(ArtifactCache.defaultRoot(environment: ["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/kldload")
        #expect(ArtifactCache.defaultRoot(environment: ["HOME": "/h"]) == "/h/.cache/kldload")
        #expect(ArtifactCache.defaultRoot(environment: ["XDG_CACHE_HOME": "relative", "HOME": "/h"]) == "/h/.cache/kldload")
        #expect(ArtifactCache.defaultRoot(environment: [:]) == "/root/.cache/kldload")
    }
}

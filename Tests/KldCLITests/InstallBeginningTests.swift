import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite("How an installation begins")
struct InstallBeginningTests {
    private struct Beginning {
        var lock: FileLock?
        /// What is installed was looked for.
        var looked = false
        var problem: Diagnosis?
    }

    private func begin(dryRun: Bool = false, root: Bool = true, lock: FilePath) async -> Beginning {
        var beginning = Beginning()
        beginning.problem = await problem {
            beginning.lock = try await InstallCommand.begin(dryRun: dryRun, root: root, lock: lock) { beginning.looked = true }.lock
        }
        return beginning
    }

    @Test("who is not root is refused before anything is fetched or read")
    func root() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let refused = await begin(root: false, lock: path)
            #expect(refused.problem?.code == "install.not-root" && refused.problem?.exit == .needsRoot && !refused.looked)
            let made = try LocalFiles().exists(path)
            #expect(!made)
        }
    }

    @Test("a second installer is refused before anything is fetched or read")
    func second() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let first = await begin(lock: path)
            #expect(first.lock != nil && first.looked && first.problem == nil)
            let refused = await begin(lock: path)
            #expect(refused.problem?.code == "lock.held" && refused.problem?.exit == .tryAgain && !refused.looked)
            withExtendedLifetime(first) {}
        }
    }

    @Test("a dry run needs neither root nor the lock")
    func dryRun() async throws {
        try await Scratch.with { folder in
            let path = folder.appending("lock")
            let other = try FileLock(path)
            let shown = await begin(dryRun: true, root: false, lock: path)
            #expect(shown.lock == nil && shown.looked && shown.problem == nil)
            withExtendedLifetime(other) {}
        }
    }
}

import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("The folder of a guest's work")
struct WorkFolderTests {
    struct Problem: Error {}
    private let files = LocalFiles()

    /// What lies in `work/` after a body that made a disk, and a guest with or without a console, and threw or not.
    private func left(console: Bool, _ error: (any Error)?, _ log: EventLog) async throws -> [String] {
        try await Scratch.with { cache in
            do {
                try await WorkFolder.with("image", in: cache, report: log.report) { work in
                    try files.write("disk", to: work.appending("disk.raw"))
                    try files.makeDirectory(work.appending("guest"), mode: 0o700)
                    try files.write("{}", to: work.appending("guest/job.json"))
                    if console { try files.write("kernel panic", to: work.appending("guest/console.log")) }
                    if let error { throw error }
                }
            } catch {}
            return try tree(cache.appending("work"), "")
        }
    }

    private func tree(_ folder: FilePath, _ prefix: String) throws -> [String] {
        try files.list(folder).flatMap { name -> [String] in
            let path = folder.appending(name)
            let shown = prefix + (name.hasPrefix("image-") ? "image" : name)
            return try files.status(path)?.kind == .directory ? try tree(path, shown + "/") : [shown]
        }
    }

    @Test("a guest that failed leaves its console and nothing else, and the place is said")
    func kept() async throws {
        let log = EventLog()
        #expect(try await left(console: true, Problem(), log) == ["image/guest/console.log"])
        #expect(log.events.count == 1 && log.events[0].message.hasPrefix("the console of the guest is kept: /"))
    }

    @Test("success, Ctrl-C, and failures without a guest leave nothing")
    func nothing() async throws {
        for (console, error) in [(true, nil), (true, CancellationError()), (false, Problem())] as [(Bool, (any Error)?)] {
            let log = EventLog()
            #expect(try await left(console: console, error, log) == [])
            #expect(log.events.isEmpty)
        }
    }

    @Test("what a killed process left goes with the next work; another's work and a kept console stay")
    func killed() async throws {
        try await Scratch.with { cache in
            let log = EventLog()
            let work = cache.appending("work")
            for (name, file) in [("image-1", "lock"), ("image-1", "disk.raw"), ("image-2", "lock"), ("image-3", "guest/console.log")] {
                let path = work.appending(name).pushing(FilePath(file))
                try files.makeDirectory(path.removingLastComponent(), mode: 0o700)
                try files.write("", to: path)
            }
            let other = try FileLock(work.appending("image-2/lock"))
            try await WorkFolder.with("verify", in: cache, report: log.report) { _ in }
            withExtendedLifetime(other) {}
            let names = try files.list(work)
            #expect(names == ["image-2", "image-3"])
            let left = work.appending("image-1")
            #expect(log.events.map(\.message) == ["removed what work that was killed had left: \(left)"])
        }
    }

    @Test("two at once have folders of their own")
    func two() async throws {
        try await Scratch.with { cache in
            try await WorkFolder.with("image", in: cache, report: { _ in }) { one in
                try await WorkFolder.with("image", in: cache, report: { _ in }) { two in
                    #expect(one != two)
                    let names = try files.list(cache.appending("work"))
                    #expect(names.count == 2)
                }
            }
        }
    }
}

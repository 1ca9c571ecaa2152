import FoundationEssentials
import KldFiles
public import SystemPackage

/// Folders of a test's own.
public enum Scratch {
    /// A new folder that is gone afterwards, its path without links.
    public static func with<Result>(_ body: (FilePath) async throws -> Result) async throws -> Result {
        let files = LocalFiles()
        let base = FilePath(ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp")
        let folder = base.appending("kldload-test-\(UInt64.random(in: 0 ... .max))")
        try files.makeDirectory(folder, mode: 0o700)
        defer { try? files.remove(folder) }
        return try await body(try files.resolve(folder))
    }
}

/// Texts that tests compare whole, kept beside the tests. `KLDLOAD_RECORD=1` writes them anew.
public enum Golden {
    public static let recording = ProcessInfo.processInfo.environment["KLDLOAD_RECORD"] == "1"

    /// - Returns: what differs, for a person to read; `nil` when the text is the recorded one.
    public static func difference(_ text: String, _ name: String, beside test: String = #filePath) throws -> String? {
        let path = FilePath(test).removingLastComponent().appending("Golden").appending(name)
        let files = LocalFiles()
        if recording {
            try files.write(text, to: path)
            return nil
        }
        let recorded: String
        do { recorded = try files.readText(path) } catch { return "there is no \(path): record it with KLDLOAD_RECORD=1" }
        if text == recorded { return nil }
        let new = text.split(separator: "\n", omittingEmptySubsequences: false)
        let old = recorded.split(separator: "\n", omittingEmptySubsequences: false)
        let line = zip(new, old).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(new.count, old.count)
        func shown(_ lines: [Substring]) -> String { lines.dropFirst(line).prefix(4).joined(separator: "\n    ") }
        return """
            \(name), line \(line + 1), differs (KLDLOAD_RECORD=1 records it anew). Recorded:
                \(shown(old))
            Now:
                \(shown(new))
            """
    }
}

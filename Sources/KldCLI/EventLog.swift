import FoundationEssentials
import KldFiles
import KldPlan
import SystemPackage

/// Appends events to a file, one JSON object a line.
struct EventLog: Sendable {
    /// Of an installation, where it runs.
    static let install: FilePath = "/var/log/kldload/install.jsonl"
    private let file: FilePath

    /// - Parameter resuming: goes on with the log that is there. Otherwise it is kept as `FILE.1`: it may tell why the run before failed.
    init(_ file: FilePath, resuming: Bool = false) throws {
        self.file = file
        let files = LocalFiles()
        if try files.exists(file) {
            if resuming { return }
            try files.rename(file, to: Self.former(file))
        }
        try files.write([], to: file, mode: 0o640)
    }

    /// Where the log of the run before is kept.
    static func former(_ file: FilePath) -> FilePath { FilePath("\(file.string).1") }

    func append(_ event: PlanEvent) {
        guard var line = try? JSONEncoder().encode(event) else { return }
        line.append(UInt8(ascii: "\n"))
        guard let descriptor = try? FileDescriptor.open(file, .writeOnly, options: [.append, .closeOnExec]) else { return }
        defer { try? descriptor.close() }
        _ = try? descriptor.writeAll(line)
    }
}

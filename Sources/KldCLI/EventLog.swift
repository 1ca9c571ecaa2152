import FoundationEssentials
import KldFiles
import KldPlan
import SystemPackage

/// Appends events to a file, one JSON object a line.
struct EventLog: Sendable {
    /// Of an installation, where it runs.
    static let install: FilePath = "/var/log/kldload/install.jsonl"
    private let file: FilePath

    init(_ file: FilePath) throws {
        self.file = file
        try LocalFiles().write([], to: file, mode: 0o640)
    }

    func append(_ event: PlanEvent) {
        guard var line = try? JSONEncoder().encode(event) else { return }
        line.append(UInt8(ascii: "\n"))
        guard let descriptor = try? FileDescriptor.open(file, .writeOnly, options: [.append, .closeOnExec]) else { return }
        defer { try? descriptor.close() }
        _ = try? descriptor.writeAll(line)
    }
}

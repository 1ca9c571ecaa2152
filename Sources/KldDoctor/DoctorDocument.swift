import KldCore

/// What `kldload-doctor --format json` prints, version 1.0: a report, and its sums by subsystem.
public struct DoctorDocument: Sendable, Hashable, Codable {
    public static let currentVersion = "1.0"

    public var version: String
    public var summary: VerifyReport.Summary
    public var subsystems: [String: VerifyReport.Summary]
    public var results: [VerifyReport.Result]

    public init(_ report: VerifyReport) {
        version = Self.currentVersion
        summary = report.summary
        results = report.results
        subsystems = Dictionary(grouping: report.results, by: \.subsystem).mapValues { VerifyReport.Summary($0) }
    }

    /// As text, keys sorted, ending in a newline.
    public var json: String {
        get throws { try SortedJSON.document(self) }
    }
}

import FoundationEssentials
import SystemPackage

/// Results go to standard output, everything else to standard error.
enum Output {
    static func line(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll((text + "\n").utf8) }
    /// For people and diffs: sorted, indented, slashes as they are.
    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
    static func errorLine(_ text: String) { error(text + "\n") }
    static func error(_ text: String) { _ = try? FileDescriptor.standardError.writeAll(text.utf8) }
}

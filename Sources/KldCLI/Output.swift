import SystemPackage

/// Results go to standard output, everything else to standard error.
enum Output {
    static func line(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll((text + "\n").utf8) }
    static func errorLine(_ text: String) { error(text + "\n") }
    static func error(_ text: String) { _ = try? FileDescriptor.standardError.writeAll(text.utf8) }
}

import SystemPackage

/// Prints a line at once, so that a log shows where a run is.
func say(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll((text + "\n").utf8) }

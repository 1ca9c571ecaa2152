import Glibc
import KldCore
import KldFiles
import SystemPackage

/// Results go to standard output, everything else to standard error.
enum Output {
    /// As it stands, for whoever owns the terminal.
    static func raw(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll(text.utf8) }
    static func line(_ text: String) { _ = try? FileDescriptor.standardOutput.writeAll((text + "\n").utf8) }
    /// For people and diffs: sorted, indented, slashes as they are.
    static func json(_ value: some Encodable) throws { line(try SortedJSON.pretty(value)) }
    static func errorLine(_ text: String) { error(text + "\n") }
    static func error(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
        mirrors.withLock { for mirror in $0 { write(text, to: mirror) } }
    }

    private static let mirrors = Locked<[FilePath]>([])
    /// Where everything is said too: see ``mirrorToConsoles(_:)``.
    static var consoles: [FilePath] { mirrors.withLock { $0 } }

    /// Opened each time: a login that begins there hangs up whoever had it open. Source: vhangup(2), agetty(8), util-linux 2.41.
    private static func write(_ text: String, to console: FilePath) {
        let options: FileDescriptor.OpenOptions = [.closeOnExec, FileDescriptor.OpenOptions(rawValue: O_NOCTTY)]
        guard let opened = try? FileDescriptor.open(console, .writeOnly, options: options) else { return }
        _ = try? opened.closeAfter { try opened.writeAll(text.utf8) }
    }

    /// Says everything on each of the kernel's consoles too: screen and serial line, where `/dev/console` is only the last of them.
    ///
    /// Source: Linux `Documentation/ABI/testing/sysfs-tty`, `/sys/class/tty/console/active`.
    static func mirrorToConsoles(_ files: any FileSystem) {
        let names = ((try? files.readText("/sys/class/tty/console/active")) ?? "").words
        // tty0 is whichever terminal is shown.
        mirrors.withLock { $0 = names.map { FilePath("/dev/\($0 == "tty0" ? "tty1" : $0)") } }
    }
}

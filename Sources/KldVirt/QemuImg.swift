package import KldCore
package import KldExec
package import SystemPackage

/// Command lines of `qemu-img`.
///
/// Source: qemu-img(1), QEMU 10.0. Formats are always given where known: a guest that owns a raw disk can write a qcow2 header into it, and a
/// probing reader would follow that header to any file of the host.
package enum QemuImg {
    package static let tool = Tool("qemu-img", package: "qemu-utils")

    /// **Runs:** `qemu-img info --output json [-f FORMAT] [-U] FILE` (reads).
    /// - Parameter shared: reads an image that is in use; what it says may be old.
    package static func info(_ file: FilePath, format: MachineDisk.Format? = nil, shared: Bool = false) -> Command {
        Command(
            tool, ["info", "--output", "json"] + (shared ? ["-U"] : []) + flag("-f", format) + [plainFileName(file)], effect: .reads)
    }

    /// **Runs:** `qemu-img create -q -f FORMAT FILE SIZE` (changes; destroys when the file is a device).
    package static func create(_ file: FilePath, format: MachineDisk.Format, size: ByteCount) -> Command {
        Command(
            tool, ["create", "-q", "-f", format.rawValue, plainFileName(file), "\(size.bytes)"], effect: effect(writing: file))
    }

    /// An overlay that takes all writes and leaves its backing image as it is.
    ///
    /// **Runs:** `qemu-img create -q -f qcow2 -b BACKING -F FORMAT FILE` (changes).
    /// - Parameter backing: recorded as it is given; relative means relative to the overlay's folder.
    package static func createOverlay(_ file: FilePath, backing: FilePath, backingFormat: MachineDisk.Format) -> Command {
        Command(
            tool, ["create", "-q", "-f", "qcow2", "-b", plainFileName(backing), "-F", backingFormat.rawValue, plainFileName(file)],
            effect: .changes)
    }

    /// Copies an image into another format.
    ///
    /// **Runs:** `qemu-img convert -q -f FORMAT -O FORMAT … SOURCE TARGET` (changes; destroys when the target is a device).
    package static func convert(
        _ source: FilePath, format: MachineDisk.Format, to target: FilePath, as targetFormat: ImageFormat
    ) -> Command {
        let arguments = ["convert", "-q", "-f", format.rawValue] + targetFormat.convertArguments
        return Command(tool, arguments + [plainFileName(source), plainFileName(target)], effect: effect(writing: target))
    }

    /// Compares what guests would read. Exit status 1 means "they differ" and is accepted.
    ///
    /// **Runs:** `qemu-img compare -q -f FORMAT -F FORMAT FILE FILE` (reads).
    package static func compare(
        _ a: FilePath, format: MachineDisk.Format, with b: FilePath, format bFormat: MachineDisk.Format
    ) -> Command {
        Command(
            tool, ["compare", "-q", "-f", format.rawValue, "-F", bFormat.rawValue, plainFileName(a), plainFileName(b)], effect: .reads,
            accepting: [0, 1])
    }

    /// **Runs:** `qemu-img map --output json -f FORMAT FILE` (reads).
    package static func map(_ file: FilePath, format: MachineDisk.Format) -> Command {
        Command(tool, ["map", "--output", "json", "-f", format.rawValue, plainFileName(file)], effect: .reads)
    }

    /// Grows an image. **Runs:** `qemu-img resize -q -f FORMAT FILE SIZE` (changes).
    package static func resize(_ file: FilePath, format: MachineDisk.Format, to size: ByteCount) -> Command {
        Command(tool, ["resize", "-q", "-f", format.rawValue, plainFileName(file), "\(size.bytes)"], effect: .changes)
    }

    private static func flag(_ name: String, _ format: MachineDisk.Format?) -> [String] { format.map { [name, $0.rawValue] } ?? [] }

    private static func effect(writing file: FilePath) -> Effect { file.starts(with: "/dev") ? .destroys : .changes }
}

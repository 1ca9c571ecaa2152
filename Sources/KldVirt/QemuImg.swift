package import KldCore
package import KldExec
package import SystemPackage

/// Command lines of `qemu-img`.
///
/// Source: qemu-img(1), QEMU 10.0. Formats are always given where known: a guest that owns a raw disk can write a qcow2 header into it, and a
/// probing reader would follow that header to any file of the host.
package enum QemuImg {
    package static let tool = Tool("qemu-img", package: "qemu-utils")

    /// ``QemuImageInfo`` reads the answer. Fails with what ``isLocked(_:)`` knows where a running guest may write to the image.
    ///
    /// **Runs:** `qemu-img info --output json [-f FORMAT] FILE` (reads).
    /// - Parameter format: `nil` lets qemu-img find out; only for files, never for devices, whose first bytes belong to the guest.
    package static func info(_ file: FilePath, format: MachineDisk.Format? = nil) -> Command {
        let known = format.map { ["-f", $0.rawValue] } ?? []
        return Command(tool, ["info", "--output", "json"] + known + [plainFileName(file)], effect: .reads)
    }

    /// ``QemuImageMeasure`` reads the answer.
    ///
    /// **Runs:** `qemu-img measure --output json -f FORMAT -O qcow2 FILE` (reads).
    package static func measure(_ file: FilePath, format: MachineDisk.Format) -> Command {
        Command(tool, ["measure", "--output", "json", "-f", format.rawValue, "-O", "qcow2", plainFileName(file)], effect: .reads)
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

    /// Copies an image, uncompressed.
    ///
    /// **Runs:** `qemu-img convert -q -f FORMAT -O FORMAT SOURCE TARGET` (changes; destroys when the target is a device).
    package static func convert(
        _ source: FilePath, format: MachineDisk.Format, to target: FilePath, as targetFormat: MachineDisk.Format
    ) -> Command {
        Command(
            tool, ["convert", "-q", "-f", format.rawValue, "-O", targetFormat.rawValue, plainFileName(source), plainFileName(target)],
            effect: effect(writing: target))
    }

    /// Grows an image. **Runs:** `qemu-img resize -q -f FORMAT FILE SIZE` (changes).
    package static func resize(_ file: FilePath, format: MachineDisk.Format, to size: ByteCount) -> Command {
        Command(tool, ["resize", "-q", "-f", format.rawValue, plainFileName(file), "\(size.bytes)"], effect: .changes)
    }

    /// Whether a command failed because somebody else has the image.
    ///
    /// Knows, from QEMU 10.0.2: `qemu-img: Could not open 'a.qcow2': Failed to get shared "write" lock` when reading and
    /// `… Failed to get "write" lock` when writing; the next line is `Is another process using the image [a.qcow2]?`.
    /// - Parameter errors: what it printed.
    package static func isLocked(_ errors: String) -> Bool {
        errors.contains("Failed to get") && errors.contains("lock") || errors.contains("Is another process using the image")
            || errors.contains("Device or resource busy")
    }

    private static func effect(writing file: FilePath) -> Effect { file.starts(with: "/dev") ? .destroys : .changes }
}

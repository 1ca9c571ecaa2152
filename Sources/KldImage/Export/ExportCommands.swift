import KldCore
package import KldExec
import KldVirt
package import SystemPackage

/// The command lines of an export alone; how a source is read stands with ``QemuImg``.
///
/// ``QemuImg/convert(_:format:to:as:)`` is not used: an export needs progress (`-p`), a target made before (`-n`) and an adapter type.
/// Source: qemu-img(1), QEMU 10.0; the options used exist since QEMU 5.1 (`--target-is-zero`, `compression_type`).
package enum ExportCommands {
    /// Makes one image from the source. OVA is not among them: it is a tar around the VMDK.
    ///
    /// - qcow2: `-c`, so every cluster is compressed.
    /// - vmdk: what OVF wants; `lsilogic` and hardware version 13 as in the descriptor, or ESXi takes the disk for IDE.
    /// - vhd: made first at a size rounded up to 1 MiB, as Azure wants it, then filled (`-n`): `convert` alone would keep the odd size.
    ///   `force_size` because without it the size is rounded to a disk geometry, and the image differs from its source.
    /// - raw: `-S 4k` leaves holes.
    ///
    /// Runs: `qemu-img convert -p …`, for vhd after `qemu-img create …`, changes.
    /// - Parameter progress: receives what `-p` prints; see ``ConversionProgress``.
    package static func conversion(
        of source: SourceImage, to format: ExportFormat, at target: FilePath, compression: Qcow2Compression, progress: FilePath
    ) -> [Command] {
        func convert(_ options: [String]) -> Command {
            let files = [plainFileName(source.path), plainFileName(target)]
            return Command(
                QemuImg.tool, ["convert", "-p", "-f", source.form.rawValue] + options + files, effect: .changes, outputFile: progress)
        }
        switch format {
        case .qcow2: return [convert(["-c", "-O", "qcow2", "-o", "compression_type=\(compression.rawValue)"])]
        case .vmdk, .ova:
            return [convert(["-O", "vmdk", "-o", "subformat=streamOptimized,adapter_type=lsilogic,hwversion=13"])]
        case .vhd:
            let size = VHDFormat.roundedSize(source.virtualSize)
            let create = Command(
                QemuImg.tool, ["create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size=on", plainFileName(target), "\(size.bytes)"],
                effect: .changes)
            return [create, convert(["-n", "--target-is-zero", "-O", "vpc"])]
        case .raw: return [convert(["-O", "raw", "-S", "4k"])]
        }
    }

    /// For its owner alone. Accepts what a file system without permissions, FAT for one, says to it. Runs: `chmod 0600 FILE`, changes.
    package static func close(_ file: FilePath) -> Command {
        FileCommand.setMode("0600", [file], accepting: [0, 1])
    }

    /// Packs the members of an OVA in the given order, the same bytes every time: owner, mode and time are fixed.
    ///
    /// - Parameters:
    ///   - large: a member has 8 GiB or more, which USTAR cannot say (11 octal digits): then GNU's base-256 number, which the readers of
    ///     OVA take, is used.
    ///   - time: seconds since 1970, the members' modification time.
    ///
    /// Runs: `tar --create --format=ustar …`, changes. Source: DMTF DSP0243 1.1.0, section 5.1 (the order: descriptor, manifest, files).
    package static func pack(_ members: [String], in folder: FilePath, to target: FilePath, time: Int64, large: Bool) -> Command {
        Command(
            Tool("tar"),
            [
                "--create", "--format=\(large ? "gnu" : "ustar")", "--mtime=@\(time)", "--owner=0", "--group=0", "--numeric-owner",
                "--mode=0644", "--hard-dereference", "--dereference", "--file", target.string, "--directory", folder.string, "--",
            ] + members, effect: .changes)
    }
}

/// Reads what `qemu-img -p` prints: `    (39.54/100%)`, each followed by a carriage return (qemu-img 10.0.2).
package enum ConversionProgress {
    /// - Returns: the last complete figure, 0 to 100; `nil` before the first.
    package static func parse(_ bytes: [UInt8]) -> Double? {
        guard let end = bytes.lastIndex(of: UInt8(ascii: "/")), let start = bytes[..<end].lastIndex(of: UInt8(ascii: "(")) else {
            return nil
        }
        return Double(String(decoding: bytes[(start + 1)..<end], as: UTF8.self))
    }
}

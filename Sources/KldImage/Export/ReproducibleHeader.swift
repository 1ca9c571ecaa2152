import KldCore
import KldFiles
public import SystemPackage

/// Replaces what qemu-img draws at random or takes from the clock, so that the same disk gives the same bytes.
///
/// qcow2 and raw hold nothing of the kind; VMDK has a content id, VHD a time stamp and a UUID.
public struct ReproducibleHeader: Sendable, Hashable {
    /// Seconds since 1970.
    public var time: Int64
    /// Names the image; two images with equal seeds get equal ids.
    public var seed: String

    public init(time: Int64, seed: String) {
        self.time = time
        self.seed = seed
    }

    /// Rewrites the fields in place. Formats without such fields are left alone.
    /// - Throws: ``FileError`` or ``Diagnosis`` `image.header` when the file is not what qemu-img writes.
    public func stamp(_ file: FilePath, as format: ExportFormat) throws {
        guard format == .vmdk || format == .vhd else { return }
        do {
            let descriptor = try FileDescriptor.open(file, .readWrite, options: .closeOnExec)
            try descriptor.closeAfter {
                if format == .vmdk { try stampVMDK(descriptor) } else { try stampVHD(descriptor) }
            }
        } catch let number as Errno {
            throw FileError.other(file, action: "write the header of", reason: number.description)
        }
    }

    /// The embedded descriptor: sectors 1 to 20, text up to a zero byte, with a line `CID=8d74d9d0` (qemu-img 10.0.2, no leading zeros).
    ///
    /// Source: "Virtual Disk Format 5.0" (VMware, 2011); QEMU `block/vmdk.c`.
    private func stampVMDK(_ file: FileDescriptor) throws {
        var bytes = try read(file, at: 512, count: 20 * 512)
        let marker = Array("\nCID=".utf8)
        guard let found = bytes.indices.dropLast(marker.count).first(where: { bytes[$0...].starts(with: marker) }),
            let end = bytes[(found + marker.count)...].firstIndex(of: UInt8(ascii: "\n")), let zero = bytes.firstIndex(of: 0)
        else { throw unexpected("VMDK descriptor") }
        // 0xffffffff means "no parent" and 0xfffffffe is what writers begin with.
        let id = String(UInt32(truncatingIfNeeded: hash(0)) & 0x7fff_ffff | 0x1000_0000, radix: 16)
        var text = Array(bytes[..<zero])
        text.replaceSubrange((found + marker.count)..<end, with: id.utf8)
        guard text.count < bytes.count else { throw unexpected("VMDK descriptor") }
        bytes = text + [UInt8](repeating: 0, count: bytes.count - text.count)
        try file.writeAll(toAbsoluteOffset: 512, bytes)
    }

    /// The footer: big-endian, time stamp at 24 (seconds since 2000), checksum at 64, UUID at 68.
    private func stampVHD(_ file: FileDescriptor) throws {
        let offset = try file.seek(offset: -Int64(VHDFormat.footerBytes), from: .end)
        var footer = try read(file, at: offset, count: Int(VHDFormat.footerBytes))
        guard footer.starts(with: "conectix".utf8) else { throw unexpected("VHD footer") }
        let since2000 = UInt32(clamping: max(0, time - 946_684_800))
        footer.replaceSubrange(24..<28, with: bigEndian(UInt64(since2000)).suffix(4))
        var uuid = bigEndian(hash(1)) + bigEndian(hash(2))
        // Version 8 (custom), variant 1: RFC 9562, section 5.8.
        uuid[6] = uuid[6] & 0x0f | 0x80
        uuid[8] = uuid[8] & 0x3f | 0x80
        footer.replaceSubrange(68..<84, with: uuid)
        footer.replaceSubrange(64..<68, with: [0, 0, 0, 0])
        let sum = footer.reduce(UInt32(0)) { $0 &+ UInt32($1) }
        footer.replaceSubrange(64..<68, with: bigEndian(UInt64(~sum)).suffix(4))
        try file.writeAll(toAbsoluteOffset: offset, footer)
    }

    private func read(_ file: FileDescriptor, at offset: Int64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let read = try bytes.withUnsafeMutableBytes {
                try file.read(fromAbsoluteOffset: offset + Int64(done), into: UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
            }
            guard read > 0 else { throw unexpected("file, which is too short") }
            done += read
        }
        return bytes
    }

    /// FNV-1a over the seed: the ids have to differ between images, not to withstand anybody.
    private func hash(_ salt: UInt8) -> UInt64 {
        ([salt] + Array(seed.utf8) + bigEndian(UInt64(bitPattern: time))).reduce(0xcbf2_9ce4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
    }

    private func bigEndian(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) } }

    private func unexpected(_ what: String) -> Diagnosis {
        Diagnosis("image.header", "qemu-img wrote a \(what) that is not understood", exit: .bug)
    }
}

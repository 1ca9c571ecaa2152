import KldBoot
import KldCore
import KldExec
import KldFiles
import KldZFS
import SystemPackage

extension Check {
    static let hostID: [Check] = [
        Check("zfs.hostid", "the host id file, the kernel and the pool's labels agree: no import will need -f", .critical, hostIDs),
        Check("boot.hostid", "what boots carries the host id", .critical, bootHostID),
    ]

    /// The one constant that guides of ZFSBootMenu give to everybody: with it, no pool can tell two machines apart.
    private static let notorious = HostID(0x00ba_b10c)

    static func fileHostID(_ context: CheckContext) throws -> HostID? {
        // The bytes, never the output of hostid(1): that makes up a number from the IP address where there is no file.
        do { return HostID(fileContent: try context.files.read("/etc/hostid")) } catch FileError.missing { return nil }
    }

    @Sendable private static func hostIDs(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        guard let own = try fileHostID(context) else {
            return .fail(
                expected: "four bytes, not all zero", actual: "/etc/hostid is missing or malformed",
                remedy: "write the host id of the pool's label (zdb -l) with zgenhostid, then rebuild the initramfs")
        }
        func mismatch(_ who: String, _ other: String) -> CheckOutcome {
            .fail(
                expected: "\(own) everywhere", actual: "\(who): \(other)",
                remedy: "after correcting /etc/hostid rebuild the initramfs or the UKI, and reboot; the next import would need -f")
        }
        if own == notorious {
            return .fail(
                expected: "a host id of this machine's own", actual: "\(own), a constant copied from guides",
                remedy: "zgenhostid -f, then rebuild the initramfs and reboot")
        }
        if let intended = context.manifest?.hostID, HostID(hex: intended) != own { return mismatch("the install manifest", intended) }
        // Zero means that the module reads the file: spl(4), OpenZFS 2.4.
        if let text = try context.text("/sys/module/spl/parameters/spl_hostid")?.trimmed, let value = UInt64(text), value != 0,
            HostID(UInt32(truncatingIfNeeded: value)) != own
        {
            return mismatch("spl_hostid (module option or kernel command line)", String(value, radix: 16))
        }
        let devices = PoolListing.parse(try await context.read(ZPool.vdevs(of: pool)).output).flatMap(\.devices)
        for device in devices {
            guard let label = DiskLabel.parse(try await context.read(DiskLabel.command(device)).output) else {
                return mismatch("the label of \(device)", "there is none")
            }
            if label.hostID != own { return mismatch("the label of \(device)", label.hostID?.description ?? "none") }
        }
        return .ok("\(own), on \(devices.count) devices")
    }

    @Sendable private static func bootHostID(_ context: CheckContext) async throws -> CheckOutcome {
        guard let own = try fileHostID(context) else {
            return .fail(expected: "a host id", actual: "/etc/hostid is missing or malformed", remedy: "see zfs.hostid")
        }
        if context.startsByGRUB { return try supplement(context, own) }
        let images = try ESP.mounted(context).flatMap { try ESP.images(context, $0) }
        guard !images.isEmpty else { return try await initramfsHostID(context, own) }
        for image in images {
            let found = try Self.hostIDFile(image, context.files)
            guard let found, HostID(fileContent: found) == own else {
                return .fail(
                    expected: "\(own) in \(image)",
                    actual: found.map { bytes in HostID(fileContent: bytes)?.description ?? "malformed" }
                        ?? "no uncompressed etc/hostid in it where the kernel would look",
                    remedy: "build it again: kldload boot refresh")
            }
        }
        return .ok("\(own), in \(images.count) unified kernel images")
    }

    /// What GRUB joins to every initramfs.
    private static func supplement(_ context: CheckContext, _ own: HostID) throws -> CheckOutcome {
        for place in try ESP.mounted(context) {
            let file = place.appending(KernelParts.path(of: own))
            guard try context.exists(file.string), try context.files.read(file) == InitramfsSupplement.hostID(own) else {
                return .fail(expected: "\(own) in \(file)", actual: "it is missing or another one", remedy: "kldload boot refresh")
            }
        }
        return .ok("\(own), beside the kernels")
    }

    /// The host id in what the kernel unpacks of a boot image; of a file that is no program, in all of it.
    ///
    /// The end is read first: what kldload appends lies there, behind 60 MB that need not be looked at then.
    private static func hostIDFile(_ image: FilePath, _ files: any FileSystem) throws -> [UInt8]? {
        guard let place = (try? PortableExecutable(files.read(image, 0..<PortableExecutable.headers)))?.sections[".initrd"] else {
            return InitramfsFile.last("etc/hostid", in: try files.read(image))
        }
        // A multiple of four behind the beginning: archives begin at those places only.
        let end = place.count > 1 << 20 ? place.lowerBound + UInt64(place.count - 1 << 20) / 4 * 4 : place.lowerBound
        if let found = InitramfsFile.last("etc/hostid", in: try files.read(image, end..<place.upperBound)) { return found }
        return end == place.lowerBound ? nil : InitramfsFile.last("etc/hostid", in: try files.read(image, place))
    }

    /// Without a unified kernel image the distribution's initramfs must carry the file itself.
    private static func initramfsHostID(_ context: CheckContext, _ own: HostID) async throws -> CheckOutcome {
        guard let image = try initramfsPath(context),
            let content = try await InitramfsContent.of(FilePath(image), runner: context.runner, files: context.files)
        else {
            return .skip("there is neither a unified kernel image nor an initramfs to look into")
        }
        guard content.holdsHostID else {
            return .fail(expected: "etc/hostid in \(image)", actual: "it is missing", remedy: "update-initramfs -u -k all, then reboot")
        }
        return .ok("\(image) carries a host id; the labels show that it is \(own)")
    }
}

/// Looks for a file of an uncompressed cpio archive inside a larger file, such as a unified kernel image.
///
/// Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst` 6.12, format `newc`: 110 bytes of header, the name with a
/// zero byte, padding to four, the content; each header at a multiple of four. kldload appends the host id as such an archive after the
/// distribution's initramfs, and the
/// kernel lets the last one win.
enum InitramfsFile {
    static func last(_ name: String, in bytes: [UInt8]) -> [UInt8]? {
        let pattern = Array(name.utf8) + [0]
        let magic = Array("070701".utf8)
        let header = 110
        guard bytes.count >= header + pattern.count else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            // Elsewhere than at multiples of four the kernel does not begin to read an archive. From the end: the last one counts.
            var start = (bytes.count - header - pattern.count) / 4 * 4
            while start >= 0 {
                if bytes[start] == magic[0], matches(bytes, at: start, magic), matches(bytes, at: start + header, pattern),
                    let size = number(bytes, at: start + 54), size <= 4096
                {
                    let content = start + (header + pattern.count + 3) / 4 * 4
                    if content + size <= bytes.count { return Array(bytes[content..<(content + size)]) }
                }
                start -= 4
            }
            return nil
        }
    }

    private static func matches(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int, _ pattern: [UInt8]) -> Bool {
        for (index, byte) in pattern.enumerated() where bytes[offset + index] != byte { return false }
        return true
    }

    /// Eight hexadecimal digits.
    private static func number(_ bytes: UnsafeBufferPointer<UInt8>, at offset: Int) -> Int? {
        Int(String(decoding: bytes[offset..<(offset + 8)], as: UTF8.self), radix: 16)
    }
}

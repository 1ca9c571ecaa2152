import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldZFS
import SystemPackage

extension Check {
    static let boot: [Check] = [
        Check("boot.initramfs", "the initramfs of the running kernel holds OpenZFS", .critical, slow: true, initramfs),
        Check("boot.kernel", "the running kernel's module and boot files are there", .high, kernel),
    ]

    static let espChecks: [Check] = [
        Check("boot.esp", "the ESP holds what the firmware starts", .critical, esp),
        Check("boot.signatures", "what boots is signed by this machine's key", .high, signatures),
        Check("boot.esp.copies", "every disk of the root pool can boot the machine", .critical, slow: true, espCopies),
    ]

    private static func release(_ context: CheckContext) throws -> String {
        guard let release = try context.text("/proc/sys/kernel/osrelease")?.trimmed else {
            throw Diagnosis("verify.no-proc", "/proc is not mounted", remedies: ["mount -t proc proc /proc"])
        }
        return release
    }

    /// The initramfs of the running kernel, under the name that Debian's family gives it.
    static func initramfsPath(_ context: CheckContext) throws -> String? {
        let path = "/boot/initrd.img-\(try release(context))"
        return try context.exists(path) ? path : nil
    }

    @Sendable private static func initramfs(_ context: CheckContext) async throws -> CheckOutcome {
        let release = try release(context)
        guard let path = try initramfsPath(context) else { return .skip("there is no /boot/initrd.img-\(release) to look into") }
        guard let content = try await InitramfsContent.of(FilePath(path), runner: context.runner, files: context.files) else {
            return .skip("lsinitramfs is not installed")
        }
        guard content.importsPools else {
            return .fail(
                expected: "zfs.ko and zpool in \(path)", actual: content.holdsOpenZFS ? "zpool is missing" : "zfs.ko is missing",
                remedy: "install zfs-initramfs, check dkms status, then update-initramfs -u -k \(release)")
        }
        return .ok("\(path): \(content.count) files, zfs.ko among them")
    }

    @Sendable private static func kernel(_ context: CheckContext) async throws -> CheckOutcome {
        let release = try release(context)
        guard try context.exists("/lib/modules/\(release)") || context.exists("/usr/lib/modules/\(release)") else {
            return .fail(
                expected: "/usr/lib/modules/\(release)", actual: "the running kernel has no modules on disk",
                remedy: "the kernel came from another environment: reboot into the one that is activated")
        }
        return .ok(release)
    }

    @Sendable private static func esp(_ context: CheckContext) async throws -> CheckOutcome {
        guard let place = try ESP.mounted(context).first else {
            return .fail(
                expected: "an ESP at /boot/efi", actual: "no ESP is mounted",
                remedy: "kldload mount-esp, which says why it cannot")
        }
        return try judge(context, place)
    }

    private static func judge(_ context: CheckContext, _ place: FilePath) throws -> CheckOutcome {
        let loader = place.appending("EFI/BOOT/BOOTX64.EFI")
        guard try context.exists(loader.string) else {
            return .fail(
                expected: "EFI/BOOT/BOOTX64.EFI", actual: "it is missing from \(place)",
                remedy: "stage the boot files again: kldload boot refresh")
        }
        let images = try ESP.images(context, place)
        if context.startsByGRUB, try !context.exists(place.appending(GrubMenu.path).string) {
            return .fail(
                expected: GrubMenu.path, actual: "it is missing from \(place)", remedy: "stage the boot files again: kldload boot refresh")
        }
        guard !images.isEmpty else {
            return .fail(
                expected: "a \(context.startsByGRUB ? "kernel" : "unified kernel image") in \(BootEntry.imageFolder)",
                actual: "there is none on \(place)",
                remedy: "stage the boot files again: kldload boot refresh")
        }
        return .ok("\(place): BOOTX64.EFI and \(images.compactMap { $0.lastComponent?.string }.joined(separator: ", "))")
    }

    /// Whether the firmware knows the key is another question: `kldload-secure-boot status`.
    @Sendable private static func signatures(_ context: CheckContext) async throws -> CheckOutcome {
        let key = MachineOwnerKey()
        guard try key.isWanted(context.files) else { return .skip("this machine signs nothing; kldload secure-boot enable") }
        guard try key.exists(context.files) else {
            return .fail(
                expected: "\(key.key), \(key.pem) and \(key.certificate)", actual: "they are not all there",
                remedy: "kldload secure-boot enable")
        }
        // An older key that the firmware knows starts them too.
        let signers = try [key.identity(context.files)] + TrustedKey.all(context.files).map(\.identity)
        func isSigned(_ image: FilePath) throws -> Bool {
            try signers.contains { try UnifiedKernelImage.isSigned(image, by: $0, context.files) }
        }
        let images = try ESP.mounted(context).flatMap { try ESP.images(context, $0) }
        let recovery = try ESP.mounted(context).flatMap { try ESP.recoveryImages(context, $0) }
        // The kernel that GRUB starts is its vendor's.
        let unsigned =
            try images.filter {
                try context.startsByGRUB
                    ? !UnifiedKernelImage.isSigned($0, context.files) : !isSigned($0)
            } + recovery.filter { try !isSigned($0) }
        guard unsigned.isEmpty, !images.isEmpty else {
            return .fail(
                expected: context.startsByGRUB
                    ? "its vendor's signature on each kernel" : "the signature of \(key.certificate) on each boot image",
                actual: images.isEmpty ? "there are no boot images" : unsigned.map(\.string).joined(separator: ", "),
                remedy: "kldload boot refresh, or kldload kbe activate the environment")
        }
        return .ok("\(images.count) boot images" + (recovery.isEmpty ? "" : ", and the recovery image"))
    }

    @Sendable private static func espCopies(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let devices = try ListBlockDevices.parse(try await context.read(ListBlockDevices.command).output).flatMap(\.tree)
        var copies: [BlockDevice] = []
        for disk in manifest.disks {
            let named = Disk.partition(1, of: disk)
            // A link whose disk is gone resolves to nothing.
            let path = (try? context.files.resolve(FilePath(named)).string) ?? named
            guard let device = devices.first(where: { $0.path == path }) else {
                return .fail(
                    expected: "an ESP on \(disk)", actual: "there is no \(path)",
                    remedy: "kldload kdisk replace \(disk) NEW partitions a new disk like the others, and stages the boot files")
            }
            guard device.filesystem == "vfat" else {
                return .fail(
                    expected: "FAT on \(path)", actual: device.filesystem ?? "no file system",
                    remedy: "kldload boot restore --format \(path) makes it anew, with all that starts the machine")
            }
            copies.append(device)
        }
        // The others are compared with the one that is mounted anyway.
        guard let first = copies.first(where: { $0.mountpoint != nil }) ?? copies.first else {
            return .skip("the manifest names no disks")
        }
        func problem(_ device: BlockDevice, at place: FilePath) throws -> CheckOutcome? {
            guard case .fail(let expected, let actual, let remedy) = try judge(context, place) else { return nil }
            return .fail(expected: expected, actual: "\(device.path): \(actual)", remedy: remedy)
        }
        return try await ESP.look(context, at: first) { place in
            if let problem = try problem(first, at: place) { return problem }
            if copies.count == 1 { return .ok(first.path) }
            let files = try ESP.files(context, place)
            for other in copies where other.path != first.path {
                let found: CheckOutcome? = try await ESP.look(context, at: other, as: "copy") { copy in
                    if let problem = try problem(other, at: copy) { return problem }
                    let different = try ESP.differences(context, files, try ESP.files(context, copy))
                    return different.isEmpty
                        ? nil
                        : .fail(
                            expected: "the same files on every ESP",
                            actual: "\(first.path) and \(other.path) differ in \(different.prefix(3).joined(separator: ", "))",
                            remedy: "stage the boot files again: kldload boot refresh")
                }
                if let found { return found }
            }
            return .ok("\(copies.count) ESP, \(files.count) files each, all the same")
        }
    }
}

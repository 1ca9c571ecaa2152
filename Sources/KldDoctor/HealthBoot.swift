import KldBoot
import KldCore
import KldExec
import KldFiles
import KldTrust
import KldZFS
import SystemPackage

extension Check {
    static let healthOfBoot: [Check] = [
        Check("boot.esp.space", "another boot image fits on the ESP", .medium, espSpace),
        Check("boot.firmware", "the firmware will start what it started now", .medium, firmware),
        Check("boot.modules", "every kernel that is installed has OpenZFS", .high, modules),
        Check("boot.reboot", "nothing waits for a restart", .low, reboot),
        Check("boot.trials", "no environment failed when it was tried", .medium, trials),
        Check("boot.environments", "old boot environments do not pile up", .low, environments),
        Check("boot.key", "the key that signs what boots is good for some time", .medium, signingKey),
    ]

    @Sendable private static func espSpace(_ context: CheckContext) async throws -> CheckOutcome {
        guard let place = try ESP.mounted(context).first else { return .skip("no ESP is mounted: see boot.esp") }
        // What a cut write left goes before the next one.
        let folder = place.appending(BootEntry.imageFolder)
        let leftovers = try context.names(in: folder.string).filter(ESPFile.isLeftover).compactMap {
            try context.files.status(folder.appending($0))?.size
        }
        let free = leftovers.reduce(try context.files.freeSpace(place), +)
        let largest = try ESP.images(context, place).compactMap { try context.files.status($0)?.size }.max() ?? ByteCount(0)
        // The image, and some clusters for its entry.
        let needed = largest + .mebibytes(1)
        guard free >= needed else {
            return .warn(
                expected: "\(needed) free", actual: "\(free) free on \(place): a changed kernel could not be staged",
                remedy:
                    "destroy environments that are not needed any more: kldload kbe list, kldload kbe destroy NAME; look for other files in \(place)"
            )
        }
        return .ok("\(free) free")
    }

    @Sendable private static func firmware(_ context: CheckContext) async throws -> CheckOutcome {
        guard try context.exists("/sys/firmware/efi") else { return .skip("this machine was not started by UEFI") }
        let output: CommandOutput
        do { output = try await context.read(FirmwareEntry.list) } catch CommandError.toolMissing {
            return .skip("efibootmgr is not installed")
        }
        guard let found = FirmwareOrder.parse(output.output), let current = found.current else {
            return .skip("the firmware does not say what it started")
        }
        let remedy = "kldload boot restore makes the entry again; efibootmgr --bootorder puts it first"
        guard let title = found.active[current] else {
            return .warn(expected: "the entry Boot\(current), which was started", actual: "it is gone, or off", remedy: remedy)
        }
        guard found.order.contains(current) else {
            return .warn(
                expected: "Boot\(current) (\(title)) in the boot order",
                actual: found.order.isEmpty ? "there is no order" : found.order.joined(separator: ", "), remedy: remedy)
        }
        if let once = FirmwareOnce.read(context.files) {
            return .warn(expected: "Boot\(current) (\(title)) next", actual: once.text, remedy: FirmwareOnce.remedy)
        }
        return .ok("Boot\(current) \(title)")
    }

    /// Where modules that are not the kernel's own lie, by distribution: DKMS on Debian and Fedora, kABI packages, Ubuntu's own.
    private static let modulePlaces = [
        "updates/dkms", "extra", "extra/zfs", "weak-updates/zfs", "updates", "kernel/zfs", "kernel/fs/zfs", "kernel/extra",
    ]

    @Sendable private static func modules(_ context: CheckContext) async throws -> CheckOutcome {
        // A folder without a kernel is what a removed one left behind.
        let releases = try context.names(in: "/usr/lib/modules").filter { try context.exists("/boot/vmlinuz-\($0)") }
        guard !releases.isEmpty else { return .skip("there is no kernel in /boot under a name that is known here") }
        let without = try releases.filter { release in
            try !modulePlaces.contains { place in
                try context.names(in: "/usr/lib/modules/\(release)/\(place)").contains { $0.hasPrefix("zfs.ko") }
            }
        }
        guard without.isEmpty else {
            return .fail(
                expected: "zfs.ko for each kernel", actual: "none for \(without.joined(separator: ", "))",
                remedy: "dkms status; dkms autoinstall -k \(without[0]); or remove that kernel")
        }
        return .ok(releases.joined(separator: ", "))
    }

    /// A file whose existence asks for a restart, beside it the names of the packages that do. Source: unattended-upgrade(8), 2.9.
    @Sendable private static func reboot(_ context: CheckContext) async throws -> CheckOutcome {
        guard try context.exists("/run/reboot-required") else { return .ok("nothing") }
        let packages = Set((try context.text("/run/reboot-required.pkgs") ?? "").lines.map(\.trimmed)).sorted()
        return .warn(
            expected: "no /run/reboot-required", actual: packages.isEmpty ? "a restart is asked for" : packages.joined(separator: ", "),
            remedy: "restart the machine when it suits")
    }

    /// ``kldload boot good`` writes it, and takes it away again.
    @Sendable private static func trials(_ context: CheckContext) async throws -> CheckOutcome {
        guard let text = try context.text("/run/motd.d/50-kldload-boot")?.trimmed, !text.isEmpty else { return .ok("none") }
        return .warn(
            expected: "no report of a failed trial", actual: text.lines.map(\.trimmed).joined(separator: " "),
            remedy: "kldload kbe list says why; mend that environment, or kldload kbe destroy it")
    }

    private static let mostEnvironments = 15

    @Sendable private static func environments(_ context: CheckContext) async throws -> CheckOutcome {
        guard let pool = try await context.pool() else { return noPool }
        let parent = "\(pool)/ROOT/"
        let found = try await context.datasets(pool).filter {
            // One that is half made begins with a dot, and is none.
            $0.type == "filesystem" && $0.name.hasPrefix(parent) && !$0.name.dropFirst(parent.count).contains("/")
                && !$0.name.dropFirst(parent.count).hasPrefix(".")
        }
        guard found.count <= mostEnvironments else {
            return .warn(
                expected: "at most \(mostEnvironments)", actual: "\(found.count) boot environments",
                remedy: "kldload kbe prune --older-than 30d --dry-run")
        }
        return .ok("\(found.count)")
    }

    @Sendable private static func signingKey(_ context: CheckContext) async throws -> CheckOutcome {
        guard let now = context.now else { return .skip("the time is not known") }
        let key = MachineOwnerKey()
        guard try key.isWanted(context.files), try key.exists(context.files) else { return .skip("this machine signs nothing") }
        let certificate = try await Certificate.read(key.pem, runner: context.runner)
        let days = certificate.daysLeft(now)
        let remedy = "keep it, and have another made: mv \(key.home)/mok.* /root/, then kldload secure-boot enable"
        if days < 0 { return .fail(expected: "a certificate in force", actual: "it ended \(-days) days ago", remedy: remedy) }
        if days < 60 { return .warn(expected: "60 days and more", actual: "it ends in \(days) days", remedy: remedy) }
        return .ok("until \(certificate.notAfter)")
    }
}

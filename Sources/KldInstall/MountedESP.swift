import KldBlock
import KldBoot
import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// The ESP this machine started from, mounted at `/boot/efi`.
///
/// Every disk of the root vdevs carries an ESP, and any of the disks may be missing: so none of them can stand in fstab(5). One serial number
/// for all of them cannot either: udev moves the link from disk to disk while they appear, and systemd drops the mount with it.
public enum MountedESP {
    public static let place: FilePath = "/boot/efi"
    /// The service that calls ``mount(runner:files:)`` at each boot.
    public static let unit = "kldload-esp.service"
    /// What systemd calls the mount. Source: systemd.mount(5), systemd 257.
    public static let mountUnit = "boot-efi.mount"

    /// The GUID of the partition that systemd-boot or its stub was started from, in UTF-16; GRUB's menu says it on the command line.
    /// Source: The Boot Loader Interface, uapi-group.org, systemd 257.
    private static let variable = "LoaderDevicePartUUID"

    /// Checks and mounts the ESP that the firmware started; where that is not known or it does not mount, the next one of the root pool's disks.
    ///
    /// Runs: `lsblk`, `zpool list`, reads; `fsck.fat -a DEVICE`, `mount -t vfat -o umask=0077 DEVICE /boot/efi`, change.
    /// - Returns: the device; `nil` when something is mounted there already.
    /// - Throws: ``Diagnosis`` `esp.no-zfs-root`; `esp.none` when the disks of the root pool have none; `esp.not-mounted` when none of them mounts.
    public static func mount(runner: any CommandRunner, files: any FileSystem) async throws -> String? {
        let mounted = try files.mounts().contains { $0.place == place.string }
        if mounted { return nil }
        guard let root = try await RunningRoot.gather(runner: runner, files: files) else {
            throw Diagnosis("esp.no-zfs-root", "the root file system is not ZFS", remedies: ["this is for installed machines"])
        }
        let started = booted(files)
        let esps = root.esps.map(\.path).filter { $0 == started } + root.esps.map(\.path).filter { $0 != started }
        guard !esps.isEmpty else {
            throw Diagnosis(
                "esp.none", "no disk of pool \(root.pool) has an ESP (a FAT partition labelled EFI)",
                remedies: ["kldload verify --only boot says what is missing"])
        }
        try files.makeDirectory(place, mode: 0o700)
        var causes: [String] = []
        for esp in esps {
            do {
                // 1: errors were corrected, such as the mark that a power cut leaves. Source: fsck.fat(8), dosfstools 4.2.
                try await runner.run(
                    Command(Tool("fsck.fat", package: "dosfstools"), ["-a", esp], effect: .changes, accepting: [0, 1]))
                try await runner.run(MountCommand.mount(esp, at: place, type: "vfat", options: ["umask=0077"]))
                return esp
            } catch { causes.append("\(esp): \(Diagnosis(of: error).message)") }
        }
        throw Diagnosis(
            "esp.not-mounted", "no ESP could be mounted at \(place)",
            remedies: ["look at the file system: fsck.fat -n \(esps[0])"], causes: causes)
    }

    private static func booted(_ files: any FileSystem) -> String? {
        let said = (try? files.readText("/proc/cmdline")).flatMap { KernelCommandLine.started($0).esp }
        let variable = EFIVariable.text(variable, of: .loader, files)
        guard let guid = (said ?? variable)?.trimmed.lowercased() else { return nil }
        guard guid.count == 36, guid.allSatisfy({ $0.isHexDigit || $0 == "-" }) else { return nil }
        return try? files.resolve(FilePath("/dev/disk/by-partuuid/\(guid)")).string
    }
}

import KldCore
public import KldExec
import SystemPackage

/// Where a distribution keeps the programs that the firmware starts, below its root.
public struct EFIPrograms: Sendable, Hashable, Codable {
    /// The vendor-signed first stage.
    public var shim: String
    public var mokManager: String
    public var fallback: String
    /// shim's second stage: systemd-boot, under the name shim looks for (`grubx64.efi`).
    public var systemdBoot: String
    public var stub: String
    /// The same second stage in the GRUB chain; `nil`: there is no such chain here.
    public var grub: Grub?

    /// The distribution's signed GRUB.
    public struct Grub: Sendable, Hashable, Codable {
        public var program: String
        /// Where it looks for its settings, below the ESP's root; built into it.
        public var configuration: String

        public init(program: String, configuration: String) {
            self.program = program
            self.configuration = configuration
        }
    }

    public init(shim: String, mokManager: String, fallback: String, systemdBoot: String, stub: String, grub: Grub? = nil) {
        self.shim = shim
        self.mokManager = mokManager
        self.fallback = fallback
        self.systemdBoot = systemdBoot
        self.stub = stub
        self.grub = grub
    }

    /// Each of them, once.
    public var all: [String] {
        ([shim, mokManager, fallback, systemdBoot, stub] + (grub.map { [$0.program] } ?? []))
            .reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}

/// What lies on an ESP: paths below its root.
public enum ESPLayout {
    /// The name of kldload's own folder below `EFI`.
    public static let vendor = "kldload"
    /// The GPT name of the partition, and the label of the file system: they tell it from another system's. sgdisk gives no name by itself.
    public static let partitionName = "EFI system partition"
    public static let volumeLabel = "EFI"
    /// What firmware starts when it has no entry, or forgot it (UEFI 2.10, 3.5.1.1).
    public static let removable = "EFI/BOOT/BOOTX64.EFI"

    /// Where shim, its key manager and the boot loader lie on an ESP: for firmware without an entry, then in kldload's own folder.
    public static let programs =
        [removable, "EFI/BOOT/mmx64.efi", "EFI/BOOT/grubx64.efi"]
        + ["shimx64.efi", "mmx64.efi", "grubx64.efi"].map { "EFI/\(vendor)/\($0)" }

    /// Source below the distribution's root → where it goes on the ESP.
    public static func copies(_ programs: EFIPrograms, _ chain: BootChain = .systemdBoot) -> [(source: String, target: String)] {
        let loader = chain == .grub ? programs.grub?.program ?? programs.systemdBoot : programs.systemdBoot
        let sources = [programs.shim, programs.mokManager, loader]
        return zip(sources + sources, Self.programs).map { ($0, $1) }
    }

    /// loader.conf(5), systemd 257. The default is the first of kldload's entries in the loader's order that may still be tried.
    public static func loaderConfiguration(timeoutSeconds: Int) -> String {
        "timeout \(timeoutSeconds)\ndefault \(BootEntry.pattern)\neditor no\nconsole-mode keep\n"
    }

    /// systemd-boot and its tools (`bootctl`, kernel-install) know an ESP of theirs by this file.
    public static let entriesMarker = (path: "loader/entries.srel", content: "type1\n")
}

/// Builders for efibootmgr(8), version 18.
public enum FirmwareEntry {
    static let efibootmgr = Tool("efibootmgr")
    private static let loader = "\\EFI\\\(ESPLayout.vendor)\\shimx64.efi"

    /// Every entry with its device path, a line each. Runs: `efibootmgr --verbose`, reads.
    public static let list = Command(efibootmgr, ["--verbose"], effect: .reads, accepting: [0, 1, 2])

    /// Whether an entry starts kldload's loader from a partition, by what ``list`` printed.
    /// - Parameter partition: its GPT GUID.
    public static func isListed(_ partition: String, in output: String) -> Bool {
        output.lines.contains { starts(partition, $0) }
    }

    private static func starts(_ partition: String, _ line: String) -> Bool {
        let line = line.lowercased()
        return line.contains("gpt,\(partition.lowercased()),") && line.contains(loader.lowercased())
    }

    /// The numbers of the entries that start kldload's loader from one of these partitions, whatever their title, by what ``list`` printed.
    package static func numbers(of partitions: [String], in output: String) -> [String] {
        output.lines.filter { line in partitions.contains { starts($0, line) } }.compactMap { line in
            let number = line.dropFirst("Boot".count).prefix(4)
            return line.hasPrefix("Boot") && number.count == 4 && number.allSatisfy(\.isHexDigit) ? String(number) : nil
        }
    }

    /// Runs: `efibootmgr --quiet --bootnum NUMBER --delete-bootnum`, changes. Accepts any refusal: an entry too many keeps nothing from starting.
    package static func delete(_ number: String) -> Command {
        Command(
            efibootmgr, ["--quiet", "--bootnum", number, "--delete-bootnum"], effect: .changes, accepting: Set(0...255))
    }

    /// Runs: `efibootmgr --create --disk DISK --part N --label LABEL --loader PATH`. Accepts failure: some firmware keeps no entries, and the removable path is always there.
    public static func create(disk: String, partition: Int, label: String) -> Command {
        Command(
            efibootmgr, ["--create", "--quiet", "--disk", disk, "--part", String(partition), "--label", label, "--loader", loader],
            effect: .changes, accepting: [0, 1, 2, 5])
    }
}

extension ESPLayout {
    /// What shim's fallback program makes a firmware entry from. UTF-16, little-endian, with a byte order mark.
    /// Source: shim `README.fallback`, 16.1.
    public static func fallbackTable(label: String) -> [UInt8] {
        [0xff, 0xfe]
            + "shimx64.efi,\(label),,This is the boot entry for \(label)\n".utf16.flatMap {
                [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)]
            }
    }
}

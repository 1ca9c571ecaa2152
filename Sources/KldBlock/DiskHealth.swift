import FoundationEssentials
import KldCore
public import KldExec

/// What a disk says of itself. Source: smartctl(8) 7.4, `--json`; the names of its document, ATA and NVMe.
public struct DiskHealth: Sendable, Hashable {
    /// What is bad now: the disk expects to fail, or did.
    public var failures: [String] = []
    /// What was not good before a disk failed, often enough.
    public var warnings: [String] = []
    /// It has SMART, and told.
    public var isKnown = false

    private struct Document: Decodable {
        struct Status: Decodable { var passed: Bool? }
        struct Support: Decodable { var available: Bool? }
        struct Attribute: Decodable {
            struct Raw: Decodable { var value: UInt64? }
            var id: Int
            var name: String?
            var raw: Raw?
        }
        struct Attributes: Decodable { var table: [Attribute]? }
        struct NVMe: Decodable {
            var critical_warning: Int?
            var available_spare, available_spare_threshold, percentage_used: Int?
            var media_errors: UInt64?
        }
        var smart_support: Support?
        var smart_status: Status?
        var ata_smart_attributes: Attributes?
        var nvme_smart_health_information_log: NVMe?
    }

    /// A disk that sleeps is not woken.
    ///
    /// Runs: `smartctl --json=c --nocheck=standby --health --attributes DEVICE`, reads; its exit status is a set of bits, bad news among them.
    public static func command(_ device: String) -> Command {
        Command(
            Tool("smartctl", package: "smartmontools"), ["--json=c", "--nocheck=standby", "--health", "--attributes", device],
            effect: .reads, accepting: Set(0...255))
    }

    /// Begins like this (7.4):
    /// ```
    /// {"json_format_version":[1,0],"smartctl":{"version":[7,4],…},"device":{"name":"/dev/sda","type":"sat"},"smart_status":{"passed":true},…
    /// ```
    /// What is not understood is not known: a disk without SMART is no worse for it.
    public static func parse(_ output: String) -> DiskHealth {
        var health = DiskHealth()
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(output.utf8)) else { return health }
        if let passed = document.smart_status?.passed {
            health.isKnown = true
            if !passed { health.failures.append("its own verdict is FAILED") }
        }
        // Sectors that could not be read, and wait to be written again; those that could not be read even by the disk's own test.
        for attribute in document.ata_smart_attributes?.table ?? [] where [197, 198].contains(attribute.id) {
            // Some makers keep other numbers in the upper bytes.
            let count = (attribute.raw?.value ?? 0) & 0xffff_ffff
            if count > 0 { health.warnings.append("\(attribute.name ?? "attribute \(attribute.id)") \(count)") }
        }
        if let log = document.nvme_smart_health_information_log {
            if let warning = log.critical_warning, warning != 0 { health.failures.append("critical warning \(warning)") }
            if let spare = log.available_spare, let least = log.available_spare_threshold, spare < least {
                health.failures.append("\(spare) % spare left, below \(least) %")
            }
            if let used = log.percentage_used, used >= 100 { health.warnings.append("\(used) % of its life used") }
        }
        return health
    }
}

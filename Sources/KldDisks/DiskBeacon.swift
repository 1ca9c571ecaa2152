public import KldBlock
public import KldCore
public import KldExec
public import KldFiles
import KldZFS

/// How a person who stands before the rack finds a disk.
public struct DiskBeacon: Sendable, Hashable {
    public var entry: DiskInventory.Entry
    /// `nil`: the machine does not show the disk.
    public var light: DiskLight?

    public init(_ entry: DiskInventory.Entry, files: any FileSystem) throws {
        self.entry = entry
        light = try entry.device.map { try DiskLight.find($0.path, files: files) }
    }

    /// What is known of its place: `rack R12-08, slot SLOT07, serial WD-1, model …`.
    public var whereabouts: String {
        let passport = entry.passport
        let place = ["region", "datacenter", "rack", "enclosure", "bay", "slot"].compactMap { key in passport[key].map { "\(key) \($0)" } }
        let enclosure = light?.slotName.map { ["the enclosure calls it \($0)"] } ?? []
        let disk = [("serial", entry.serial), ("model", entry.model)].compactMap { key, value in value.map { "\(key) \($0)" } }
        return ([entry.name] + place + enclosure + disk).joined(separator: ", ")
    }

    /// - Throws: ``Diagnosis`` `kdisk.gone`.
    public func reachable() throws(Diagnosis) -> DiskLight {
        guard let light else {
            throw Diagnosis(
                "kdisk.gone", "the machine does not show \(entry.name): no light of it can be turned on",
                remedies: [
                    "turn on those of the others, and take the one that stays dark", "kldload kdisk list: slots and serial numbers of all",
                ],
                causes: [whereabouts])
        }
        return light
    }

    /// What is said where no light could be turned on.
    public func unlit(_ error: CommandError) -> Diagnosis {
        Diagnosis(
            "kdisk.no-light", "\(entry.name) is in no enclosure that the kernel knows, and ledctl has no light for it",
            remedies: [
                "its label says where it is: \(whereabouts)", "make its light of activity blink by reading it: --blink",
                "controllers that ledmon knows: apt-get install ledmon",
            ], exit: .unavailable, causes: [error.diagnosis.message] + (error.diagnosis.causes.suffix(2)))
    }

    /// Reads the disk, a second on and a second off. Runs: `timeout 1 dd if=DISK of=/dev/null …`, reads.
    public static func blink(_ disk: String, seconds: Int, pause: Duration = .seconds(1), runner: any CommandRunner) async throws {
        for _ in 0..<max(1, seconds / 2) {
            try await runner.run(DiskLight.blink(disk))
            try await Task.sleep(for: pause)
        }
    }
}

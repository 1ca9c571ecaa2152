import KldBoot
public import KldCore
public import KldFiles
public import KldPlan
import KldZFS
import SystemPackage

/// Kernels of the running environment that a person wants to be able to start, however many newer ones there are.
public enum PinnedKernels {
    /// One release a line; it belongs to the environment, as the kernels do.
    static let file: FilePath = "/etc/kldload/pinned-kernels"

    public static func read(_ files: any FileSystem) throws -> Set<String> {
        guard try files.exists(file) else { return [] }
        // A person writes here too: a stray byte keeps nobody from what boots.
        let text = String(decoding: try files.read(file), as: UTF8.self)
        return Set(text.lines.map(\.trimmed).filter { !$0.isEmpty && !$0.hasPrefix("#") })
    }

    /// - Throws: ``Diagnosis`` `boot.unknown-kernel`, for a release that is pinned and has no line.
    public static func changing(_ release: String, pinned: Bool, _ system: BootSystem) throws(Diagnosis) -> Plan {
        let known = Set(system.entries.filter { $0.dataset == system.running.text }.map(\.release))
        guard known.contains(release) || !pinned else {
            throw Diagnosis(
                "boot.unknown-kernel", "\(system.running.leaf) has no line in the boot menu for Linux \(release)",
                remedies: known.isEmpty ? [] : ["one of: \(known.sorted().joined(separator: ", "))"], exit: .inputMissing)
        }
        let wanted = pinned ? system.pinned.union([release]) : system.pinned.subtracting([release])
        if wanted == system.pinned { return Plan("pin kernels", []) }
        let text = wanted.sorted().map { "\($0)\n" }.joined()
        return Plan(
            "pin kernels",
            [
                Phase(
                    "boot", "Boot",
                    [Step("boot.pin", "Pinned kernels: \(wanted.sorted().joined(separator: ", "))", [.write(file, content: .text(text))])])
            ])
    }
}

extension BootTrial {
    /// A kernel of the running environment that two newer ones have followed: of those that run well, the newest and the one before stay, and
    /// what runs, boots next or is pinned.
    func isOld(_ entry: BootEntry, among entries: [BootEntry]) -> Bool {
        guard entry.dataset == system.running.text, entry.isProven, entry.order > 0, entry.release != system.release,
            entry.id != system.next?.id, !system.pinned.contains(entry.release)
        else { return false }
        let newer = entries.filter {
            $0.dataset == entry.dataset && $0.isProven && $0.order > 0 && KernelRelease.precedes(entry.release, $0.release)
        }
        return Set(newer.map(\.release)).count >= 2
    }
}

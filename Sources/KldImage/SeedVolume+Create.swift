public import KldBlock
public import KldCore
import KldExec
import KldFiles
public import KldPlan
public import SystemPackage

extension SeedVolume {
    /// FAT takes eleven characters.
    public static let fatLabel = "KLDLOADSEED"
    private static let size = ByteCount.mebibytes(4)

    /// A small FAT volume with the answers at its top, as an image file that only its owner reads: it may hold passwords.
    ///
    /// Runs: `truncate --size=4M FILE.part`, `mkfs.vfat -n KLDLOADSEED`, `mcopy -i FILE.part answers.env ::answers.env`, `mv`; changes.
    /// - Parameter answers: a file that holds them, as they go onto the volume.
    public static func creating(_ output: FilePath, answers: FilePath) -> Plan {
        let partial = FilePath("\(output.string).part")
        let step = Step(
            "seed.create", "Write \(output)",
            [
                .write(partial, content: .text(""), mode: .secret),
                .run(Command(Tool("truncate", package: "coreutils"), ["--size=\(size.bytes)", partial.string], effect: .changes)),
                .run(Command(Tool("mkfs.vfat", package: "dosfstools"), ["-n", fatLabel, partial.string], effect: .changes)),
                copying(answers, to: partial.string),
                .run(Command(Tool("mv", package: "coreutils"), ["--force", partial.string, output.string], effect: .changes)),
            ], undo: [.remove(partial)])
        return Plan("make a seed volume", [Phase("seed", "Seed volume", [step])])
    }

    /// The same on a stick or a partition; what it held is lost.
    ///
    /// Runs: `mkfs.vfat -I -n KLDLOADSEED DEVICE`, destroys; `mcopy`, `sync`, changes.
    /// - Throws: ``Diagnosis`` `seed.no-device`, `seed.in-use`.
    public static func creating(on device: String, answers: FilePath, devices: [BlockDevice]) throws(Diagnosis) -> Plan {
        guard let found = devices.flatMap(\.tree).first(where: { $0.path == device }) else {
            throw Diagnosis(
                "seed.no-device", "there is no disk or partition \(device)", remedies: ["see what there is: lsblk"], exit: .inputMissing)
        }
        // Of a disk, its partitions too; of a partition, what lies on it.
        let used = found.tree.filter { !$0.mountpoints.isEmpty || $0.filesystem == "zfs_member" || $0.filesystem == "LVM2_member" }
        guard used.isEmpty, !found.readOnly else {
            throw Diagnosis(
                "seed.in-use", "\(device) cannot be a seed volume", remedies: ["unmount it, or take another stick"], exit: .failed,
                causes: found.readOnly
                    ? ["it is read-only"]
                    : used.map { "\($0.path): \($0.mountpoints.first.map { "mounted at \($0)" } ?? $0.filesystem ?? "")" })
        }
        let step = Step(
            "seed.create", "Make \(device) a seed volume",
            [
                .run(Command(Tool("mkfs.vfat", package: "dosfstools"), ["-I", "-n", fatLabel, device], effect: .destroys)),
                copying(answers, to: device),
                .run(Command(Tool("sync", package: "coreutils"), [device], effect: .changes)),
            ], destroys: [device])
        return Plan("make a seed volume", [Phase("seed", "Seed volume", [step])])
    }

    private static func copying(_ answers: FilePath, to volume: String) -> Action {
        .run(Command(Tool("mcopy", package: "mtools"), ["-i", volume, answers.string, "::\(answersName)"], effect: .changes))
    }
}

public import KldBlock
public import KldCore
import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

extension SeedVolume {
    /// FAT takes eleven characters.
    public static let fatLabel = "KLDLOADSEED"
    private static let size = ByteCount.mebibytes(4)

    /// A small FAT volume with the answers at its top, as an image file that only its owner reads: it may hold passwords.
    ///
    /// Runs: `truncate --size=4M FILE.part`, `mkfs.vfat -n KLDLOADSEED`, `mcopy -i FILE.part answers.env ::answers.env`, `mv`; changes.
    /// The name of the part is fixed: whoever applies it holds the output, see ``ArtifactCache/hold(_:waiting:)``.
    /// - Parameters:
    ///   - answers: a file that holds them, as they go onto the volume.
    ///   - files: what goes beside them, see ``check(_:_:)``.
    public static func creating(_ output: FilePath, answers: FilePath, files: [FilePath] = []) -> Plan {
        let partial = FilePath("\(output.string).part")
        let volume = FATImage(partial.string)
        let step = Step(
            "seed.create", "Write \(output)",
            [
                .write(partial, content: .text(""), mode: .secret),
                .run(FileCommand.resize(partial, to: size)),
                .run(volume.format(["-n", fatLabel])),
            ] + copying(answers, files, to: volume) + [
                .run(FileCommand.renameExactly(partial, to: output))
            ], undo: [.remove(partial)])
        return Plan("make a seed volume", [Phase("seed", "Seed volume", [step])])
    }

    /// Whether an image file may be written under a name.
    ///
    /// - Throws: ``Diagnosis`` `output.not-a-file`, `seed.exists`; ``FileError``.
    public static func check(_ output: FilePath, overwrite: Bool, _ files: any FileSystem) throws {
        try files.requireFile(at: output, device: "write onto a stick or a partition: kldload seed create --device \(output)")
        guard try overwrite || !files.exists(output) else {
            throw Diagnosis(
                "seed.exists", "\(output) exists already", remedies: ["choose another name", "replace it: --overwrite"],
                exit: .cannotCreate)
        }
    }

    /// The same on a stick or a partition; what it held is lost.
    ///
    /// Runs: `mkfs.vfat -I -n KLDLOADSEED DEVICE`, destroys; `mcopy`, `sync`, changes.
    /// - Throws: ``Diagnosis`` `seed.no-device`, `seed.in-use`.
    public static func creating(
        on device: String, answers: FilePath, files: [FilePath] = [], devices: [BlockDevice]
    ) throws(Diagnosis) -> Plan {
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
        let volume = FATImage(device)
        let step = Step(
            "seed.create", "Make \(device) a seed volume",
            [
                .run(volume.format(["-I", "-n", fatLabel], effect: .destroys))
            ] + copying(answers, files, to: volume) + [
                .run(FileCommand.sync([FilePath(device)]))
            ], destroys: [device])
        return Plan("make a seed volume", [Phase("seed", "Seed volume", [step])])
    }

    /// What goes beside the answers, which may name it there: `KLDLOAD_MOK_KEY_FILE=/run/kldload/seed/NAME`. Each keeps its name, on a file
    /// system that tells no capital letters.
    ///
    /// - Throws: ``Diagnosis`` `seed.file`.
    public static func check(_ extra: [FilePath], _ files: any FileSystem) throws(Diagnosis) {
        var taken: Set = [answersName]
        for file in extra {
            let name = file.lastComponent?.string ?? ""
            let problem: String? =
                if (try? files.status(files.resolve(file)))?.kind != .file {
                    "there is no such file"
                } else if !name.isPlain(besides: "._-") || name.hasPrefix(reports) {
                    "it cannot have that name there"
                } else {
                    taken.insert(name.lowercased()).inserted ? nil : "another one has that name"
                }
            if let problem {
                throw Diagnosis(
                    "seed.file", "\(file) cannot go onto the seed volume",
                    remedies: ["name files of letters, digits, dots and dashes, each once: --file mok.key"], exit: .inputMissing,
                    causes: [problem])
            }
        }
    }

    private static func copying(_ answers: FilePath, _ files: [FilePath], to volume: FATImage) -> [Action] {
        let named = [(answers, answersName)] + files.map { ($0, $0.lastComponent?.string ?? "") }
        return named.map { file, name in
            .run(volume.copyIn(file, to: name))
        }
    }
}

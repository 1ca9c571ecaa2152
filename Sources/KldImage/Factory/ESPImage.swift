import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// The ESP of a template's disk, made anew of the same files, without a guest: what a kernel's FAT remembers of how it was written, times,
/// order, names of files that are gone and what lies in free clusters, is not in it. The same files give the same bytes.
struct ESPImage: Sendable {
    /// A raw disk with a partition table, which nobody else uses.
    var disk: FilePath
    var serial: UInt32
    var runner: any CommandRunner
    var files: any FileSystem

    private static let epoch = PayloadBuilder.defaultEpoch
    private static let sector: UInt64 = 512

    /// Runs: `partx --raw --noheadings --output START,SECTORS --nr 1 DISK`; `mcopy -s`, `touch`, `truncate`, `mkfs.vfat --invariant`,
    /// `mmd`, `mcopy -m`, `diff --recursive`, `dd conv=notrunc`; changes. Source: mtools(1) 4.0.32, mkfs.fat(8) 4.2, partx(8) util-linux 2.38.
    /// - Parameter scratch: a folder that is not there yet.
    /// - Throws: ``Diagnosis`` `image.copy-differs`, `image.no-partition`.
    func remake(in scratch: FilePath) async throws {
        let place = try await partition()
        let (tree, image, again) = (scratch.appending("files"), scratch.appending("esp.img"), scratch.appending("again"))
        for folder in [tree, again] { try files.makeDirectory(folder, mode: 0o700) }
        let old = FATImage("\(disk)@@\(place.lowerBound)", epoch: Self.epoch)
        let new = FATImage(image.string, epoch: Self.epoch)
        try await runner.run(old.copyOut(to: tree))
        try await change("touch", "coreutils", ["--date=@\(Self.epoch)"] + found(tree).map { tree.pushing(FilePath($0.path)).string })
        try await change("truncate", "coreutils", ["--size=\(place.count)", image.string])
        var format = Disk.makeFAT(image.string, label: ESPLayout.volumeLabel, serial: serial)
        format.arguments.insert("--invariant", at: 0)
        format.effect = .changes
        try await runner.run(format)
        for entry in try found(tree) {
            let file = tree.pushing(FilePath(entry.path))
            try await runner.run(
                entry.isFolder ? new.makeFolders([entry.path]) : new.copyIn(file, to: entry.path, keepsTime: true))
        }
        try await runner.run(new.copyOut(to: again))
        let same = try await runner.run(
            Command(
                Tool("diff", package: "diffutils"), ["--recursive", "--brief", tree.string, again.string], effect: .reads,
                accepting: [0, 1]))
        guard same.status == 0 else {
            throw Diagnosis(
                "image.copy-differs", "the ESP could not be made anew: what was written is not what is read",
                remedies: ["check the disk of \(scratch)"], causes: same.output.lines)
        }
        try await change(
            "dd", "coreutils",
            ["if=\(image)", "of=\(disk)", "bs=1M", "oflag=seek_bytes", "seek=\(place.lowerBound)", "conv=notrunc", "status=none"])
        try files.remove(scratch)
    }

    /// Where the first partition lies, in bytes.
    private func partition() async throws -> Range<UInt64> {
        let output = try await runner.run(
            Command(
                Tool("partx", package: "util-linux"),
                ["--raw", "--noheadings", "--output", "START,SECTORS", "--nr", "1", disk.string], effect: .reads)
        ).output
        let numbers = output.words.compactMap { UInt64($0) }
        guard numbers.count == 2, numbers[1] > 0 else {
            throw Diagnosis("image.no-partition", "\(disk) has no first partition", exit: .bug, causes: [output])
        }
        return numbers[0] * Self.sector..<(numbers[0] + numbers[1]) * Self.sector
    }

    /// Everything below a folder in one order, folders before what is in them.
    private func found(_ root: FilePath, below folder: String = "") throws -> [(path: String, isFolder: Bool)] {
        var all: [(path: String, isFolder: Bool)] = []
        for name in try files.list(folder.isEmpty ? root : root.pushing(FilePath(folder))).sorted() {
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            let isFolder = try files.status(root.pushing(FilePath(path)))?.kind == .directory
            all.append((path, isFolder))
            if isFolder { all += try found(root, below: path) }
        }
        return all
    }

    private func change(_ tool: String, _ package: String, _ words: [String]) async throws {
        try await runner.run(Command(Tool(tool, package: package), words, effect: .changes))
    }
}

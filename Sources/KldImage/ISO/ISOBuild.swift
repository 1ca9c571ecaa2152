import FoundationEssentials
public import KldAnswers
import KldBlock
public import KldCore
import KldExec
import KldFiles
public import KldPlan
public import SystemPackage

/// Builds the live ISO: for USB sticks and optical drives, under UEFI, with what it installs on board.
public struct ISOBuild: Sendable {
    public struct Request: Sendable {
        /// One for each payload that the medium carries; only distribution, release and profile of them count.
        public var payloads: [Answers]
        /// What may be added without a network, beyond what the answers' own switches ask for.
        public var packages: [String]
        /// By which a machine is installed that finds no other answers.
        public var answers: Answers?
        public var output: FilePath
        public var overwrite: Bool
        /// Where packages are fetched from during the build; `nil`: what this machine's apt uses.
        public var mirror: String?
        public var version: String

        public init(
            payloads: [Answers], packages: [String] = [], answers: Answers? = nil, output: FilePath, overwrite: Bool,
            mirror: String? = nil, version: String
        ) {
            self.payloads = payloads
            self.packages = packages
            self.answers = answers
            self.output = output
            self.overwrite = overwrite
            self.mirror = mirror
            self.version = version
        }
    }

    private let workshop: Workshop
    private let report: @Sendable (PlanEvent) -> Void
    private let files = LocalFiles()

    public init(workshop: Workshop, report: @escaping @Sendable (PlanEvent) -> Void) {
        self.workshop = workshop
        self.report = report
    }

    /// Names of packages, separated by blanks or commas; sorted, each once. They are what answers may name too.
    /// - Throws: ``Diagnosis`` `iso.package-name`.
    public static func packages(_ names: String) throws -> [String] {
        let words = names.split { $0.isWhitespace || $0 == "," }
        for word in words {
            do {
                _ = try Answers(
                    "KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=auto\nKLDLOAD_HOSTNAME=kldload\n", overrides: ["KLDLOAD_EXTRA_PACKAGES=\(word)"])
            } catch {
                throw Diagnosis(
                    "iso.package-name", "\"\(word)\" cannot be the name of a package",
                    remedies: ["separate names by spaces or commas: --with-packages \"tmux htop\""], exit: .usage)
            }
        }
        return Set(words.map(String.init)).sorted()
    }

    /// The answers that stand for a payload. - Throws: ``Diagnosis`` of answers.
    public static func payload(distro: String, profile: String) throws -> Answers {
        try Answers("KLDLOAD_DISTRO=\(distro)\nKLDLOAD_DISK=auto\nKLDLOAD_HOSTNAME=kldload\nKLDLOAD_PROFILE=\(profile)\n")
    }

    /// - Returns: size and SHA-256 of the ISO, which lies at its name only when it is whole; `.sha256` lies beside it.
    /// - Throws: ``Diagnosis`` `output.not-a-file`, `iso.exists`, `image.output-denied`, `iso.answers-payload`, `install.payload-differs`,
    ///   `install.packages-missing`, `iso.no-package`, `iso.program-missing`, `iso.mirror-incomplete`; what building payloads throws.
    public func run(_ request: Request) async throws -> (size: ByteCount, digest: FileDigest) {
        let lock = try await workshop.cache.hold(request.output) {
            report(PlanEvent(.line, message: "another build makes \(request.output); waiting for it"))
        }
        defer { withExtendedLifetime(lock) {} }
        try Self.check(request.output, overwrite: request.overwrite, files)
        if let answers = request.answers { try Self.check(answers, payloads: request.payloads) }
        try OutputFolder.check(request.output.removingLastComponent(), files)
        try await workshop.requireOffered(request.packages, for: request.payloads, mirror: request.mirror, report: report)
        let live = try await workshop.liveMedium(mirror: request.mirror, report: report)
        var items = [
            (ISOContents.kernel, live.image.kernel), (ISOContents.initrd, live.image.initrd), (LiveMedium.squashfs, live.image.squashfs),
            (ISOContents.netbootInitrd, try await workshop.netboot(live.payload)),
        ]
        items += PayloadManifest.files.map { ("\(ISOContents.live)/\($0)", live.payload.folder.appending($0)) }
        var payloads: [Carried] = []
        for answers in request.payloads {
            let bench = try await workshop.prepare(answers, mirror: request.mirror, report: report)
            if let asked = request.answers { try Self.check(asked, bench.payload, of: answers, packages: request.packages, files) }
            payloads.append(Carried(answers: answers, bench: bench, stream: try await workshop.stream(bench, report: report)))
        }
        let (streams, bases) = try await streams(payloads)
        items += streams
        for folder in Set(request.payloads.map(LiveMedium.mirror)).sorted() {
            let mirror = try await workshop.mirror(
                of: payloads.filter { LiveMedium.mirror($0.answers) == folder }.map { ($0.answers, $0.bench.payload) },
                packages: request.packages, mirror: request.mirror, report: report)
            items += mirror.items.map { ("\(folder)/\($0.path)", $0.file) }
            report(PlanEvent(.line, message: "the offline mirror has \(mirror.size)"))
        }
        let total = try items.reduce(UInt64(0)) { try $0 + size(of: $1.1).bytes }
        try requireRoom(ByteCount(total) + .mebibytes(64), at: request.output)
        return try await WorkFolder.with("iso", in: workshop.cache.root, report: report) { work in
            try await write(request, live.payload.archive, items, bases, in: work)
        }
    }

    /// Whether the file may be written under its name, before minutes of work.
    ///
    /// - Throws: ``Diagnosis`` `output.not-a-file`, `iso.exists`; ``FileError``.
    static func check(_ output: FilePath, overwrite: Bool, _ files: any FileSystem) throws {
        try files.requireFile(
            at: output, device: "name a file, and write that to the disk when it is whole: dd if=kldload.iso of=\(output) bs=4M")
        guard try overwrite || !files.exists(output) else {
            throw Diagnosis(
                "iso.exists", "\(output) exists already", remedies: ["choose another name", "replace it: --overwrite"],
                exit: .cannotCreate)
        }
    }

    private struct Carried {
        var answers: Answers
        var bench: Workshop.Bench
        var stream: Factory.Stream
        var folder: String { LiveMedium.payload(answers) }
    }

    private func size(of file: FilePath) throws -> ByteCount { try files.status(files.resolve(file))?.size ?? ByteCount(0) }

    /// The files of payloads, and which of them build on which: most of what a large profile holds is in a small one too.
    private func streams(_ payloads: [Carried]) async throws -> (items: [(String, FilePath)], bases: [String: String]) {
        let bases = ISOContents.bases(
            try payloads.map { payload in
                let answers = payload.answers
                return (
                    payload.folder, "\(answers.distro.rawValue) \(answers.release) \(answers.backports)", try size(of: payload.stream.root)
                )
            })
        var (items, increments): ([(String, FilePath)], [String: String]) = ([], [:])
        for payload in payloads {
            let (folder, bench, whole) = (payload.folder, payload.bench, payload.stream)
            items += PayloadManifest.files.map { ("\(folder)/\($0)", bench.payload.folder.appending($0)) }
            var root = (path: "\(folder)/\(PayloadFolder.root)", file: whole.root)
            if let name = bases[folder], let base = payloads.first(where: { $0.folder == name }) {
                let increment = try await workshop.increment(of: whole, onto: base.stream, bench, report: report)
                let (full, size) = (try size(of: whole.root), try size(of: increment))
                if size < full {
                    root = ("\(folder)/\(PayloadFolder.increment)", increment)
                    increments[root.path] = "\(name)/\(PayloadFolder.root)"
                    report(PlanEvent(.line, message: "\(folder) builds on \(name): \(size) instead of \(full)"))
                }
            }
            items += [(root.path, root.file), ("\(folder)/\(PayloadFolder.rest)", whole.rest)]
        }
        return (items, increments)
    }

    private func requireRoom(_ needed: ByteCount, at output: FilePath) throws {
        let folder = output.removingLastComponent()
        let free = try files.freeSpace(folder)
        guard free < needed else { return }
        throw Diagnosis(
            "iso.no-space", "the ISO needs \(needed); \(folder) has \(free)",
            remedies: ["free some space", "write it elsewhere: --output FILE"],
            exit: .cannotCreate)
    }

    private func write(
        _ request: Request, _ archive: FilePath, _ contents: [(String, FilePath)], _ bases: [String: String], in work: FilePath
    ) async throws -> (size: ByteCount, digest: FileDigest) {
        report(PlanEvent(.line, message: "writing \(request.output)"))
        let esp = work.appending("esp.img")
        let programs = try await extractPrograms(from: archive, in: work)
        try await makeESP(esp, from: programs)
        let image = ISOImage(runner: workshop.runner, files: files)
        let items = try await image.contents(
            contents + ISOContents.netboot.map { ($0.target, programs.appending($0.source)) }, bases: bases, answers: request.answers,
            version: request.version, in: work)
        let isPrivate = request.answers.map { PXEAnswers.holdSecrets($0.environmentText) } ?? false
        return try await image.write(items, esp: esp, to: request.output, isPrivate: isPrivate)
    }

    private static let epoch = ["SOURCE_DATE_EPOCH": String(PayloadBuilder.defaultEpoch)]

    /// Runs: `tar --extract`; changes. - Returns: the folder below which they lie as in the live environment.
    private func extractPrograms(from archive: FilePath, in work: FilePath) async throws -> FilePath {
        let tree = work.appending("programs")
        try files.makeDirectory(tree, mode: .directory)
        let sources = Set((ISOContents.programs + ISOContents.netboot).map(\.source)).sorted()
        try await workshop.runner.run(
            Command(
                "tar", ["--extract", "--file", archive.string, "--directory", tree.string] + sources.map { "./\($0)" }, effect: .changes))
        for source in sources where try !files.exists(tree.appending(source)) {
            throw Diagnosis(
                "iso.program-missing", "the live environment has no \(source)", remedies: ["report this as a defect of kldload"], exit: .bug
            )
        }
        return tree
    }

    /// A small FAT with shim and GRUB, the same at every build.
    ///
    /// Runs: `truncate`, `mkfs.vfat --invariant -i ID`, `mmd`, `mcopy`; changes.
    private func makeESP(_ file: FilePath, from tree: FilePath) async throws {
        let (runner, image) = (workshop.runner, FATImage(file.string, epoch: PayloadBuilder.defaultEpoch))
        try await runner.run(FileCommand.resize(file, to: .mebibytes(8)))
        try await runner.run(image.format(["--invariant", "-i", "4b4c444c", "-n", "KLDBOOT"]))
        try await runner.run(image.makeFolders(["EFI", "EFI/BOOT"]))
        for (source, target) in ISOContents.programs {
            try await runner.run(image.copyIn(tree.appending(source), to: target, keepsTime: true))
        }
    }

    /// Runs: `xorriso -as mkisofs …`: ISO 9660 with Rock Ridge, an El Torito image for UEFI that is a GPT partition too, so that a stick
    /// starts as a disc does; with the same times and modes of folders at every build. Source: xorrisofs(1), xorriso 1.5.6.
    static func xorriso(_ items: [(String, FilePath)], esp: FilePath, to output: FilePath) -> Command {
        Command(
            "xorriso",
            [
                "-as", "mkisofs", "-quiet", "-V", ISOContents.volume, "-iso-level", "3", "-R", "-o", output.string, "-append_partition",
                "2",
                "0xef", esp.string, "-appended_part_as_gpt", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot",
                "-partition_offset", "16", "--set_all_file_dates", "=\(PayloadBuilder.defaultEpoch)", "-dir-mode", "0755", "-graft-points",
            ] + items.map { "\($0.0)=\($0.1)" }, effect: .changes, environment: epoch)
    }
}

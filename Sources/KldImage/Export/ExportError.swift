public import KldCore
public import SystemPackage

/// What can be wrong with an export before it begins.
public enum ExportError: Error, Sendable, Equatable {
    case exists([FilePath])
    case noSpace(folder: FilePath, needed: ByteCount, free: ByteCount, virtualSize: ByteCount, parts: [ExportEstimate])
    case sourceIsOutput(FilePath)
    case sourceMissing(FilePath)
    case sourceFormat(FilePath, format: String)
    case sourceHasBackingFile(FilePath, backing: String)
    case tooLarge(ExportFormat, size: ByteCount, limit: ByteCount)
    case nothingToExport
    case outputNames(FilePath, formats: [ExportFormat])
    /// Something that is not a file has the name of an output: a device, a folder.
    case outputIsNotAFile(FilePath)
    case busy(FilePath, reasons: [SourceGuard.Reason])
    case sectors(FilePath, bytes: Int)
    /// While it was read.
    case changed(FilePath)
}

extension ExportError: Diagnosable {
    public var diagnosis: Diagnosis {
        switch self {
        case .exists(let paths):
            Diagnosis(
                "image.exists", "\(paths.map(\.string).joined(separator: ", ")) \(paths.count == 1 ? "exists" : "exist") already",
                remedies: ["choose another name (--name or KEXPORT_NAME) or folder", "or allow it to be replaced with --overwrite"],
                exit: .cannotCreate)
        case .noSpace(let folder, let needed, let free, let virtualSize, let parts):
            Diagnosis(
                "image.no-space", "the export needs up to \(needed) in \(folder), and \(free) are free",
                remedies: ["free some space, or export to another folder", "export fewer formats at once"], exit: .cannotCreate,
                causes: ["the image is \(virtualSize) large"] + parts.map { "\($0.format.rawValue) may take \($0.size)" })
        case .sourceIsOutput(let path):
            Diagnosis(
                "image.source-is-output", "the export would replace its own source, \(path)",
                remedies: ["choose another name or folder"], exit: .usage)
        case .sourceMissing(let path):
            Diagnosis(
                "image.source-missing", "\(path) is neither an image file nor a block device",
                remedies: ["check the name: ls -l \(path)", "disks of this machine: lsblk"], exit: .inputMissing)
        case .sourceFormat(let path, let format):
            Diagnosis(
                "image.source-format", "\(path) holds \(format), which kldload does not export from",
                remedies: ["convert it first: qemu-img convert -O raw \(path) disk.raw"], exit: .usage)
        case .sourceHasBackingFile(let path, let backing):
            Diagnosis(
                "image.source-has-backing", "\(path) takes part of its content from another file (\(backing))",
                remedies: ["if you trust that, flatten it first: qemu-img convert -O raw \(path) disk.raw"], exit: .usage,
                causes: ["a header inside a guest's disk can name any file of this machine"])
        case .tooLarge(let format, let size, let limit):
            Diagnosis(
                "image.too-large", "a \(format.rawValue) image holds at most \(limit); this disk has \(size)",
                remedies: ["export it as qcow2 or raw", "make the image smaller: KLDLOAD_DISK_SIZE"], exit: .cannotCreate)
        case .nothingToExport:
            Diagnosis(
                "image.format", "no image format is given",
                remedies: ["one of \(ExportFormat.allCases.map(\.rawValue).joined(separator: ", ")), several with commas, or all"],
                exit: .usage)
        case .outputNames(let path, let formats):
            Diagnosis(
                "image.output", "\(path) is one file, but \(formats.count) formats are asked for",
                remedies: ["name a folder, with a slash at its end"], exit: .usage)
        case .outputIsNotAFile(let path):
            Diagnosis(
                "image.output", "\(path) is not a file, and is not replaced by one",
                remedies: ["export to a file; a raw one is written to a disk with dd"], exit: .usage)
        case .busy(let path, let reasons):
            Diagnosis(
                "image.source-busy", "\(path) is in use, so its image would not be whole",
                remedies: reasons.map(\.remedy).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, exit: .tryAgain,
                causes: reasons.map(\.text))
        case .sectors(let path, let bytes):
            Diagnosis(
                "image.source-sectors",
                "\(path) has sectors of \(bytes) bytes, and its image would not start: a virtual machine's disk has sectors of 512",
                remedies: ["build an image of the same answers: kldload image build"], exit: .usage,
                causes: ["its partition table and the file system of its ESP count in its own sectors, and are copied as they are"])
        case .changed(let path):
            Diagnosis(
                "image.source-changed", "\(path) was opened for writing, or written to, while it was read: its image would not be whole",
                remedies: ["stop what writes to it, a virtual machine perhaps, and export it again", "or export a snapshot of it"],
                exit: .tryAgain)
        }
    }
}

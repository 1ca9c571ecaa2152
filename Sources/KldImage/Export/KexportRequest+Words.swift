public import KldCore
public import SystemPackage

extension KexportRequest {
    /// Where files go when nothing else is said.
    public static let defaultFolder: FilePath = "/root/exports"

    /// What a command line of `kexport` asks for, in every form that the seeds print:
    ///
    /// - `kexport /dev/sda qcow2 /tmp/export/`
    /// - `kexport --format qcow2 --output /tmp/image.qcow2`
    /// - `kexport qcow2`
    ///
    /// - Parameters:
    ///   - words: `[DISK] [FORMAT] [FOLDER]`, less what options already say.
    ///   - disk: of `--disk`, and so with the other options.
    ///   - environment: only `KEXPORT_NAME` is read; `name` goes before it.
    ///   - isFolder: whether a folder of that name is there; what `output` names is one then.
    /// - Throws: ``Diagnosis`` with exit status 64: `image.usage`, `image.format`, `image.name`, `image.output`.
    public init(
        words: [String], disk: String? = nil, format: String? = nil, output: String? = nil, name: String? = nil,
        environment: [String: String] = [:], isFolder: (FilePath) -> Bool = { _ in false }
    ) throws(Diagnosis) {
        var rest = words[...]
        var (source, kind) = (disk, format)
        if format == nil, let first = rest.first, Self.isFormat(first) {
            kind = rest.popFirst()
        } else {
            if disk == nil { source = rest.popFirst() }
            if format == nil { kind = rest.popFirst() }
            // One word that is neither a path nor a format is more likely a mistyped format than a disk.
            if disk == nil, kind == nil, let only = source, !only.contains("/"), !only.contains(".") { (source, kind) = (nil, only) }
        }
        let folder = rest.popFirst()
        if let extra = rest.first { throw Self.usage("too many words: \(extra)") }
        if folder != nil, output != nil { throw Self.usage("the place for the output is given twice") }
        if folder?.isEmpty ?? output?.isEmpty ?? false { throw Self.usage("the place for the output is empty") }
        let formats = try ExportFormat.parse(kind ?? "")
        guard !formats.isEmpty else { throw ExportError.nothingToExport.diagnosis }
        let place = try Self.place(folder, file: output, formats, isFolder)
        self.init(
            source: try Self.source(source), formats: formats, destination: place,
            name: try Self.imageName(name, environment, place))
    }

    /// A name, a list of names, or `all`; `none` counts, to be refused as a format and not taken for a disk.
    private static func isFormat(_ word: String) -> Bool {
        let names = word.lowercased().split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed)
        return names.contains { ExportFormat(rawValue: $0) != nil || $0 == "all" || $0 == "none" }
    }

    private static func source(_ text: String?) throws(Diagnosis) -> Source {
        guard let text else { return .automatic }
        if text.contains("/") || text.contains(".") { return .path(FilePath(text)) }
        throw usage("\(text) is not a path", also: ["a disk is named by its path: /dev/\(text)"])
    }

    /// A third word is a folder; `--output` is a file, unless it ends with a slash or is a folder already.
    private static func place(
        _ folder: String?, file: String?, _ formats: [ExportFormat], _ isFolder: (FilePath) -> Bool
    ) throws(Diagnosis) -> ExportRequest.Destination {
        guard let file else { return .folder(folder.map { FilePath($0) } ?? defaultFolder) }
        let path = FilePath(file)
        if file.hasSuffix("/") || file == "." || file == ".." || isFolder(path) { return .folder(path) }
        guard formats.count == 1 else { throw ExportError.outputNames(path, formats: formats).diagnosis }
        if let suffix = path.extension, let other = ExportFormat(rawValue: suffix.lowercased()), other != formats[0] {
            throw Diagnosis(
                "image.output", "\(path) ends like \(other.rawValue), but \(formats[0].rawValue) is asked for",
                remedies: ["give both the same format"], exit: .usage)
        }
        return .file(path)
    }

    private static func imageName(
        _ option: String?, _ environment: [String: String], _ destination: ExportRequest.Destination
    ) throws(Diagnosis) -> ExportName? {
        if let option { return try ExportName(sanitising: option) }
        if let variable = environment["KEXPORT_NAME"], !variable.trimmed.isEmpty { return try ExportName(sanitising: variable) }
        if case .file(let path) = destination { return try ExportName(sanitising: path.stem ?? path.string) }
        return nil
    }

    private static func usage(_ message: String, also remedies: [String] = []) -> Diagnosis {
        Diagnosis(
            "image.usage", message,
            remedies: remedies + [
                "kldload kexport [DISK] FORMAT [FOLDER], or kldload kexport [DISK] --format FORMAT --output FILE; kldload kexport --help"
            ],
            exit: .usage)
    }
}

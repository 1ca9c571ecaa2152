public import KldCore
public import SystemPackage

/// Reads the command line of `kexport`, in every form that the seeds print:
///
/// - `kexport /dev/sda qcow2 /tmp/export/`
/// - `kexport --format qcow2 --output /tmp/image.qcow2`
/// - `kexport qcow2`
public enum KexportArguments {
    /// Where files go when nothing else is said.
    public static let defaultFolder: FilePath = "/root/exports"

    private static let flags: Set<String> = ["--seal", "--no-seal", "--overwrite", "--dry-run"]
    private static let options: Set<String> = ["--format", "--output", "--name", "--disk", "--compression", "--progress"]
    private static let short = ["-f": "--format", "-o": "--output", "-n": "--name"]

    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - environment: only `KEXPORT_NAME` is read; `--name` goes before it.
    /// - Throws: ``Diagnosis`` with exit status 64: `image.usage`, `image.format`, `image.name`, `image.output`.
    public static func parse(_ arguments: [String], environment: [String: String] = [:]) throws(Diagnosis) -> KexportRequest {
        let (words, values, flags) = try split(arguments)
        var (source, formatText, outputText) = try positions(words, values)
        if let disk = values["--disk"] {
            if source != nil { throw usage("the disk is given twice") }
            source = disk
        }
        if let value = values["--format"] {
            if formatText != nil { throw usage("the format is given twice") }
            formatText = value
        }
        if let value = values["--output"] {
            if outputText != nil { throw usage("the place for the output is given twice") }
            outputText = value
        }
        guard let formatText else { throw ExportError.nothingToExport.diagnosis }
        let formats = try ExportFormat.parse(formatText)
        guard !formats.isEmpty else { throw ExportError.nothingToExport.diagnosis }
        let destination = try destination(outputText, formats, explicit: values["--output"] != nil)
        var compression = Qcow2Compression.zlib
        if let text = values["--compression"] {
            guard let known = Qcow2Compression(rawValue: text) else { throw usage("--compression is zlib or zstd, not \(text)") }
            compression = known
        }
        var progress = KexportRequest.ProgressForm.auto
        if let text = values["--progress"] {
            guard let known = KexportRequest.ProgressForm(rawValue: text) else {
                throw usage("--progress is auto, plain, json or none, not \(text)")
            }
            progress = known
        }
        return KexportRequest(
            source: try source.map { text throws(Diagnosis) in .path(try path(text)) } ?? .automatic, formats: formats,
            destination: destination, name: try name(values["--name"], environment, destination, formats),
            seal: !flags.contains("--no-seal"),
            overwrite: flags.contains("--overwrite"), compression: compression, dryRun: flags.contains("--dry-run"), progress: progress)
    }

    private static func split(
        _ arguments: [String]
    ) throws(Diagnosis) -> (words: [String], values: [String: String], flags: Set<String>) {
        var words: [String] = []
        var values: [String: String] = [:]
        var found: Set<String> = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                words += rest
                break
            }
            guard argument.hasPrefix("-"), argument.count > 1 else {
                words.append(argument)
                continue
            }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = short[parts[0]] ?? parts[0]
            if flags.contains(name), parts.count == 1 {
                found.insert(name)
            } else if options.contains(name) {
                guard let value = parts.count == 2 ? parts[1] : rest.popFirst(), !value.isEmpty else {
                    throw usage("\(name) needs a value")
                }
                guard values.updateValue(value, forKey: name) == nil else { throw usage("\(name) is given twice") }
            } else {
                throw usage("\(argument) is not an option", also: didYouMean(name, flags.union(options)))
            }
        }
        if found.isSuperset(of: ["--seal", "--no-seal"]) { throw usage("--seal and --no-seal contradict each other") }
        return (words, values, found)
    }

    /// `[DISK] [FORMAT] [OUTDIR]`, less what options already say.
    private static func positions(
        _ words: [String], _ values: [String: String]
    ) throws(Diagnosis) -> (source: String?, format: String?, output: String?) {
        var rest = words[...]
        var source: String?
        var format: String?
        if values["--format"] == nil, let first = rest.first, isFormat(first) {
            format = rest.popFirst()
        } else {
            if values["--disk"] == nil { source = rest.popFirst() }
            if values["--format"] == nil {
                format = rest.popFirst()
                // One word that is neither a path nor a format is more likely a mistyped format than a disk.
                if format == nil, let only = source, !only.contains("/"), !only.contains(".") { (source, format) = (nil, only) }
            }
        }
        let output = rest.popFirst()
        if let extra = rest.first { throw usage("too many words: \(extra)") }
        return (source, format, output)
    }

    /// A name, a list of names, or `all`; `none` counts, to be refused as a format and not taken for a disk.
    private static func isFormat(_ word: String) -> Bool {
        let names = word.lowercased().split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed)
        return names.contains { ExportFormat(rawValue: $0) != nil || $0 == "all" || $0 == "none" }
    }

    /// A third word is a folder; `--output` is a file, unless it ends with a slash.
    private static func destination(
        _ text: String?, _ formats: [ExportFormat], explicit: Bool
    ) throws(Diagnosis) -> ExportRequest.Destination {
        guard let text else { return .folder(defaultFolder) }
        if !explicit || text.hasSuffix("/") || text == "." || text == ".." { return .folder(FilePath(text)) }
        let path = FilePath(text)
        guard formats.count == 1 else { throw ExportError.outputNames(path, formats: formats).diagnosis }
        if let suffix = path.extension, let other = ExportFormat(rawValue: suffix.lowercased()), other != formats[0] {
            throw Diagnosis(
                "image.output", "\(path) ends like \(other.rawValue), but \(formats[0].rawValue) is asked for",
                remedies: ["give both the same format"], exit: .usage)
        }
        return .file(path)
    }

    private static func name(
        _ option: String?, _ environment: [String: String], _ destination: ExportRequest.Destination, _ formats: [ExportFormat]
    ) throws(Diagnosis) -> ExportName? {
        if let option { return try ExportName(sanitising: option) }
        if let variable = environment["KEXPORT_NAME"], !variable.trimmed.isEmpty { return try ExportName(sanitising: variable) }
        if case .file(let path) = destination { return try ExportName(sanitising: path.stem ?? path.string) }
        return nil
    }

    private static func path(_ text: String) throws(Diagnosis) -> FilePath {
        if text.contains("/") || text.contains(".") { return FilePath(text) }
        throw usage("\(text) is not a path", also: ["a disk is named by its path: /dev/\(text)"])
    }

    private static func usage(_ message: String, also remedies: [String] = []) -> Diagnosis {
        Diagnosis(
            "image.usage", message,
            remedies: remedies + ["kexport [DISK] FORMAT [FOLDER], or kexport [DISK] --format FORMAT --output FILE; kexport --help"],
            exit: .usage)
    }
}

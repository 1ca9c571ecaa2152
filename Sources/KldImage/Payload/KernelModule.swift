import KldCore
import KldExec
import SystemPackage

/// Names of kernel modules, which are written with hyphens in some places and with underscores in others.
enum KernelModule {
    /// `kernel/drivers/usb/storage/usb-storage.ko.xz` is `usb_storage`; `nil` for what is no module.
    static func name(_ path: String) -> String? {
        let file = path.split(separator: "/").last.map(String.init) ?? ""
        guard let end = file.firstRange(of: ".ko") else { return nil }
        let rest = file[end.upperBound...]
        guard rest.isEmpty || rest.first == "." else { return nil }
        return plain(String(file[..<end.lowerBound]))
    }

    static func plain(_ name: String) -> String { name.replacing("-", with: "_") }

    private static let compressions = [
        ("xz", Tool("xz", package: "xz-utils"), ["--decompress"]), ("zst", "zstd", ["--decompress", "--rm", "--quiet"]),
        ("gz", "gzip", ["--decompress"]),
    ]

    /// Its path when it is not compressed: `…/usb-storage.ko`.
    static func uncompressed(_ path: String) -> String {
        let ending = compressions.map { ".\($0.0)" }.first { path.hasSuffix(".ko\($0)") }
        return String(path.dropLast(ending?.count ?? 0))
    }

    /// Decompresses modules where they lie. - Returns: what they are called then, in the same order.
    ///
    /// Runs: `xz --decompress FILE…`, `zstd --decompress …` or `gzip --decompress …`, changes; nothing for modules that are not compressed.
    static func decompress(_ modules: [FilePath], _ runner: any CommandRunner) async throws -> [FilePath] {
        for (ending, tool, words) in compressions {
            let files = modules.filter { $0.extension == ending }
            if !files.isEmpty { try await runner.run(Command(tool, words + files.map(\.string), effect: .changes)) }
        }
        return modules.map { FilePath(uncompressed($0.string)) }
    }
}

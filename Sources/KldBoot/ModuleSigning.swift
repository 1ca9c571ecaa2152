import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// Signs the modules that DKMS has built, and puts them into the initramfs.
public enum ModuleSigning {
    private static let sign = "modules.sign"
    /// Tells kldload's own hooks of packages, with 0, that who called will stage what boots.
    public static let hookVariable = "KLDLOAD_REFRESH"

    /// Signs modules below a root, where a kernel looks for them and where DKMS keeps its copies; puts signed ones into the initramfs that was
    /// built before.
    ///
    /// Runs, for each module: `xz`, `zstd` or `gzip`, `openssl cms -sign`; what ``replace(_:in:scratch:runner:files:)`` runs, and
    /// `update-initramfs -u -k RELEASE` where that cannot be done, which takes a minute; changes.
    /// - Throws in the plan: ``Diagnosis`` `trust.no-modules`.
    /// - Parameter initramfs: `nil`: none is touched.
    public static func signing(root: FilePath, release: String, with key: MachineOwnerKey, initramfs: FilePath? = nil) -> Action {
        var parameters = ["root": root.string, "release": release, "key": key.key.string, "certificate": key.pem.string]
        if let initramfs { parameters["initramfs"] = initramfs.string }
        return .perform(sign, parameters, effect: .changes)
    }

    /// What they run on the system that signs. Which of the packers, the modules' and the initramfs' names tell only then.
    public static let tools: [String: [Tool]] = [sign: [MachineOwnerKey.openssl, Tool("xz", package: "xz-utils"), "zstd"]]

    public static var performers: [String: Performer] {
        [
            sign: { parameters, runner, files in
                func path(_ key: String) -> FilePath { FilePath(parameters[key] ?? "") }
                try await sign(
                    root: path("root"), release: parameters["release"] ?? "",
                    Signer(key: path("key"), certificate: path("certificate"), runner: runner, files: files),
                    initramfs: parameters["initramfs"].map { FilePath($0) })
            }
        ]
    }

    /// Does at once what ``signing(root:release:with:initramfs:)`` plans: within another plan's step.
    package static func sign(
        root: FilePath, release: String, with key: MachineOwnerKey, initramfs: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws {
        let signer = Signer(key: key.key, certificate: key.pem, runner: runner, files: files)
        try await sign(root: root, release: release, signer, initramfs: initramfs)
    }

    private static func sign(root: FilePath, release: String, _ signer: Signer, initramfs: FilePath?) async throws {
        let (runner, files) = (signer.runner, signer.files)
        let loadable = modules(in: root, release, files)
        guard !loadable.isEmpty else {
            throw Diagnosis(
                "trust.no-modules", "there is no module of DKMS for Linux \(release) below \(root)",
                remedies: ["dkms status says what was built; dkms autoinstall -k \(release) builds it"])
        }
        var contents: [String: [UInt8]] = [:]
        for module in loadable {
            let signed = try await signer.sign(module)
            contents[below(root, module)] = signed
            for copy in copies(of: module, in: root, release, files) { try files.write(signed, to: copy, mode: .file) }
        }
        guard let initramfs else { return }
        if try await !replace(contents, in: initramfs, scratch: root.appending("var/tmp"), runner: runner, files: files) {
            var update = Command(
                Tool("update-initramfs", package: "initramfs-tools"), ["-u", "-k", release], effect: .changes,
                environment: [hookVariable: "0"])
            update.tellsOnBoth = true
            try await runner.run(root == "/" ? update : update.inside(root))
        }
    }

    /// Gives an initramfs other content for some of its files, whether they lie in an archive that is not compressed (Debian 13) or in one that
    /// is compressed with zstd (Debian 12). The latter is compressed quickly: the next update-initramfs does it better.
    ///
    /// Runs: `zstd -q --decompress --stdout FILE`, `zstd -q -T0 --stdout FILE`, changes nothing but the initramfs. Source: zstd(1), 1.5.
    /// - Parameters:
    ///   - contents: by path, without a slash in front.
    ///   - scratch: a folder with room for what the initramfs unpacks, some 200 MB.
    /// - Returns: whether each of them was there; otherwise nothing is changed.
    package static func replace(
        _ contents: [String: [UInt8]], in initramfs: FilePath, scratch: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> Bool {
        let whole = try files.read(initramfs)
        let mode = try files.status(initramfs)?.mode ?? .secret
        if let replaced = InitramfsSupplement.replacing(contents, in: whole) {
            try files.write(replaced, to: initramfs, mode: mode)
            return true
        }
        return try await unpacked(whole, scratch: scratch, runner: runner, files: files) { plain, packed, start in
            guard let replaced = InitramfsSupplement.replacing(contents, in: try files.read(plain)) else { return false }
            try files.write(replaced, to: plain, mode: .secret)
            try await runner.run(Command("zstd", ["-q", "-T0", "--stdout", plain.string], effect: .reads, outputFile: packed))
            try files.write(Array(whole[..<start]) + files.read(packed), to: initramfs, mode: mode)
            return true
        } ?? false
    }

    /// The signature of a module; `nil` where there is none. Runs what decompresses it, reads.
    /// - Parameter scratch: a folder; that of the module may be read-only.
    public static func signature(
        of module: FilePath, scratch: FilePath = "/run/kldload", runner: any CommandRunner, files: any FileSystem
    ) async throws -> [UInt8]? {
        // Others look at the same module, at the same time.
        let plain = scratch.appending("\(UInt64.random(in: 0 ... .max))-\(module.lastComponent?.string ?? "").plain")
        return try await Compression(module).reading(module, scratch: plain, runner: runner, files: files) {
            ModuleSignature.split($0).signature
        }
    }

    /// The modules that bear none of these signatures, by name: as the root has them and, where those are all signed, as its initramfs does,
    /// which may be an older one.
    ///
    /// Runs what decompresses modules that it has not seen signed yet, and for an initramfs that is compressed as a whole
    /// `zstd -q --decompress --stdout FILE`, reads.
    package static func modules(
        in root: FilePath, _ release: String, initramfs: FilePath, notSignedBy signers: [CertificateIdentity],
        scratch: FilePath = "/var/tmp",
        runner: any CommandRunner, files: any FileSystem
    ) async throws -> [String] {
        func isSigned(_ module: FilePath) async throws -> Bool {
            guard let signature = try await signature(of: module, scratch: scratch, runner: runner, files: files) else { return false }
            return signers.contains { $0.signed(signature) }
        }
        let loadable = modules(in: root, release, files)
        var found: [String] = []
        for module in loadable where try await !isSigned(module) { found.append(module.lastComponent?.string ?? "") }
        guard found.isEmpty, !loadable.isEmpty else { return found }
        let held = try await contents(of: loadable.map { below(root, $0) }, in: initramfs, scratch: scratch, runner: runner, files: files)
        for module in loadable {
            guard let content = held[below(root, module)], try content != files.read(module) else { continue }
            let name = module.lastComponent?.string ?? ""
            let copy = scratch.appending("\(UInt64.random(in: 0 ... .max))-\(name)")
            let signed = try await removing([copy], files) {
                try files.write(content, to: copy, mode: .secret)
                return try await isSigned(copy)
            }
            if !signed { found.append("\(name) in \(initramfs.lastComponent?.string ?? "")") }
        }
        return found
    }

    /// What files of an initramfs hold, of those that are there, wherever ``replace(_:in:scratch:runner:files:)`` would find them.
    private static func contents(
        of names: [String], in initramfs: FilePath, scratch: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> [String: [UInt8]] {
        let whole = try files.read(initramfs)
        let found = InitramfsSupplement.contents(of: Set(names), in: whole)
        guard found.isEmpty else { return found }
        return try await unpacked(whole, scratch: scratch, runner: runner, files: files) { plain, _, _ in
            InitramfsSupplement.contents(of: Set(names), in: try files.read(plain))
        } ?? [:]
    }

    /// Works with what an initramfs holds compressed. - Returns: `nil` where that is nothing, or compressed otherwise than with zstd.
    private static func unpacked<Result>(
        _ whole: [UInt8], scratch: FilePath, runner: any CommandRunner, files: any FileSystem,
        _ body: (_ plain: FilePath, _ packed: FilePath, _ start: Int) async throws -> Result
    ) async throws -> Result? {
        let start = InitramfsSupplement.compressedPart(of: whole)
        // The magic number of a frame. Source: RFC 8878, 3.1.1.
        guard whole[start...].starts(with: [0x28, 0xB5, 0x2F, 0xFD]) else { return nil }
        let name = ".kldload-initramfs-\(UInt64.random(in: 0 ... .max))"
        let (packed, plain) = (scratch.appending("\(name).zst"), scratch.appending(name))
        return try await removing([packed, plain], files) {
            try files.write(Array(whole[start...]), to: packed, mode: .secret)
            try await runner.run(
                Command("zstd", ["-q", "--decompress", "--stdout", packed.string], effect: .reads, outputFile: plain))
            return try await body(plain, packed, start)
        }
    }

    /// Below `usr/lib/modules/R/updates`, where DKMS installs on Debian.
    public static func modules(in root: FilePath, _ release: String, _ files: any FileSystem) -> [FilePath] {
        let folder = root.appending("usr/lib/modules/\(release)/updates/dkms")
        return ((try? files.list(folder)) ?? []).filter { $0.contains(".ko") && !$0.hasPrefix(".") }.sorted().map { folder.appending($0) }
    }

    private static func below(_ root: FilePath, _ path: FilePath) -> String {
        String(path.string.dropFirst(root.string == "/" ? 1 : root.string.count + 1))
    }

    /// `var/lib/dkms/NAME/VERSION/R/ARCHITECTURE/module/FILE`: DKMS installs it again when a package asks it to.
    private static func copies(of module: FilePath, in root: FilePath, _ release: String, _ files: any FileSystem) -> [FilePath] {
        var folders = [root.appending("var/lib/dkms")]
        for level in 0..<4 {
            folders = folders.flatMap { folder in
                ((try? files.folders(in: folder)) ?? []).filter { level != 2 || $0 == release }.map { folder.appending($0) }
            }
        }
        return folders.map { $0.appending("module").appending(module.lastComponent?.string ?? "") }.filter {
            (try? files.exists($0)) == true
        }
    }

    /// What `body` returns, with these files gone whatever happens. One that cannot be removed is an error, where there was none before.
    private static func removing<Result>(
        _ scratch: [FilePath], _ files: any FileSystem, _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            let result = try await body()
            for file in scratch { try files.remove(file) }
            return result
        } catch {
            for file in scratch { try? files.remove(file) }
            throw error
        }
    }

    /// How a module is packed, by its name.
    enum Compression {
        case none, xz, zstd, gzip

        init(_ module: FilePath) {
            self =
                switch module.extension {
                case "xz": .xz
                case "zst": .zstd
                case "gz": .gzip
                default: .none
                }
        }

        private var tool: Tool {
            switch self {
            case .none, .xz: Tool("xz", package: "xz-utils")
            case .zstd: "zstd"
            case .gzip: "gzip"
            }
        }

        /// What the kernel itself unpacks has no other checksum and a small window. Source: dkms(8) 3.2, Linux `lib/xz`.
        private var packing: [String] {
            switch self {
            case .none: []
            case .xz: ["--check=crc32", "--lzma2=preset=1,dict=1MiB"]
            case .zstd: ["-q", "-9"]
            case .gzip: ["-9", "--no-name"]
            }
        }

        func reading<Result>(
            _ module: FilePath, scratch plain: FilePath, runner: any CommandRunner, files: any FileSystem,
            _ body: ([UInt8]) throws -> Result
        ) async throws -> Result {
            guard self != .none else { return try body(files.read(module)) }
            return try await ModuleSigning.removing([plain], files) {
                try await runner.run(
                    Command(tool, ["--decompress", "--stdout", module.string], effect: .reads, outputFile: plain))
                return try body(files.read(plain))
            }
        }

        func packed(_ module: FilePath, runner: any CommandRunner, files: any FileSystem) async throws -> [UInt8] {
            guard self != .none else { return try files.read(module) }
            let file = FilePath("\(module.string).packed")
            return try await ModuleSigning.removing([file], files) {
                try await runner.run(Command(tool, ["--stdout"] + packing + [module.string], effect: .reads, outputFile: file))
                return try files.read(file)
            }
        }
    }

    private struct Signer {
        var key: FilePath
        var certificate: FilePath
        var runner: any CommandRunner
        var files: any FileSystem

        /// - Returns: the module as it now lies in its place.
        ///
        /// Runs: `openssl cms -sign -binary -noattr -nocerts -outform DER -md sha256 …`: what the kernel's own `sign-file` does, which lies only
        /// where its headers are. Source: openssl-cms(1), OpenSSL 3.0 and 3.5.
        func sign(_ module: FilePath) async throws -> [UInt8] {
            let compression = Compression(module)
            let work = module.removingLastComponent().appending(".\(module.lastComponent?.string ?? "").plain")
            let before = try await compression.reading(module, scratch: work, runner: runner, files: files) { $0 }
            let (plain, present) = ModuleSignature.split(before)
            let signature = FilePath("\(work.string).p7s")
            return try await ModuleSigning.removing([work, signature], files) {
                try files.write(plain, to: work, mode: .file)
                try await runner.run(
                    Command(
                        MachineOwnerKey.openssl,
                        [
                            "cms", "-sign", "-binary", "-noattr", "-nocerts", "-nosmimecap", "-md", "sha256", "-outform", "DER", "-signer",
                            certificate.string, "-inkey", key.string, "-in", work.string, "-out", signature.string,
                        ], effect: .changes))
                let made = try files.read(signature)
                // The same key signs the same bytes the same way.
                if made == present { return try files.read(module) }
                func pack(_ content: [UInt8]) async throws -> [UInt8] {
                    try files.write(content, to: work, mode: .file)
                    return try await compression.packed(work, runner: runner, files: files)
                }
                // Packing again what is packed already would take longer than all the rest.
                let joined =
                    compression == .xz && before.count == plain.count
                    ? try await XZStream.joined(files.read(module), pack(ModuleSignature.append(made, to: []))) : nil
                let packed = if let joined { joined } else { try await pack(ModuleSignature.append(made, to: plain)) }
                try files.write(packed, to: module, mode: .file)
                return packed
            }
        }
    }
}

public import KldCore
public import KldFiles
public import SystemPackage

extension UnifiedKernelImage {
    /// What an image on an ESP has to do with what would be built now.
    public enum Match: Sendable, Hashable {
        case none
        /// Of the same parts, but with another command line, in whose place this one fits.
        /// Or without the signature that it needs.
        case otherCommandLine
        /// It starts the same: ``KernelCommandLine/starts(_:)``.
        case exact
    }

    /// Whether the image at `file` was built from exactly these: kernel, initramfs with its supplements, command line and stub. Read piece by
    /// piece, so that it takes no memory to speak of. What cannot be read is no match.
    ///
    /// - Parameters:
    ///   - supplement: what follows the first initramfs, at a multiple of four.
    ///   - signers: one of them must have signed it; `nil`: anybody or nobody.
    public func compare(_ file: FilePath, supplement: [UInt8], signers: [CertificateIdentity]? = nil, _ files: any FileSystem) -> Match {
        do {
            let image = try PortableExecutable(files.read(file, 0..<PortableExecutable.headers))
            let own = try PortableExecutable(files.read(stub, 0..<PortableExecutable.headers))
            guard let kernel = image.sections[".linux"], let initramfs = image.sections[".initrd"], let words = image.sections[".cmdline"],
                let text = own.sections[".text"], let code = image.sections[".text"], text.count == code.count, let initrd = initrds.first
            else { return .none }
            let starts = try Self.commandLine(file, words, files).starts(commandLine)
            guard starts || image.fits(commandLine.description.utf8.count, in: ".cmdline"),
                try files.same(stub, text, file, at: code.lowerBound)
            else { return .none }
            let kernelSize = try files.size(linux)
            let initrdSize = try files.size(initrd)
            let start = initramfs.lowerBound + (initrdSize + 3) / 4 * 4
            let end = start + UInt64(supplement.count)
            // A section may be longer than its content, by zeros.
            guard kernelSize <= kernel.count, end <= initramfs.upperBound,
                try files.zeros(file, (kernel.lowerBound + kernelSize)..<kernel.upperBound),
                try files.zeros(file, end..<initramfs.upperBound), try files.read(file, start..<end) == supplement
            else { return .none }
            let same =
                try files.same(linux, 0..<kernelSize, file, at: kernel.lowerBound)
                && files.same(initrd, 0..<initrdSize, file, at: initramfs.lowerBound)
            let signed = try signers.map { try $0.contains { try Self.isSigned(file, image, by: $0, files) } } ?? true
            return same ? (starts && signed ? .exact : .otherCommandLine) : .none
        } catch { return .none }
    }

    private static func isSigned(
        _ file: FilePath, _ program: PortableExecutable, by signer: CertificateIdentity, _ files: any FileSystem
    ) throws -> Bool {
        // One signature has some two thousand bytes.
        guard !program.signatures.isEmpty, program.signatures.count < 1 << 16 else { return false }
        return signer.signed(try files.read(file, program.signatures))
    }

    /// Whether a program on an ESP bears a signature that names this signer. Whether it fits is what firmware finds out.
    /// - Throws: ``FileError``; ``Diagnosis`` `boot.not-an-efi-program`.
    public static func isSigned(_ file: FilePath, by signer: CertificateIdentity, _ files: any FileSystem) throws -> Bool {
        try isSigned(file, PortableExecutable(files.read(file, 0..<PortableExecutable.headers)), by: signer, files)
    }

    /// Whether a program on an ESP bears a signature at all: the kernel's is its vendor's, of whom this machine knows nothing.
    /// - Throws: ``FileError``; ``Diagnosis`` `boot.not-an-efi-program`.
    public static func isSigned(_ file: FilePath, _ files: any FileSystem) throws -> Bool {
        try !PortableExecutable(files.read(file, 0..<PortableExecutable.headers)).signatures.isEmpty
    }

    /// An image with another command line: the same kernel for another environment, without building it again. It is not signed any more.
    ///
    /// - Throws: ``Diagnosis`` `boot.not-an-efi-program`.
    public static func rewritten(_ image: [UInt8], commandLine: KernelCommandLine) throws(Diagnosis) -> [UInt8] {
        let headers = try PortableExecutable(image)
        return try headers.replacing(".cmdline", with: Array(commandLine.description.utf8), in: headers.unsigned(image))
    }

    /// The command line of an image that lies on an ESP. - Throws: ``FileError``; ``Diagnosis`` `boot.not-an-efi-program`.
    public static func commandLine(of file: FilePath, _ files: any FileSystem) throws -> KernelCommandLine? {
        guard let place = try PortableExecutable(files.read(file, 0..<PortableExecutable.headers)).sections[".cmdline"] else { return nil }
        return try commandLine(file, place, files)
    }

    private static func commandLine(_ file: FilePath, _ place: Range<UInt64>, _ files: any FileSystem) throws -> KernelCommandLine {
        KernelCommandLine(running: String(decoding: try files.read(file, place).prefix { $0 != 0 }, as: UTF8.self).trimmed)
    }
}

extension FileSystem {
    package func size(_ path: FilePath) throws -> UInt64 {
        guard let status = try status(resolve(path)) else { throw FileError.missing(path) }
        return status.size.bytes
    }

    fileprivate func zeros(_ path: FilePath, _ range: Range<UInt64>) throws -> Bool { try read(path, range).allSatisfy { $0 == 0 } }
}

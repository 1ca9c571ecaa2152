package import KldCore
package import KldExec
package import SystemPackage

extension QemuImg {
    /// Runs a `qemu-img` command and names the causes that are known.
    ///
    /// - Throws: ``Diagnosis`` `image.in-use`; otherwise ``CommandError``.
    @discardableResult
    package static func run(_ command: Command, on runner: any CommandRunner) async throws -> CommandOutput {
        do { return try await runner.run(command) } catch let error as CommandError {
            if let known = diagnosis(of: error) { throw known }
            throw error
        }
    }

    /// **Runs:** ``info(_:format:shared:)``.
    /// - Throws: ``Diagnosis`` `image.in-use`, `image.unreadable-answer`; ``CommandError``.
    package static func readInfo(
        _ file: FilePath, format: MachineDisk.Format? = nil, shared: Bool = false, on runner: any CommandRunner
    ) async throws -> ImageInfo {
        try ImageInfo(json: await run(info(file, format: format, shared: shared), on: runner).output)
    }

    /// **Runs:** ``map(_:format:)``.
    /// - Throws: as ``readInfo(_:format:shared:on:)``.
    package static func readMap(_ file: FilePath, format: MachineDisk.Format, on runner: any CommandRunner) async throws -> [ImageExtent] {
        try ImageExtent.list(json: await run(map(file, format: format), on: runner).output)
    }

    /// Whether guests would read the same from both images.
    ///
    /// **Runs:** ``compare(_:format:with:format:)``.
    package static func areEqual(
        _ a: FilePath, format: MachineDisk.Format, _ b: FilePath, format bFormat: MachineDisk.Format, on runner: any CommandRunner
    ) async throws -> Bool {
        try await run(compare(a, format: format, with: b, format: bFormat), on: runner).status == 0
    }

    /// Knows, from QEMU 10.0.2: `qemu-img: Could not open 'a.qcow2': Failed to get shared "write" lock` when reading and
    /// `… Failed to get "write" lock` when writing; the next line is `Is another process using the image [a.qcow2]?`.
    package static func diagnosis(of error: CommandError) -> Diagnosis? {
        guard let failure = error.failure, failure.errors.contains("Failed to get ") else { return nil }
        guard failure.errors.contains("\"write\" lock") || failure.errors.contains("lock\nIs another process using the image") else {
            return nil
        }
        let image = failure.errors.split(separator: "image [").dropFirst().first?.split(separator: "]?").first.map(String.init)
        return Diagnosis(
            "image.in-use", "the disk image \(image ?? "") is in use by another process".split(separator: " ").joined(separator: " "),
            remedies: ["shut down the virtual machine that uses it, or wait for the other tool"], exit: .tryAgain,
            causes: failure.errors.lines)
    }
}

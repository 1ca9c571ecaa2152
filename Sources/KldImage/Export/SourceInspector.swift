import KldCore
public import KldExec
public import KldFiles
import KldVirt
public import SystemPackage

/// Finds out what a source is and whether it stands still.
public struct SourceInspector: Sendable {
    private let runner: any CommandRunner
    private let files: any FileSystem
    private let writerLock: @Sendable (FilePath) throws -> Bool
    private let claim: @Sendable (FilePath) throws -> (any Sendable)?

    public init(runner: any CommandRunner, files: any FileSystem) {
        self.init(runner: runner, files: files, writerLock: WriterLock.isHeld, claim: { try DeviceClaim($0) })
    }

    /// - Parameters:
    ///   - writerLock: in place of ``WriterLock/isHeld(_:)``, for tests without real files.
    ///   - claim: in place of a ``KldFiles/DeviceClaim``, whose errors it throws.
    package init(
        runner: any CommandRunner, files: any FileSystem, writerLock: @escaping @Sendable (FilePath) throws -> Bool,
        claim: @escaping @Sendable (FilePath) throws -> (any Sendable)? = { _ in nil }
    ) {
        self.runner = runner
        self.files = files
        self.writerLock = writerLock
        self.claim = claim
    }

    /// - Parameters:
    ///   - path: an image file, a disk or a zvol (`/dev/zvol/…`).
    ///   - form: how to read a file whose maker is known, such as the raw disk of a build of ours; `nil` asks qemu-img.
    /// - Throws: ``ExportError`` `.sourceMissing`, `.busy`, `.sectors`, `.sourceFormat`, `.sourceHasBackingFile`; ``CommandError``.
    ///
    /// Runs, reads: `lsblk`, `losetup --list`, `zpool status -L -P`, `qemu-img info`, and of a file `qemu-img measure`.
    public func inspect(_ path: FilePath, form: SourceImage.Form? = nil) async throws -> SourceImage {
        try await hold(path, form: form).image
    }

    /// As ``inspect(_:form:)``, for a source that is read for long: it must not change meanwhile.
    package func hold(_ path: FilePath, form declared: SourceImage.Form? = nil) async throws -> HeldSource {
        let resolved: FilePath
        do { resolved = try files.resolve(path) } catch FileError.missing { throw ExportError.sourceMissing(path) }
        guard let status = try files.status(resolved), status.kind == .file || status.kind == .blockDevice else {
            throw ExportError.sourceMissing(path)
        }
        let isDevice = status.kind == .blockDevice
        // Before anything is asked: what is written from now on makes another version.
        let version = try isDevice ? nil : files.version(resolved)
        var facts = try await SourceGuard.Facts.read(runner, files, isDevice: isDevice)
        facts.isOpenForWriting = try writerLock(resolved)
        var claimed: (any Sendable)?
        do { claimed = try isDevice ? claim(resolved) : nil } catch is DeviceClaim.Held { facts.isClaimed = true }
        // The first bytes of a device belong to the guest, who could have written any header there.
        let asked = isDevice ? .raw : declared
        let text: String
        do {
            text = try await runner.run(QemuImg.info(resolved, format: asked?.disk)).output
        } catch let error as CommandError where QemuImg.isLocked(error.failure?.errors ?? "") {
            facts.imageError = error.failure?.errors
            try SourceGuard.check(resolved, isDevice: isDevice, facts)
            throw error
        }
        try SourceGuard.check(resolved, isDevice: isDevice, facts)
        let info = try QemuImageInfo.parse(text)
        let form = try info.form(of: resolved)
        var image = SourceImage(path: resolved, form: form, virtualSize: info.virtualSize, dataSize: nil)
        // A device has no holes that could be asked for, so qemu-img (10.0) measures all of it, whatever it holds.
        if !isDevice {
            let measured = try await runner.run(QemuImg.measure(resolved, format: form.disk)).output
            image.dataSize = try QemuImageMeasure.parse(measured).required
        }
        return HeldSource(image, claim: claimed) { [files, writerLock] in
            try isDevice ? writerLock(resolved) : files.version(resolved) != version
        }
    }
}

/// A source that is being read. Nothing in the kernel can take a device for itself as long as this lives; who writes to a file, or to a device
/// from a program, is noticed afterwards.
package final class HeldSource: Sendable {
    package let image: SourceImage
    private let claim: (any Sendable)?
    private let changed: @Sendable () throws -> Bool

    init(_ image: SourceImage, claim: (any Sendable)?, changed: @escaping @Sendable () throws -> Bool) {
        self.image = image
        self.claim = claim
        self.changed = changed
    }

    /// When all of it was read. - Throws: ``ExportError/changed(_:)``; ``FileError``.
    package func check() throws {
        if try changed() { throw ExportError.changed(image.path) }
    }
}

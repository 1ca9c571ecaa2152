import KldCore
import KldExec
import KldFiles
import SystemPackage

/// Packs descriptor, manifest and VMDK into an OVA.
struct OVAPackage {
    let plan: ExportPlan
    let runner: any CommandRunner
    let files: any FileSystem

    /// USTAR writes a size as 11 octal digits.
    static let ustarLimit: UInt64 = 1 << 33

    /// - Parameters:
    ///   - vmdk: the one that is exported as well, already in the staging folder; `nil` when the package's own was converted there.
    ///   - stamp: makes the package's own VMDK reproducible.
    func pack(into target: FilePath, vmdk: ImageManifest.Output?, stamp: (FilePath) throws -> Void) async throws {
        let staging = plan.staging
        let (stem, disk) = (plan.request.name.text, plan.memberDisk)
        let content: FilePath
        if let vmdk {
            content = staging.appending(vmdk.file)
            try files.symlink(staging.appending(disk), to: vmdk.file)
        } else {
            content = staging.appending(disk)
            try stamp(content)
        }
        guard let size = try files.status(content)?.size else { throw FileError.missing(content) }
        let diskDigest: FileDigest =
            if let vmdk { vmdk.digest } else { try await SHA256Sum.digest(of: content, runner) }
        let descriptor = OVFDescriptor(
            name: plan.request.name, diskFile: disk, diskFileSize: size, capacity: plan.request.source.virtualSize,
            hardware: plan.request.hardware, image: plan.request.image)
        let descriptorFile = staging.appending("\(stem).ovf")
        try files.write(descriptor.text, to: descriptorFile)
        let descriptorDigest = try await SHA256Sum.digest(of: descriptorFile, runner)
        try files.write(
            Self.manifest([("\(stem).ovf", descriptorDigest), (disk, diskDigest)]), to: staging.appending("\(stem).mf"))
        try await runner.run(
            ExportCommands.pack(
                ["\(stem).ovf", "\(stem).mf", disk], in: staging, to: target, time: plan.request.image.created.seconds,
                large: size.bytes >= Self.ustarLimit))
        for name in ["\(stem).ovf", "\(stem).mf", disk] { try files.remove(staging.appending(name)) }
    }

    /// The package's manifest: `SHA256(name)= hex`, as OVF Tool writes it. Source: DSP0243 1.1.0, section 5.1.
    static func manifest(_ entries: [(name: String, digest: FileDigest)]) -> String {
        entries.map { "SHA256(\($0.name))= \($0.digest.hex)\n" }.joined()
    }
}

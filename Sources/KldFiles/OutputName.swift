import KldCore
package import SystemPackage

extension FileSystem {
    /// Refuses to write a file in the place of what is none. Renaming puts it where a device's node was, and the disk never sees a byte of it; on
    /// a folder it fails when all the work is done.
    ///
    /// A link counts as what it leads to; the kernel's own, as `/dev/stdout`, are nobody's to replace.
    /// - Parameter device: what helps whoever meant a device.
    /// - Throws: ``Diagnosis`` `output.not-a-file`; ``FileError``.
    package func requireFile(at path: FilePath, device: String = "choose another name, for a file") throws {
        guard let found = try status(path) else { return }
        let isLink = found.kind == .symlink
        let isOfKernel = isLink && ["/dev/", "/proc/"].contains { path.string.hasPrefix($0) }
        // What a link leads to may not be there.
        guard let kind = isLink ? (try? status(resolve(path)))?.kind : found.kind, kind != .file || isOfKernel else { return }
        throw Diagnosis(
            "output.not-a-file",
            "\(path) is \(kind == .directory ? "a folder" : kind == .blockDevice ? "a device" : "no file"), and is not replaced by a file",
            remedies: [kind == .directory ? "name a file in it: \(path)/NAME" : device], exit: .usage)
    }
}

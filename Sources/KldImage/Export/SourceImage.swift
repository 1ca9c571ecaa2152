public import KldCore
import KldVirt
public import SystemPackage

/// The disk that is exported: a sealed image file, a zvol or a whole disk.
public struct SourceImage: Sendable, Hashable {
    /// A form that is read. Block devices are always raw.
    public enum Form: String, Sendable, Hashable, Codable { case raw, qcow2 }

    public var path: FilePath
    public var form: Form
    /// What the guest sees as the size of its disk.
    public var virtualSize: ByteCount
    /// At most this much is data; the rest is known to be zero. `nil` where only reading all of it would tell, as of a device.
    public var dataSize: ByteCount?

    public init(path: FilePath, form: Form, virtualSize: ByteCount, dataSize: ByteCount?) {
        self.path = path
        self.form = form
        self.virtualSize = virtualSize
        self.dataSize = dataSize
    }
}

extension SourceImage.Form {
    /// How qemu-img is told.
    var disk: MachineDisk.Format { self == .raw ? .raw : .qcow2 }
}

extension QemuImageInfo {
    /// The form to read the file in.
    /// - Throws: ``ExportError`` for other formats, and for a file that leans on another one: the guest could have written that header
    ///   into a raw disk itself, to have a file of this machine copied into the image.
    func form(of path: FilePath) throws(ExportError) -> SourceImage.Form {
        if let other = backingFile ?? dataFile { throw .sourceHasBackingFile(path, backing: other) }
        guard let form = SourceImage.Form(rawValue: format) else { throw .sourceFormat(path, format: format) }
        return form
    }
}

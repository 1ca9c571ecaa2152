import KldCore
package import SystemPackage

/// A disk of a guest.
package struct MachineDisk: Sendable, Hashable {
    package enum Format: String, Sendable, Hashable, Codable { case raw, qcow2, vmdk, vpc }

    /// What the guest's writes mean for the host's storage.
    package enum Cache: String, Sendable, Hashable, Codable {
        /// Flushes are ignored: for scratch disks; a host crash loses the disk, a guest crash or a killed QEMU does not.
        case unsafe
        /// Flushes reach the host's disk.
        case writeback
    }

    package enum Interface: String, Sendable, Hashable, Codable {
        case virtioBlock, virtioSCSI, nvme, sata
        /// A read-only optical drive on the chip set's SATA controller, for ISO images.
        case cdrom
        /// A removable stick on USB 3, as an ISO image is written to.
        case usbStick
    }

    package var file: FilePath
    package var format: Format
    /// At most 20 bytes of letters, digits, `-`, `_` and `.`: what `/dev/disk/by-id/virtio-SERIAL` shows. Without one udev makes no
    /// by-id link for a virtio disk.
    package var serial: String?
    package var readOnly: Bool
    package var cache: Cache
    /// The guest's TRIM punches holes in the file.
    package var discard: Bool
    /// Writes of zeroes punch holes too (`detect-zeroes=unmap`).
    package var detectZeroes: Bool
    package var interface: Interface
    /// The place in the firmware's boot order, from 0.
    package var bootIndex: Int?
    /// A rule file of QEMU's blkdebug driver: injects read, write and flush errors.
    package var errorRules: FilePath?
    /// Every write of the guest goes into this existing file too, in the format of dm-log-writes: replay it to any cut point.
    package var writeLog: FilePath?

    package init(
        _ file: FilePath, format: Format = .raw, serial: String? = nil, readOnly: Bool = false, cache: Cache = .unsafe,
        discard: Bool = true, detectZeroes: Bool = false, interface: Interface = .virtioBlock, bootIndex: Int? = nil,
        errorRules: FilePath? = nil, writeLog: FilePath? = nil
    ) {
        self.file = file
        self.format = format
        self.serial = serial
        self.readOnly = readOnly
        self.cache = cache
        self.discard = discard
        self.detectZeroes = detectZeroes
        self.interface = interface
        self.bootIndex = bootIndex
        self.errorRules = errorRules
        self.writeLog = writeLog
    }

    /// - Throws: ``Diagnosis`` `vm.bad-serial`.
    func check() throws {
        guard let serial else { return }
        guard serial.isPlain(besides: "-_."), (1...20).contains(serial.utf8.count) else {
            throw Diagnosis(
                "vm.bad-serial", "\"\(serial)\" cannot be the serial number of a disk",
                remedies: ["use 1 to 20 letters, digits, hyphens, underscores or full stops"], exit: .badConfiguration)
        }
    }

    /// Whether it hangs on the chip set's SATA controller, which has six ports of one device each.
    var isOnSATA: Bool { interface == .sata || interface == .cdrom }

    /// The `-drive` and `-device` of this disk.
    ///
    /// - Parameters:
    ///   - index: the disk's place in the machine, from 0.
    ///   - port: its place among those on the SATA controller, from 0 to 5; QEMU itself would give all of them the first.
    func arguments(index: Int, port: Int) -> [String] {
        let id = "disk\(index)"
        var drive = ["id=\(id)", "if=none", "format=\(format.rawValue)"]
        drive += file(prefix: "file", rules: errorRules, log: writeLog)
        drive.append("cache=\(cache.rawValue)")
        if readOnly || interface == .cdrom { drive.append("readonly=on") }
        if interface == .cdrom { drive.append("media=cdrom") }
        if discard, !readOnly, interface != .cdrom { drive.append("discard=unmap") }
        if detectZeroes { drive.append("detect-zeroes=\(discard ? "unmap" : "on")") }
        var device: [String] =
            switch interface {
            case .virtioBlock: ["virtio-blk-pci"]
            case .virtioSCSI: ["scsi-hd", "bus=scsi0.0"]
            case .nvme: ["nvme"]
            case .sata: ["ide-hd", "bus=ide.\(port)"]
            case .cdrom: ["ide-cd", "bus=ide.\(port)"]
            case .usbStick: ["usb-storage", "bus=usb0.0", "removable=on"]
            }
        // blklogwrites adds pieces of its own to a write, and one of 1,024 pieces, the most that are merged, fails then (QEMU 10.0).
        if writeLog != nil, interface == .virtioBlock { device.append("request-merging=off") }
        device.append("drive=\(id)")
        // QEMU's NVMe controller refuses to start without a serial number.
        if let serial = serial ?? (interface == .nvme ? "kldload-\(index)" : nil) { device.append("serial=\(serial)") }
        if let bootIndex { device.append("bootindex=\(bootIndex)") }
        return ["-drive", drive.joined(separator: ","), "-device", device.joined(separator: ",")]
    }

    /// The driver chain below the format, outermost first.
    private func file(prefix: String, rules: FilePath?, log: FilePath?) -> [String] {
        if let log {
            let logFile = ["\(prefix).driver=blklogwrites", "\(prefix).log.driver=file", "\(prefix).log.filename=\(escaped(log))"]
            return logFile + file(prefix: "\(prefix).file", rules: rules, log: nil)
        }
        if let rules {
            let debug = ["\(prefix).driver=blkdebug", "\(prefix).config=\(escaped(rules))"]
            return debug + file(prefix: "\(prefix).image", rules: nil, log: nil)
        }
        if prefix == "file" { return ["file=\(escaped(plainFileName(file)))"] }
        return ["\(prefix).driver=file", "\(prefix).filename=\(escaped(file))"]
    }
}

/// Doubles commas, which otherwise end a value inside a QEMU option. Source: qemu(1), "-drive", 10.0.
func escaped(_ text: String) -> String {
    text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
}

func escaped(_ path: FilePath) -> String { escaped(path.string) }

/// A file name that QEMU's block layer takes for nothing else: `nbd:x` would be a protocol, `-x` an option.
package func plainFileName(_ path: FilePath) -> String {
    let text = path.string
    guard !path.isAbsolute, text.contains(":") || text.hasPrefix("-") else { return text }
    return "./" + text
}

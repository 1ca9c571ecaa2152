import KldCore

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
}

package import KldExec
package import KldFiles
package import KldPlan
package import SystemPackage

/// Variables of the firmware that this machine runs on.
package enum EFIVariable {
    /// Whose variable it is.
    package enum Vendor: String, Sendable {
        /// UEFI 2.10, 3.3.
        case global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
        /// `EFI_IMAGE_SECURITY_DATABASE_GUID`; UEFI 2.10, 32.4.1.
        case security = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
        /// The Boot Loader Interface, uapi-group.org, systemd 257.
        case loader = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        /// shim 16.1.
        case shim = "605dab50-e046-4300-abb6-3dd810dd8b23"
    }

    /// Where Linux shows them, one a file.
    package static let folder: FilePath = "/sys/firmware/efi/efivars"

    /// Whether this machine's firmware keeps any that can be seen.
    package static func areThere(_ files: any FileSystem) -> Bool { (try? files.list(folder))?.isEmpty == false }

    /// A variable's value: its file holds four bytes of attributes before it. `nil` where there is none.
    ///
    /// Source: UEFI 2.10, 32.4; Linux Documentation/filesystems/efivarfs.rst.
    package static func value(_ name: String, of vendor: Vendor = .global, _ files: any FileSystem) -> [UInt8]? {
        (try? files.read(path(name, of: vendor))).map { Array($0.dropFirst(4)) }
    }

    /// The same as text: UTF-16 of ASCII, with a NUL at its end. Source: The Boot Loader Interface, uapi-group.org.
    package static func text(_ name: String, of vendor: Vendor, _ files: any FileSystem) -> String? {
        value(name, of: vendor, files).map { String(decoding: $0.filter { $0 != 0 }, as: UTF8.self) }
    }

    private static func path(_ name: String, of vendor: Vendor) -> FilePath {
        folder.appending("\(name)-\(vendor.rawValue)")
    }

    /// A variable that is there is protected against `rm` and against writing. Source: chattr(1), e2fsprogs 1.47.
    private static func unprotecting(_ path: FilePath) -> Command {
        Command(Tool("chattr", package: "e2fsprogs"), ["-i", path.string], effect: .changes)
    }

    /// Whether the firmware starts only what is signed; not on machines without UEFI. Source: UEFI 2.10, 32.3.
    package static func isSecureBootOn(_ files: any FileSystem) -> Bool { value("SecureBoot", files) == [1] }
}

extension EFIVariable {
    package static let oneShot = "LoaderEntryOneShot"
    package static let always = "LoaderEntryDefault"

    /// Takes a variable of the loader's away. Runs: `chattr -i FILE`; changes.
    package static func removing(_ name: String) -> [Action] {
        let path = path(name, of: .loader)
        return [.run(unprotecting(path)), .remove(path)]
    }

    /// Tells the loader what to start next, once. Nothing where it knows.
    ///
    /// One write makes the whole variable: four bytes of attributes (kept, known before and after the firmware is left) and UTF-16.
    /// Source: UEFI 2.10, 8.2; Linux Documentation/filesystems/efivarfs.rst.
    ///
    /// Runs: where there is another one, `chattr -i FILE`; `tee FILE`; changes.
    /// - Parameter entry: the name of a file below `loader/entries`, ASCII.
    package static func settingOneShot(_ entry: String, _ files: any FileSystem) -> [Command] {
        let text = entry.map { "\($0)\0" }.joined() + "\0\0"
        let known = value(oneShot, of: .loader, files)
        if known == Array(text.utf8) { return [] }
        let path = path(oneShot, of: .loader)
        let set = FileCommand.write("\u{7}\0\0\0" + text, into: path)
        return known == nil ? [set] : [unprotecting(path), set]
    }
}

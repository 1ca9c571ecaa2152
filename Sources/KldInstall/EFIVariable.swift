package import KldFiles
import SystemPackage

/// Variables of the firmware that this machine runs on.
package enum EFIVariable {
    /// A variable's value: its file holds four bytes of attributes before it. `nil` where there is none.
    ///
    /// - Parameter name: with the GUID of its vendor. Source: UEFI 2.10, 32.4; Linux Documentation/filesystems/efivarfs.rst.
    package static func value(_ name: String, _ files: any FileSystem) -> [UInt8]? {
        (try? files.read(FilePath("/sys/firmware/efi/efivars").appending(name))).map { Array($0.dropFirst(4)) }
    }
}

public import KldFiles

/// What the firmware was told to start at the next boot alone, past its order.
public struct FirmwareOnce: Sendable, Hashable {
    /// Four hexadecimal digits, as efibootmgr writes them.
    public var number: String
    /// The title of that entry; empty where there is none.
    public var title: String

    public init(number: String, title: String) { (self.number, self.title) = (number, title) }

    /// - Returns: `nil` where nothing was told, or what was started now is what starts again. Source: UEFI 2.10, 3.1.3 (load options), 3.3
    ///   (`BootNext`, `BootCurrent`).
    public static func read(_ files: any FileSystem) -> FirmwareOnce? {
        guard let next = number("BootNext", files), next != number("BootCurrent", files) else { return nil }
        let digits = String(next, radix: 16, uppercase: true)
        let name = String(repeating: "0", count: 4 - digits.count) + digits
        // Attributes, the length of the path, and then the title in UTF-16, up to its NUL.
        let option = (EFIVariable.value("Boot\(name)", files) ?? []).dropFirst(6)
        let units = stride(from: option.startIndex, to: option.endIndex - 1, by: 2).map { UInt16(option[$0]) | UInt16(option[$0 + 1]) << 8 }
        return FirmwareOnce(number: name, title: String(decoding: units.prefix { $0 != 0 }, as: UTF16.self))
    }

    private static func number(_ name: String, _ files: any FileSystem) -> UInt16? {
        guard let value = EFIVariable.value(name, files), value.count == 2 else { return nil }
        return UInt16(value[0]) | UInt16(value[1]) << 8
    }

    public var text: String {
        "the firmware was told to start Boot\(number)\(title.isEmpty ? "" : " (\(title))") at the next boot, once: past this machine's loader"
    }
    public static let remedy = "efibootmgr --delete-bootnext, where that was not meant"
}

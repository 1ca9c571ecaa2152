import KldCore

/// What the firmware started, and would start next. Source: efibootmgr(8), versions 17 and 18:
/// ```
/// BootCurrent: 0001
/// BootOrder: 0001,0000
/// Boot0001* KLDload	HD(1,GPT,0fc63daf-…,0x800,0x200000)/\EFI\kldload\shimx64.efi
/// ```
public struct FirmwareOrder: Sendable, Hashable {
    /// Four hexadecimal digits; `nil` where the firmware does not say.
    public var current: String?
    public var order: [String]
    /// Titles by number; those that are switched on.
    public var active: [String: String]

    /// - Returns: `nil` when there is nothing of a firmware in it: `EFI variables are not supported on this system.`
    public static func parse(_ output: String) -> FirmwareOrder? {
        var found = FirmwareOrder(current: nil, order: [], active: [:])
        for line in output.lines {
            if line.hasPrefix("BootCurrent:") {
                found.current = line.dropFirst(12).trimmed
            } else if line.hasPrefix("BootOrder:") {
                found.order = line.dropFirst(10).split(separator: ",").map(\.trimmed)
            } else if line.hasPrefix("Boot"), line.utf8.count > 9 {
                let number = line.dropFirst(4).prefix(4)
                guard number.allSatisfy(\.isHexDigit), line.dropFirst(8).first == "*" else { continue }
                let title = line.dropFirst(9).prefix { $0 != "\t" }
                found.active[String(number)] = title.trimmed
            }
        }
        return found.current == nil && found.active.isEmpty ? nil : found
    }
}

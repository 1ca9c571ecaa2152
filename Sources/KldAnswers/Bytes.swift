func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A }
func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
package func isAlphanumeric(_ byte: UInt8) -> Bool { isLetter(byte) || isDigit(byte) }
/// Space or tab: the only white space inside a line.
func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
/// A control character of ASCII.
func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }
func isHex(_ byte: UInt8) -> Bool { isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66) }

/// A whole number without sign, white space or more than 18 digits.
func decimal(_ bytes: some Collection<UInt8>) -> Int? {
    guard !bytes.isEmpty, bytes.count <= 18, bytes.allSatisfy(isDigit) else { return nil }
    return bytes.reduce(0) { $0 * 10 + Int($1 - 0x30) }
}

func string(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

extension String {
    /// Words between spaces, tabs or any of `others`.
    func split(orAt others: UInt8...) -> [String] {
        Array(utf8).split { isBlank($0) || others.contains($0) }.map { string($0) }
    }
}

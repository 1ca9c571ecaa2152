/// A moment in UTC, to the second: what SPDX, OVF and manifests carry.
///
/// Written and read as `2026-11-21T02:33:00Z` (RFC 3339, years 1970 to 9999).
public struct Timestamp: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// Since 1970-01-01T00:00:00Z.
    public let seconds: Int64

    /// Clamped to the years 1970 to 9999.
    public init(seconds: Int64) { self.seconds = min(max(seconds, 0), 253_402_300_799) }

    /// `SOURCE_DATE_EPOCH` when it holds a number, else `now`.
    ///
    /// Source: https://reproducible-builds.org/specs/source-date-epoch/, 1.1.
    public init(environment: [String: String], now: Timestamp) {
        self = environment["SOURCE_DATE_EPOCH"].flatMap { Int64($0) }.map { Timestamp(seconds: $0) } ?? now
    }

    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.seconds < b.seconds }

    /// Days to a date of the Gregorian calendar: years begin in March, so that the leap day is a year's last.
    public var description: String {
        let days = seconds / 86_400 + 719_468
        let time = seconds % 86_400
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func padded(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
            + "\(padded(time / 3600, 2)):\(padded(time / 60 % 60, 2)):\(padded(time % 60, 2))Z"
    }

    /// - Returns: `nil` for anything but the form that ``description`` has, or a date that does not exist.
    public init?(_ text: some StringProtocol) {
        let parts = text.split { "-T:Z".contains($0) }.compactMap { Int64($0) }
        guard parts.count == 6, (1970...9999).contains(parts[0]), (1...12).contains(parts[1]) else { return nil }
        let (year, month) = (parts[1] <= 2 ? parts[0] - 1 : parts[0], parts[1] <= 2 ? parts[1] + 9 : parts[1] - 3)
        let dayOfYear = (153 * month + 2) / 5 + parts[2] - 1
        let days = 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
        self.init(seconds: days * 86_400 + parts[3] * 3600 + parts[4] * 60 + parts[5])
        guard description == text else { return nil }
    }

    /// The date of a signed index: `Fri, 20 Nov 2026 02:11:10 UTC`. Source: Debian's repository format, "Date, Valid-Until".
    package init?(aptDate text: some StringProtocol) {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let words = text.split(separator: " ")
        guard words.count == 6, ["UTC", "GMT", "Z", "+0000"].contains(words[5]), let month = months.firstIndex(of: String(words[2])) else {
            return nil
        }
        func two(_ text: some StringProtocol) -> String { text.count == 1 ? "0\(text)" : String(text) }
        self.init("\(words[3])-\(two(String(month + 1)))-\(two(words[1]))T\(two(words[4]))Z")
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Timestamp(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time in UTC: \(text)")
        }
        self = value
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension Timestamp {
    /// Digits only, `20261121023300`: for names, which sort by it.
    public var digits: String { String(description.filter(\.isNumber)) }
}

public import KldCore

/// A machine that may be armed, by a name of its own hardware.
public enum PXEMachine: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// `52-54-00-12-34-56`: of the card that it starts from.
    case mac(String)
    /// As its firmware says it: SMBIOS, system information.
    case serial(String)

    /// - Parameter mac: six pairs of hexadecimal digits, with colons or hyphens.
    /// - Throws: ``Diagnosis`` `pxe.bad-machine`.
    public init(mac text: String) throws(Diagnosis) {
        guard let mac = Self.mac(text) else { throw Self.bad(text, "an address of a network card is six pairs: 52:54:00:12:34:56") }
        self = .mac(mac)
    }

    /// - Throws: ``Diagnosis`` `pxe.bad-machine`.
    public init(serial text: String) throws(Diagnosis) {
        let isPlain = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }
        guard !text.isEmpty, text.utf8.count <= 64, isPlain, text.first != "." else {
            throw Self.bad(text, "a serial number that names a file has letters, digits and - . _ only")
        }
        self = .serial(text)
    }

    /// A machine, by either name. - Throws: ``Diagnosis`` `pxe.bad-machine`.
    public init(_ text: String) throws(Diagnosis) {
        if Self.mac(text) != nil { try self.init(mac: text) } else { try self.init(serial: text) }
    }

    private static func mac(_ text: String) -> String? {
        let pairs = text.replacing("-", with: ":").split(separator: ":", omittingEmptySubsequences: false)
        guard pairs.count == 6, pairs.allSatisfy({ $0.utf8.count == 2 && $0.allSatisfy { $0.isASCII && $0.isHexDigit } }) else {
            return nil
        }
        return pairs.joined(separator: "-").lowercased()
    }

    private static func bad(_ text: String, _ cause: String) -> Diagnosis {
        Diagnosis(
            "pxe.bad-machine", "'\(text)' names no machine",
            remedies: ["its address: ip link, or on its label", "its serial number, on it: cat /sys/class/dmi/id/product_serial"],
            exit: .usage, causes: [cause])
    }

    /// What its files are called. No machine's address looks like another's serial number.
    var name: String {
        switch self {
        case .mac(let mac): mac
        case .serial(let serial): Self.serialPrefix + serial
        }
    }

    /// The same, as a machine that starts fills it in: see ``UnattendedSeed``.
    var template: String {
        switch self {
        case .mac: "{mac}"
        case .serial: Self.serialPrefix + "{serial}"
        }
    }

    static let serialPrefix = "serial-"

    /// - Returns: `nil` for what is called by no machine's name.
    init?(name: String) {
        if name.hasPrefix(Self.serialPrefix), let machine = try? PXEMachine(serial: String(name.dropFirst(Self.serialPrefix.count))) {
            self = machine
        } else if let machine = try? PXEMachine(mac: name), machine.name == name {
            self = machine
        } else {
            return nil
        }
    }

    /// As commands take it: `--mac 52:54:00:12:34:56`, `--serial ABC123`.
    public var option: String {
        switch self {
        case .mac: "--mac \(description)"
        case .serial(let serial): "--serial \(serial)"
        }
    }

    /// For people: `52:54:00:12:34:56`, `serial ABC123`.
    public var description: String {
        switch self {
        case .mac(let mac): mac.replacing("-", with: ":")
        case .serial(let serial): "serial \(serial)"
        }
    }
}

import KldBlock
public import KldCore
public import KldZFS

/// What stands on the label of a disk. Nothing of it is secret, and nothing of it changes while the disk is in its place: no state.
public struct DiskSheet: Sendable, Hashable {
    public struct Section: Sendable, Hashable {
        public var title: String
        /// Title, value.
        public var rows: [Row]
    }
    public struct Row: Sendable, Hashable {
        public var key: String
        public var title: String
        public var value: String
    }

    public var host: String
    public var pool: String
    public var vdev: String
    public var layout: String
    public var guid: String
    public var serial: String?
    public var model: String?
    public var size: ByteCount?
    public var passport: DiskPassport

    public init(
        host: String, pool: String, vdev: String, layout: String, guid: String, serial: String?, model: String?, size: ByteCount?,
        passport: DiskPassport
    ) {
        self.host = host
        self.pool = pool
        self.vdev = vdev
        self.layout = layout
        self.guid = guid
        self.serial = serial
        self.model = model
        self.size = size
        self.passport = passport
    }

    /// - Throws: ``Diagnosis`` `kdisk.no-guid`.
    public init(_ member: DiskInventory.Member, of entry: DiskInventory.Entry, host: String) throws(Diagnosis) {
        guard let guid = member.device.guid else { throw PassportChange.unnumbered(member.device.name) }
        let single = member.device.layout == "disk"
        self.init(
            host: host, pool: member.device.pool, vdev: single ? "disk" : member.device.vdev,
            layout: member.device.layout + (member.device.kind == "data" ? "" : " (\(member.device.kind))"), guid: String(guid),
            serial: entry.serial, model: entry.model, size: entry.device?.size, passport: member.passport)
    }

    /// In the order in which a person reads them; a section without rows is left out.
    public var sections: [Section] {
        func fields(_ keys: [String]) -> [Row] {
            keys.compactMap { key in passport[key].map { Row(key: key, title: DiskPassport.title(key), value: $0) } }
        }
        func row(_ key: String, _ title: String, _ value: String?) -> [Row] { value.map { [Row(key: key, title: title, value: $0)] } ?? [] }
        let known = Set(DiskPassport.fields.map(\.key))
        return [
            Section(title: "PHYSICAL LOCATION", rows: fields(["region", "datacenter", "rack", "enclosure", "bay", "slot"])),
            Section(
                title: "DISK",
                rows: row("host", "Host", host) + row("model", "Model", model) + row("serial", "Serial", serial)
                    + row("size", "Size", size?.description)),
            Section(
                title: "ZFS INFORMATION",
                rows: row("pool", "Pool", pool) + row("vdev", "VDEV", vdev) + row("layout", "Layout", layout) + row("guid", "GUID", guid)),
            Section(title: "LIFECYCLE", rows: fields(["asset", "owner", "bought", "since", "warranty", "rma", "note", "history"])),
            Section(title: "OTHER", rows: fields(passport.keys.filter { !known.contains($0) })),
        ].filter { !$0.rows.isEmpty }
    }

    /// For a terminal: as many fields on a line as fit, long ones alone.
    public var text: String {
        sections.map { section in
            var lines: [String] = []
            for row in section.rows {
                let word = "\(row.title): \(row.value)"
                if let last = lines.last, word.count <= 40, last.count + word.count + 2 <= 76 {
                    lines[lines.count - 1] = last + "  " + word
                } else {
                    lines.append("  " + word)
                }
            }
            return ([section.title] + lines).joined(separator: "\n")
        }.joined(separator: "\n\n")
    }

    /// What the QR code says: a line each. Notes and one's own fields are not in it, so that it can always be made and read.
    public var payload: String {
        let left: Set<String> = ["note", "history"]
        let rows = sections.filter { $0.title != "OTHER" }.flatMap(\.rows).filter { !left.contains($0.key) }
        return (["kldload disk"] + rows.map { "\($0.key): \($0.value)" }).joined(separator: "\n")
    }

    /// A label of 100 by 62 mm, as printers of labels take them: the text, and the code at its right. What is too long for it ends in `…`; the
    /// code has all of it.
    public func svg(_ code: QRCode) -> String {
        var lines: [(text: String, isTitle: Bool)] = []
        for section in sections where section.title != "OTHER" {
            lines.append((section.title, true))
            for row in section.rows where row.key != "history" && row.key != "note" {
                lines.append((Self.shortened("\(row.title): \(row.value)", to: 34), false))
            }
        }
        // 58 mm are left between the edges; three millimetres a line as long as that is enough.
        let step = min(3.0, 56.0 / Double(max(lines.count, 1)))
        let size = step * 0.85
        var out = [
            #"<?xml version="1.0" encoding="UTF-8"?>"#,
            #"<svg xmlns="http://www.w3.org/2000/svg" width="100mm" height="62mm" viewBox="0 0 100 62">"#,
            #"<rect width="100" height="62" fill="white"/>"#,
            #"<g font-family="monospace" font-size="\#(Self.number(size))">"#,
        ]
        for (index, line) in lines.enumerated() {
            let y = Self.number(3 + step * Double(index + 1))
            let weight = line.isTitle ? #" font-weight="bold""# : ""
            out.append(#"<text x="3" y="\#(y)"\#(weight)>\#(Self.escaped(line.text))</text>"#)
        }
        out.append("</g>")
        // With the quiet zone of four modules that the code needs around it. Source: ISO/IEC 18004, 6.3.8.
        let module = 40.0 / Double(code.size + 8)
        out.append(
            #"<g transform="translate(\#(Self.number(58 + 4 * module)) \#(Self.number(11 + 4 * module))) scale(\#(Self.number(module)))">"#)
        out.append(#"<path d="\#(code.path)" fill="black" shape-rendering="crispEdges"/>"#)
        out += ["</g>", "</svg>"]
        return out.joined(separator: "\n") + "\n"
    }

    private static func shortened(_ text: String, to most: Int) -> String { text.count <= most ? text : text.prefix(most - 1) + "…" }

    private static func escaped(_ text: String) -> String {
        text.map { character in
            switch character {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            default: String(character)
            }
        }.joined()
    }

    /// With three digits behind the point, the same on every machine.
    private static func number(_ value: Double) -> String {
        let thousandths = Int((value * 1000).rounded())
        var digits = String(thousandths % 1000)
        digits = String(repeating: "0", count: 3 - digits.count) + digits
        while digits.last == "0" { digits.removeLast() }
        return digits.isEmpty ? String(thousandths / 1000) : "\(thousandths / 1000).\(digits)"
    }
}

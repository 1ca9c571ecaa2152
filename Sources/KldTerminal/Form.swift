/// A key that somebody pressed, as terminals send it.
public enum TerminalKey: Sendable, Hashable {
    case up, down, left, right, pageUp, pageDown, tab, backTab, enter, escape, backspace, interrupt
    case character(Character)

    /// Reads one key from the beginning of what a terminal has sent.
    ///
    /// Source: ECMA-48, "Control sequences"; xterm's and vt100's keys, which the Linux console and serial consoles send too.
    /// - Returns: the key, `nil` for one that means nothing here, with the number of bytes it took; `nil` where the bytes end within a key.
    public static func parse(_ bytes: [UInt8], complete: Bool) -> (key: TerminalKey?, count: Int)? {
        guard let first = bytes.first else { return nil }
        switch first {
        case 0x1b:
            guard bytes.count > 1 else { return complete ? (.escape, 1) : nil }
            guard bytes[1] == UInt8(ascii: "[") || bytes[1] == UInt8(ascii: "O") else { return (.escape, 1) }
            // F1 to F5 of the Linux console.
            if bytes.starts(with: [0x1b, UInt8(ascii: "["), UInt8(ascii: "[")]) {
                return bytes.count > 3 ? (nil, 4) : complete ? (nil, bytes.count) : nil
            }
            guard let end = bytes.dropFirst(2).firstIndex(where: { (0x40...0x7e).contains($0) }) else {
                return complete ? (nil, bytes.count) : nil
            }
            let keys: [String: TerminalKey] = [
                "A": .up, "B": .down, "C": .right, "D": .left, "Z": .backTab, "5~": .pageUp, "6~": .pageDown,
            ]
            return (keys[String(decoding: bytes[2...end], as: UTF8.self)], end + 1)
        case 0x03: return (.interrupt, 1)
        case 0x09: return (.tab, 1)
        case 0x0a, 0x0d: return (.enter, 1)
        case 0x08, 0x7f: return (.backspace, 1)
        case 0..<0x20: return (nil, 1)
        default:
            let length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
            // Of another encoding: dropped at once, so that it swallows no other key.
            guard first < 0x80 || first >= 0xc2, bytes.prefix(length).dropFirst().allSatisfy({ 0x80...0xbf ~= $0 }) else { return (nil, 1) }
            guard bytes.count >= length else { return complete ? (nil, bytes.count) : nil }
            return (String(validating: bytes.prefix(length), as: UTF8.self)?.first.map { .character($0) }, length)
        }
    }
}

/// One screen of questions for a terminal of 80 by 24, or larger: keyboard only, in the characters that every console has.
///
/// A value: a key changes it, and it says what stands on the screen. Whoever owns the terminal reads and writes.
public struct Form: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case text
        /// Shown as stars.
        case secret
        /// One of these: values, and what a person reads.
        case choice([Option])
        /// `1` or nothing.
        case toggle
        /// Something to go to: Enter chooses it.
        case line
    }

    public struct Option: Sendable, Hashable {
        public var value: String
        public var label: String
        public init(_ value: String, _ label: String) {
            self.value = value
            self.label = label
        }
    }

    public struct Field: Sendable, Hashable {
        public var id: String
        public var label: String
        public var kind: Kind
        public var value: String
        /// Shown while the field is chosen.
        public var help: String
        /// Asked for as a secret, however it is shown.
        public let isSecret: Bool

        public init(_ id: String, _ label: String, _ kind: Kind, value: String = "", help: String = "") {
            self.id = id
            self.label = label
            self.kind = kind
            self.value = value
            self.help = help
            isSecret = kind == .secret
        }
    }

    /// What a key meant for the whole screen.
    public enum Outcome: Sendable, Hashable { case stays, next, back, quit }

    public var title: String
    public var fields: [Field]
    public var focus = 0
    /// What is wrong: shown above the keys.
    public private(set) var problem: String?
    /// A text above the fields that can be scrolled.
    public var text: [String]
    private var top = 0
    private var page = 10
    /// How many lines the text took on the screen that it was last shown on.
    private var height = 0

    /// The last line: what keys do.
    public var keys: String

    public init(
        _ title: String, _ fields: [Field], text: [String] = [],
        keys: String = "Up/Down: field   Left/Right: choice   Enter: on   Esc: back   Ctrl-C: leave"
    ) {
        self.title = title
        self.fields = fields
        self.text = text
        self.keys = keys
    }

    /// The field that keys are for.
    public var chosen: Field? { fields.indices.contains(focus) ? fields[focus] : nil }

    public func value(_ id: String) -> String { fields.first { $0.id == id }?.value ?? "" }

    public mutating func handle(_ key: TerminalKey) -> Outcome {
        switch key {
        case .interrupt: return .quit
        case .escape: return .back
        case .up, .backTab: move(-1)
        case .down, .tab: move(1)
        case .pageUp: text.isEmpty ? move(-10) : scroll(-page)
        case .pageDown: text.isEmpty ? move(10) : scroll(page)
        case .enter:
            if focus >= fields.count - 1 || chosen?.kind == .line { return .next }
            move(1)
        case .left, .right: turn(key == .right ? 1 : -1)
        case .backspace: edit { if !$0.isEmpty { $0.removeLast() } }
        case .character(let character):
            if case .toggle? = fields.indices.contains(focus) ? fields[focus].kind : nil {
                if character == " " { turn(1) }
            } else {
                edit { $0.append(character) }
            }
        }
        return .stays
    }

    private mutating func move(_ steps: Int) {
        if fields.isEmpty { return scroll(steps) }
        focus = max(0, min(fields.count - 1, focus + steps))
    }

    private mutating func scroll(_ lines: Int) { top = max(0, min(max(height, text.count) - page, top + lines)) }

    private mutating func turn(_ step: Int) {
        guard fields.indices.contains(focus) else { return }
        switch fields[focus].kind {
        case .toggle: fields[focus].value = fields[focus].value == "1" ? "" : "1"
        case .choice(let options):
            guard !options.isEmpty else { return }
            let now = options.firstIndex { $0.value == fields[focus].value } ?? 0
            fields[focus].value = options[(now + step + options.count) % options.count].value
        case .text, .secret, .line: break
        }
        problem = nil
    }

    private mutating func edit(_ change: (inout String) -> Void) {
        guard fields.indices.contains(focus) else { return }
        switch fields[focus].kind {
        case .text, .secret:
            change(&fields[focus].value)
            // A public key of RSA has some hundred characters; what is longer is no answer.
            fields[focus].value = String(fields[focus].value.prefix(16_384))
            problem = nil
        case .choice, .toggle, .line: break
        }
    }

    /// Says what is wrong, and goes to the field that it is about.
    public mutating func complain(_ text: String, at id: String? = nil) {
        problem = text
        if let place = fields.firstIndex(where: { $0.id == id }) { focus = place }
    }

    // MARK: The screen

    /// Lines of the whole screen, each as wide as it.
    ///
    /// - Parameter step: `2 of 6`.
    public mutating func lines(step: String, columns: Int = 80, rows: Int = 24) -> [String] {
        func fit(_ line: String) -> String {
            let plain = String(line.map { $0.isNewline || $0 == "\t" ? " " : $0 }.prefix(columns))
            return plain + String(repeating: " ", count: columns - plain.count)
        }
        let head = [" kldload: \(title)" + String(repeating: " ", count: max(1, columns - 10 - title.count - step.count)) + step, ""]
        let width = min(fields.filter { $0.kind != .toggle && $0.kind != .line }.map(\.label.count).max() ?? 0, columns / 3)
        // What stands below the fields: help or problem, and the keys.
        var note = (problem.map { "! \($0)" } ?? chosen?.help ?? "").wrapped(to: columns - 4).map { "  \($0)" }
        // Some of the text, and of the fields, is seen whatever is said of them.
        let most = max(4, rows - head.count - 10)
        if note.count > most { note = Array(note.prefix(most - 1)) + ["  -- \(note.count - most + 1) more lines --"] }
        let foot = [""] + note + ["", " \(keys)"]
        let room = rows - head.count - foot.count
        let flowing = text.flatMap { $0.wrapped(to: columns - 2, hanging: 2) }
        height = flowing.count
        let shown = text.isEmpty ? 0 : max(3, room - fields.count - 1)
        page = max(1, shown - 1)
        top = max(0, min(height - shown, top))
        var body = flowing.dropFirst(top).prefix(shown).map { "  \($0)" }
        if !text.isEmpty {
            let rest = height - top - shown
            body.append(rest > 0 ? "  -- \(rest) more lines: Page Down --" : "")
        }
        // Of more fields than there is room for, those around the chosen one.
        let places = max(1, room - body.count)
        let first = max(0, min(fields.count - places, focus - places / 2))
        for (index, field) in fields.enumerated().dropFirst(first).prefix(places) {
            let mark = index == focus ? ">" : " "
            if field.kind == .toggle {
                body.append(" \(mark) \(field.value == "1" ? "[x]" : "[ ]") \(field.label)")
                continue
            }
            if field.kind == .line {
                body.append(" \(mark) \(field.label)")
                continue
            }
            let name = String(field.label.prefix(width))
            body.append(" \(mark) \(name)\(String(repeating: " ", count: width - name.count))  \(show(field, columns - width - 6))")
        }
        body = Array(body.prefix(room)) + [String](repeating: "", count: max(0, room - body.count))
        return (head + body + foot).prefix(rows).map(fit)
    }

    private func show(_ field: Field, _ width: Int) -> String {
        switch field.kind {
        case .text: "[\(field.value.suffix(width - 3))_]"
        case .secret: "[\(String(repeating: "*", count: min(field.value.count, width - 3)))_]"
        case .toggle, .line: ""
        case .choice(let options):
            "< \(String((options.first { $0.value == field.value }?.label ?? field.value).prefix(width - 4))) >"
        }
    }
}

extension String {
    /// The lines that it takes where one has this width: broken between words, and within a word that is wider. Nothing of it is cut.
    ///
    /// - Parameter hanging: by how much more than the first line the others are indented.
    func wrapped(to width: Int, hanging: Int = 0) -> [String] {
        let margin = Swift.min(prefix { $0 == " " }.count + hanging, width / 2)
        var lines: [String] = []
        var indent = ""
        var rest = self[...]
        while indent.count + rest.count > width {
            let room = width - indent.count
            // A space right behind the last column is a place to break too; those of the margin are none.
            let words = rest.prefix(room + 1).drop { $0 == " " }
            let place = words.lastIndex(of: " ") ?? rest.index(rest.startIndex, offsetBy: room)
            lines.append(indent + String(rest[..<place]))
            rest = rest[place...].drop { $0 == " " }
            indent = String(repeating: " ", count: margin)
        }
        return lines + [indent + String(rest)]
    }
}

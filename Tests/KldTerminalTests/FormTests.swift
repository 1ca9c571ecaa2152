import Testing

@testable import KldTerminal

@Suite("Screens with questions")
struct FormTests {
    static func form() -> Form {
        Form(
            "Test",
            [
                Form.Field("name", "Name", .text, help: "Letters."), Form.Field("word", "Password", .secret),
                Form.Field("kind", "Kind", .choice([.init("a", "first"), .init("b", "second")]), value: "a"),
                Form.Field("flag", "Flag", .toggle),
            ])
    }

    static func press(_ form: inout Form, _ keys: [TerminalKey]) -> Form.Outcome {
        keys.reduce(.stays) { form.handle($1) }
    }

    @Test("keys are read as consoles and serial lines send them; half of one waits for the rest")
    func keys() {
        func parse(_ text: String, complete: Bool = false) -> (TerminalKey?, Int)? {
            TerminalKey.parse(Array(text.utf8), complete: complete).map { ($0.key, $0.count) }
        }
        let cases: [(String, TerminalKey?, Int)] = [
            ("a", .character("a"), 1), ("é", .character("é"), 2), ("\r", .enter, 1), ("\n", .enter, 1), ("\u{7f}", .backspace, 1),
            ("\t", .tab, 1), ("\u{3}", .interrupt, 1), ("\u{1b}[A", .up, 3), ("\u{1b}OB", .down, 3), ("\u{1b}[C", .right, 3),
            ("\u{1b}[D", .left, 3), ("\u{1b}[Z", .backTab, 3), ("\u{1b}[5~", .pageUp, 4), ("\u{1b}[6~x", .pageDown, 4),
            ("\u{1b}[15~", nil, 5), ("\u{1b}[[A", nil, 4), ("\u{1}", nil, 1), ("\u{1b}a", .escape, 1),
        ]
        for (text, key, count) in cases {
            let found = parse(text)
            #expect(found?.0 == key && found?.1 == count, "\(text.debugDescription): \(String(describing: found))")
        }
        for text in ["\u{1b}", "\u{1b}[", "\u{1b}[5"] { #expect(parse(text) == nil) }
        // Latin-1's ä before two letters: they are not lost with it.
        #expect(TerminalKey.parse([0xe4, 0x61, 0x62], complete: false)?.count == 1)
        #expect(parse("\u{1b}", complete: true)?.0 == .escape && TerminalKey.parse([0xc3], complete: false) == nil)
        // Whatever comes, it ends.
        #expect(TerminalKey.parse([0xff, 0xff, 0xff, 0xff], complete: true) != nil && TerminalKey.parse([], complete: true) == nil)
    }

    @Test("fields are walked, filled and turned; Enter behind the last one goes on, Esc back")
    func walking() {
        var form = Self.form()
        #expect(Self.press(&form, [.character("w"), .character("e"), .backspace, .character("1"), .enter]) == .stays)
        #expect(form.value("name") == "w1" && form.focus == 1)
        _ = Self.press(&form, [.character("s"), .down, .right, .right, .left, .tab, .character(" "), .character("x")])
        #expect(form.value("word") == "s" && form.value("kind") == "b" && form.value("flag") == "1" && form.focus == 3)
        #expect(
            Self.press(&form, [.down, .enter]) == .next && Self.press(&form, [.escape]) == .back && Self.press(&form, [.interrupt]) == .quit
        )
        #expect(Self.press(&form, [.up, .up, .up, .up, .up]) == .stays && form.focus == 0)
    }

    @Test("the screen has 24 lines of 80 columns, whatever is on it; secrets are stars")
    func screen() {
        var form = Self.form()
        form.fields[1].value = "correct horse"
        form.fields[0].value = String(repeating: "long ", count: 60)
        form.complain(String(repeating: "something is wrong with it ", count: 9), at: "word")
        var lines = form.lines(step: "2 of 6")
        #expect(lines.count == 24 && lines.allSatisfy { $0.count == 80 })
        #expect(form.focus == 1)
        #expect(!lines.joined().contains("correct") && lines.joined().contains("*************_"))
        #expect(lines[0].hasPrefix(" kldload: Test") && lines[0].hasSuffix("2 of 6") && lines[23].contains("Ctrl-C: leave"))
        form.fields = (0..<60).map { Form.Field("f\($0)", "Field \($0)", .text) }
        form.focus = 45
        lines = form.lines(step: "1 of 6")
        #expect(lines.count == 24 && lines.contains { $0.contains("> Field 45") })
    }

    @Test("a long text is scrolled, and says how much is left")
    func scrolling() {
        var form = Form("Plan", [Form.Field("d", "Type d", .text)], text: (1...100).map { "line \($0)" })
        #expect(form.lines(step: "").contains { $0.contains("more lines") })
        for _ in 0..<20 { _ = form.handle(.pageDown) }
        let lines = form.lines(step: "")
        #expect(lines.contains { $0.hasPrefix("  line 100") } && !lines.contains { $0.contains("more lines") })
        for _ in 0..<30 { _ = form.handle(.pageUp) }
        #expect(form.lines(step: "").contains { $0.hasPrefix("  line 1 ") })
    }

    @Test("of a line that is wider than the screen nothing is cut: it goes on below, indented, and is scrolled to its end")
    func wrapping() {
        let words = (1...40).map { "word\($0)" }.joined(separator: " ")
        let path = "/dev/disk/by-id/" + String(repeating: "x", count: 90)
        var form = Form("Plan", [Form.Field("d", "Type d", .text)], text: ["    \(words)", path])
        var lines = form.lines(step: "")
        #expect(lines.count == 24 && lines.allSatisfy { $0.count == 80 })
        #expect(Self.told(lines).contains(words))
        #expect(lines[2].hasPrefix("      word1 ") && lines[3].hasPrefix("        word"))
        #expect(lines.map { $0.filter { $0 != " " } }.joined().contains(path), "a name that is wider than the screen")

        form.text = (1...20).map { "\(words) \($0)" } + ["the end"]
        _ = form.lines(step: "")
        for _ in 0..<20 { _ = form.handle(.pageDown) }
        lines = form.lines(step: "")
        #expect(lines.contains { $0.hasPrefix("  the end ") } && !lines.contains { $0.contains("more lines") })
    }

    @Test("what is said of a field is whole, as far as some of the text and the field itself are still seen; else it says that it is not")
    func help() {
        func form(_ help: String) -> Form {
            Form("Plan", [Form.Field("d", "Type d", .text, help: help)], text: (1...30).map { "line \($0)" })
        }
        let long = (1...100).map { "word\($0)" }.joined(separator: " ")
        var whole = form(long)
        var lines = whole.lines(step: "")
        #expect(Self.told(lines).contains(long))
        var cut = form("\(long) \(long)")
        lines = cut.lines(step: "")
        #expect(lines.count == 24 && lines.contains { $0.hasPrefix("  line 3 ") } && lines.contains { $0.hasPrefix(" > Type d") })
        #expect(lines.count { $0.contains("more lines") } == 2, "of the text, and of the help")
    }

    /// What stands on a screen, without the breaks of its lines.
    static func told(_ lines: [String]) -> String { lines.flatMap { $0.split(separator: " ") }.joined(separator: " ") }
}

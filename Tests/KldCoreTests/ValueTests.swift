import FoundationEssentials
import KldCore
import Testing

@Suite("Numbers of bytes")
struct ByteCountTests {
    @Test(
        "are shown in binary units with one decimal, cut off and not rounded up",
        arguments: [
            (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1025, "1.0 KiB"), (1536, "1.5 KiB"), (2047, "1.9 KiB"),
            (1 << 20, "1 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"), (20 << 30, "20 GiB"), (240_057_409_536, "223.5 GiB"), (1 << 40, "1 TiB"), (1 << 50, "1 PiB"),
            (1 << 60, "1 EiB"), (UInt64.max, "15.9 EiB"),
        ] as [(UInt64, String)])
    func shown(_ bytes: UInt64, _ text: String) { #expect(ByteCount(bytes).description == text) }

    @Test("compare and add as numbers do")
    func arithmetic() {
        #expect(ByteCount.mebibytes(1) < .gibibytes(1))
        #expect(ByteCount.mebibytes(1024) == .gibibytes(1))
        #expect(ByteCount(1) + ByteCount(2) == ByteCount(3))
    }

    @Test("are a bare number in JSON")
    func json() throws {
        #expect(String(decoding: try JSONEncoder().encode([ByteCount(12)]), as: UTF8.self) == "[12]")
        #expect(try JSONDecoder().decode([ByteCount].self, from: Data("[18446744073709551615]".utf8)) == [ByteCount(.max)])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([ByteCount].self, from: Data("[-1]".utf8)) }
    }
}

@Suite("Secrets")
struct SecretTests {
    struct Holder {
        var name = "x"
        var secret = Secret("correct horse")
        var optional: Secret? = Secret("correct horse")
        var list = [Secret("correct horse")]
        var table = ["key": Secret("correct horse")]
    }

    @Test("appear in no text: interpolation, description, reflection, dump, whatever holds them")
    func hidden() {
        let secret = Secret("correct horse")
        var dumped = ""
        dump(secret, to: &dumped)
        dump(Holder(), to: &dumped)
        dump(Secret?.some(secret) as Any, to: &dumped)
        let texts = [
            "\(secret)", secret.description, String(describing: secret), String(reflecting: secret), "\(Secret?.some(secret) as Any)",
            "\([secret])",
            "\(["a": secret])", "\(Holder())", String(reflecting: Holder()), dumped,
            Mirror(reflecting: secret).children.map { "\($0.value)" }.joined(), "\((secret, 1))",
            "\(Result<Secret, any Error>.success(secret))",
        ]
        for text in texts { #expect(!text.contains("horse")) }
        #expect("\(secret)" == "<redacted>")
    }

    @Test("are told only on purpose")
    func reveal() {
        #expect(Secret("a").reveal() == "a")
        #expect(Secret("").isEmpty)
        #expect(!Secret("a").isEmpty)
        #expect(Secret("a") == Secret("a"))
        #expect(Secret("a") != Secret("b"))
    }

    @Test("cannot be encoded by accident")
    func notEncodable() { #expect(!(Secret("a") as Any is any Encodable)) }
}

@Suite("Host ids")
struct HostIDTests {
    @Test("lie in their file in little-endian order, as zgenhostid writes them")
    func bytes() throws {
        let id = try #require(HostID(0x00BA_B10C))
        #expect(id.fileContent == [0x0C, 0xB1, 0xBA, 0x00])
        #expect(HostID(fileContent: [0x0C, 0xB1, 0xBA, 0x00]) == id)
        #expect(id.description == "00bab10c")
    }

    @Test("are the same after text and bytes", arguments: [1, 0x0000_00FF, 0x8000_0000, 0xFFFF_FFFF, 0x1234_5678] as [UInt32])
    func roundTrip(_ value: UInt32) throws {
        let id = try #require(HostID(value))
        #expect(HostID(fileContent: id.fileContent) == id)
        #expect(HostID(hex: id.description) == id)
        #expect(HostID(hex: "0x\(id)") == id)
        #expect(HostID(hex: id.description.uppercased()) == id)
        #expect(try JSONDecoder().decode(HostID.self, from: JSONEncoder().encode(id)) == id)
    }

    @Test("are never zero, which means none to ZFS")
    func zero() {
        #expect(HostID(0) == nil)
        #expect(HostID(fileContent: [0, 0, 0, 0]) == nil)
        #expect(HostID(hex: "00000000") == nil)
    }

    @Test("need exactly four bytes", arguments: [0, 1, 3, 5, 8])
    func fileSize(_ count: Int) { #expect(HostID(fileContent: [UInt8](repeating: 1, count: count)) == nil) }

    @Test(
        "need exactly eight hexadecimal digits",
        arguments: [
            "", "1", "1234567", "123456789", "1234567g", "0x1234567", "-1234567", "+1234567", " 1234567", "12345678 ", "0X12345678",
        ])
    func text(_ text: String) { #expect(HostID(hex: text) == nil) }

    @Test("decoded from JSON are never zero either")
    func jsonZero() { #expect(throws: (any Error).self) { try JSONDecoder().decode(HostID.self, from: Data(#"{"value":0}"#.utf8)) } }

    @Test("made at random differ")
    func random() { #expect(Set((0..<100).map { _ in HostID.random() }).count > 98) }
}

@Suite("Words and lines")
struct TextTests {
    @Test(
        "trimming takes white space from both ends only",
        arguments: [("", ""), (" ", ""), (" a b \n", "a b"), ("\t\r\na", "a"), ("a\u{A0}", "a")])
    func trimmed(_ text: String, _ expected: String) { #expect(text.trimmed == expected) }

    @Test("lines are those with something in them, whatever ends them")
    func lines() {
        #expect("a\n\nb\r\nc".lines == ["a", "b", "c"])
        #expect("".lines == [])
        #expect(" \n".lines == [" "])
    }

    @Test("words are what lies between white space")
    func words() { #expect("  a\tb  c\n".words == ["a", "b", "c"]) }

    @Test(
        "the distance of two words counts insertions, deletions, changes and swaps of neighbours",
        arguments: [
            ("", "", 0), ("a", "", 1), ("", "abc", 3), ("abc", "abc", 0), ("abc", "abd", 1), ("abc", "ab", 1), ("abc", "xabc", 1),
            ("ab", "ba", 1),
            ("abcd", "badc", 2), ("ca", "abc", 3), ("kitten", "sitting", 3), ("KLDLOAD_DISC", "KLDLOAD_DISK", 1), ("DISTRO", "DSITRO", 1),
        ])
    func distance(_ a: String, _ b: String, _ expected: Int) {
        #expect(editDistance(a, b) == expected)
        #expect(editDistance(b, a) == expected)
    }

    @Test(
        "a word that is nearly right is told, and one that is like no other is not",
        arguments: [
            ("ksnpa", "ksnap"), ("KSNAP", "ksnap"), ("kbee", "kbe"), ("kxeprot", "kexport"), ("kb", nil), ("none", nil), ("", nil),
            (String(repeating: "k", count: 65), nil),
        ] as [(String, String?)])
    func suggestion(_ word: String, _ expected: String?) {
        let words = ["ksnap", "kbe", "kdisk", "kexport"]
        #expect(nearest(to: word, words) == expected)
        #expect(didYouMean(word, words) == (expected.map { ["did you mean \($0)?"] } ?? []))
        #expect(nearest(to: "kxeprot", words, most: 1) == nil)
    }

    @Test("the distance obeys what distances obey")
    func metric() {
        let words = ["", "a", "ab", "ba", "abc", "bca", "hello", "hallo", "ohell"]
        for a in words {
            for b in words {
                let distance = editDistance(a, b)
                #expect((distance == 0) == (a == b))
                #expect(distance >= abs(a.count - b.count))
                #expect(distance <= max(a.count, b.count))
            }
        }
    }
}

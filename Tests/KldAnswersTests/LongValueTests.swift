import KldAnswers
import Testing

@Suite("Long values")
struct LongValueTests {
    /// A JSON object with a list of keys, each on a line of its own.
    static func document(keys count: Int, comment: String) -> String {
        let key = ed25519.split(separator: " ").prefix(2).joined(separator: " ")
        let list = (0..<count).map { "\"\(key) \($0)-\(comment)\"" }.joined(separator: ",\n")
        return #"{"KLDLOAD_DISTRO":"debian","KLDLOAD_DISK":"/dev/sda","KLDLOAD_HOSTNAME":"h","KLDLOAD_SSH_PUBKEY":["# + "\n\(list)\n]}"
    }

    @Test("a list that would not fit on one line is refused where it is given: an installer could not read it back")
    func refused() {
        let found = problems(Self.document(keys: 80, comment: String(repeating: "x", count: 1000)))
        #expect(found.map(\.code) == [.text])
        #expect(found.first?.key == "KLDLOAD_SSH_PUBKEY" && found.first?.line == 1)
        #expect(found.first?.message.contains("65536 are allowed") == true)
        // Not by its own length alone, but as it is written: with a quote inside, each of these takes two.
        let dollars = String(repeating: "$", count: 900) + "'"
        #expect(problems(Self.document(keys: 40, comment: dollars)).map(\.code) == [.text])
        let packages = (0..<20_000).map { "p\($0)" }.joined(separator: " ")
        #expect(problems(threeLines, overrides: ["KLDLOAD_EXTRA_PACKAGES=\(packages)"]).map(\.code) == [.text])
    }

    @Test("what is accepted reads back equal, up to the longest line", arguments: [1, 16, 40, 57])
    func readBack(_ count: Int) throws {
        for comment in ["x", String(repeating: "x", count: 1000), String(repeating: "$", count: 500) + "'"] {
            let answers = try Answers(Self.document(keys: count, comment: comment))
            #expect(try Answers(answers.environmentText) == answers)
        }
    }
}

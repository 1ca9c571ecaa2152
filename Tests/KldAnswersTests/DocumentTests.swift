import FoundationEssentials
import KldAnswers
import KldFiles
import SystemPackage
import Testing

@Suite struct Documents {
    @Test func theReferenceIsUpToDate() throws {
        let path = projectRoot.appending("docs/answers.md")
        let expected = AnswersReferenceDocument.markdown
        if isRecording { try LocalFiles().write(Array(expected.utf8), to: path, mode: .file) }
        let found = try String(decoding: LocalFiles().read(path), as: UTF8.self)
        #expect(found == expected, "docs/answers.md differs from the table of keys; KLDLOAD_RECORD=1 writes it anew")
    }

    @Test func everyKeyAndCodeIsDocumented() {
        let text = AnswersReferenceDocument.markdown
        for key in AnswerKey.all { #expect(text.contains("| `\(key.name)` |"), "\(key.name)") }
        for code in AnswersProblem.Code.allCases { #expect(text.contains("| `\(code.rawValue)` |"), "\(code.rawValue)") }
    }

    @Test func rowsOfTablesHaveTheirColumns() {
        for line in AnswersReferenceDocument.markdown.split(separator: "\n") where line.hasPrefix("| `KLDLOAD_") {
            let unescaped = line.split(separator: "\\|", omittingEmptySubsequences: false).joined()
            #expect(unescaped.split(separator: "|", omittingEmptySubsequences: false).count == 7, "\(line)")
        }
    }

    @Test func theSchemaIsJSONWithEveryKey() throws {
        struct Schema: Decodable {
            struct Property: Decodable { var description: String? }
            var required: [String]
            var additionalProperties: Bool
            var properties: [String: Property]
        }
        let schema = try JSONDecoder().decode(Schema.self, from: Data(AnswersReferenceDocument.jsonSchema.utf8))
        #expect(schema.required == ["KLDLOAD_DISTRO", "KLDLOAD_DISK"])
        #expect(!schema.additionalProperties)
        #expect(Set(schema.properties.keys) == Set(AnswerKey.all.flatMap { [$0.name] + $0.aliases }))
    }
}

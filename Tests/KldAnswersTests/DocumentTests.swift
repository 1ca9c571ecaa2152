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
        let schema = try Schema.ours
        #expect(!schema.additionalProperties)
        #expect(
            schema.allOf.map { $0.anyOf.flatMap(\.required) } == [
                ["KLDLOAD_DISTRO", "distro", "DISTRO"], ["KLDLOAD_DISK", "disk", "DISK"],
            ])
        for key in AnswerKey.all {
            #expect(schema.properties[key.name]?.reference == nil && schema.properties[key.name]?.description?.hasPrefix(key.help) == true)
        }
    }

    /// The keys' names as they are written in every form there could be.
    @Test func theSchemaHasTheNamesThatTheParserTakes() throws {
        let schema = try Schema.ours
        var candidates: Set<String> = ["action", "ACTION", "Action", "KLDLOAD_ACTION"]
        for name in AnswerKey.all.flatMap({ [$0.name] + $0.aliases }) {
            let short = String(name.dropFirst("KLDLOAD_".count))
            let mixed = String(short.prefix(1)) + short.dropFirst().lowercased()
            candidates.formUnion([name, name.lowercased(), short, short.lowercased(), mixed])
        }
        let taken = candidates.filter { name in !problems("{\"\(name)\": \"\"}").contains { $0.code == .unknownKey } }
        #expect(taken.contains("KLDLOAD_DISK") && taken.contains("disk") && taken.contains("net_gateway") && !taken.contains("Disk"))
        #expect(taken.subtracting(schema.properties.keys).sorted() == [])
        #expect(Set(schema.properties.keys).subtracting(taken).sorted() == [])
    }

    @Test func aShortNameSaysWhichKeyItStandsFor() throws {
        let schema = try Schema.ours
        for key in AnswerKey.all {
            for name in [key.name] + key.aliases {
                let short = String(name.dropFirst("KLDLOAD_".count))
                for property in [schema.properties[short], schema.properties[short.lowercased()]] {
                    #expect(property?.reference == "#/properties/\(key.name)", "\(short)")
                    #expect(property?.description == "Stands for \(key.name).", "\(short)")
                }
            }
        }
    }

    @Test func theReferenceNamesTheCommandForTheSchema() {
        #expect(AnswersReferenceDocument.markdown.contains("`kldload answers keys --format schema` prints a JSON Schema"))
    }
}

/// What these tests look at of the schema.
private struct Schema: Decodable {
    struct Property: Decodable {
        var description: String?
        var reference: String?
        enum CodingKeys: String, CodingKey {
            case description
            case reference = "$ref"
        }
    }
    struct Choice: Decodable { var anyOf: [Presence] }
    struct Presence: Decodable { var required: [String] }
    var allOf: [Choice]
    var additionalProperties: Bool
    var properties: [String: Property]

    static var ours: Schema {
        get throws { try JSONDecoder().decode(Schema.self, from: Data(AnswersReferenceDocument.jsonSchema.utf8)) }
    }
}

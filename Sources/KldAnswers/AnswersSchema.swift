extension AnswersReferenceDocument {
    /// A JSON Schema (draft 2020-12) of answers written as JSON. Rules across keys are not in it: the parser has the last word.
    public static var jsonSchema: String {
        var properties = [(AnswersJSONParser.action, actionSchema)]
        for key in AnswerKey.all {
            properties.append((key.name, schema(of: key)))
            for alias in key.aliases { properties.append((alias, reference(to: key, [("deprecated", .bool(true))]))) }
            let short = ([key.name] + key.aliases).flatMap { AnswerKey.shortNames(of: $0) }
            for name in short { properties.append((name, reference(to: key, [("description", .string("Stands for \(key.name)."))]))) }
        }
        let schema = JSON.object([
            ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
            ("title", .string("kldload answers")),
            ("type", .string("object")),
            ("additionalProperties", .bool(false)),
            ("allOf", .array(AnswerKey.all.filter(\.isRequired).map { presence(of: $0) })),
            ("properties", .object(properties)),
            ("patternProperties", .object([(foreignPattern, foreignSchema)])),
        ])
        return schema.text(indent: "") + "\n"
    }

    /// That the key is there, under one of its names.
    private static func presence(of key: AnswerKey) -> JSON {
        .object([("anyOf", .array(key.namesInJSON.map { .object([("required", .array([.string($0)]))]) }))])
    }

    /// Another name of a key: the same values.
    private static func reference(to key: AnswerKey, _ members: [(String, JSON)]) -> JSON {
        .object([("$ref", JSON.string("#/properties/\(key.name)"))] + members)
    }

    private static var actionSchema: JSON {
        .object([
            ("description", .string("What a message asks for. No effect: answers ask for an installation and nothing else.")),
            ("enum", .array([.string(AnswersJSONParser.install)])),
        ])
    }

    private static let foreignPattern = "^(" + AnswerKey.foreignPrefixes.joined(separator: "|") + ")"

    private static var foreignSchema: JSON {
        let description = "Credentials of a cloud. No effect yet: waits for \(AnswerKey.foreignWaitsFor)."
        return .object([("description", .string(description)), ("writeOnly", .bool(true))])
    }

    private static func schema(of key: AnswerKey) -> JSON {
        let description = [key.help, key.effect.sentence].compactMap { $0 }.joined(separator: " ")
        var members: [(String, JSON)] = [("description", .string(description))]
        members += constraints(key)
        if !key.defaultValue.isEmpty { members.append(("default", .string(key.defaultValue))) }
        if key.isSecret { members.append(("writeOnly", .bool(true))) }
        return .object(members)
    }

    /// Every value may be a string, as in the other form; an empty one means the default.
    private static func constraints(_ key: AnswerKey) -> [(String, JSON)] {
        switch key.type {
        case .bool:
            return [("enum", .array([.string(""), .string("0"), .string("1"), .number(0), .number(1), .bool(false), .bool(true)]))]
        case .choice(let allowed):
            let values = [""] + allowed + key.valueAliases.keys.sorted()
            // A choice among numbers may be written as one.
            return [("enum", .array(values.map { .string($0) } + allowed.compactMap { Int($0).map { .number($0) } }))]
        case .integer(let range):
            let number = JSON.object([
                ("type", .string("integer")), ("minimum", .number(range.lowerBound)), ("maximum", .number(range.upperBound)),
            ])
            return [("anyOf", .array([number, .object([("type", .string("string")), ("pattern", .string("^[0-9]*$"))])]))]
        case .choices, .disks, .ipAddresses, .packages, .consoles, .sshKeys:
            let list = JSON.object([("type", .string("array")), ("items", .object([("type", .string("string"))]))])
            return [("anyOf", .array([.object([("type", .string("string"))]), list]))]
        case .version: return [("type", .array([.string("string"), .string("number")]))]
        default: return [("type", .string("string"))]
        }
    }
}

/// JSON with its members in the order given.
private enum JSON {
    case string(String)
    case number(Int)
    case bool(Bool)
    case array([JSON])
    case object([(String, JSON)])

    func text(indent: String) -> String {
        let inner = indent + "  "
        switch self {
        case .string(let value): return JSON.quoted(value)
        case .number(let value): return String(value)
        case .bool(let value): return String(value)
        case .array(let items): return "[" + items.map { $0.text(indent: indent) }.joined(separator: ", ") + "]"
        case .object(let members):
            let lines = members.map { "\(inner)\(JSON.quoted($0.0)): \($0.1.text(indent: inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    /// Our texts hold no control characters.
    private static func quoted(_ text: String) -> String {
        "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
    }
}

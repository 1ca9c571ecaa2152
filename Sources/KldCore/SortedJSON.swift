import FoundationEssentials

/// Values as JSON with their keys in order and slashes as they are: equal values are equal texts.
///
/// - Throws: each form throws what the value's own encoding throws.
package enum SortedJSON {
    /// On one line, without its end.
    package static func line(_ value: some Encodable) throws -> String { try text(value, []) }

    /// For people and diffs: indented, without a newline at its end.
    package static func pretty(_ value: some Encodable) throws -> String { try text(value, .prettyPrinted) }

    /// A whole file: indented, ending in a newline.
    package static func document(_ value: some Encodable) throws -> String { try pretty(value) + "\n" }

    private static func text(_ value: some Encodable, _ form: JSONEncoder.OutputFormatting) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = form.union([.sortedKeys, .withoutEscapingSlashes])
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

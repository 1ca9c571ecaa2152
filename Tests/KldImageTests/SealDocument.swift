@testable import KldImage

/// The catalogue as a table for `docs/sealing.md`, which `SealCatalogueTests` compares with it.
enum SealDocument {
    static let begin = "<!-- generated from SealCatalogue: begin -->"
    static let end = "<!-- generated from SealCatalogue: end -->"

    static var table: String {
        let classes = SealCatalogue.classes
        let inFiles = classes.count { if case .files = $0.kind { true } else { false } }
        var lines = [
            "\(classes.count) classes: \(inFiles) in files, \(classes.count - inFiles) in built files or outside the file tree.", "",
            "| class | what | why | how | virt-sysprep |", "|---|---|---|---|---|",
        ]
        lines += classes.map { "| `\($0.id)` | \($0.title) | \($0.why) | \(how($0)) | \($0.sysprep.joined(separator: ", ")) |" }
        lines += ["", "Operations of virt-sysprep that sealing does not do:", ""]
        lines += SealCatalogue.sysprepNotTaken.sorted { $0.key < $1.key }.map { "- `\($0.key)`: \($0.value)." }
        lines += ["", "Made anew at the first boot of a clone: \(renewals.map { "`\($0)`" }.joined(separator: ", "))."]
        return lines.joined(separator: "\n")
    }

    private static var renewals: [String] { CloneState.renewals(SealCatalogue.classes) }

    private static func how(_ sealClass: SealClass) -> String {
        let parts: [String]
        switch sealClass.kind {
        case .files(let targets):
            parts = targets.map { target in
                let except = target.excluding.isEmpty ? "" : " except " + target.excluding.map { "`\($0)`" }.joined(separator: " ")
                return "\(target.operation.text): " + target.patterns.map { "`\($0)`" }.joined(separator: " ") + except
            }
        case .rebuild(let how): parts = ["rebuild: \(how)"]
        case .disk(let identity): parts = ["\(identity.moment.rawValue): \(identity.how)"]
        }
        return parts.joined(separator: "; ")
    }

    /// - Returns: the document with the table between the marks replaced; `nil` when the marks are missing.
    static func updated(_ document: String) -> String? {
        guard let start = document.firstRange(of: begin), let stop = document.firstRange(of: end), start.upperBound <= stop.lowerBound
        else {
            return nil
        }
        return document[..<start.upperBound] + "\n" + table + "\n" + document[stop.lowerBound...]
    }
}

import ArgumentParser
import Foundation
import KldCore
import Testing

@testable import KldCLI

/// On profile `core` nothing but `kldload` is on PATH: what somebody is told to type has to work there too.
@Suite("Tools in printed advice")
struct AdviceTests {
    /// `krecovery` is for the live medium, where every tool has its name.
    static let names = AppletName.allCases.filter { $0 != .krecovery }.map(\.rawValue)

    /// The tools of kldload that a text names without `kldload` before them, each with the word that follows.
    static func bare(_ text: String) -> [(tool: String, next: String)] {
        let words = [""] + text.split(separator: " ").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "()'\",;:?")) } + [""]
        return words.indices.dropFirst().dropLast().filter { names.contains(words[$0]) && words[$0 - 1] != "kldload" }
            .map { (words[$0], words[$0 + 1]) }
    }

    @Test("a text's tools are found", arguments: ["see what there is: kbe list", "sudo kldload-doctor", "(kdisk, or not)", "kst"])
    func found(text: String) {
        #expect(Self.bare(text).count == 1)
    }

    @Test("what is no tool is none", arguments: ["kldload kbe list", "(kldload kdisk list)", "kldload-snapshot.timer", "krecovery import"])
    func unfound(text: String) {
        #expect(Self.bare(text).isEmpty)
    }

    @Test("a remedy names them as kldload's subcommands")
    func remedies() throws {
        let wrong = try ErrorsDocumentTests.entries().flatMap { entry in
            entry.remedies.filter { !Self.bare($0).isEmpty }.map { "\(entry.code): \($0)" }
        }
        #expect(wrong == [])
    }

    /// Remedies of checks, predictions, notices; the tools' own help speaks of them by their names.
    @Test("every other text that says what to run does too")
    func texts() throws {
        let wrong = try ErrorsDocumentTests.sources().flatMap { source in
            Self.literals(source.text).filter { Self.isCommand($0) }.map { "\(source.path): \($0)" }
        }
        #expect(wrong == [])
    }

    /// Of one line each, with what is interpolated as `…`; those of comments, of help and of files that are written are left out.
    static func literals(_ text: String) -> [String] {
        var isBlock = false
        var found: [String] = []
        for line in text.split(separator: "\n") {
            if line.contains("\"\"\"") {
                isBlock.toggle()
                continue
            }
            let isHelp = ["abstract:", "discussion:", "help:", "ArgumentHelp("].contains { line.contains($0) }
            if isBlock || isHelp || line.drop(while: { $0 == " " }).hasPrefix("//") { continue }
            var rest = line
            while let quote = rest.firstIndex(of: "\"") {
                rest = rest[rest.index(after: quote)...]
                found.append(ErrorsDocumentTests.literal(&rest))
            }
        }
        return found
    }

    static func isCommand(_ text: String) -> Bool {
        bare(text).contains { named in
            let verbs = Applet.named(named.tool)?.command.configuration.subcommands ?? []
            return verbs.contains { $0._commandName == named.next || $0.configuration.aliases.contains(named.next) }
        }
    }

    @Test("every tool's name, as advice spells it, is a subcommand of kldload")
    func spelling() {
        let known = Set(Root.configuration.subcommands.flatMap { [$0._commandName] + $0.configuration.aliases })
        let spelt = AppletName.allCases.filter { $0 != .help }.map { name in
            name.rawValue.hasPrefix("kldload-") ? String(name.rawValue.dropFirst("kldload-".count)) : name.rawValue
        }
        #expect(spelt.filter { !known.contains($0) } == [])
        #expect(known.contains(ToolsCommand._commandName))
    }
}

import ArgumentParser
import Testing

@testable import KldCLI

@Suite("Usage")
struct UsageTests {
    @Test("the usage of every command names the way to it, and no word more")
    func path() {
        func check(_ command: any ParsableCommand.Type, _ path: [String]) {
            do {
                var help = try Root.parseAsRoot(path + ["--help"])
                try help.run()
                Issue.record("\(path) has no help")
            } catch {
                let usage = Root.fullMessage(for: error, columns: 400).split(separator: "\n").first { $0.hasPrefix("USAGE:") } ?? ""
                let words = usage.split(separator: " ").dropFirst().map(String.init)
                #expect(Array(words.prefix(path.count + 1)) == ["kldload"] + path)
            }
            for child in command.configuration.subcommands { check(child, path + [child._commandName]) }
        }
        check(Root.self, [])
    }
}

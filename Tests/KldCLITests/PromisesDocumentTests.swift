import Foundation
import Testing

/// Keeps `docs/promises.md` honest: each check that a promise names is there, and each scenario proves a promise.
@Suite("The list of promises")
struct PromisesDocumentTests {
    static let root = ErrorsDocumentTests.root

    struct Promise {
        var text: String
        var check: String
        var tiers: Set<String>
        /// What stands between backticks.
        var names: [String] { check.matches(of: /`([^`]+)`/).map { String($0.output.1) } }
    }

    static func text(_ path: String) throws -> String { try String(contentsOf: root.appending(path: path), encoding: .utf8) }

    static func files(_ folder: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path()).filter { $0.hasSuffix(".swift") }.sorted()
    }

    static func promises(_ document: String = "docs/promises.md") throws -> [Promise] {
        try text(document).split(separator: "\n").filter { $0.hasPrefix("|") }.compactMap { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(cells.count == 5, "\(line)")
            guard cells.count == 5, !["promise", "failure"].contains(cells[1]), !cells[1].hasPrefix("--") else { return nil }
            return Promise(text: cells[1], check: cells[2], tiers: Set(cells[3].split(separator: ", ").map(String.init)))
        }
    }

    /// Scenarios and the tier they run in.
    static func scenarios() throws -> [String: String] {
        var found: [String: String] = [:]
        for name in try files("Sources/kldload-systemtests") {
            for match in try text("Sources/kldload-systemtests/\(name)").matches(
                of: /Scenario\(\s*"([a-z0-9.-]+)",\s*"[^"]*"(, tier: \.([a-z]+))?/)
            {
                found[String(match.output.1)] = match.output.3.map(String.init) ?? "all"
            }
        }
        // Those that run again on machines of another kind.
        let list = try text("Sources/kldload-systemtests/Scenario.swift")
        for (kind, again) in [("secure-boot", /let enforcing = \[([^\]]*)\]/), ("grub", /let behindGrub = \[([^\]]*)\]/)] {
            for match in try #require(list.firstMatch(of: again)).output.1.matches(of: /"([a-z0-9.-]+)"/) {
                let name = match.output.1
                #expect(found[String(name)] != nil, "there is no \(name)")
                found["\(kind).\(name.hasPrefix("boot.") ? name.dropFirst("boot.".count) : name)"] = "all"
            }
        }
        return found
    }

    /// Targets, files and types of tests.
    static func tests() throws -> Set<String> {
        var found: Set<String> = []
        for path in try files("Tests") {
            found.formUnion(path.dropLast(".swift".count).split(separator: "/").map(String.init))
            for match in try text("Tests/\(path)").matches(of: /struct (\w+)/) { found.insert(String(match.output.1)) }
        }
        return found
    }

    static func checks() throws -> Set<String> {
        var found: Set<String> = []
        for name in try files("Sources/KldDoctor") {
            for match in try text("Sources/KldDoctor/\(name)").matches(of: /Check\("([a-z.-]+)"/) { found.insert(String(match.output.1)) }
        }
        return found
    }

    /// `.mirror` after `install.raidz1` is `install.mirror`.
    static func full(_ name: String, after last: String) -> String {
        name.hasPrefix(".") ? String(last.prefix { $0 != "." }) + name : name
    }

    @Test("each check that is named is there, and runs in the tier that is told")
    func named() throws {
        let (scenarios, tests, checks) = (try Self.scenarios(), try Self.tests(), try Self.checks())
        let (bench, make) = (try Self.text("tools/bench"), try Self.text("Makefile"))
        #expect(scenarios.count > 40 && tests.count > 100 && checks.count > 30)
        for promise in try Self.promises() + Self.promises("docs/failures.md") {
            var last = ""
            for name in promise.names {
                let scenario = Self.full(name, after: last)
                let command = name.split(separator: " ").map(String.init)
                if let tier = scenarios[scenario] {
                    last = scenario
                    #expect(promise.tiers.contains(tier), "\(promise.text): \(scenario) runs in \(tier)")
                } else if name.hasSuffix("Tests") {
                    #expect(name.split(separator: ".").allSatisfy { tests.contains(String($0)) }, "\(promise.text): there is no \(name)")
                    #expect(promise.tiers.contains("unit"), "\(promise.text): \(name) is a unit test")
                } else if name.hasPrefix("PARTS=") {
                    for part in name.dropFirst("PARTS=".count).filter({ $0 != "\"" }).split(separator: " ") {
                        #expect(bench.contains("\n\(part)() {"), "\(promise.text): nothing measures \(part)")
                    }
                    #expect(promise.tiers == ["bench"], "\(promise.text)")
                } else if command.first == "make" {
                    #expect(make.contains("\n\(command[1]):"), "\(promise.text): no \(name)")
                } else if command.first != "kldload", !checks.contains(name) {
                    #expect(
                        FileManager.default.fileExists(atPath: Self.root.appending(path: name).path()), "\(promise.text): what is \(name)?")
                }
            }
            if promise.names.isEmpty || promise.tiers.isEmpty {
                let said = ["not run here", "later: "].contains(where: promise.check.hasPrefix)
                #expect(said, "\(promise.text): nothing proves it, and that is not said")
            }
        }
    }

    @Test("each of the failures that were met has its row")
    func failures() throws {
        let numbers = try Self.promises("docs/failures.md").map { $0.text.prefix { $0 != "." } }
        #expect(numbers == (1...73).map { "\($0)" })
    }

    @Test("each scenario proves a promise, but for what numbers are compared with")
    func scenarios() throws {
        var named: Set<String> = []
        for promise in try Self.promises() {
            var last = ""
            for name in promise.names {
                let scenario = Self.full(name, after: last)
                if scenario.contains(".") { last = scenario }
                named.insert(scenario)
            }
        }
        let checking = try Self.scenarios().filter { $0.value != "bench" }
        #expect(Set(checking.keys).subtracting(named).sorted() == [])
    }

    @Test("each example is installed by a scenario of its name, or it is said that nothing has installed it")
    func examples() throws {
        let scenarios = try Self.scenarios()
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.root.appending(path: "Examples").path())
            .filter { $0.hasSuffix(".env") }.map { String($0.dropLast(4)) }
        #expect(names.count > 10)
        for name in names where scenarios["install.\(name)"] == nil && scenarios["boot.\(name)"] == nil && name != "golden-image" {
            #expect(
                try Self.promises().contains { $0.names.contains("Examples/\(name).env") && $0.check.contains("not run here") },
                "\(name).env")
        }
        #expect(scenarios["image.golden"] == "ci")
    }
}

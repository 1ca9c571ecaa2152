import KldAnswers
import KldFiles
import SystemPackage
import Testing

@Suite struct Examples {
    static func names(_ folder: String) -> [String] {
        ((try? LocalFiles().list(projectRoot.appending(folder))) ?? []).filter { $0.hasSuffix(".env") }
    }

    @Test(arguments: names("Examples"))
    func everyExampleIsAccepted(name: String) throws {
        let answers = try Answers.load(projectRoot.appending("Examples/\(name)"), files: LocalFiles(), reference: .builtIn)
        #expect(answers.notes == [])
    }

    @Test func theListOfExamplesIsWhole() {
        #expect(
            Set(Self.names("Examples")).isSuperset(of: [
                "three-lines.env", "server-static.env", "mirror.env", "raidz1.env", "mirror-stripe.env", "special-vdev.env",
                "encrypted.env",
                "debian12.env", "debian13.env", "debian13-backports.env", "golden-image.env", "wireless.env",
            ]))
    }

    /// The first line of each says `expect: CODE`.
    @Test(arguments: names("Examples/invalid"))
    func everyInvalidExampleHasItsProblemAndNoOther(name: String) throws {
        let path = projectRoot.appending("Examples/invalid/\(name)")
        let firstLine = String(decoding: try LocalFiles().read(path).prefix { $0 != 0x0A }, as: UTF8.self)
        let error = try #require(throws: AnswersError.self) { try Answers.load(path, files: LocalFiles(), reference: .builtIn) }
        let code = try #require(error.problems.first).code
        #expect(error.problems.map(\.code).allSatisfy { $0 == code })
        #expect(firstLine.contains("# expect: \(code.rawValue)"))
        #expect(code.rawValue == "answers." + name.dropLast(4))
    }

    @Test func everyProblemThatAFileCanHaveHasAnExample() {
        let shown = Set(Self.names("Examples/invalid").map { "answers." + $0.dropLast(4) })
        // About the file as a whole, its size, a command line, or what another module knows: made by tests, not kept. Notes are no problems.
        let elsewhere: Set<AnswersProblem.Code> = [
            .missingFile, .unreadableFile, .tooLarge, .lineTooLong, .tooManyProblems, .badOverride, .unsupported, .noEffect, .hardToType,
            .noNameServer,
        ]
        for code in AnswersProblem.Code.allCases where !elsewhere.contains(code) {
            #expect(shown.contains(code.rawValue), "\(code.rawValue)")
        }
    }
}

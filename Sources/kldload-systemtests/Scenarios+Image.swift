import KldAnswers
import KldCore
import KldImage
import SystemPackage

extension Scenario {
    static let images: [Scenario] = []
}

extension Answers {
    /// The disks of the scenario are ours: approve them by name.
    func forTest() throws -> Answers { try Answers(environmentText, overrides: ["KLDLOAD_FORCE_WIPE=1"]) }
}

import KldCore
import KldExec
import KldFiles
package import KldPlan
package import SystemPackage

/// Sealing as an action of a plan: what has to be removed is known only when the target is there, so it is performed by name.
package enum SealStep {
    package static let performer = "image.seal"
    /// Where a guest keeps the report: outside the root, because it tells what was there.
    package static let guestReport: FilePath = "/run/kldload/seal.json"

    /// - Parameter report: where the report goes; outside the root.
    package static func action(root: FilePath, options: SealOptions, report: FilePath) -> Action {
        var parameters = ["root": root.string, "report": report.string, "datasources": options.datasources.joined(separator: ",")]
        if let user = options.keepUser {
            parameters["keep-user"] = user
            parameters["keep-authorized-keys"] = options.keepAuthorizedKeys.joined(separator: "\n")
        }
        if options.keepNetwork { parameters["keep-network"] = "yes" }
        return .perform(performer, parameters, effect: .changes)
    }

    /// - Parameter say: receives each thing that was done, as a line.
    /// - Throws: when performed: ``Diagnosis`` `seal.incomplete` after the report is written, when anything is left.
    package static func performers(say: @escaping @Sendable (String) -> Void = { _ in }) -> [String: Performer] {
        [performer: { parameters, _, files in try perform(parameters, files, say) }]
    }

    private static func perform(_ parameters: [String: String], _ files: any FileSystem, _ say: (String) -> Void) throws {
        guard let root = parameters["root"], let report = parameters["report"] else {
            throw Diagnosis(
                "seal.parameters", "the seal step has no root or no report", remedies: ["report this as a defect of kldload"], exit: .bug)
        }
        let options = SealOptions(
            keepUser: parameters["keep-user"], keepAuthorizedKeys: parameters["keep-authorized-keys"]?.lines ?? [],
            datasources: parameters["datasources"]?.split(separator: ",").map(String.init) ?? SealOptions.allDatasources,
            keepNetwork: parameters["keep-network"] != nil)
        try seal(FilePath(root), options, report: FilePath(report), files, say: say)
    }

    /// Seals a root, writes the report, and says what was done.
    ///
    /// - Throws: ``Diagnosis`` `seal.incomplete` after the report is written, when anything is left.
    static func seal(
        _ root: FilePath, _ options: SealOptions, report: FilePath, _ files: any FileSystem, say: (String) -> Void
    ) throws {
        let result = try Sealer(root: root, files: files, options: options).seal()
        try files.write(try result.json(), to: report, mode: .secret)
        for line in result.lines { say(line) }
        guard result.isComplete else {
            throw Diagnosis(
                "seal.incomplete", "the system is not sealed: \(result.left.count) places could not be dealt with",
                remedies: ["look at each of them, or remove it, and seal again"],
                causes: result.left.prefix(8).map { "\($0.path): \($0.why)" })
        }
    }
}

import KldCore
import KldExec
import KldFiles
package import KldPlan
package import SystemPackage

/// Sealing as a step of a plan: what has to be removed is known only when the target is there, so the step is performed by name.
package enum SealStep {
    package static let performer = "image.seal"

    /// - Parameter report: where the report goes; outside the root, because it tells what was there.
    package static func step(root: FilePath, options: SealOptions, report: FilePath) -> Step {
        var parameters = ["root": root.string, "report": report.string, "datasources": options.datasources.joined(separator: ",")]
        if let user = options.keepUser {
            parameters["keep-user"] = user
            parameters["keep-authorized-keys"] = options.keepAuthorizedKeys.joined(separator: "\n")
        }
        return Step("image.seal", "Seal the system for cloning", [.perform(performer, parameters, effect: .changes)], weight: 5)
    }

    /// - Throws: when performed: ``Diagnosis`` `seal.incomplete` after the report is written, when anything is left.
    package static var performers: [String: Performer] { [performer: { parameters, _, files in try perform(parameters, files) }] }

    private static func perform(_ parameters: [String: String], _ files: any FileSystem) throws {
        guard let root = parameters["root"], let report = parameters["report"] else {
            throw Diagnosis(
                "seal.parameters", "the seal step has no root or no report", remedies: ["report this as a defect of kldload"], exit: .bug)
        }
        let options = SealOptions(
            keepUser: parameters["keep-user"], keepAuthorizedKeys: parameters["keep-authorized-keys"]?.lines ?? [],
            datasources: parameters["datasources"]?.split(separator: ",").map(String.init) ?? SealOptions.allDatasources)
        let result = try Sealer(root: FilePath(root), files: files, options: options).seal()
        try files.write(try result.json(), to: FilePath(report), mode: .secret)
        guard result.isComplete else {
            throw Diagnosis(
                "seal.incomplete", "the system is not sealed: \(result.left.count) places could not be dealt with",
                remedies: ["look at each of them, or remove it, and seal again; the report is in \(report)"],
                causes: result.left.prefix(8).map { "\($0.path): \($0.why)" })
        }
    }
}

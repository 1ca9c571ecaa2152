import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import SystemPackage

/// The facts of a machine, as `kldload facts` printed them.
enum SavedFacts {
    /// - Throws: ``Diagnosis`` `plan.facts-unreadable`; ``FileError``.
    static func read(_ file: FilePath, _ files: any FileSystem) throws -> MachineFacts {
        try SchemaDocument.read(file, files, schema: MachineFacts.currentSchema) { cause in
            Diagnosis(
                "plan.facts-unreadable", "\(file) does not hold the facts of a machine",
                remedies: ["make it on the machine, with this version: kldload facts > FILE"], exit: .inputMissing, causes: [cause])
        }
    }

    /// The machine that a file describes, else this one. - Parameter asked: names of disks that somebody gave.
    static func machine(_ file: String?, asked: [FilePath] = []) async throws -> MachineFacts {
        if let file { return try read(Host.absolute(file), LocalFiles()) }
        return try await MachineFacts.gather(runner: SubprocessRunner(), files: LocalFiles(), asked: asked)
    }
}

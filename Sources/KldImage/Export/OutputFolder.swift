import KldCore
import KldFiles
import SystemPackage

/// Where images go.
enum OutputFolder {
    /// Makes the folder and tries whether it takes files, before minutes of work for nothing.
    ///
    /// - Throws: ``Diagnosis`` `image.output-denied`; ``FileError`` when there is no room.
    static func check(_ folder: FilePath, _ files: any FileSystem) throws {
        let probe = folder.appending(".kldload-\(UInt32.random(in: 0 ... .max))")
        do {
            try files.makeDirectory(folder, mode: .directory)
            try files.write("", to: probe)
            try files.remove(probe)
        } catch FileError.denied(let path) {
            throw denied(folder, "no permission for \(path == probe ? folder : path)")
        } catch FileError.other(let path, let action, let reason) {
            throw denied(folder, "cannot \(action) \(path == probe ? folder : path): \(reason)")
        }
    }

    private static func denied(_ folder: FilePath, _ cause: String) -> Diagnosis {
        Diagnosis(
            "image.output-denied", "nothing can be written into \(folder)",
            remedies: ["let this user write into \(folder): ls -ld \(folder)", "or choose another folder with --output"],
            exit: .cannotCreate, causes: [cause])
    }
}

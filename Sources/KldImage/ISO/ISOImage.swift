import FoundationEssentials
import KldAnswers
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// The file that a live ISO is: what lies on it, and who may read it.
struct ISOImage: Sendable {
    let runner: any CommandRunner
    let files: any FileSystem

    /// Everything that lies on it, by path. What is made here is written into a folder.
    ///
    /// The answers are not listed: a server for network boots leaves them out and shows the list to everybody, and short secrets can be
    /// found by the digest of what holds them.
    ///
    /// Runs: `sha256sum FILE`, reads.
    /// - Parameters:
    ///   - listed: what a server may copy.
    ///   - bases: which of its streams build on which.
    func contents(
        _ listed: [(String, FilePath)], bases: [String: String], answers: Answers?, version: String, in work: FilePath
    ) async throws -> [(String, FilePath)] {
        var items = listed
        for (path, text) in [
            (ISOContents.menu, ISOContents.grub()), (ISOContents.marker, "kldload \(version)\n"), ("VERSION", version + "\n"),
            (MediumList.path, try await list(listed, bases).text),
        ] {
            let file = work.appending("text").appending(path.replacing("/", with: "-"))
            try files.write(text, to: file)
            items.append((path, file))
        }
        if let answers {
            let file = work.appending(SeedVolume.answersName)
            // Rock Ridge keeps the mode: in the live environment they are root's alone.
            try files.write(answers.environmentText, to: file, mode: .secret)
            items.append((LiveMedium.answers, file))
        }
        return items
    }

    /// What the medium carries, with digests: a server for network boots copies it from there.
    private func list(_ items: [(String, FilePath)], _ bases: [String: String]) async throws -> MediumList {
        var list = MediumList(bases: bases)
        for (path, file) in items {
            let digest = try await SHA256Sum.digest(of: file, runner)
            list.files.append(.init(path: path, size: try files.status(files.resolve(file))?.size ?? ByteCount(0), digest: digest))
        }
        return list
    }

    /// Writes it, with `.sha256` beside it. It has its name only when it is whole. Whoever calls it holds the output: the part's name is fixed.
    ///
    /// Runs: `xorriso …`, `implantisomd5 --force FILE.part`, changes; `sha256sum FILE.part`, reads.
    /// - Parameter isPrivate: its owner's alone, from the first byte on.
    func write(
        _ items: [(String, FilePath)], esp: FilePath, to output: FilePath, isPrivate: Bool
    ) async throws -> (size: ByteCount, digest: FileDigest) {
        let partial = FilePath("\(output.string).part")
        do {
            // What a killed build left has a mode of its own.
            try files.remove(partial)
            // xorriso writes into the file that is there, and leaves its mode: made by itself it would be as the umask says.
            if isPrivate { try files.write("", to: partial, mode: .secret) }
            try await runner.run(ISOBuild.xorriso(items, esp: esp, to: partial))
            // For the menu's check of the medium, `rd.live.check`. Source: implantisomd5(1), isomd5sum 1.2.
            try await runner.run(
                Command(Tool("implantisomd5", package: "isomd5sum"), ["--force", partial.string], effect: .changes))
            let digest = try await SHA256Sum.digest(of: partial, runner)
            let size = try files.status(partial)?.size ?? ByteCount(0)
            try files.rename(partial, to: output)
            let name = output.lastComponent?.string ?? ""
            try files.write(
                SHA256Sum.checkFile([(name, digest)]), to: FilePath("\(output.string).sha256"), mode: isPrivate ? .secret : .file)
            return (size, digest)
        } catch {
            try? files.remove(partial)
            throw error
        }
    }
}

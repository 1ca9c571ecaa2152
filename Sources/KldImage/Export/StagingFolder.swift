import Glibc
import KldCore
public import KldFiles
public import SystemPackage

/// The folder in which an export is made. Its name can be guessed, and it may lie where everybody writes, as in `/tmp`: who makes it first could
/// put links there, through which root overwrites any file.
public enum StagingFolder {
    static let lock = "lock"

    /// Makes the folder, or takes one that an export of this user left, and locks it.
    /// - Throws: ``Diagnosis`` `image.staging` when what is there is not this user's alone, `lock.held`; ``FileError``.
    ///
    /// Source: mkdir(2): a link that leads nowhere is there already, too; path_resolution(7).
    public static func take(_ folder: FilePath) throws -> FileLock {
        try LocalFiles().makeDirectory(folder.removingLastComponent(), mode: .directory)
        let made = mkdir(folder.string, 0o700) == 0
        let number = Errno(rawValue: errno)
        guard made || number == .fileExists else { throw FileError(number, folder, action: "make") }
        let found = try inspect(folder)
        // What was made just now is ours, whoever a file server or a stick without owners says it belongs to.
        guard made || found.st_uid == geteuid() && found.st_mode & 0o077 == 0 else {
            let mode = String(found.st_mode & 0o7777, radix: 8)
            throw refusal(folder, "it belongs to user \(found.st_uid), with mode \(mode); this is user \(geteuid())")
        }
        let lock = try FileLock(folder.appending(Self.lock))
        // An export that ended meanwhile has removed its folder, and somebody may have made another.
        let now = try inspect(folder)
        guard now.st_dev == found.st_dev, now.st_ino == found.st_ino else { throw refusal(folder, "it is another folder now") }
        return lock
    }

    private static func inspect(_ folder: FilePath) throws -> stat {
        var information = stat()
        guard lstat(folder.string, &information) == 0 else {
            throw FileError(Errno(rawValue: errno), folder, action: "inspect")
        }
        guard information.st_mode & S_IFMT == S_IFDIR else { throw refusal(folder, "it is no folder") }
        return information
    }

    private static func refusal(_ folder: FilePath, _ cause: String) -> Diagnosis {
        Diagnosis(
            "image.staging", "the export would be made in \(folder), and that is there and not this user's alone",
            remedies: [
                "look at it: ls -ld \(folder); if nobody needs it: rm -r \(folder)",
                "or export to a folder in which only this user may write",
            ], exit: .cannotCreate, causes: [cause])
    }
}

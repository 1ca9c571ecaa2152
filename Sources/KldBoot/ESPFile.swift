import KldExec
public import KldPlan
public import SystemPackage

/// How a file comes onto an ESP so that at no instant a file of that name is half there: FAT has no journal.
public enum ESPFile {
    /// What stands around the name of a file that is not whole yet.
    private static let hidden = (prefix: ".", suffix: ".new")

    /// Whether a file of ``BootEntry/imageFolder`` is what ``place(_:as:on:)`` left of an image, a kernel or what it unpacks, or the recovery
    /// image, when it was cut off.
    public static func isLeftover(_ name: String) -> Bool {
        guard name.hasPrefix(hidden.prefix), name.hasSuffix(hidden.suffix) else { return false }
        let whole = String(name.dropFirst(hidden.prefix.count).dropLast(hidden.suffix.count))
        return BootEntry.isImage(whole) || KernelParts.isPart(whole) || "\(BootEntry.imageFolder)/\(whole)" == RecoveryImage.imagePath
    }

    /// Runs: `cp SOURCE MOUNT/…/.NAME.new`, `sync --file-system`, `cmp`, `mv --force` to its name, `sync --file-system`; changes.
    /// - Parameter path: below the ESP's root; its folder must be there.
    public static func place(_ source: FilePath, as path: String, on mount: FilePath) -> [Action] {
        let target = FilePath("\(mount.string)/\(path)")
        let fresh = target.removingLastComponent().appending("\(hidden.prefix)\(target.lastComponent?.string ?? "")\(hidden.suffix)")
        return [
            .run(FileCommand.copy(source, to: fresh)), sync(mount), .run(FileCommand.compare(source, fresh)),
            .run(FileCommand.rename(fresh, to: target)), sync(mount),
        ]
    }

    /// Runs: `sync --file-system MOUNT`, changes.
    public static func sync(_ mount: FilePath) -> Action { .run(FileCommand.syncFileSystem(mount)) }
}

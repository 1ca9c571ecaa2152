public import KldExec
public import KldPlan
public import SystemPackage

/// How a file comes onto an ESP so that at no instant a file of that name is half there: FAT has no journal.
public enum ESPFile {
    /// Runs: `cp SOURCE MOUNT/…/.NAME.new`, `sync --file-system`, `cmp`, `mv --force` to its name, `sync --file-system`; changes.
    /// - Parameter path: below the ESP's root; its folder must be there.
    public static func place(_ source: FilePath, as path: String, on mount: FilePath) -> [Action] {
        let target = FilePath("\(mount.string)/\(path)")
        let fresh = target.removingLastComponent().appending(".\(target.lastComponent?.string ?? "").new")
        return [
            .run(Command(Tool("cp", package: "coreutils"), [source.string, fresh.string], effect: .changes)), sync(mount),
            .run(Command(Tool("cmp", package: "diffutils"), [source.string, fresh.string], effect: .reads)),
            .run(Command(Tool("mv", package: "coreutils"), ["--force", fresh.string, target.string], effect: .changes)), sync(mount),
        ]
    }

    /// Runs: `sync --file-system MOUNT`, changes.
    public static func sync(_ mount: FilePath) -> Action {
        .run(Command(Tool("sync", package: "coreutils"), ["--file-system", mount.string], effect: .changes))
    }
}

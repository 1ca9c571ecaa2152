package import KldCore
package import SystemPackage

/// The small programs about files that several modules run. Source: GNU coreutils 9.1, diffutils 3.8; the same words in newer ones.
package enum FileCommand {
    private static func changes(_ name: String, _ words: [String], accepting statuses: Set<Int32> = [0]) -> Command {
        Command(Tool(name, package: "coreutils"), words, effect: .changes, accepting: statuses)
    }

    /// One file. Runs: `cp SOURCE TARGET`, changes.
    package static func copy(_ source: FilePath, to target: FilePath) -> Command { changes("cp", [source.string, target.string]) }

    /// A file or a folder as it is, with owners, times, links and attributes, under a name that is not taken by a folder.
    ///
    /// Runs: `cp --archive --no-target-directory SOURCE TARGET`, changes.
    package static func copyTree(_ source: FilePath, to target: FilePath) -> Command {
        changes("cp", ["--archive", "--no-target-directory", source.string, target.string])
    }

    /// In the place of what has that name. Runs: `mv --force SOURCE TARGET`, changes.
    package static func rename(_ source: FilePath, to target: FilePath) -> Command {
        changes("mv", ["--force", source.string, target.string])
    }

    /// A file or a folder under a name that no folder with something in it has. Runs: `mv --no-target-directory SOURCE TARGET`, changes.
    package static func place(_ source: FilePath, at target: FilePath) -> Command {
        changes("mv", ["--no-target-directory", source.string, target.string])
    }

    /// Fails where they differ. Runs: `cmp ONE OTHER`, reads.
    package static func compare(_ one: FilePath, _ other: FilePath) -> Command {
        Command(Tool("cmp", package: "diffutils"), [one.string, other.string], effect: .reads)
    }

    /// Puts the content of files on their disks (fsync(2)); without any, all that waits for that. Runs: `sync [FILE…]`, changes.
    package static func sync(_ files: [FilePath] = []) -> Command { changes("sync", files.map(\.string)) }

    /// Everything of the file system that holds a file (syncfs(2)). Runs: `sync --file-system PLACE`, changes.
    package static func syncFileSystem(_ place: FilePath, accepting statuses: Set<Int32> = [0]) -> Command {
        changes("sync", ["--file-system", place.string], accepting: statuses)
    }

    /// Makes a file where there is none; what it grows by is a hole. Runs: `truncate --size=BYTES FILE`, changes.
    package static func resize(_ file: FilePath, to size: ByteCount) -> Command {
        changes("truncate", ["--size=\(size.bytes)", file.string])
    }

    /// - Parameter mode: in octal digits.
    ///
    /// Runs: `chmod MODE FILE…`, changes.
    package static func setMode(_ mode: String, _ files: [FilePath], accepting statuses: Set<Int32> = [0]) -> Command {
        changes("chmod", [mode] + files.map(\.string), accepting: statuses)
    }

    /// Writes into the file that is there, as files of the kernel's want it: no other one is renamed over it. Runs: `tee FILE`, changes.
    package static func write(_ text: String, into file: FilePath) -> Command {
        var command = changes("tee", [file.string])
        command.input = .text(text)
        return command
    }

    /// The SHA-256 of a file, at the beginning of what is printed: `e3b0c442… *NAME`. Runs: `sha256sum --binary --zero -- FILE`, reads.
    ///
    /// `--zero` because without it names with a backslash or newline are escaped.
    package static func digest(of file: FilePath) -> Command {
        Command(Tool("sha256sum", package: "coreutils"), ["--binary", "--zero", "--", file.string], effect: .reads)
    }

    /// That of a text which is never printed: `e3b0c442… *-`. Runs: `sha256sum --binary`, reads.
    package static func digest(of text: Secret) -> Command {
        Command(Tool("sha256sum", package: "coreutils"), ["--binary"], effect: .reads, input: .secret(text))
    }
}

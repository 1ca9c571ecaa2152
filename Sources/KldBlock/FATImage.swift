package import KldExec
package import SystemPackage

/// A FAT file system that nobody mounts: made, filled and read by command. Source: mtools(1) 4.0.32, mkfs.fat(8) 4.2.
package struct FATImage: Sendable, Hashable {
    package static let mkfs = Tool("mkfs.vfat", package: "dosfstools")
    package static let mcopy = Tool("mcopy", package: "mtools")

    /// As mtools has it: an image file, a device, or where a file system begins inside a disk, in bytes: `disk.raw@@1048576`.
    package var place: String
    /// Seconds since 1970, in place of the time of writing: the same files give the same bytes. `nil`: now.
    package var epoch: Int?

    package init(_ place: String, epoch: Int? = nil) {
        self.place = place
        self.epoch = epoch
    }

    /// Runs: `mkfs.vfat OPTIONS PLACE`.
    /// - Parameter effect: `.destroys` on a device.
    package func format(_ options: [String], effect: Effect = .changes) -> Command {
        Command(Self.mkfs, options + [place], effect: effect, environment: time)
    }

    /// Runs: `mmd -i PLACE ::NAME…`; changes.
    package func makeFolders(_ names: [String]) -> Command {
        mtools(Tool("mmd", package: "mtools"), [], names.map { "::\($0)" })
    }

    /// Runs: `mcopy [-m] -i PLACE FILE ::NAME`; changes.
    /// - Parameter keepsTime: the copy has the file's time of change, and not the time of writing.
    package func copyIn(_ file: FilePath, to name: String, keepsTime: Bool = false) -> Command {
        mtools(Self.mcopy, keepsTime ? ["-m"] : [], [file.string, "::\(name)"])
    }

    /// Everything, into a folder that is there. Runs: `mcopy -s -n -i PLACE ::* FOLDER`; changes.
    package func copyOut(to folder: FilePath) -> Command { mtools(Self.mcopy, ["-s", "-n"], ["::*", folder.string]) }

    private var time: [String: String] { epoch.map { ["SOURCE_DATE_EPOCH": String($0)] } ?? [:] }

    private func mtools(_ tool: Tool, _ options: [String], _ words: [String]) -> Command {
        // Else it refuses what has another number of sectors than a drive of old would.
        let environment = time.merging(["MTOOLS_SKIP_CHECK": "1"]) { $1 }
        return Command(tool, options + ["-i", place] + words, effect: .changes, environment: environment)
    }
}

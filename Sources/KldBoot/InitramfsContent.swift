import KldCore
public import KldExec
public import SystemPackage

/// What lies in an initramfs of initramfs-tools.
public enum InitramfsContent {
    /// Runs: `lsinitramfs FILE`, reads. Source: lsinitramfs(8), initramfs-tools 0.142 to 0.148; one path a line.
    /// - Returns: `nil` where the tool is not installed: this initramfs is of another family.
    public static func names(_ file: FilePath, runner: any CommandRunner) async throws -> [String]? {
        let command = Command(Tool("lsinitramfs", package: "initramfs-tools-core"), [file.string], effect: .reads)
        do { return try await runner.run(command).output.lines } catch CommandError.toolMissing { return nil }
    }

    /// OpenZFS' module is among them, compressed or not.
    public static func holdsOpenZFS(_ names: [String]) -> Bool {
        names.contains { line in
            let file = line.split(separator: "/").last ?? ""
            return file == "zfs.ko" || file.hasPrefix("zfs.ko.")
        }
    }
}

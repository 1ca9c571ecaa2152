import KldCore
import KldExec
import KldFiles
import SystemPackage

/// Parameters of the kernel module `zfs` that is loaded. Source: zfs(4), OpenZFS 2.4.
enum ModuleParameter {
    /// Sets it in the running module, and reads it back: options of modprobe are ignored without a word when udev has loaded the module already.
    ///
    /// Runs: `tee /sys/module/zfs/parameters/NAME`, which writes into the file that is there.
    /// - Throws: ``Diagnosis`` `zfs.parameter` when the module did not take it.
    static func set(_ name: String, to value: Int, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let file = FilePath("/sys/module/zfs/parameters/\(name)")
        try await runner.run(FileCommand.write("\(value)\n", into: file))
        let now = try files.readText(file).trimmed
        guard now == String(value) else {
            throw Diagnosis(
                "zfs.parameter", "OpenZFS does not take \(name)=\(value); it stays \(now)",
                remedies: ["report this as a defect of kldload, with the log"], exit: .bug)
        }
    }
}

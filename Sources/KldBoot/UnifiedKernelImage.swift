public import KldExec
public import SystemPackage

/// One EFI program that holds kernel, initramfs and command line. Built by ukify. Source: ukify(1), systemd 257.
public struct UnifiedKernelImage: Sendable, Hashable {
    public var linux: FilePath
    /// In the order the kernel unpacks them; later ones win.
    public var initrds: [FilePath]
    public var commandLine: KernelCommandLine
    public var release: String
    public var osRelease: FilePath
    public var stub: FilePath
    public var output: FilePath

    public init(
        linux: FilePath, initrds: [FilePath], commandLine: KernelCommandLine, release: String, osRelease: FilePath, stub: FilePath,
        output: FilePath
    ) {
        self.linux = linux
        self.initrds = initrds
        self.commandLine = commandLine
        self.release = release
        self.osRelease = osRelease
        self.stub = stub
        self.output = output
    }

    /// Runs: `ukify build --linux=… --initrd=… --cmdline=… --uname=… --os-release=@… --stub=… --output=…`.
    public var build: Command {
        Command(
            Tool("ukify", package: "systemd-ukify"),
            ["build", "--linux=\(linux)"] + initrds.map { "--initrd=\($0)" } + [
                "--cmdline=\(commandLine)", "--uname=\(release)", "--os-release=@\(osRelease)", "--stub=\(stub)", "--output=\(output)",
            ], effect: .changes)
    }

    /// The file's name below `EFI/Linux`: environment, then kernel, so that entries of one environment sort together.
    public static func fileName(bootEnvironment: String, release: String) -> String { "kldload-\(bootEnvironment)-\(release).efi" }
}

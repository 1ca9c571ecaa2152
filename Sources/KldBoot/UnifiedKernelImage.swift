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

    /// The same where there is no ukify (before systemd 253): the sections are laid behind those of the stub, each on a page of its own.
    ///
    /// Runs: `objcopy --add-section .osrel=FILE --change-section-vma .osrel=ADDRESS … STUB OUTPUT`. Source: systemd-stub(7), systemd 252.
    /// - Parameters:
    ///   - stub: the content of ``stub``.
    ///   - files: the file and its length in bytes of each section, in the order `.osrel`, `.cmdline`, `.uname`, `.linux`, `.initrd`; the
    ///     initramfs as one file, for a section has one.
    public static func assemble(
        _ files: [(file: FilePath, length: UInt64)], stub: FilePath, _ program: PortableExecutable, output: FilePath
    )
        -> Command
    {
        var address = program.aligned(program.end)
        var words: [String] = []
        for (name, (file, length)) in zip([".osrel", ".cmdline", ".uname", ".linux", ".initrd"], files) {
            words += ["--add-section", "\(name)=\(file)", "--change-section-vma", "\(name)=0x\(String(address, radix: 16))"]
            address = program.aligned(address + length)
        }
        return Command(Tool("objcopy", package: "binutils"), words + [stub.string, output.string], effect: .changes)
    }
}

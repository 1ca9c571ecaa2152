import KldCore
package import KldExec
package import SystemPackage

/// The QEMU of this machine.
package struct QEMU: Sendable, Hashable {
    package static let tool = Tool("qemu-system-x86_64", package: "qemu-system-x86")

    package var executable: FilePath
    package var version: QEMUVersion
    /// A program, with its arguments, that becomes QEMU somewhere else: in other namespaces, for instance.
    package var starter: [String] = []

    package init(executable: FilePath, version: QEMUVersion) {
        self.executable = executable
        self.version = version
    }

    /// **Runs:** `qemu-system-x86_64 --version` (reads).
    package static var versionCommand: Command { Command(tool, ["--version"], effect: .reads) }

    /// Finds QEMU on PATH and asks for its version.
    ///
    /// - Throws: ``Diagnosis`` `vm.qemu-missing`; ``CommandError`` when it is there and fails.
    package static func find(
        runner: any CommandRunner, path: String = SubprocessRunner.searchPath
    ) async throws -> QEMU {
        let missing = Diagnosis(
            "vm.qemu-missing", "QEMU (\(tool.name)) is not installed", remedies: ["install it: apt-get install \(tool.package)"],
            exit: .unavailable)
        guard let executable = SubprocessRunner.find(tool.name, path: path) else { throw missing }
        do {
            let output = try await runner.run(versionCommand).output
            guard let version = QEMUVersion(output: output) else {
                throw Diagnosis(
                    "vm.qemu-unknown", "QEMU does not say its version", remedies: ["install QEMU 10 or newer"], exit: .unavailable,
                    causes: [output])
            }
            return QEMU(executable: executable, version: version)
        } catch CommandError.toolMissing {
            throw missing
        }
    }
}

import KldCore
import KldExec
import KldFiles
import KldSystemd
import SystemPackage

extension CopySeal {
    /// Enables what gives a clone its identity: sealing takes host keys and host id away, and a clone without this would have none.
    ///
    /// Runs: `chroot ROOT systemctl enable UNIT…`, changes.
    /// - Throws: ``Diagnosis`` `image.no-first-boot` where the unit of the first boot is not there, or masked.
    static func enableUnits(in root: FilePath, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        let tree = SealTree(root: root, files: files)
        guard try CloneState.isInstalled(CloneState.firstBoot, tree) else {
            throw Diagnosis(
                "image.no-first-boot",
                "kldload-firstboot.service is missing on the source, or masked: no clone would get host keys and a host id of its own",
                remedies: [
                    "install kldload on the source first: its tools and units, as a machine has them that kldload has installed",
                    "if the unit is masked there: systemctl unmask kldload-firstboot.service",
                    "or export it as it is, with every identity and secret in it: --no-seal",
                ], exit: .inputMissing)
        }
        try await runner.run(Systemctl.change(["enable"] + CloneState.unitsToEnable(tree)).inside(root))
    }
}

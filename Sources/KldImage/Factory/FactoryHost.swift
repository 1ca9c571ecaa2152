import KldCore
public import KldExec
public import KldFiles
package import KldVirt
public import SystemPackage

/// What the host offers to guests: found once, used by every run.
public struct FactoryHost: Sendable {
    package var qemu: QEMU
    package var choice: AcceleratorChoice
    package var accelerator: Accelerator { choice.accelerator }
    /// Why guests are emulated; `nil` when they are not.
    public var reason: String? { choice.reason }

    package init(qemu: QEMU, choice: AcceleratorChoice) {
        self.qemu = qemu
        self.choice = choice
    }

    /// - Throws: ``Diagnosis`` `vm.qemu-missing`, `vm.qemu-too-old`.
    public static func find(runner: any CommandRunner, files: any FileSystem, cache: FilePath) async throws -> FactoryHost {
        let qemu = try await QEMU.find(runner: runner)
        let probe = AcceleratorProbe(qemu: qemu, files: files, cache: cache.appending("probe"))
        return FactoryHost(qemu: qemu, choice: try await probe.choose())
    }

    /// A deadline for this host: the duration on a fast machine, stretched by how slow and how busy this one is.
    public func deadline(_ reference: Duration) -> Duration { choice.speed.deadline(reference, crowding: 2) }
}

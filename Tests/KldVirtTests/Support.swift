import KldExec
import KldFiles
import KldVirt
import SystemPackage

/// What contract tests need of this machine.
enum Here {
    static func has(_ program: String) -> Bool {
        ["/usr/local/bin", "/usr/bin", "/bin"].contains { (try? LocalFiles().status(FilePath("\($0)/\(program)"))) != nil }
    }
    static let hasQEMU = has("qemu-system-x86_64")
    static let hasQemuImg = has("qemu-img")
    static let hasFirmware = (try? Firmware.find(.secureBoot, files: LocalFiles())) != nil
    static var qemu: QEMU { get async throws { try await QEMU.find(runner: SubprocessRunner()) } }
}

/// A folder of a test's own that is gone afterwards.
func withScratch<Result>(_ body: (FilePath) async throws -> Result) async throws -> Result {
    let folder = FilePath("/tmp/kldvirt-tests-\(UInt64.random(in: 0 ... .max))")
    try LocalFiles().makeDirectory(folder, mode: .directory)
    defer { try? LocalFiles().remove(folder) }
    return try await body(folder)
}

/// A running probe guest under emulation.
func withProbeGuest<Result>(
    channels: [String] = [], _ body: (VirtualMachine, FilePath) async throws -> Result
) async throws -> Result {
    try await withScratch { folder in
        let disk = folder.appending("probe.raw")
        try LocalFiles().write(ProbeGuest.disk, to: disk, mode: .file)
        var spec = ProbeGuest.machine(.tcg, disk: disk)
        spec.channels = channels
        return try await VirtualMachine.with(spec, qemu: Here.qemu, folder: folder) { try await body($0, folder) }
    }
}

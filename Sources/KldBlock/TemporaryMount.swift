import Glibc
public import KldExec
public import KldFiles
public import SystemPackage

/// A short look at a file system: read-only, at a place of the process's own, gone afterwards.
///
/// Others may look at the same device at the same time, and find that place in the list of mounts: it is nobody else's to use.
public struct TemporaryMount: Sendable, Hashable {
    public static let places: FilePath = "/run/kldload/look"
    /// Where whoever holds the lock of boot environments mounts what it writes to, for as long as one step runs.
    public static let writing: FilePath = "/run/kldload/boot"

    /// Whose look it is.
    public var process: Int32
    public init(process: Int32) { self.process = process }
    public init() { process = getpid() }

    public func place(_ name: String) -> FilePath { Self.places.appending("\(process)").appending(name) }

    /// Whether something is mounted there only while a process looks at it or writes to it.
    public static func isPlace(_ mountpoint: String) -> Bool { [places, writing].contains { mountpoint.hasPrefix("\($0)/") } }

    /// Shows a device or dataset to `body`.
    ///
    /// Runs: `mount -t TYPE -o ro,OPTIONS SOURCE PLACE`, `umount PLACE`, changes.
    /// - Parameter name: of the place; this process looks at one thing there at a time.
    /// - Throws: what mounting throws, see ``MountCommand/mountWhenFree(_:at:type:options:runner:)``; what `body` throws.
    public func with<Result>(
        at source: String, as name: String, type: String, options: [String] = [], runner: any CommandRunner, files: any FileSystem,
        _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        let place = place(name)
        try files.makeDirectory(place, mode: 0o700)
        try await MountCommand.mountWhenFree(source, at: place, type: type, options: ["ro"] + options, runner: runner)
        do {
            let result = try await body(place)
            try await close(place, runner, files)
            return result
        } catch {
            _ = try? await close(place, runner, files)
            throw error
        }
    }

    private func close(_ place: FilePath, _ runner: any CommandRunner, _ files: any FileSystem) async throws {
        try await runner.run(MountCommand.unmount(place))
        if (try? files.list(place)) == [] { try? files.remove(place) }
    }

    /// Takes away what processes left mounted that were killed while they looked or wrote. Only for whoever holds the lock of boot environments.
    ///
    /// Runs: `umount --recursive PLACE` for each, changes.
    public static func sweep(runner: any CommandRunner, files: any FileSystem) async throws {
        for mount in try files.mounts().reversed() where mount.place.hasPrefix("\(writing)/") {
            try await runner.run(MountCommand.unmount(FilePath(mount.place)))
        }
        for process in (try? files.folders(in: places)) ?? [] where try !files.exists(FilePath("/proc/\(process)")) {
            for mount in try files.mounts().reversed() where mount.place.hasPrefix("\(places)/\(process)/") {
                try await runner.run(MountCommand.unmount(FilePath(mount.place)))
            }
            // Never crosses a mount point: what is still used there goes another time.
            try? files.remove(places.appending(process))
        }
    }
}

extension MountCommand {
    /// So often is it tried; with the pauses between them two minutes, longer than one process looks at an ESP in a slow guest.
    private static let tries = 480

    /// Whether that is why a device could not be mounted: it is, otherwise. Source: util-linux 2.41, below.
    public static func isBusy(_ output: CommandOutput) -> Bool { output.errors.contains("already mounted") }

    /// Mounts something that other processes mount for a moment. Linux mounts a device either to be read or to be written: who comes second
    /// with the other wish waits, two minutes at most.
    ///
    /// Runs: `mount -t TYPE -o OPTIONS SOURCE TARGET`, changes. One line of its errors (util-linux 2.41):
    /// ```
    /// mount: /mnt: /dev/vdb1 already mounted or mount point busy.
    /// ```
    /// - Throws: ``CommandError``.
    public static func mountWhenFree(
        _ source: String, at target: FilePath, type: String, options: [String], runner: any CommandRunner
    ) async throws {
        let command = mount(source, at: target, type: type, options: options)
        for _ in 1..<tries {
            do {
                try await runner.run(command)
                return
            } catch CommandError.failed(_, let output) where isBusy(output) {
                try await Task.sleep(for: .milliseconds(250))
            }
        }
        try await runner.run(command)
    }
}

extension BlockDevice {
    /// Where it is mounted for longer than one look at it.
    public var mountpoint: String? { mountpoints.first { !TemporaryMount.isPlace($0) } }
}

import KldBlock
import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import SystemPackage

/// The volume with `answers.env` from which a live environment installs without a person.
public struct SeedVolume: Sendable, Hashable {
    public static var labels: [String] { MachineFacts.seedLabels }
    public static let answersName = "answers.env"
    static let mountPoint: FilePath = "/run/kldload/seed"

    /// The block device.
    public var device: FilePath

    public init(device: FilePath) { self.device = device }

    /// The one volume with such a label, of a file system or of a partition, among what udev has found.
    ///
    /// - Returns: `nil` when there is none.
    /// - Throws: ``Diagnosis`` `autoinstall.several-seeds`.
    public static func find(_ files: any FileSystem) throws -> SeedVolume? {
        var found: Set<FilePath> = []
        for folder in ["/dev/disk/by-label", "/dev/disk/by-partlabel"] {
            for label in labels {
                let link = FilePath(folder).appending(label)
                if try files.exists(link) { found.insert(try files.resolve(link)) }
            }
        }
        guard found.count < 2 else {
            throw Diagnosis(
                "autoinstall.several-seeds", "there is more than one seed volume; nothing was installed",
                remedies: ["leave one of them in, and restart"], exit: .badAnswers, causes: found.map(\.string).sorted())
        }
        return found.first.map(SeedVolume.init(device:))
    }

    /// Writes down on the volume what became of an installation, in a folder of its own; nothing else on it is touched.
    ///
    /// - Parameters:
    ///   - folder: its name.
    ///   - files: contents by name.
    /// - Throws: what mount says: optical media, and sticks that are locked, take nothing.
    ///
    /// Runs: `mount -o nosuid,nodev,noexec DEVICE /run/kldload/seed`, `sync --file-system …`, `umount …`; changes.
    public func report(
        _ contents: [(name: String, bytes: [UInt8])], in folder: String, runner: any CommandRunner, files: any FileSystem
    ) async throws {
        let place = Self.mountPoint
        try files.makeDirectory(place, mode: 0o700)
        try await runner.run(MountCommand.mount(device.string, at: place, options: ["rw", "nosuid", "nodev", "noexec"]))
        let result = Result { () throws in
            for (name, bytes) in contents { try files.write(bytes, to: place.appending(folder).appending(name), mode: .file) }
        }
        try await runner.run(
            Command(Tool("sync", package: "coreutils"), ["--file-system", place.string], effect: .changes, accepting: [0, 1]))
        try await runner.run(MountCommand.unmount(place))
        try result.get()
    }

    /// The text of its answers file. It is mounted for as long as that takes, and nothing is written to it.
    ///
    /// - Throws: ``Diagnosis`` `autoinstall.no-answers` when it has none; what mount says.
    ///
    /// **Runs:** `mount -o ro,nosuid,nodev,noexec DEVICE /run/kldload/seed`, `umount …`.
    public func answers(runner: any CommandRunner, files: any FileSystem) async throws -> [UInt8] {
        let place = Self.mountPoint
        try files.makeDirectory(place, mode: 0o700)
        try await runner.run(MountCommand.mount(device.string, at: place, options: ["ro", "nosuid", "nodev", "noexec"]))
        let result = Result { () throws -> [UInt8] in
            let file = place.appending(Self.answersName)
            guard try files.exists(file) else {
                throw Diagnosis(
                    "autoinstall.no-answers", "the seed volume \(device) has no \(Self.answersName)",
                    remedies: ["put the answers into a file of that name at its top"], exit: .inputMissing)
            }
            return try files.read(file)
        }
        try await runner.run(MountCommand.unmount(place))
        return try result.get()
    }
}

import FoundationEssentials
import KldBlock
package import KldCore
package import KldExec
package import KldFiles
package import KldZFS
import SystemPackage

extension PoolVdev {
    /// Judges exit status 1 of ``ZPool/realDevices()``, which it accepts.
    /// - Throws: ``Diagnosis`` `image.pools-unknown` when the answer is neither a list nor "there can be none".
    package static func read(_ output: CommandOutput) throws(Diagnosis) -> [PoolVdev] {
        if output.status == 0 || output.output.contains("pool: ") { return parse(output.output) }
        // Without the kernel module no pool is imported: "The ZFS modules cannot be auto-loaded." (OpenZFS 2.1 to 2.4)
        if output.errors.contains("modules") || output.errors.contains("no pools available") { return [] }
        throw Diagnosis(
            "image.pools-unknown", "zpool does not say which disks its pools use", remedies: ["run as root"], exit: .needsRoot,
            causes: output.errors.lines)
    }
}

/// A line of `/proc/mounts`. Source: fstab(5), proc_pid_mounts(5): blanks and backslashes are octal escapes.
public struct MountedSource: Sendable, Hashable {
    public var source: String
    public var target: String
    public init(source: String, target: String) {
        self.source = source
        self.target = target
    }

    /// Reads `/dev/vda1 /boot/efi vfat rw,relatime 0 0`. Only mounts of paths: datasets are known through their pool's devices.
    package static func parse(_ text: String) -> [MountedSource] {
        text.lines.compactMap { line in
            let words = line.words
            guard words.count >= 2, words[0].hasPrefix("/") else { return nil }
            return MountedSource(source: words[0].withoutOctalEscapes(), target: words[1].withoutOctalEscapes())
        }
    }
}

/// A loop device and what it shows.
public struct LoopDevice: Sendable, Hashable {
    public var device: String
    public var backingFile: String
    public init(device: String, backingFile: String) {
        self.device = device
        self.backingFile = backingFile
    }

    /// Runs: `losetup --list --json --output NAME,BACK-FILE`, reads. Source: losetup(8), util-linux 2.38.
    package static let command = Command(
        Tool("losetup", package: "util-linux"), ["--list", "--json", "--output", "NAME,BACK-FILE"], effect: .reads)

    private struct Document: Decodable {
        struct Entry: Decodable {
            var name: String
            var file: String?
            enum CodingKeys: String, CodingKey {
                case name
                case file = "back-file"
            }
        }
        var loopdevices: [Entry]
    }

    /// Reads `{"loopdevices": [{"name": "/dev/loop0", "back-file": "/srv/a.raw"}]}`; nothing at all when there are none (2.38).
    /// - Throws: ``Diagnosis`` `image.loops-unreadable`.
    package static func parse(_ text: String) throws(Diagnosis) -> [LoopDevice] {
        if text.trimmed.isEmpty { return [] }
        do {
            return try JSONDecoder().decode(Document.self, from: Data(text.utf8)).loopdevices.compactMap { entry in
                entry.file.map { LoopDevice(device: entry.name, backingFile: $0) }
            }
        } catch {
            throw Diagnosis("image.loops-unreadable", "losetup printed something that is not understood", exit: .bug, causes: ["\(error)"])
        }
    }
}

extension SourceGuard.Facts {
    /// Asks the machine. A machine without OpenZFS has no pools; every other tool must be there, because silence proves nothing.
    ///
    /// - Parameter isDevice: then the pools must be known. For a file they need not be: an ordinary user in a container of a host with
    ///   ZFS may not ask, and only root puts a pool into a file.
    package static func read(
        _ runner: any CommandRunner, _ files: any FileSystem, isDevice: Bool
    ) async throws -> SourceGuard.Facts {
        var facts = SourceGuard.Facts()
        facts.devices = try ListBlockDevices.parse(try await runner.run(ListBlockDevices.command).output)
        facts.mounts = MountedSource.parse(try files.readText("/proc/mounts"))
        facts.loops = try LoopDevice.parse(try await runner.run(LoopDevice.command).output)
        do { facts.vdevs = try PoolVdev.read(try await runner.run(ZPool.realDevices())) } catch CommandError.toolMissing {
            facts.vdevs = []
        } catch let problem as Diagnosis where problem.code == "image.pools-unknown" && !isDevice {
            facts.vdevs = []
        }
        return facts
    }
}

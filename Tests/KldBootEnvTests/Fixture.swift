import KldBoot
import KldCore
import KldZFS
import SystemPackage

@testable import KldBootEnv

/// A machine with two environments: `debian` runs, `test` was cloned from it.
enum Fixture {
    static let release = "6.12.48+deb13-amd64"
    static let now = Timestamp(seconds: 1_700_000_000)

    static func dataset(_ name: String) throws -> DatasetName { try DatasetName("rpool/ROOT/\(name)") }
    static func snapshot(_ name: String) throws -> SnapshotName { try SnapshotName("rpool/ROOT/\(name)") }

    static func entry(_ name: String, order: Int, left: Int? = nil, done: Int = 0, generation: Int = 1, once: Bool = false) -> BootEntry {
        BootEntry(
            dataset: "rpool/ROOT/\(name)", release: release, generation: generation, order: order,
            counter: left.map { BootEntry.Counter(left: $0, done: done) }, once: once)
    }

    static func esp(_ entries: [BootEntry], _ device: String = "/dev/vda1", mounted: Bool = true) -> BootSystem.ESP {
        BootSystem.ESP(
            device: device, mount: mounted ? "/boot/efi" : nil, free: .mebibytes(800), entries: entries,
            images: Dictionary(entries.map { ($0.imagePath, ByteCount.mebibytes(70)) }, uniquingKeysWith: { $1 }))
    }

    static func system(
        _ esps: [BootSystem.ESP] = [esp([entry("debian", order: 100)])], running: String = "debian", bootfs: String = "debian"
    ) throws -> BootSystem {
        BootSystem(
            pool: try PoolName("rpool"), running: try dataset(running), release: release, hostID: HostID(0x0123_4567),
            commandLine: KernelCommandLine(running: "root=ZFS=rpool/ROOT/\(running) boot=zfs rw console=tty0 panic=15"),
            bootfs: "rpool/ROOT/\(bootfs)",
            environments: [
                BootEnvironment(
                    dataset: try dataset("debian"), created: Timestamp(seconds: 1_600_000_000),
                    snapshots: [
                        .init(name: try snapshot("debian@install"), used: ByteCount(0), created: Timestamp(seconds: 1_600_000_100)),
                        .init(name: try snapshot("debian@kbe-test-1"), used: ByteCount(0), created: Timestamp(seconds: 1_600_000_200)),
                    ], mountpoint: running == "debian" ? "/" : nil),
                BootEnvironment(
                    dataset: try dataset("test"), created: Timestamp(seconds: 1_600_000_200), origin: try snapshot("debian@kbe-test-1"),
                    mountpoint: running == "test" ? "/" : nil),
            ], esps: esps)
    }

    static func target(_ name: String, root: FilePath = "/run/kldload/look/root", matching: [String: Set<String>] = [:]) throws
        -> BootTarget
    {
        let images = matching.mapValues { ids in Set(ids.map { "\(BootEntry.imageFolder)/\($0).efi" }) }
        return BootTarget(
            environment: try dataset(name), root: name == "debian" ? "/" : root,
            kernels: [.init(release: release, size: .mebibytes(70), matching: matching, images: images)])
    }
}

import KldCore
import KldExec
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@Suite struct `ZFS errors` {
    /// Texts as the sources of OpenZFS 2.4.4 print them.
    static let known: [(String, ZFSError)] = [
        ("The ZFS modules cannot be auto-loaded.\nTry running 'modprobe zfs' as root to manually load them.\n", .moduleNotLoaded),
        ("The ZFS modules are not loaded.\nTry running 'modprobe zfs' as root to load them.\n", .moduleNotLoaded),
        ("cannot open 'tank': no such pool\n", .noSuchPool("tank")),
        ("cannot import 'tank': no such pool available\n", .noSuchPool("tank")),
        ("cannot open 'rpool/x': dataset does not exist\n", .noSuchDataset("rpool/x")),
        ("cannot create 'rpool/x': dataset already exists\n", .datasetExists("rpool/x")),
        ("cannot create 'rpool': pool already exists\n", .poolExists("rpool")),
        ("cannot export 'rpool': pool is busy\n", .poolBusy("rpool")),
        ("cannot destroy 'rpool/vms/a': dataset is busy\n", .datasetBusy("rpool/vms/a")),
        ("cannot unmount '/mnt': pool or dataset is busy\n", .poolBusy("/mnt")),
        (
            "cannot import 'rpool': pool was previously in use from another system.\n"
                + "Last accessed by builder (hostid=a8c0ff01) at Sat Aug 15 22:07:58 2026\n"
                + "The pool can be imported, use 'zpool import -f' to import the pool.\n",
            .foreignHost(pool: "rpool", host: "builder", hostID: "a8c0ff01")
        ),
        (
            "cannot import 'rpool': pool is imported on box (hostid: 0x12345678)\n"
                + "Export the pool on the other system, then run 'zpool import'.\n",
            .activeElsewhere(pool: "rpool")
        ),
        (
            "invalid vdev specification\nuse '-f' to override the following errors:\n/dev/vda2 is part of active pool 'rpool'\n",
            .deviceInUse(device: "/dev/vda2", by: "the pool rpool")
        ),
        (
            "invalid vdev specification\nuse '-f' to override the following errors:\n/dev/vdb contains a filesystem of type 'ext4'\n",
            .deviceInUse(device: "/dev/vdb", by: "/dev/vdb contains a filesystem of type 'ext4'")
        ),
        (
            "invalid vdev specification\nuse '-f' to override the following errors:\n"
                + "mismatched replication level: both disk and mirror vdevs are present\n",
            .mismatchedReplication("mismatched replication level: both disk and mirror vdevs are present")
        ),
        ("cannot open 'rpool': permission denied\n", .permissionDenied),
        ("cannot mount 'rpool/home': encryption key not loaded\n", .keyNotLoaded("rpool/home")),
        ("Key load error: Incorrect key provided for 'rpool'.\n", .wrongKey("rpool")),
        ("cannot create 'rpool/x': out of space\n", .outOfSpace("rpool/x")),
        ("cannot import 'rpool': unsupported version or feature\n", .unsupportedFeature("rpool")),
        ("cannot destroy 'rpool/x': filesystem has children\nuse '-r' to destroy the following datasets:\n", .hasChildren("rpool/x")),
        ("cannot destroy 'rpool/x': filesystem has dependent clones\n", .hasClones("rpool/x")),
        ("cannot open 'rpool': pool I/O is currently suspended\n", .suspended("rpool")),
    ]

    @Test(arguments: known) func `are recognised by their phrases`(text: String, error: ZFSError) { #expect(ZFSError(text) == error) }

    @Test(arguments: known) func `carry a code and a remedy`(text: String, error: ZFSError) {
        #expect(error.diagnosis.code.hasPrefix("zfs.") && !error.diagnosis.remedies.isEmpty)
    }

    @Test func `do not swallow what they do not know`() { #expect(ZFSError("cannot frobnicate 'x': the moon is full\n") == nil) }

    @Test func `offer -f last when another host had the pool`() {
        let remedies = ZFSError.foreignHost(pool: "rpool", host: "b", hostID: "1").diagnosis.remedies
        #expect(remedies.count == 3 && remedies.last?.contains("-f") == true)
    }

    @Test func `replace the bare failure of a command`() async throws {
        let runner = ZFSExplainingRunner(
            ScriptedRunner([{ _ in CommandOutput(status: 1, errors: "cannot export 'rpool': pool is busy\n") }]))
        await #expect {
            try await runner.run(ZPool.export(PoolName("rpool")))
        } throws: {
            let problem = Diagnosis(of: $0)
            return problem.code == "zfs.pool-busy" && problem.causes.first == "command: zpool export rpool"
        }
        await #expect {
            try await runner.run(ZPool.export(PoolName("rpool")).inside("/target"))
        } throws: {
            Diagnosis(of: $0).code == "zfs.pool-busy"
        }
        await #expect { try await runner.run(Command("mount", [], effect: .changes)) } throws: {
            Diagnosis(of: $0).code == "command.failed"
        }
    }
}

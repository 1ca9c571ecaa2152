import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv
@testable import KldFleet

@Suite struct FleetReportTests {
    /// A machine with one disk, whose second environment was pushed, and failed.
    private func gather(identity: String = "own") async throws -> FleetReport {
        let disks = """
            {"blockdevices":[{"path":"/dev/vda","name":"vda","size":8589934592,"type":"disk","children":[
              {"path":"/dev/vda1","name":"vda1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":["/boot/efi"]},
              {"path":"/dev/vda2","name":"vda2","size":7000000000,"type":"part","fstype":"zfs_member","mountpoints":[null]}]}]}
            """
        func entry(_ name: String, order: Int, left: Int?) -> BootEntry {
            BootEntry(
                dataset: "rpool/ROOT/\(name)", release: "6.12", generation: 1, order: order,
                counter: left.map { BootEntry.Counter(left: $0, done: 3) }, once: false)
        }
        let (debian, golden) = (entry("debian", order: 100, left: nil), entry("golden", order: 200, left: 0))
        let runner = ScriptedRunner([
            ListBlockDevices.command.description: disks,
            "zpool list -vHPp -o name,bootfs,altroot rpool": "rpool\trpool/ROOT/debian\t-\n\t/dev/vda2\t7G\n",
            ZFS.list(try DatasetName("rpool/ROOT"), columns: BootSystem.columns, types: ["filesystem"]).description:
                "rpool/ROOT\tfilesystem\t1\t1\t1\t-\tnone\toff\t-\t-\nrpool/ROOT/debian\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t-\nrpool/ROOT/golden\tfilesystem\t9\t9\t5\trpool/ROOT/debian@install\t/\tnoauto\t\(identity)\t-\n",
            "zfs get -r -t filesystem -Hp -o name,property,value,source com.kldload:image rpool/ROOT":
                "rpool/ROOT\tcom.kldload:image\t-\t-\nrpool/ROOT/debian\tcom.kldload:image\t7\tinherited from rpool/ROOT\nrpool/ROOT/golden\tcom.kldload:image\t50\tlocal\n",
        ])
        let files = MemoryFiles([
            "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n",
            "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=zfs rw\n", "/usr/bin/ukify": "", "/proc/sys/kernel/osrelease": "6.12\n",
            "/proc/sys/kernel/hostname": "web-01\n",
            "/proc/sys/kernel/random/boot_id": "5f0c\n", BootTrial.goodMarker.string: "good\n", "/boot/efi/\(debian.path)": debian.text,
            "/boot/efi/\(debian.imagePath)": "image", "/boot/efi/\(golden.path)": golden.text, "/boot/efi/\(golden.imagePath)": "image",
            BootTrial.file(golden.id).string: "ssh.service is failed\n",
        ])
        return try await FleetReport.gather(brief: true, version: "1.2", now: Timestamp(seconds: 0), runner: runner, files: files)
    }

    @Test func `a machine says what runs, whether that was good, what it has, and what of it was pushed`() async throws {
        let report = try await gather()
        #expect(report.host == "web-01" && report.version == "1.2" && report.boot == "5f0c" && report.good)
        #expect(report.running == "debian" && report.dataset == "rpool/ROOT/debian" && report.next == "debian")
        #expect(
            report.environments == [
                .init(name: "debian", state: "good"), .init(name: "golden", state: "failed: ssh.service is failed", image: "50"),
            ])
        #expect(report.failed == nil && report.pools.isEmpty)
    }

    @Test func `it says which environment is not its own yet, and one that does not say is read`() async throws {
        let report = try await gather(identity: "foreign")
        #expect(
            report.environments == [
                .init(name: "debian", state: "good"),
                .init(name: "golden", state: "another machine's: kldload kbe adopt golden", image: "50", foreign: true),
            ])
        let text = try report.json
        #expect(FleetReport(json: text) == report && text.contains("\"foreign\":true"))
        let silent = try await gather()
        let less = try silent.json
        #expect(FleetReport(json: less) == silent && !less.contains("foreign"))
    }
}

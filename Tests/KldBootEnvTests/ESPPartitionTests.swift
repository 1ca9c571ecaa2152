import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("A pool whose disks have no partition for an ESP")
struct ESPPartitionTests {
    /// - Parameter name: of the first disk's first partition, in the GPT; `nil`: there is none.
    private func restore(_ disk: FilePath? = nil, name: String?) async throws -> BootRestore {
        let first = name.map { #"{"path":"/dev/sda1","name":"sda1","size":1,"type":"part","fstype":null,"partlabel":"\#($0)"},"# } ?? ""
        let listing = #"""
            {"blockdevices":[{"path":"/dev/sda","name":"sda","size":1,"type":"disk","children":[\#(first)
              {"path":"/dev/sda2","name":"sda2","size":1,"type":"part","fstype":"zfs_member"}]},
              {"path":"/dev/sdb","name":"sdb","size":1,"type":"disk","children":[
              {"path":"/dev/sdb2","name":"sdb2","size":1,"type":"part","fstype":"zfs_member"}]}]}
            """#
        let runner = ScriptedRunner([
            ListBlockDevices.command.description: listing,
            "zpool list -vHPp -o name,bootfs,altroot rpool": "rpool\t-\t-\n\t/dev/sda2\n\t/dev/sdb2\n",
        ])
        let files = MemoryFiles(
            ["/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n"], devices: ["/dev/sda", "/dev/sdb", "/dev/sda2", "/dev/sdb2"])
        return try await BootRestore.gather(disk: disk, runner: runner, files: files)
    }

    @Test("is told so, whether one disk is named or none, and how to make one that is known as an ESP then")
    func remedy() async throws {
        for disk in [nil, "/dev/sda"] as [FilePath?] {
            let problem = await KldTestSupport.problem { _ = try await restore(disk, name: nil) }
            #expect(problem?.code == "boot.no-esp-partition" && problem?.message.contains("/dev/sda") == true)
            #expect(problem?.remedies.first?.contains("--change-name=0:'EFI system partition' /dev/sda") == true)
        }
        // What that makes is an ESP that is lost; a partition without the name is nobody's whom we know.
        #expect(try await restore(name: ESPLayout.partitionName).lost.map(\.path) == ["/dev/sda1"])
        let unnamed = await KldTestSupport.problem { _ = try await restore(name: "") }
        #expect(unnamed?.code == "boot.no-esp-partition")
    }
}

import KldAnswers
import KldBlock
import KldCore
import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Suite("Disks of several sizes")
struct VdevSizeTests {
    static let disks = ["sda", "sdb", "sdc", "sdd"]

    func plan(_ sizes: [UInt64], _ topology: String, special: [String] = []) throws -> Plan {
        let facts = MachineFacts(disks: zip(Self.disks + special, sizes).map { BlockDevice.disk($0, gibibytes: $1) })
        let lines =
            ["KLDLOAD_ZFS_TOPOLOGY=\(topology)", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb,/dev/sdc,/dev/sdd"]
            + (special.isEmpty ? [] : ["KLDLOAD_ZFS_SPECIAL_DISKS=\(special.map { "/dev/\($0)" }.joined(separator: ","))"])
        return try InstallPlanner(request(answers(disk: "/dev/sda", lines.joined(separator: "\n")), facts)).plan
    }

    func tables(_ plan: Plan) -> [String] {
        plan.commandLines.filter { $0.hasPrefix("sgdisk --clear") }.map { line in
            line.split(separator: " ").last { $0.hasPrefix("--new=") }.map(String.init) ?? ""
        }
    }

    @Test("striped mirrors may be of two sizes: nothing of the larger ones is lost")
    func striped() throws {
        #expect(try tables(plan([1000, 1000, 2000, 2000], "mirror-stripe")) == Array(repeating: "--new=2:0:0", count: 4))
        // 99 GiB and 195 GiB, less the ESP and room for the tables.
        let (small, large) = ("--new=2:0:+100344M", "--new=2:0:+198648M")
        #expect(try tables(plan([100, 99, 200, 195], "mirror-stripe")) == [small, small, large, large])
    }

    @Test(
        "within one vdev more than a tenth is refused",
        arguments: [("mirror-stripe", [1000, 2000, 1000, 2000]), ("raidz1", [1000, 1000, 2000, 2000])] as [(String, [UInt64])])
    func unequal(_ topology: String, _ sizes: [UInt64]) {
        let found = problem { _ = try plan(sizes, topology) }
        #expect(found?.code == "disk.unequal" && found?.message.hasPrefix("/dev/sd") == true)
    }

    @Test("so may the mirrors of the special vdev")
    func special() throws {
        let names = ["sde", "sdf", "sdg", "sdh"]
        let root: [UInt64] = [1000, 1000, 1000, 1000]
        let found = try tables(plan(root + [20, 20, 40, 40], "mirror-stripe", special: names))
        #expect(Array(found.suffix(4)) == Array(repeating: "--new=1:0:0", count: 4))
        #expect(problem { _ = try plan(root + [20, 40, 20, 40], "mirror-stripe", special: names) }?.code == "disk.unequal")
    }
}

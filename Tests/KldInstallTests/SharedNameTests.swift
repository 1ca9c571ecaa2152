import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Names that several disks have")
struct SharedNameTests {
    static let name = "/dev/disk/by-id/usb-Dock_0123-0:0"
    static let (first, second) = ("/dev/disk/by-path/pci-1-usb-0:1:1.0-scsi-0:0:0:0", "/dev/disk/by-path/pci-1-usb-0:2:1.0-scsi-0:0:0:0")

    /// Two disks in docks of one kind; udev led the name to the one that it looked at last.
    func gather(
        claims: [String] = [], serials: [String] = ["0123", "0123"], wwns: [String?] = [nil, nil], link: String = name,
        asked: [FilePath] = []
    ) async throws -> MachineFacts {
        func disk(_ name: String, _ serial: String, _ wwn: String?) -> String {
            let identity = #""model":"Dock","serial":"\#(serial)""# + (wwn.map { #","wwn":"\#($0)""# } ?? "")
            return #"{"path":"/dev/\#(name)","name":"\#(name)","size":99999999999,"type":"disk",\#(identity)}"#
        }
        let disks = [disk("sda", serials[0], wwns[0]), disk("sdb", serials[1], wwns[1])].joined(separator: ",")
        var links = [link: "../../sdb", Self.first: "../../sda", Self.second: "../../sdb"]
        let folder = "/run/udev/links/\(String(link.dropFirst("/dev/".count)).replacing("/", with: "\\x2f"))"
        for (number, claim) in claims.enumerated() { links["\(folder)/b8:\(number * 16)"] = claim }
        return try await MachineFacts.gather(
            runner: ScriptedRunner([ListBlockDevices.command.description: #"{"blockdevices":[\#(disks)]}"#]),
            files: MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n"], devices: ["/dev/sda", "/dev/sdb"], links: links), asked: asked)
    }

    @Test("disks with one serial number are called by where they are plugged in, and by that name nobody can mean one of them")
    func serials() async throws {
        let facts = try await gather(asked: [FilePath(Self.name)])
        #expect(facts.stableNames == ["/dev/sda": Self.first, "/dev/sdb": Self.second])
        #expect(facts.disk(Self.name) == nil)
        let refusal = problem { _ = try DiskSelection(answers(disk: Self.name), facts) }
        #expect(refusal?.code == "disk.not-a-disk")
        #expect(refusal?.message == "\(Self.name) is not a disk but a name that several disks have")
        // Another serial number, another name.
        let others = try await gather(serials: ["0123", "0124"])
        #expect(others.stableNames == ["/dev/sda": Self.first, "/dev/sdb": Self.name])
        // Namespaces of one NVMe controller have its model and serial number, and WWNs of their own.
        #expect(try await gather(wwns: ["eui.1", "eui.2"]).stableNames["/dev/sdb"] == Self.name)
    }

    @Test("a WWN that a maker gave to many is no disk's name; the name with the serial number is")
    func wwns() async throws {
        let facts = try await gather(serials: ["1", "2"], wwns: ["0x5", "0x5"], link: "/dev/disk/by-id/wwn-0x5")
        #expect(facts.stableNames["/dev/sdb"] == Self.second && facts.disk("/dev/disk/by-id/wwn-0x5") == nil)
        #expect(try await gather(serials: ["1", "2"], wwns: ["0x5", "0x5"]).stableNames["/dev/sdb"] == Self.name)
        #expect(
            try await gather(serials: ["1", "2"], wwns: ["0x5", nil], link: "/dev/disk/by-id/wwn-0x5").stableNames["/dev/sdb"]
                == "/dev/disk/by-id/wwn-0x5")
    }

    @Test("where udev tells who claims a name it is believed, and a disk that is gone claims none")
    func claims() async throws {
        #expect(try await gather(claims: ["0:/dev/sda", "0:/dev/sdb"], serials: ["1", "2"]).stableNames["/dev/sdb"] == Self.second)
        #expect(try await gather(claims: ["0:/dev/sdb"]).stableNames["/dev/sdb"] == Self.name)
        #expect(try await gather(claims: ["0:/dev/sdb", "0:/dev/sdc"]).stableNames["/dev/sdb"] == Self.name)
    }

    @Test("another link to a disk is a name of it, unless another disk has that too")
    func otherLinks() async throws {
        let link = "/dev/disk/by-vdev/A1"
        let facts = try await gather(link: link, asked: [FilePath(link), "/dev/sda", "/dev/none"])
        #expect(facts.disk(link)?.path == "/dev/sdb" && facts.notDisks[link] == nil)
        #expect(try DiskSelection(answers(disk: link), facts).root.map(\.path) == [Self.second])
        #expect(problem { _ = try DiskSelection(answers(disk: "/dev/none"), facts) }?.code == "disk.missing")
        let shared = try await gather(claims: ["0:/dev/sda", "0:/dev/sdb"], link: link, asked: [FilePath(link)])
        #expect(problem { _ = try DiskSelection(answers(disk: link), shared) }?.code == "disk.not-a-disk")
    }

    @Test("a name that moved to another disk while others were wiped is noticed before the disk is partitioned")
    func moved() async throws {
        let answers = try answers(disk: "/dev/sda", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb,/dev/sdc")
        let plan = try InstallPlanner(request(answers, Machines.used)).plan
        let steps = plan.steps.filter { $0.id.hasPrefix("disk.partition.") }
        #expect(steps.count == 3)
        for step in steps {
            guard case .perform("disk.verify-same", let parameters, .reads)? = step.actions.first else {
                Issue.record("\(step.id) does not look at the disk")
                continue
            }
            let idle = MachineFacts(disks: ["sda", "sdb", "sdc"].map { BlockDevice.disk($0) })
            let runner = ScriptedRunner([ListBlockDevices.command.description: idle.listing])
            let performer = try #require(Performers.verifying["disk.verify-same"])
            let (name, node) = (parameters["disk"] ?? "", parameters["node"] ?? "")
            let same = await problem { try await performer(parameters, runner, MemoryFiles(links: [name: node])) }
            #expect(same == nil)
            let moved = await problem { try await performer(parameters, runner, MemoryFiles(links: [name: "/dev/sdd"])) }
            #expect(moved?.code == "disk.changed" && moved?.causes == ["\(name) is /dev/sdd now, and was \(node)"])
        }
    }

    @Test("a disk that is reached by two ways keeps its name")
    func ways() async throws {
        let link = "/dev/disk/by-id/wwn-0x5"
        for claims in [[], ["0:/dev/sda", "0:/dev/sdb"]] {
            let facts = try await gather(claims: claims, wwns: ["0x5", "0x5"], link: link, asked: [FilePath(link)])
            #expect(facts.disk(link)?.path == "/dev/sdb" && facts.notDisks[link] == nil)
        }
    }
}

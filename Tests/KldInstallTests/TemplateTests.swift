import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Suite("Images in two parts")
struct TemplateTests {
    static let lines = [
        "", "KLDLOAD_PROFILE=core", "KLDLOAD_DEBIAN_SUITE=bookworm", "KLDLOAD_ZFS_POOL=tank",
        "KLDLOAD_NET_METHOD=static\nKLDLOAD_NET_IP=192.0.2.2\nKLDLOAD_NET_GW=192.0.2.1", "KLDLOAD_SSH_PUBKEY='\(RandomRequests.key)'",
    ]

    private func planner(_ lines: String, _ facts: MachineFacts = Machines.virtual) throws -> InstallPlanner {
        try InstallPlanner(request(answers(disk: "/dev/vda", lines), facts, sealed: true))
    }

    @Test("together they take every step of one installation, in its order but for the boot loader", arguments: lines)
    func whole(_ lines: String) throws {
        let planner = try planner(lines)
        let (whole, template, image) = (try planner.plan, try planner.template, try planner.image)
        let first = template.steps.map(\.id), second = image.steps.map(\.id)
        #expect(Set(whole.steps) == Set(template.steps).union(image.steps.filter { !$0.id.hasPrefix("image.") }))
        #expect(Set(first).intersection(second) == ["hostid"])
        let boot = whole.phases.first { $0.id == "boot" }?.steps.map(\.id) ?? []
        #expect(!boot.isEmpty)
        let order = whole.steps.map(\.id).filter { !boot.contains($0) }
        #expect(order.filter(first.contains) == first.filter { !boot.contains($0) })
        #expect(order.filter(second.contains) == second.filter { !$0.hasPrefix("image.") })
        // The UKI and the ESP need what was unpacked, and nothing that comes later.
        #expect(Array(first.suffix(boot.count)) == boot)
        #expect(try #require(first.firstIndex(of: "payload.unpack")) < first.count - boot.count)
    }

    @Test("what the second part makes its own, the first does not know")
    func nobody() throws {
        let own = "KLDLOAD_SSH_PUBKEY='\(RandomRequests.key)'\nKLDLOAD_TIMEZONE=Asia/Tokyo"
        #expect(try planner(own).template == planner("").template)
        #expect(try planner(own).image != planner("").image)
        // But what lies on the ESP, and the pool.
        for line in ["KLDLOAD_BOOTLOADER_ID=ours", "KLDLOAD_ZBM_TIMEOUT=17", "KLDLOAD_ZFS_POOL=tank", "KLDLOAD_USERNAME=jo"] {
            #expect(try planner(line).template.text(contents: true) != planner("").template.text(contents: true), "\(line)")
        }
    }

    @Test("the copy gets GUIDs of its own before its pool is opened, and the pool before anything is mounted")
    func identities() throws {
        let commands = try planner("").image.commands.map(\.description)
        let wanted = [
            "sgdisk --randomize-guids /dev/disk/by-id/virtio-disk0", "zpool import -N -R /target -d /dev/disk/by-id rpool",
            "zpool reguid rpool", "zfs mount rpool/ROOT/debian", "zfs mount -a",
        ]
        #expect(commands.filter(wanted.contains).prefix(wanted.count) == wanted[...])
        // Nothing in it destroys: only the template's disk was wiped, when there was nothing on it.
        #expect(try planner("").image.destroys.isEmpty)
        #expect(try planner("").template.destroys == ["/dev/disk/by-id/virtio-disk0"])
    }

    @Test("what is unpacked is compressed like a stream, and what is written later is not")
    func compression() throws {
        let commands = try planner("").template.commands.map(\.description)
        let set = try #require(commands.firstIndex(of: "zfs set compression=zstd-3 rpool/ROOT/debian"))
        let unpack = try #require(commands.firstIndex { $0.hasPrefix("tar --extract --file=/dev/disk/by-id/virtio-kldload-payload ") })
        let back = try #require(commands.firstIndex(of: "zfs inherit compression rpool/ROOT/debian"))
        #expect(set < unpack && unpack < back)
    }

    @Test("neither part has an intent log, until nothing is mounted any more")
    func logs() throws {
        #expect(try planner("").template.commands.contains { $0.arguments.contains("sync=disabled") })
        let last = try planner("").image.steps.last?.actions.map(\.text)
        #expect(
            last == [
                "umount --recursive /target", "zfs inherit sync rpool", "zfs.export pool=rpool target=/target",
                "zfs.release-free-space device=/dev/disk/by-id/virtio-disk0-part2 pool=rpool",
            ])
    }

    @Test(
        "what may hold a secret, or has several disks, or is not sealed has none",
        arguments: [
            "KLDLOAD_ZFS_ENCRYPT=1\nKLDLOAD_ZFS_PASSPHRASE='correct horse battery'",
            "KLDLOAD_ZFS_TOPOLOGY=mirror\nKLDLOAD_ZFS_DATA_DISKS=/dev/vdb", nil,
        ])
    func refused(_ lines: String?) throws {
        let planner = try InstallPlanner(request(answers(disk: "/dev/vda", lines ?? ""), Machines.virtual, sealed: lines != nil))
        #expect(#expect(throws: Diagnosis.self) { try planner.template }?.code == "install.no-template")
    }
}

import KldBlock
import KldCore
import KldInstall
import KldTerminal
import KldZFS
import Testing

@testable import KldCLI
@testable import KldDisks

@Suite struct KdiskTests {
    static let sheet = DiskSheet(
        host: "db-07", pool: "tank", vdev: "mirror-0", layout: "mirror", guid: "12841765308123764671", serial: "WD-1", model: nil,
        size: .gibibytes(8), passport: DiskPassport(["slot": "7", "x-cable": "blue"]))

    @Test func `the list has a line for each vdev, and what a pool misses`() {
        var vda = BlockDevice(path: "/dev/vda", size: .gibibytes(8), serial: "disk0")
        vda.model = "QEMU"
        let facts = MachineFacts(
            disks: [vda, BlockDevice(path: "/dev/vdb", size: .gibibytes(4))], stableNames: ["/dev/vda": "/dev/disk/by-id/virtio-disk0"])
        func member(_ path: String, _ node: String?, _ state: PoolState, kind: String = "data", _ passport: [String: String] = [:])
            -> DiskInventory.Member
        {
            DiskInventory.Member(
                device: PoolDevice(
                    pool: "tank", kind: kind, vdev: kind == "data" ? "mirror-0" : path, parity: 1, path: path, guid: 5, state: state,
                    hasErrors: state == .online),
                passport: DiskPassport(passport), node: node)
        }
        let inventory = DiskInventory(
            facts,
            [
                member("/dev/disk/by-id/virtio-disk0-part2", "/dev/vda", .online, ["slot": "7", "rack": "R1", "serial": "disk0"]),
                member("/dev/disk/by-id/virtio-disk0-part3", "/dev/vda", .online, kind: "logs", ["slot": "7", "serial": "disk0"]),
                member("/dev/disk/by-id/virtio-gone-part2", nil, .unavailable, ["serial": "WD-9"]),
            ], .vdev, OpenZFSVersions())
        #expect(
            KdiskCommand.List.table(inventory) == """
                DISK     NAME                SIZE  MODEL  SERIAL  POOL  VDEV         STATE           PASSPORT
                vda      virtio-disk0       8 GiB  QEMU   disk0   tank  mirror-0     ONLINE, errors  rack R1, slot 7
                vda      virtio-disk0       8 GiB  QEMU   disk0   tank  disk (logs)  ONLINE, errors  slot 7
                vdb      vdb                4 GiB  -      -       -     -            -               -
                missing  virtio-gone-part2      -  -      WD-9    tank  mirror-0     UNAVAIL         yes
                """)
        let json = KdiskCommand.List.json(inventory).rendered
        #expect(json.contains("\"schema\": \"disks/1\"") && json.contains("\"guid\": \"5\"") && json.contains("\"device\": null"))
    }

    @Test func `a label as JSON has every field, and what its code says`() {
        #expect(
            KdiskCommand.Label.json(Self.sheet).rendered == """
                {
                 "schema": "disk-label/1",
                 "host": "db-07",
                 "pool": "tank",
                 "vdev": "mirror-0",
                 "layout": "mirror",
                 "guid": "12841765308123764671",
                 "serial": "WD-1",
                 "model": null,
                 "size": 8589934592,
                 "passport": {
                  "slot": "7",
                  "x-cable": "blue"
                 },
                 "payload": "kldload disk\\nslot: 7\\nhost: db-07\\nserial: WD-1\\nsize: 8 GiB\\npool: tank\\nvdev: mirror-0\\nlayout: mirror\\nguid: 12841765308123764671"
                }
                """)
    }

    @Test func `fields may hold an equals sign, and need one`() throws {
        let fields = try KdiskCommand.Label.fields(["rma=https://x/?a=b", "note="])
        #expect(fields.map(\.key) == ["rma", "note"] && fields.map(\.value) == ["https://x/?a=b", ""])
        #expect(throws: (any Error).self) { try KdiskCommand.Label.fields(["slot"]) }
    }
}

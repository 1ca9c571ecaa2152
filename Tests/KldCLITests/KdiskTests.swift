import KldBlock
import KldCore
import KldDisks
import KldInstall
import KldTerminal
import KldZFS
import Testing

@testable import KldCLI

@Suite struct KdiskTests {
    static let sheet = DiskSheet(
        host: "db-07", pool: "tank", vdev: "mirror-0", layout: "mirror", guid: "12841765308123764671", serial: "WD-1", model: nil,
        size: .gibibytes(8), passport: DiskPassport(["slot": "7", "x-cable": "blue"]))

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

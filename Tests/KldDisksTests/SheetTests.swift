import KldCore
import KldExec
import KldFiles
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldDisks

@Suite struct DiskSheetTests {
    static let full = DiskSheet(
        host: "db-07", pool: "prd-caw1-db-gold", vdev: "draid2:10d:60c:2s-0", layout: "draid2:10d:60c:2s", guid: "12841765308123764671",
        serial: "S6ZUNX0R123456A", model: "SAMSUNG <MZQL23T8> & Co", size: ByteCount(3_840_755_982_336),
        passport: DiskPassport([
            "region": "CA-WEST-1", "datacenter": "YVR01", "rack": "R12-08", "slot": "SLOT07", "asset": "UB-DSK-CAW1-88322",
            "warranty": "2028-02-12", "rma": "https://cdw.example/rma/S6ZUNX0R123456A", "note": "Firmware GDC5602Q; do not update",
            "x-cable": "blue", "serial": "S6ZUNX0R123456A", "since": "2025-02-13", "history": "out 2025-02-13, serial S5",
        ]))
    static let bare = DiskSheet(
        host: "box", pool: "rpool", vdev: "disk", layout: "disk", guid: "5", serial: nil, model: nil, size: nil, passport: DiskPassport())

    @Test func `a label has what a person needs at the rack, in the seed's order`() throws {
        #expect(try Golden.difference(Self.full.text + "\n", "label.txt") == nil)
        #expect(try Golden.difference(Self.bare.text + "\n", "label-bare.txt") == nil)
    }

    @Test func `the code says the same, without notes and one's own fields`() throws {
        #expect(try Golden.difference(Self.full.payload + "\n", "label-payload.txt") == nil)
        #expect(!Self.full.payload.contains("Firmware") && !Self.full.payload.contains("blue") && !Self.full.payload.contains("S5"))
    }

    @Test func `the drawn label is the same on every machine`() throws {
        let code = try QRCode.parse(QRCodeTests.hi)
        #expect(try Golden.difference(Self.full.svg(code), "label.svg") == nil)
        #expect(Self.full.svg(code).contains("SAMSUNG &lt;MZQL23T8&gt; &amp; Co"))
    }

    @Test func `the largest passport still fits into a code`() throws {
        let values = DiskPassport.fields.filter { $0.kind != .record }.map { ($0.key, String(repeating: "w", count: 128)) }
        var sheet = Self.full
        sheet.passport = DiskPassport(Dictionary(values) { first, _ in first })
        // Version 40 with correction level M holds 2331 bytes. Source: ISO/IEC 18004, table 7.
        #expect(sheet.payload.utf8.count < 2331)
    }

    @Test func `it is made of the disk and its vdev`() async throws {
        let inventory = try await Machine.inventory(passports: [Machine.second: ["slot": "SLOT 2", "model": "WDC"]])
        let (entry, member) = try inventory.member("SLOT 2")
        let sheet = try DiskSheet(member, of: entry, host: "web-01")
        #expect(sheet.vdev == "mirror-0" && sheet.layout == "mirror" && sheet.guid == String(Machine.second))
        #expect(sheet.serial == "disk-vdb" && sheet.model == "WDC" && sheet.size == .gibibytes(8))
    }
}

@Suite struct QRCodeTests {
    /// `printf hi | qrencode --8bit --level=M --margin=0 --type=ASCII --output=-`, qrencode 4.1.1; a bar at each line's end keeps its spaces.
    static let hi = """
        ##############    ########  ##############|
        ##          ##    ####  ##  ##          ##|
        ##  ######  ##  ####  ####  ##  ######  ##|
        ##  ######  ##  ####    ##  ##  ######  ##|
        ##  ######  ##  ##    ####  ##  ######  ##|
        ##          ##  ####    ##  ##          ##|
        ##############  ##  ##  ##  ##############|
                        ##  ######                |
        ##  ##########          ##  ##########    |
          ######  ##  ##    ##  ##    ##        ##|
            ####    ####  ##  ##  ##    ########  |
        ######  ##        ##          ####  ##    |
        ######  ##  ##        ##  ##    ##  ##  ##|
                        ##    ########    ##    ##|
        ##############      ##  ##  ####      ##  |
        ##          ##  ##############    ##    ##|
        ##  ######  ##  ##      ##    ##    ##    |
        ##  ######  ##  ######  ##    ##    ##    |
        ##  ######  ##  ##    ##  ##    ######    |
        ##          ##    ####        ####  ##    |
        ##############  ##  ####  ##    ########  |

        """.replacing("|", with: "")

    @Test func `two characters are a module`() throws {
        let code = try QRCode.parse(Self.hi)
        #expect(code.size == 21 && code.modules[0].prefix(8) == [true, true, true, true, true, true, true, false])
        #expect(code.modules.last?.prefix(7).allSatisfy { $0 } == true && code.modules[20][20] == false)
        #expect(code.path.hasPrefix("M0 0h7v1H0z"))
    }

    @Test(arguments: ["", "####\n##", "  ##\n####\n", "no code"]) func `what is no square is no code`(text: String) {
        #expect(problem { _ = try QRCode.parse(text) }?.code == "kdisk.qr-unreadable")
    }

    @Test func `a program that is missing is named, with the package of each distribution`() {
        let problem = Diagnosis(of: QRCode.explaining(CommandError.toolMissing(QRCode.tool)))
        #expect(problem.code == "kdisk.no-qrencode" && problem.exit == .unavailable && problem.remedies[0].contains("libqrencode-tools"))
        let failed = CommandError.failed(QRCode.modules(of: "x"), CommandOutput(status: 1, errors: "Failed to encode\n"))
        #expect(Diagnosis(of: QRCode.explaining(failed)).code == "kdisk.qr-failed")
        #expect(Diagnosis(of: QRCode.explaining(FileError.missing("/x"))).code == "file.missing")
    }

    @Test func `no text stands in a command line`() {
        for command in [QRCode.modules(of: "secret?"), QRCode.terminal("secret?"), QRCode.picture("secret?", "/x.png")] {
            #expect(!command.description.contains("secret") && command.input == .text("secret?"))
        }
    }
}

private let hasQRencode = ["/usr/bin/qrencode", "/usr/local/bin/qrencode"].contains { (try? LocalFiles().status(FilePath($0))) != nil }

@Suite(.enabled(if: hasQRencode, "qrencode is not installed")) struct QRCodeContractTests {
    @Test func `the real program draws what is read`() async throws {
        let output = try await SubprocessRunner().run(QRCode.modules(of: DiskSheetTests.full.payload)).output
        let code = try QRCode.parse(output)
        #expect((code.size - 17) % 4 == 0 && code.size > 21)
        // The three corners by which a reader finds it.
        let last = code.size - 1
        for (x, y) in [(0, 0), (last - 6, 0), (0, last - 6)] {
            #expect((0..<7).allSatisfy { code.modules[y][x + $0] && code.modules[y + 6][x + $0] && code.modules[y + $0][x] })
            #expect(!code.modules[y + 1][x + 1] && code.modules[y + 3][x + 3])
        }
    }

    @Test func `it takes the largest payload, draws for a terminal, and makes a picture`() async throws {
        let runner = SubprocessRunner()
        let largest = String(repeating: "w", count: 2331)
        #expect(try QRCode.parse(try await runner.run(QRCode.modules(of: largest)).output).size == 177)
        #expect(try await runner.run(QRCode.terminal("hi")).output.contains("█"))
        try await Scratch.with { folder in
            let file = folder.appending("label.png")
            try await runner.run(QRCode.picture("hi", file))
            #expect(try Array(LocalFiles().read(file).prefix(4)) == [0x89, 0x50, 0x4E, 0x47])
        }
    }

    @Test func `what is too long is refused in its words`() async {
        #expect(
            await problem {
                do { try await SubprocessRunner().run(QRCode.modules(of: String(repeating: "w", count: 2400))) } catch {
                    throw QRCode.explaining(error)
                }
            }?.code == "kdisk.qr-failed")
    }
}

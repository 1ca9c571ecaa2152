import KldCore
import KldImage
import SystemPackage
import Testing

@Suite struct ExportFormatTests {
    @Test(arguments: [
        ("qcow2", [ExportFormat.qcow2]), ("RAW", [.raw]), ("ova,vmdk", [.vmdk, .ova]), (" vhd , qcow2,vhd ", [.qcow2, .vhd]),
        ("all", ExportFormat.allCases), ("none", []), ("", []),
    ])
    func listsAreRead(text: String, formats: [ExportFormat]) throws {
        #expect(try ExportFormat.parse(text) == formats)
    }

    @Test func anUnknownFormatNamesTheNearest() throws {
        let problem = try #require(throws: Diagnosis.self) { try ExportFormat.parse("qcow2,vmkd") }
        #expect(problem.code == "image.format")
        #expect(problem.exit == .usage)
        #expect(problem.remedies.first == "did you mean vmdk?")
        #expect(throws: Diagnosis.self) { try ExportFormat.parse("qcow2,,raw") }
    }

    @Test(arguments: [
        ("debian13-base-v2", "debian13-base-v2"), ("../../etc/passwd", "etc-passwd"), ("a b\tc", "a-b-c"), ("über", "ber"),
        ("name.", "name"), (".hidden", "hidden"), ("x;rm -rf /", "x-rm--rf"), ("v1.0+rc_1", "v1.0+rc_1"),
    ])
    func namesAreMadeSafe(text: String, name: String) throws {
        #expect(try ExportName(sanitising: text).text == name)
    }

    @Test func namesFitIntoATarMember() throws {
        let name = try ExportName(sanitising: String(repeating: "a", count: 300))
        #expect(name.text.utf8.count == ExportName.limit)
        #expect((name.text + "-disk1.vmdk").utf8.count < 100)
    }

    @Test(arguments: ["", "///", "...", "é"]) func aNameOfNothingIsRefused(text: String) {
        #expect(throws: Diagnosis.self) { try ExportName(sanitising: text) }
    }

    @Test func theNameComesFromTheEnvironmentElseFromTheImage() throws {
        #expect(try ExportName(environment: [:], distro: "debian", profile: "server").text == "kldload-debian-server")
        #expect(try ExportName(environment: ["KEXPORT_NAME": " "], distro: "debian", profile: "server").text == "kldload-debian-server")
        #expect(
            try ExportName(environment: ["KEXPORT_NAME": "debian13-base-v2"], distro: "debian", profile: "server").text
                == "debian13-base-v2")
    }

    @Test func digestsAreReadFromSha256sum() throws {
        let hex = String(repeating: "ab", count: 32)
        #expect(try SHA256Sum.parse("\(hex) *a.raw\0").hex == hex)
        #expect(throws: Diagnosis.self) { try SHA256Sum.parse("sha256sum: a.raw: No such file") }
        let digest = try #require(FileDigest(hex: hex))
        #expect(SHA256Sum.checkFile([("a.raw", digest)]) == "\(hex)  a.raw\n")
    }
}

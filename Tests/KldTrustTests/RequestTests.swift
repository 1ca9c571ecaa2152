import FoundationEssentials
import KldCore
import KldTestSupport
import Testing

@testable import KldTrust

@Suite("What is asked of the authority")
struct RequestTests {
    private static func request(_ leaf: String = "web", dns: [String] = [], ip: [String] = [], days: Int = 90) throws -> LeafRequest {
        try LeafRequest(leaf: leaf, dns: dns, addresses: ip, usages: ExtendedKeyUsage.allCases, days: days)
    }

    @Test(
        "names and addresses are kept in one form, each once",
        arguments: [
            (["Web.Example.ORG", "web.example.org"], [], ["DNS:web.example.org"]),
            (
                ["*.example.org", "localhost", "xn--bcher-kva.example"], [],
                ["DNS:*.example.org", "DNS:localhost", "DNS:xn--bcher-kva.example"]
            ),
            ([], ["10.0.1.5", "FD00:0:0::5", "::1", "127.0.0.1"], ["IP:10.0.1.5", "IP:fd00::5", "IP:::1", "IP:127.0.0.1"]),
        ] as [([String], [String], [String])])
    func forms(dns: [String], ip: [String], expected: [String]) throws {
        #expect(try Self.request(dns: dns, ip: ip).names.map(\.description) == expected)
    }

    @Test(
        "a name that no certificate can have is refused, with its code",
        arguments: [
            ("", "ca.dns-name"), ("-web", "ca.dns-name"), ("web-", "ca.dns-name"), ("a..b", "ca.dns-name"), ("web.", "ca.dns-name"),
            ("under_score.example", "ca.dns-name"), ("web example", "ca.dns-name"), ("https://web", "ca.dns-name"),
            ("1.2.3", "ca.dns-name"),
            ("a.example\nDNS.9 = evil", "ca.dns-name"), ("$ENV::HOME", "ca.dns-name"), (String(repeating: "a", count: 64), "ca.dns-name"),
            ([String](repeating: "abcdefg", count: 32).joined(separator: "."), "ca.dns-name"),
            ("10.0.1.5", "ca.dns-address"), ("fd00::5", "ca.dns-address"), ("bücher.example", "ca.dns-idn"),
            ("*", "ca.dns-wildcard"), ("*.org", "ca.dns-wildcard"), ("w*.example.org", "ca.dns-wildcard"),
            ("web.*.org", "ca.dns-wildcard"), ("*.*.example.org", "ca.dns-wildcard"),
        ])
    func badName(name: String, code: String) {
        let problem = problem { _ = try Self.request(dns: [name]) }
        #expect(problem?.code == code && problem?.exit == .usage)
    }

    @Test(
        "what is no address of a host is refused",
        arguments: ["", "10.0.1", "10.0.1.256", "010.0.0.1", "10.0.0.0/24", "fe80::1%eth0", "fd00:::1", "0.0.0.0", "::", "web.example.org"])
    func badAddress(text: String) {
        #expect(problem { _ = try Self.request(ip: [text]) }?.code == "ca.address")
    }

    @Test("no names, bad names of leaves, too many days and other uses are refused")
    func others() {
        #expect(problem { _ = try Self.request() }?.code == "ca.no-names")
        for name in ["", ".hidden", "-a", "../root", "a/b", "a b", "ä", String(repeating: "a", count: 65)] {
            #expect(problem { _ = try Self.request(name, dns: ["a"]) }?.code == "ca.leaf-name", "\(name)")
        }
        for days in [-1, 0, 3651] { #expect(problem { _ = try Self.request(dns: ["a"], days: days) }?.code == "ca.days") }
        for text in ["", "codeSigning", "serverAuth,", "serverAuth, clientAuth", "serverauth"] {
            #expect(problem { _ = try ExtendedKeyUsage.list(text) }?.code == "ca.eku", "\(text)")
        }
        #expect(throws: Never.self) { try ExtendedKeyUsage.list("clientAuth") == [.clientAuth] }
    }

    @Test("a request comes back from its file as it was; one that was changed into nonsense does not")
    func kept() throws {
        let request = try Self.request(dns: ["*.example.org"], ip: ["fd00::5", "10.0.1.5"])
        let data = try JSONEncoder().encode(request)
        #expect(try JSONDecoder().decode(LeafRequest.self, from: data) == request)
        let text = String(decoding: data, as: UTF8.self).replacing("*.example.org", with: "a\\nDNS.9 = b")
        #expect(throws: (any Error).self) { try JSONDecoder().decode(LeafRequest.self, from: Data(text.utf8)) }
    }

    @Test("serial numbers are 32 digits, and no two are equal")
    func serials() {
        let all = (0..<1000).map { _ in SerialNumber.random().description }
        #expect(all.allSatisfy { $0.count == 32 && $0.allSatisfy(\.isHexDigit) })
        #expect(Set(all).count == 1000)
    }

    @Test(
        "a root's name fits into a common name, whatever the machine is called",
        arguments: ["", "web-1", "äöü\n=", String(repeating: "a", count: 63)])
    func rootName(host: String) {
        let name = CertificateAuthority.rootName(host: host, serial: .random(), now: Timestamp(seconds: 1_795_950_000))
        #expect(name.utf8.count <= 64 && name.utf8.allSatisfy { $0 > 0x1F && $0 < 0x7F })
        #expect(name.wholeMatch(of: /kldload-ca [a-z0-9-]+-20261129[0-9]{6}-[0-9a-f]{8}/) != nil, "\(name)")
    }

    @Test("what openssl prints of a certificate is read")
    func printed() throws {
        let found = try #require(
            Certificate(
                openssl: """
                    subject=CN=web
                    serial=0AB12CD00000000000000000000FF01
                    sha256 Fingerprint=0C:28:F0
                    notBefore=2026-11-29 07:03:14Z
                    notAfter=2027-02-27 07:03:14Z
                    X509v3 Extended Key Usage: 
                        TLS Web Server Authentication, Code Signing
                    X509v3 Subject Alternative Name: 
                        DNS:a.example.org, DNS:*.b.example.org, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1

                    """))
        #expect(found.name == "web" && found.serial == "00ab12cd00000000000000000000ff01" && found.fingerprint == "0C:28:F0")
        #expect(found.names == ["DNS:a.example.org", "DNS:*.b.example.org", "IP:10.0.0.1", "IP:fd00::1"])
        #expect(found.usages == ["serverAuth", "Code Signing"])
        let start = found.notBefore
        func after(_ days: Int64) -> Timestamp { Timestamp(seconds: start.seconds + days * 86_400) }
        #expect(found.daysLeft(start) == 90 && found.daysLeft(after(90)) == 0 && found.daysLeft(after(91)) == -1)
        #expect(!found.isDue(after(60)) && found.isDue(after(61)) && found.isDue(after(200)))
        #expect(Certificate(openssl: "subject=CN=web\n") == nil)
    }
}

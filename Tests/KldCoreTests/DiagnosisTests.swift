import FoundationEssentials
import KldCore
import Testing

@Suite("Diagnoses")
struct DiagnosisTests {
    struct Odd: Error {}
    struct Known: Diagnosable { var diagnosis: Diagnosis { Diagnosis("known.code", "it is known", exit: .tryAgain) } }

    @Test("are shown as message, causes and remedies, one line each")
    func rendered() {
        let problem = Diagnosis("disk.missing", "there is no disk", remedies: ["name another", "plug it in"], causes: ["lsblk is empty"])
        #expect(
            problem.rendered == """
                error[disk.missing]: there is no disk
                  because: lsblk is empty
                  remedy: name another
                  remedy: plug it in
                """)
        #expect(Diagnosis("a.b", "c").rendered == "error[a.b]: c")
    }

    @Test("of an error that knows its own are that one")
    func known() {
        #expect(Diagnosis(of: Known()) == Known().diagnosis)
        #expect(Diagnosis(of: Known().diagnosis) == Known().diagnosis)
    }

    @Test("of a cancellation say that it was interrupted")
    func cancelled() {
        let problem = Diagnosis(of: CancellationError())
        #expect(problem.code == "interrupted")
        #expect(problem.exit == .interrupted)
    }

    @Test("of anything else are a defect of ours, and say so")
    func odd() {
        let problem = Diagnosis(of: Odd())
        #expect(problem.code == "internal")
        #expect(problem.exit == .bug)
        #expect(!problem.remedies.isEmpty)
    }

    @Test("survive JSON whole")
    func json() throws {
        let problem = Diagnosis("a.b", "c", remedies: ["d"], exit: .needsRoot, causes: ["e"])
        #expect(try JSONDecoder().decode(Diagnosis.self, from: JSONEncoder().encode(problem)) == problem)
    }

    @Test("have the exit statuses that documents promise")
    func statuses() {
        let expected: [KldCore.ExitStatus: Int32] = [
            .done: 0, .failed: 1, .problemsFound: 2, .usage: 64, .badAnswers: 65, .inputMissing: 66, .unavailable: 69, .bug: 70,
            .cannotCreate: 73,
            .tryAgain: 75, .needsRoot: 77, .badConfiguration: 78, .interrupted: 130,
        ]
        for status in KldCore.ExitStatus.allCases { #expect(expected[status] == status.rawValue) }
    }
}

@Suite("The manifest of an installation")
struct InstallManifestTests {
    static let manifest = InstallManifest(
        kldloadVersion: "2", distro: "debian", suite: "trixie", profile: "core", hostname: "h", username: "u", pool: "rpool",
        bootEnvironment: "debian", topology: "single", disks: ["/dev/disk/by-id/a"], encrypted: false, network: .init(.dhcp),
        timezone: "UTC",
        locale: "C.UTF-8", keyboard: "us", sshPolicy: .keys, heldPackages: [], units: [], hostID: HostID(7), sealed: false,
        credentials: .locked)

    @Test("survives JSON whole, with its schema's name")
    func json() throws {
        let data = try JSONEncoder().encode(Self.manifest)
        #expect(try JSONDecoder().decode(InstallManifest.self, from: data) == Self.manifest)
        #expect(Self.manifest.schema == "install-manifest/1")
        #expect(Self.manifest.hostID == "00000007")
    }

    @Test("of a newer kldload with a network that is not known yet can still be read")
    func unknownNetwork() throws {
        let text = String(decoding: try JSONEncoder().encode(Self.manifest), as: UTF8.self)
            .split(separator: #""method":"dhcp""#).joined(separator: #""method":"mesh","colour":"blue""#)
        #expect(try JSONDecoder().decode(InstallManifest.self, from: Data(text.utf8)).network.method == .unknown)
    }
}

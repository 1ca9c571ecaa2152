import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldPackages

@Suite("The archive's indexes")
struct AptIndexesTests {
    @Test("candidates are read as apt prints them; packages without one are missing")
    func policy() {
        let text = """
            linux-image-amd64:
              Installed: (none)
              Candidate: 7.3.4-1~bpo13+1
              Version table:
                 7.3.4-1~bpo13+1 990
                    990 http://mirror.example/debian trixie-backports/main amd64 Packages
                 6.12.107-1 500
            zfs-dkms:
              Installed: (none)
              Candidate: 2.4.4-1~bpo13+1
            gone:
              Installed: (none)
              Candidate: (none)

            """
        #expect(AptIndexes.candidates(text) == ["linux-image-amd64": "7.3.4-1~bpo13+1", "zfs-dkms": "2.4.4-1~bpo13+1"])
    }

    @Test("a simulated installation becomes names and versions, in one order")
    func closure() {
        let text = """
            Reading package lists...
            Inst zlib1g (1:1.3.dfsg+really1.3.1-1+b1 Debian:13.7/stable [amd64])
            Inst linux-base (4.17~bpo13+1 Debian Backports:stable-backports [all])
            Conf linux-base (4.17~bpo13+1 Debian Backports:stable-backports [all])

            """
        #expect(AptIndexes.closure(text) == ["linux-base 4.17~bpo13+1", "zlib1g 1:1.3.dfsg+really1.3.1-1+b1"])
    }

    private let source = AptSource(uri: "http://mirror.example/debian", suite: "trixie", components: ["main"], keyring: "/key.gpg")
    private let inRelease = """
        -----BEGIN PGP SIGNED MESSAGE-----
        Hash: SHA256

        Codename: trixie
        Date: Sat, 12 Sep 2026 07:55:41 UTC

        """

    /// An apt that fails as it does without a network.
    private struct Unreachable: CommandRunner {
        var text: String
        func run(_ command: Command) async throws -> CommandOutput {
            throw CommandError.failed(command, CommandOutput(status: 100, errors: text))
        }
        func run(pipeline: [Command]) async throws -> CommandOutput { throw CommandError.toolMissing("none") }
    }

    @Test("without a network the lists of the last time are used, and their date is said")
    func offline() async throws {
        let files = MemoryFiles()
        let indexes = AptIndexes(
            folder: "/cache/apt", runner: Unreachable(text: "E: Failed to fetch http://mirror.example/debian  Could not connect\n"),
            files: files)
        await #expect(throws: Diagnosis.self) { try await indexes.refresh([source], pins: []) }
        try files.write(inRelease, to: "/cache/apt/lists/mirror.example_debian_dists_trixie_InRelease")
        let note = try await indexes.refresh([source], pins: [])
        #expect(note == "the package archive cannot be reached; its lists of Sat, 12 Sep 2026 07:55:41 UTC are used")
    }

    @Test("a wrongly signed archive is refused, whatever was there before")
    func signature() async throws {
        let files = MemoryFiles()
        try files.write(inRelease, to: "/cache/apt/lists/mirror.example_debian_dists_trixie_InRelease")
        let indexes = AptIndexes(
            folder: "/cache/apt",
            runner: Unreachable(text: "W: GPG error: http://mirror.example trixie InRelease: NO_PUBKEY 0E98404D386FA1D9\n"), files: files)
        do {
            _ = try await indexes.refresh([source], pins: [])
            Issue.record("nothing was refused")
        } catch { #expect(Diagnosis(of: error).code == "packages.signature") }
    }
}

/// apt itself against archives that must be refused.
@Suite("apt on this machine", .enabled(if: (try? LocalFiles().exists("/usr/bin/apt-get")) == true, "there is no apt-get"))
struct AptContractTests {
    func code(of address: (FilePath) -> String) async throws -> String? {
        try await Scratch.with { folder in
            let files = LocalFiles()
            let suite = folder.appending("archive/debian/dists/trixie")
            try files.write("", to: suite.appending("main/binary-amd64/Packages"))
            try files.write("Origin: Debian\nCodename: trixie\nArchitectures: amd64\nComponents: main\n", to: suite.appending("Release"))
            let source = AptSource(
                uri: address(folder.appending("archive/debian")), suite: "trixie", components: ["main"],
                keyring: "/usr/share/keyrings/debian-archive-keyring.gpg")
            let indexes = AptIndexes(folder: folder.appending("apt"), runner: SubprocessRunner(), files: files)
            do {
                _ = try await indexes.refresh([source], pins: [])
                return nil
            } catch { return Diagnosis(of: error).code }
        }
    }

    @Test("an archive without a signature is refused")
    func unsigned() async throws { #expect(try await code { "file://\($0)" } == "packages.signature") }

    @Test("an archive that cannot be reached is named so, where nothing was fetched before")
    func unreachable() async throws { #expect(try await code { _ in "http://127.0.0.1:9/debian" } == "packages.unreachable") }
}

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
        #expect(await problem { _ = try await indexes.refresh([source], pins: []) }?.code == "packages.signature")
    }
}

@Suite("Settings of an apt of our own")
struct AptSettingsTests {
    @Test("whatever the archive is asked, apt is told by the same file, and reads none of this machine's settings")
    func own() async throws {
        let (files, runner) = (MemoryFiles(), ScriptedRunner.accepting)
        let indexes = AptIndexes(folder: "/cache/apt", runner: runner, files: files)
        let source = AptSource(uri: "http://mirror.example/debian", suite: "trixie", components: ["main"], keyring: "/key.gpg")
        _ = try await indexes.refresh([source], pins: [])
        #expect(
            files.texts["/cache/apt/apt.conf"] == """
                Dir::Etc::parts "/dev/null";
                Dir::Etc::main "/dev/null";
                Dir::Etc::sourcelist "/cache/apt/sources.list";
                Dir::Etc::sourceparts "/dev/null";
                Dir::Etc::preferences "/cache/apt/preferences";
                Dir::Etc::preferencesparts "/dev/null";
                Dir::State::lists "/cache/apt/lists";
                Dir::Cache "/cache/apt/cache";
                APT::Architecture "amd64";
                APT::Architectures "amd64";
                APT::Install-Recommends "false";
                APT::Sandbox::User "root";
                Acquire::Languages "none";
                Acquire::Retries "1";
                Acquire::http::Timeout "20";
                Acquire::https::Timeout "20";
                Dir::State::status "/cache/apt/status";

                """)
        _ = try await indexes.candidates(["zfs-dkms"])
        _ = try await indexes.names(prefix: "linux-image-")
        _ = try await indexes.closure(["zfs-dkms"])
        _ = try await indexes.downloads(["htop"], status: "/w/status")
        try await indexes.fetch([(AptDownload(uri: "http://m/x.deb", size: ByteCount(1), sha256: "ab"), "/w/x.deb")])
        try files.write("", to: "/cache/apt/packages/zfs-dkms_2.4_all.deb")
        _ = try await indexes.file("META", of: "zfs-dkms", version: "2.4")
        // Nothing is fetched twice; what does not come is an error.
        await #expect(throws: Diagnosis.self) { try await indexes.file("META", of: "zfs-dkms", version: "2.5") }
        let asked = runner.commands.filter { $0.tool.package == "apt" }
        #expect(asked.map(\.tool.name).contains("/usr/lib/apt/apt-helper") && asked.count == 7)
        #expect(asked.allSatisfy { $0.environment["APT_CONFIG"] == "/cache/apt/apt.conf" })
    }
}

/// apt itself against archives that must be refused.
@Suite("apt on this machine", .enabled(if: (try? LocalFiles().exists("/usr/bin/apt-get")) == true, "there is no apt-get"))
struct AptContractTests {
    /// What is said of an archive of one empty index; `nil` when it is taken.
    ///
    /// - Parameter sign: signs the release in that folder, and returns the keyring that apt is told to trust.
    func code(of address: (FilePath) -> String, sign: (FilePath, FilePath) async throws -> FilePath? = { _, _ in nil }) async throws
        -> String?
    {
        try await Scratch.with { folder in
            let files = LocalFiles()
            let suite = folder.appending("archive/debian/dists/trixie")
            try files.write("", to: suite.appending("main/binary-amd64/Packages"))
            let release = """
                Origin: Debian
                Codename: trixie
                Date: Fri, 20 Nov 2026 02:11:10 UTC
                Architectures: amd64
                Components: main
                SHA256:
                 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages

                """
            try files.write(release, to: suite.appending("Release"))
            let keyring = try await sign(folder, suite)
            let source = AptSource(
                uri: address(folder.appending("archive/debian")), suite: "trixie", components: ["main"],
                keyring: keyring?.string ?? "/usr/share/keyrings/debian-archive-keyring.gpg")
            let indexes = AptIndexes(folder: folder.appending("apt"), runner: SubprocessRunner(), files: files)
            return await problem { _ = try await indexes.refresh([source], pins: []) }?.code
        }
    }

    /// Signs with a key made for it. - Returns: a keyring of that key.
    func signed(_ folder: FilePath, _ suite: FilePath) async throws -> FilePath {
        let home = folder.appending("gnupg"), keyring = folder.appending("own.gpg")
        try LocalFiles().makeDirectory(home, mode: 0o700)
        func gpg(_ words: [String]) async throws {
            _ = try await SubprocessRunner().run(
                Command(
                    "gpg", ["--homedir", home.string, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""] + words,
                    effect: .changes))
        }
        try await gpg(["--quick-generate-key", "nobody@example.org", "ed25519", "sign", "never"])
        try await gpg(["--clearsign", "--output", suite.appending("InRelease").string, suite.appending("Release").string])
        try await gpg(["--export", "--output", keyring.string])
        _ = try await SubprocessRunner().run(
            Command(Tool("gpgconf", package: "gpgconf"), ["--homedir", home.string, "--kill", "gpg-agent"], effect: .changes))
        return keyring
    }

    static let signs = (try? LocalFiles().exists("/usr/bin/gpg")) == true && (try? LocalFiles().exists("/usr/bin/gpg-agent")) == true

    @Test(
        "an archive that another key has signed is refused, and taken where that key is trusted",
        .enabled(if: AptContractTests.signs, "there is no gpg"))
    func signedByAnother() async throws {
        let wrong = try await code(
            of: { "file://\($0)" },
            sign: { folder, suite in
                _ = try await signed(folder, suite)
                return nil
            })
        #expect(wrong == "packages.signature")
        let trusted = try await code(of: { "file://\($0)" }, sign: { try await signed($0, $1) })
        #expect(trusted == nil)
    }

    @Test("an archive that was changed after it was signed is refused", .enabled(if: AptContractTests.signs, "there is no gpg"))
    func changed() async throws {
        let said = try await code(
            of: { "file://\($0)" },
            sign: { folder, suite in
                let keyring = try await signed(folder, suite)
                let text = try LocalFiles().readText(suite.appending("InRelease"))
                try LocalFiles().write(text.replacing("Components: main", with: "Components: mine"), to: suite.appending("InRelease"))
                return keyring
            })
        #expect(said == "packages.signature")
    }

    @Test("it obeys settings of its own, and reads none of this machine's")
    func settings() async throws {
        try await Scratch.with { folder in
            let settings = AptSettings(folder: folder, more: [("Acquire::Retries", "7")])
            try LocalFiles().write(settings.text, to: folder.appending(AptSettings.file))
            let command = Command(Tool("apt-config", package: "apt"), ["dump"], effect: .reads, environment: settings.environment)
            let told = try await SubprocessRunner().run(command).output.lines
            #expect(told.contains("Dir::Etc::parts \"/dev/null\";") && told.contains("Acquire::Retries \"7\";"))
            // What Debian's own files in /etc/apt/apt.conf.d bring: 01autoremove, 70debconf, 20packagekit, docker-clean.
            for word in ["NeverAutoRemove", "Pre-Install-Pkgs", "Post-Invoke"] { #expect(!told.contains { $0.contains(word) }, "\(word)") }
        }
    }

    @Test("an archive without a signature is refused")
    func unsigned() async throws { #expect(try await code(of: { "file://\($0)" }) == "packages.signature") }

    @Test("an archive that cannot be reached is named so, where nothing was fetched before")
    func unreachable() async throws { #expect(try await code(of: { _ in "http://127.0.0.1:9/debian" }) == "packages.unreachable") }
}

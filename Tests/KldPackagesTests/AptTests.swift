import KldCore
import KldExec
import KldPackages
import KldTestSupport
import Testing

@Suite("apt's words")
struct AptTests {
    let source = AptSource(
        uri: "http://mirror.example/debian", suite: "trixie-updates", components: ["main", "contrib"], keyring: "/usr/share/keyrings/d.gpg")

    @Test("a source is a line for mmdebstrap, and a stanza for the installed system; both name the key that must have signed it")
    func sources() {
        #expect(source.line == "deb [signed-by=/usr/share/keyrings/d.gpg] http://mirror.example/debian trixie-updates main contrib")
        #expect(
            source.stanza == """
                Types: deb
                URIs: http://mirror.example/debian
                Suites: trixie-updates
                Components: main contrib
                Signed-By: /usr/share/keyrings/d.gpg

                """)
    }

    @Test("a pin names source packages, so that all their binary packages follow")
    func pin() {
        #expect(
            AptPin(sources: ["zfs-linux", "linux"], release: "trixie-backports", priority: 990).stanza == """
                Package: src:zfs-linux src:linux
                Pin: release n=trixie-backports
                Pin-Priority: 990

                """)
    }

    func found(_ files: [String: String]) -> String? { HostArchive.find(files: MemoryFiles(files)) }
    func security(_ text: String) -> String? { HostArchive.security(files: MemoryFiles(["/etc/apt/sources.list": text])) }
    func found(list text: String) -> String? { found(["/etc/apt/sources.list": text]) }
    func found(stanzas text: String) -> String? { found(["/etc/apt/sources.list.d/x.sources": text]) }

    @Test("the archive of Debian 12's list is found, comments and its security archive are not")
    func list() {
        let text = """
            #deb cdrom:[Debian GNU/Linux 12]/ bookworm main
            # deb http://old.example/debian bookworm main
            deb http://security.example.com/debian-security bookworm-security main
            deb http://ftp.de.example.com/debian/ bookworm main non-free-firmware   # the nearest
            deb-src http://src.example/debian/ bookworm main

            """
        #expect(found(list: text) == "http://ftp.de.example.com/debian")
        #expect(security(text) == "http://security.example.com/debian-security")
    }

    @Test("the archive of Debian 13's stanzas is found")
    func stanzas() {
        let text = """
            # See sources.list(5).
            Types: deb
            URIs: http://security.example.com/debian-security
            Suites: trixie-security
            Components: main
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

            Types: deb deb-src
            URIs: https://mirror.example/debian/
            Suites: trixie trixie-updates
            Components: main contrib
             non-free-firmware
            Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

            """
        #expect(found(stanzas: text) == "https://mirror.example/debian")
        let files = MemoryFiles(["/etc/apt/sources.list.d/x.sources": text])
        #expect(HostArchive.security(files: files) == "http://security.example.com/debian-security")
    }

    @Test("a security archive is known by its release, whatever it is called; that of another system, or of other keys, is none")
    func securityArchives() {
        let archive = "deb http://m/debian trixie main\n"
        #expect(security(archive) == nil)
        #expect(security(archive + "deb http://m/updates/ trixie-security main\n") == "http://m/updates")
        #expect(security(archive + "deb http://archive.ubuntu.com/ubuntu noble-security main\n") == nil)
        #expect(security(archive + "deb [signed-by=/etc/apt/keyrings/x.asc] http://x/debian-security trixie-security main\n") == nil)
        #expect(security(archive + "# deb http://x/debian-security trixie-security main\n") == nil)
    }

    @Test(
        "options do not hide the address",
        arguments: [
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m/debian trixie main",
            "deb [arch=amd64] http://m/debian trixie main",
            "deb [ arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg ] http://m/debian trixie main contrib",
        ])
    func options(_ line: String) { #expect(found(list: line) == "http://m/debian") }

    @Test(
        "others that offer packages for Debian are left out",
        arguments: [
            "deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable",
            "deb [signed-by=/usr/share/keyrings/tailscale-archive-keyring.gpg] https://pkgs.tailscale.com/stable/debian bookworm main",
            "deb [arch=amd64] https://download.virtualbox.org/virtualbox/debian bookworm contrib",
            "deb http://archive.ubuntu.com/ubuntu noble main", "deb cdrom:[Debian]/ bookworm main", "deb file:/srv/debian bookworm main",
            "deb", "deb [x",
            "deb http://m/debian",
        ])
    func others(_ line: String) {
        #expect(found(list: line) == nil)
        #expect(
            found(["/etc/apt/sources.list": line, "/etc/apt/sources.list.d/z.list": "deb http://m/debian trixie main"]) == "http://m/debian"
        )
    }

    @Test(
        "stanzas that are off, of sources only, or of others are left out",
        arguments: [
            "Types: deb\nURIs: http://m/debian\nSuites: a\nComponents: main\nEnabled: no\n",
            "Types: deb-src\nURIs: http://m/debian\nSuites: a\nComponents: main\n", "URIs: http://m/debian\nComponents: main\n",
            "Types: deb\nURIs: http://m/debian\nSuites: a\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n",
        ])
    func otherStanzas(_ text: String) { #expect(found(stanzas: text) == nil) }

    @Test("the list is read before the folder, the folder in order, other files not at all")
    func order() {
        #expect(
            found([
                "/etc/apt/sources.list": "", "/etc/apt/sources.list.d/b.list": "deb http://b/debian x main",
                "/etc/apt/sources.list.d/a.sources": "Types: deb\nURIs: http://a/debian\nSuites: x\nComponents: main\n",
                "/etc/apt/sources.list.d/0.list.save": "deb http://c/debian x main",
            ]) == "http://a/debian")
        #expect(found([:]) == nil)
    }
}

@Suite("What mmdebstrap's failures mean")
struct MmdebstrapErrorTests {
    func explained(_ text: String) -> Diagnosis {
        Diagnosis(
            of: MmdebstrapError.explain(
                CommandError.failed(Command("mmdebstrap", [], effect: .changes), CommandOutput(status: 1, errors: text))))
    }

    @Test(
        "an archive that is not signed by a trusted key",
        arguments: [
            "E: The repository 'http://m/debian trixie InRelease' is not signed.\n",
            "W: GPG error: http://m/debian trixie InRelease: the public key is not available: NO_PUBKEY 6ED0E7B82643E131\n",
            "The following signatures were invalid: BADSIG 648ACFD622F3D138 Debian Archive Automatic Signing Key (10/buster)\n",
            "The following signatures were invalid: EXPKEYSIG 0E98404D386FA1D9 Debian Archive Automatic Signing Key (11/bullseye)\n",
            "E: Failed to fetch http://m/debian/dists/trixie/InRelease\nE: The repository 'x' is not signed.\n",
        ])
    func signature(_ text: String) {
        let problem = explained(text)
        #expect(problem.code == "packages.signature")
        #expect(problem.message.contains("nothing was installed from it"))
    }

    @Test("packages that the archive does not have, by name")
    func unknown() {
        let problem = explained(
            "I: running apt-get\nE: Unable to locate package no-such\nE: Package 'old-one' has no installation candidate\nE: apt failed\n")
        #expect(problem.code == "packages.unknown")
        #expect(problem.exit == .badAnswers)
        #expect(problem.causes == ["E: Unable to locate package no-such", "E: Package 'old-one' has no installation candidate"])
    }

    @Test(
        "an archive that cannot be reached",
        arguments: [
            "Err:1 http://mirror.example/debian trixie InRelease\n  Could not resolve 'mirror.example'\n",
            "E: Failed to fetch http://m/pool/a.deb  404  Not Found [IP: 1.2.3.4 80]\n",
            "Could not connect to m:80 (1.2.3.4), connection timed out\n",
        ])
    func unreachable(_ text: String) {
        #expect(explained(text).code == "packages.unreachable")
        #expect(explained(text).exit == .unavailable)
    }

    @Test("a mirror that does not carry the security archive is named, with what helps; a network that fails is another matter")
    func noRelease() {
        let text = """
            Err:5 http://mirror.example/debian-security trixie-security Release
              404  Not Found [IP: 192.0.2.1 80]
            E: The repository 'http://mirror.example/debian-security trixie-security Release' does not have a Release file.

            """
        let problem = explained(text)
        #expect(problem.code == "packages.no-release" && problem.exit == .unavailable)
        #expect(problem.message == "http://mirror.example/debian-security does not have trixie-security")
        #expect(problem.remedies.contains { $0.contains("/etc/apt/sources.list") })
        #expect(explained(text + "Temporary failure resolving 'mirror.example'\n").code == "packages.unreachable")
    }

    @Test(
        "a user who may not make the namespace",
        arguments: [
            "E: cannot find newuidmap\n", "E: cannot find newgidmap\n", "E: failed to parse /etc/subuid and /etc/subgid\n",
            "W: /etc/subuid does not contain an entry for ci\n", "E: failed to unshare the user namespace\n",
        ])
    func namespace(_ text: String) {
        let problem = explained(text)
        #expect(problem.code == "packages.user-namespace")
        #expect(problem.remedies.contains { $0.contains("--add-subuids") })
    }

    @Test("anything else is told as it is")
    func other() {
        #expect(explained("E: disk full\n").code == "command.failed")
        #expect(MmdebstrapError.explain(CommandError.toolMissing("mmdebstrap")) as? CommandError == .toolMissing("mmdebstrap"))
    }

    @Test("only the end of a long text is told")
    func tail() {
        let text = (0..<100).map { "line \($0)\n" }.joined() + "Could not resolve 'm'\n"
        #expect(explained(text).causes.count == 12)
        #expect(explained(text).causes.last == "Could not resolve 'm'")
    }
}

import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

@Suite("mmdebstrap's command line")
struct MmdebstrapTests {
    static let odd: FilePath = "/tmp/it's a \"path\" $HOME"

    static let job = Mmdebstrap(
        suite: "trixie",
        sources: [
            AptSource(uri: "http://m/debian", suite: "trixie", components: ["main"], keyring: "/k.gpg"),
            AptSource(uri: "http://m/debian-security", suite: "trixie-security", components: ["main"], keyring: "/k.gpg"),
        ],
        packages: ["linux-image-amd64", "zfs-dkms"], essentialHooks: [.unpack("/w/early.tar")],
        customizeHooks: [
            .upload(odd, to: "/usr/lib/kldload/kldload"), .run("apt-get", ["--yes", "install", "a b", "it's"]), .pack("/boot", to: odd),
        ], excludedPaths: ["/usr/share/man/*"], includedPaths: ["/usr/share/man/man1/*"], output: "/w/root.tar")

    @Test("one that is interrupted has the time to remove its tree")
    func ends() { for root in [true, false] { #expect(Self.job.command(root: root, epoch: 0).timeToEnd == .seconds(60)) } }

    @Test("for an ordinary user it builds in a user namespace")
    func user() {
        let command = Self.job.command(root: false, epoch: 12)
        #expect(command.tool == Mmdebstrap.tool)
        #expect(
            command.arguments == [
                "--mode=unshare", "--variant=apt", "--format=tar", "--include=linux-image-amd64,zfs-dkms",
                "--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\"",
                "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-include=/usr/share/man/man1/*",
                "--essential-hook=tar-in '/w/early.tar' /",
                #"--customize-hook=upload '/tmp/it'\''s a "path" $HOME' '/usr/lib/kldload/kldload'"#,
                #"--customize-hook=chroot "$1" 'apt-get' '--yes' 'install' 'a b' 'it'\''s'"#,
                #"--customize-hook=tar-out '/boot' '/tmp/it'\''s a "path" $HOME'"#, "trixie", "/w/root.tar",
                "deb [signed-by=/k.gpg] http://m/debian trixie main",
                "deb [signed-by=/k.gpg] http://m/debian-security trixie-security main",
            ])
        #expect(command.environment == ["SOURCE_DATE_EPOCH": "12"])
        #expect(command.effect == .changes)
    }

    @Test("for root it builds in mount and process namespaces of its own, which end with it")
    func root() {
        let command = Self.job.command(root: true, epoch: 12)
        let inChroot = Self.job.command(root: true, epoch: 12, mountedRoot: false)
        #expect(inChroot.arguments.map { $0 == "--propagation=unchanged" ? "--propagation=private" : $0 } == command.arguments)
        #expect(inChroot.arguments != command.arguments)
        #expect(command.tool.name == "unshare")
        #expect(
            command.arguments.prefix(9) == [
                "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "mmdebstrap", "--mode=root",
            ])
        #expect(command.arguments.dropFirst(9) == Self.job.command(root: false, epoch: 12).arguments.dropFirst())
    }

    @Test("where other builds come first, it is nice, inside its namespaces too")
    func yielding() {
        let user = Self.job.command(root: false, epoch: 0, yielding: true)
        #expect(user.tool == Tool("nice"))
        #expect(user.arguments.prefix(2) == ["--adjustment=10", "mmdebstrap"])
        #expect(Array(user.arguments.dropFirst(2)) == Self.job.command(root: false, epoch: 0).arguments)
        let root = Self.job.command(root: true, epoch: 0, yielding: true)
        #expect(root.tool.name == "unshare")
        #expect(root.arguments.drop { $0 != "--" }.prefix(4) == ["--", "nice", "--adjustment=10", "mmdebstrap"])
    }

    @Test("nothing in it weakens the check of signatures")
    func signatures() {
        for word in Self.job.command(root: true, epoch: 0).arguments {
            for weak in ["trusted=yes", "AllowUnauthenticated", "allow-insecure", "AllowInsecure", "no-check-gpg", "gpgv"] {
                #expect(!word.lowercased().contains(weak.lowercased()))
            }
        }
        #expect(Self.job.sources.allSatisfy { $0.line.contains("[signed-by=/") })
    }

    // MARK: the real splitters

    static let hasPerl = (try? LocalFiles().exists("/usr/bin/perl")) == true

    /// Splits as mmdebstrap splits its special hooks: with `Text::ParseWords::shellwords`.
    func shellwords(_ text: String) async throws -> [String] {
        try await SubprocessRunner().run(
            Command("perl", ["-MText::ParseWords", "-e", "print map { \"$_\\0\" } shellwords($ARGV[0])", text], effect: .reads)
        ).output.split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    func hook(_ hook: Mmdebstrap.Hook) -> String {
        var job = Self.job
        job.customizeHooks = [hook]
        let word = job.command(root: false, epoch: 0).arguments.first { $0.hasPrefix("--customize-hook=") } ?? ""
        return String(word.dropFirst("--customize-hook=".count))
    }

    @Test(
        "paths survive mmdebstrap's own splitter", .enabled(if: hasPerl, "this needs perl"),
        arguments: ["/plain", "/a b", "/it's", "/a\"b", "/a\\b", "/$HOME", "/ü", "/a'b'c d", "/-n", "/a;b", "/tab\tx"])
    func special(_ path: String) async throws {
        #expect(try await shellwords(hook(.upload(FilePath(path), to: "/t \(path)"))) == ["upload", path, "/t \(path)"])
        #expect(try await shellwords(hook(.unpack(FilePath(path)))) == ["tar-in", path, "/"])
        #expect(try await shellwords(hook(.pack("/boot", to: FilePath(path)))) == ["tar-out", "/boot", path])
    }

    @Test(
        "words of a program survive the shell that runs the hook",
        arguments: ["plain", "a b", "it's", "a\"b", "a\\b", "$HOME", "`x`", "a;b", "*", "", "a\nb"])
    func program(_ word: String) async throws {
        // The shell gets the tree's root as $1; `chroot` stands for the real one.
        let script = "chroot() { printf '%s\\0' \"$@\"; }\n" + hook(.run("/bin/prog", ["first", word, "last"]))
        let output = try await SubprocessRunner().run(Command("sh", ["-c", script, "exec", "/the root"], effect: .reads)).output
        #expect(
            output.split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init) == [
                "/the root", "/bin/prog", "first", word, "last",
            ])
    }
}

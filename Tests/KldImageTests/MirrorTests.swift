import FoundationEssentials
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import KldImage

/// The mirror's builder with an archive and an apt that are made up; `sha256sum` and `stat` are the real ones.
@Suite("The ISO's offline mirror")
struct MirrorTests {
    /// What apt was asked, and what it finds.
    final class World: Sendable {
        struct State {
            /// What apt would fetch for a package.
            var closures: [String: [String]] = [:]
            var fetched: [String] = []
            var looked: [String] = []
            /// Paths that the mirror does not have when apt looks.
            var lost: Set<String> = []
            var said: [String] = []
        }
        let state = Mutex(State())
    }

    static let digest = String(repeating: "0f", count: 32)
    static let suites = ["trixie", "trixie-updates", "trixie-security"]

    struct Runner: CommandRunner {
        let world: World
        let real = SubprocessRunner()
        private let files = LocalFiles()

        func option(_ name: String, _ command: Command) -> FilePath? {
            command.arguments.last { $0.hasPrefix("\(name)=") }.map { FilePath(String($0.dropFirst(name.count + 1))) }
        }

        func run(_ command: Command) async throws -> CommandOutput {
            let words = command.arguments
            switch command.tool.name {
            case "sha256sum", "stat": return try await real.run(command)
            case "apt-get" where command.environment["APT_CONFIG"]?.hasSuffix("-apt/apt.conf") == true:
                return try lookingAt(command)
            case "apt-get" where words.last == "update":
                let lists = FilePath(try #require(command.environment["APT_CONFIG"])).removingLastComponent().appending("lists")
                for suite in MirrorTests.suites {
                    try files.write(
                        "Codename: \(suite)\nDate: x\n \(MirrorTests.digest) 7 main/binary-amd64/Packages.xz\n",
                        to: lists.appending("\(suite)_InRelease"))
                }
            case "apt-cache" where words.contains("policy"):
                return CommandOutput(output: words.contains("htop") ? "htop:\n  Candidate: 3.4\n" : "")
            case "apt-get" where words.contains("--print-uris"):
                // On what the payload has.
                #expect(try files.readText(#require(option("Dir::State::status", command))) == "installed")
                let names = words.split(separator: "--").last ?? []
                let all = world.state.withLock { state in names.flatMap { state.closures[$0] ?? ["debian/pool/main/\($0)_1_amd64.deb"] } }
                return CommandOutput(output: Set(all).map { "'http://build/\($0)' x 5 SHA256:\(MirrorTests.digest)\n" }.joined())
            case "/usr/lib/apt/apt-helper":
                let place = try #require(words.firstIndex(of: "download-file"))
                for index in stride(from: place + 1, to: words.count, by: 3) {
                    #expect(words[index + 2] == "SHA256:\(MirrorTests.digest)")
                    world.state.withLock { $0.fetched.append(words[index]) }
                    try files.write("12345", to: FilePath(words[index + 1]))
                }
            case "tar" where words.last == "./var/lib/dpkg/status":
                let folder = FilePath(words[(words.firstIndex(of: "--directory") ?? 0) + 1])
                try files.write("installed", to: folder.pushing(FilePath("var/lib/dpkg/status")))
            default: throw Unscripted(what: command.description)
            }
            return CommandOutput()
        }

        /// With the mirror as its only source: everything must be there.
        private func lookingAt(_ command: Command) throws -> CommandOutput {
            let state = FilePath(command.environment["APT_CONFIG"] ?? "").removingLastComponent()
            let line = try #require(try files.readText(state.appending("sources.list")).lines.first)
            let tree = FilePath(try #require(line.words.first { $0.hasPrefix("file:") }).dropFirst(5).description).removingLastComponent()
            var wanted = MirrorTests.suites.map { "\($0 == "trixie-security" ? "debian-security" : "debian")/dists/\($0)/InRelease" }
            if let names = command.arguments.contains("--download-only") ? command.arguments.split(separator: "--").last : nil {
                world.state.withLock { state in
                    state.looked.append(names.joined(separator: " "))
                    wanted += names.flatMap { state.closures[$0] ?? ["debian/pool/main/\($0)_1_amd64.deb"] }
                }
            }
            let lost = world.state.withLock(\.lost)
            for path in wanted.map({ $0.replacing("%2b", with: "+") })
            where try lost.contains(path) || !files.exists(tree.pushing(FilePath(path))) {
                throw CommandError.failed(command, CommandOutput(status: 100, errors: "E: Failed to fetch file:\(tree)/\(path)\n"))
            }
            return CommandOutput()
        }

        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "pipeline") }
    }

    static func spec(_ profile: String) -> PayloadSpec {
        PayloadSpec(
            kind: .target, distro: "debian", suite: "trixie", backports: false, profile: profile, buildMirror: "http://build/debian",
            installedMirror: "http://mirror.example/debian")
    }

    func build(_ world: World, _ packages: [String], _ profiles: [String] = ["core", "server"], in root: FilePath) async throws
        -> PayloadBuilder.Mirror
    {
        let builder = PayloadRecipeTests.builder(root, Runner(world: world)) { line in world.state.withLock { $0.said.append(line) } }
        return try await builder.mirror(
            of: profiles.map { profile in
                let spec = Self.spec(profile)
                return (
                    spec,
                    PayloadBuilder.Payload(
                        archive: "/p/rootfs.tar", digest: profile,
                        info: PayloadInfo(spec: spec, kernel: "6.12", openZFS: "2.3", packageCount: 1), mirrors: [],
                        packages: "/p/packages.tsv")
                )
            }, packages: packages)
    }

    @Test(
        "it holds the signed indexes as they are, the lists that they name and every closure; each is looked at alone and with the others; the second time nothing is fetched"
    )
    func whole() async throws {
        try await Scratch.with { (root) async throws in
            let world = World()
            world.state.withLock {
                $0.closures["htop"] = ["debian/pool/main/htop_3%2bb1_amd64.deb", "debian-security/pool/libnl_1_amd64.deb"]
            }
            let mirror = try await build(world, ["htop"], in: root)
            let paths = mirror.items.map(\.path)
            for path in [
                "debian/dists/trixie/InRelease", "debian/dists/trixie-updates/InRelease", "debian-security/dists/trixie-security/InRelease",
                "debian/dists/trixie/main/binary-amd64/Packages.xz", "debian/pool/main/htop_3+b1_amd64.deb",
                "debian-security/pool/libnl_1_amd64.deb", "debian/pool/main/bpftrace_1_amd64.deb",
                "debian/pool/main/firmware-iwlwifi_1_amd64.deb", "debian/pool/main/grub-efi-amd64-signed_1_amd64.deb",
                "debian/pool/main/intel-microcode_1_amd64.deb", "mirror.json",
            ] { #expect(paths.contains(path), "\(path)") }
            for (path, file) in mirror.items {
                #expect(try LocalFiles().exists(file), "\(path)")
                if path.hasSuffix("InRelease") { #expect(try LocalFiles().readText(file).hasPrefix("Codename: "), "\(path)") }
            }
            let (fetched, looked) = world.state.withLock { ($0.fetched, $0.looked) }
            #expect(fetched.contains("http://build/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/\(Self.digest)"))
            // What a profile has is nothing that could be added to it.
            let file = try #require(mirror.items.first { $0.path == MirrorInfo.name }?.file)
            let info = try JSONDecoder().decode(MirrorInfo.self, from: Data(LocalFiles().read(file)))
            #expect(info.packages["core"]?.contains("intel-microcode") == true && info.packages["core"]?.contains("htop") == true)
            #expect(info.packages["server"]?.contains("intel-microcode") == false && info.packages["server"]?.contains("bpftrace") == true)
            #expect(looked.contains("htop") && looked.contains(info.packages["core"]?.joined(separator: " ") ?? ""))

            #expect(try await build(world, ["htop"], in: root).items.map(\.path) == paths)
            #expect(world.state.withLock { $0.fetched } == fetched)
            #expect(try LocalFiles().list(root.appending("work")).isEmpty)
        }
    }

    @Test("a mirror that lacks what it should bring is no mirror, and nothing of it is kept")
    func incomplete() async throws {
        try await Scratch.with { (root) async throws in
            let world = World()
            world.state.withLock { _ = $0.lost.insert("debian/pool/main/bpftool_1_amd64.deb") }
            let problem = await problem { _ = try await build(world, [], ["core"], in: root) }
            #expect(problem?.code == "iso.mirror-incomplete" && problem?.causes.contains { $0.contains("bpftool") } == true)
            #expect(try LocalFiles().list(root.appending("mirror")).isEmpty)
        }
    }

    @Test("a package of an archive that was not asked for is refused")
    func foreign() async throws {
        try await Scratch.with { (root) async throws in
            let world = World()
            world.state.withLock { $0.closures["htop"] = ["elsewhere/pool/htop_1_amd64.deb"] }
            await #expect { _ = try await build(world, ["htop"], ["core"], in: root) } throws: {
                Diagnosis(of: $0).code == "packages.uris"
            }
        }
    }

    @Test("packages that the archive does not have are named before anything is built")
    func unknown() async throws {
        try await Scratch.with { (root) async throws in
            let world = World()
            let builder = PayloadRecipeTests.builder(root, Runner(world: world))
            try await builder.requireOffered([], Self.spec("core"))
            try await builder.requireOffered(["htop"], Self.spec("core"))
            let problem = await problem { try await builder.requireOffered(["htop", "htpo", "vmi"], Self.spec("core")) }
            #expect(problem?.code == "iso.no-package" && problem?.message.hasSuffix("has no package htpo, vmi") == true)
            #expect(world.state.withLock { $0.fetched.isEmpty })
        }
    }

    @Test("names are given as the answers give them; what is no name is refused")
    func names() throws {
        #expect(try ISOBuild.packages("") == [])
        #expect(try ISOBuild.packages("tmux,htop tmux") == ["htop", "tmux"])
        for (names, word) in [("htop,$(reboot)", "$(reboot)"), ("htop --option", "--option"), ("tmux Name!", "Name!")] {
            let error = #expect(throws: Diagnosis.self) { try ISOBuild.packages(names) }
            #expect(error?.code == "iso.package-name" && error?.message.contains("\"\(word)\"") == true)
        }
    }
}

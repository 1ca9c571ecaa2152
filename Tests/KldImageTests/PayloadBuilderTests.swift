import Foundation
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldPlan
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import KldImage

/// The builder with an archive and an mmdebstrap that are made up; `sha256sum` and `stat` are the real ones.
@Suite("Payloads from an archive that moves")
struct PayloadBuilderTests {
    /// An archive's state, and what happened.
    final class World: Sendable {
        struct State {
            /// The version that the lists tell, and the one that a build really gets.
            var offered = "1"
            var real = "1"
            var refreshes = 0
            var builds = 0
            var simulations = 0
            var moves = 0
            /// Whether DKMS builds anything.
            var compiles = true
            var said: [String] = []
        }
        let state: Mutex<State>
        init(real: String = "1", moves: Int = 0) {
            var state = State()
            state.real = real
            state.moves = moves
            self.state = Mutex(state)
        }
    }

    /// Answers for every tool of the builder, which works in a real folder with real pipes.
    struct Runner: CommandRunner {
        let world: World
        let real = SubprocessRunner()

        func run(_ command: Command) async throws -> CommandOutput {
            switch command.tool.name {
            case "sha256sum", "stat", "mkfifo", "dd": return try await real.run(command)
            case "apt-get" where command.arguments.last == "update":
                let offered = world.state.withLock {
                    $0.refreshes += 1
                    $0.offered = $0.real
                    return $0.offered
                }
                let folder = FilePath(try #require(command.environment["APT_CONFIG"])).removingLastComponent()
                try LocalFiles().write("Codename: trixie\nVersion: \(offered)\n", to: folder.appending("lists/mirror_InRelease"))
            case "apt-get" where command.arguments.contains("--simulate"):
                let offered = world.state.withLock {
                    $0.simulations += 1
                    return $0.offered
                }
                return CommandOutput(output: "Inst zstd (\(offered) Debian:13 [amd64])\n")
            case "mmdebstrap" where command.arguments == ["--version"]: return CommandOutput(output: "mmdebstrap 1.5.5\n")
            case "unshare":
                // The real one writes what its last words and hooks name.
                let output = command.arguments.first { $0.hasSuffix("/rootfs.tar") }
                if let output {
                    let pipe = FilePath(output).removingLastComponent().appending("staged/modules.tar")
                    #expect(command.arguments.contains("--customize-hook=tar-in '\(pipe)' /"))
                    #expect(try await real.run(Command("cat", [pipe.string], effect: .reads)).output == "modules")
                    world.state.withLock {
                        $0.builds += 1
                        if $0.moves > 0 {
                            $0.moves -= 1
                            $0.real += "1"
                        }
                    }
                    try LocalFiles().write("a tree", to: FilePath(output))
                }
            case "tar" where command.arguments.contains("*kldload/packages.tsv"):
                let folder = FilePath(command.arguments[4])
                let version = world.state.withLock { $0.real }
                try LocalFiles().write("zstd\t\(version)\tamd64\tzstd\t\(version)\tM\n", to: folder.appending("packages.tsv"))
                try LocalFiles().write("{}", to: folder.appending("sbom.spdx.json"))
                let spec = PayloadRecipeTests.spec()
                let info = PayloadInfo(spec: spec, kernel: "6.12.48", openZFS: "2.3.2", packageCount: 1)
                try LocalFiles().write(Array(JSONEncoder().encode(info)), to: folder.appending("payload.json"), mode: .file)
            case "find": return CommandOutput(output: world.state.withLock { $0.compiles } ? "zfs.ko\n" : "")
            case "tar" where command.arguments.first == "--create":
                try LocalFiles().write("modules", to: FilePath(command.arguments[2]))
            case "tar", "apt-cache": break
            default: throw Unscripted(what: command.description)
            }
            return CommandOutput()
        }

        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "pipeline") }
    }

    func build(_ world: World, in root: FilePath) async throws -> PayloadBuilder.Payload {
        let builder = PayloadRecipeTests.builder(root, Runner(world: world)) { line in world.state.withLock { $0.said.append(line) } }
        return try await builder.payload(builder.settle(PayloadRecipeTests.spec()))
    }

    @Test("an archive that stands still is asked once; the second time nothing is built; the manifest lies beside the archive")
    func still() async throws {
        try await Scratch.with { root in
            let world = World()
            let payload = try await build(world, in: root)
            _ = try await build(world, in: root)
            #expect(world.state.withLock { $0.builds } == 1)
            // The same lists give the same answer.
            #expect(world.state.withLock { $0.simulations } == 1)
            for name in PayloadManifest.files { #expect(try LocalFiles().exists(payload.folder.appending(name)), "\(name)") }
            let inputs = try LocalFiles().readText(payload.folder.appending(PayloadManifest.inputs))
            #expect(inputs.contains("mmdebstrap 1.5.5") && inputs.contains("zstd 1") && !inputs.contains("http://build"))
        }
    }

    @Test("one that moves during the build is asked again, and the payload is what it offers then")
    func moved() async throws {
        try await Scratch.with { root in
            let world = World(moves: 1)
            let payload = try await build(world, in: root)
            let state = world.state.withLock { $0 }
            #expect(state.builds == 2 && state.refreshes == 2 && state.simulations == 2)
            #expect(state.said.contains { $0.contains("has changed") })
            #expect(try LocalFiles().readText(payload.folder.appending(PayloadManifest.inputs)).contains("zstd 11\n"))
        }
    }

    @Test("one that goes on moving is an error with both versions, and nothing is kept")
    func moving() async throws {
        try await Scratch.with { root in
            let problem = await problem { _ = try await build(World(moves: 9), in: root) }
            #expect(problem?.code == "payload.archive-moved" && problem?.exit == .tryAgain)
            #expect(problem?.causes == ["zstd: 11 was offered, 111 came"])
            let left = try LocalFiles().list(root.appending("target"))
            #expect(left == [])
        }
    }

    @Test("modules that cannot be built end the root file system that waits for them", .timeLimit(.minutes(5)))
    func broken() async throws {
        try await Scratch.with { root in
            let world = World()
            world.state.withLock { $0.compiles = false }
            let error = await #expect(throws: Diagnosis.self) { _ = try await build(world, in: root) }
            #expect(error?.code == "payload.no-module" && world.state.withLock { $0.builds } == 0)
            for kind in ["target", "modules"] {
                let left = try LocalFiles().list(root.appending(kind))
                #expect(left == [])
            }
        }
    }

    @Test("versions are compared by name; what is in one of the two alone is told apart")
    func difference() throws {
        let found = try PayloadManifest.Difference(
            offered: ["libc6 2.41-12", "zstd 1.5.7", "mawk 1.3"],
            installed: "libc6:amd64\t2.41-12\tamd64\tglibc\t2.41-12\tM\nzstd\t1.5.8\tamd64\tzstd\t1.5.8\tM\ngawk\t5\tamd64\tgawk\t5\tM\n")
        #expect(found.versions == ["zstd: 1.5.7 was offered, 1.5.8 came"])
        #expect(found.names == ["gawk", "mawk"])
    }
}

@Suite("Where the packages of a build come from")
struct BuildArchiveTests {
    static let host = MemoryFiles([
        "/etc/apt/sources.list": "deb http://m/debian trixie main\ndeb http://s/debian-security trixie-security main\n"
    ])

    @Test("this machine's archive with its own security archive, unless another is named; machines get the one of the answers, as ever")
    func chosen() throws {
        let own = BuildArchive.choose(nil, files: Self.host, otherwise: "http://d/debian")
        #expect(own == BuildArchive("http://m/debian", security: "http://s/debian-security"))
        #expect(BuildArchive.choose("http://n/debian", files: Self.host, otherwise: "http://d/debian") == "http://n/debian")
        #expect(BuildArchive.choose(nil, files: MemoryFiles(), otherwise: "http://d/debian") == "http://d/debian")
        var spec = PayloadSpec.live(backports: false, buildMirror: own, installedMirror: "http://i/debian")
        let uris = ["http://m/debian", "http://m/debian", "http://s/debian-security"]
        #expect(try spec.buildSources.map(\.uri) == uris)
        #expect(try PayloadRecipe.plan(spec).text(contents: true).contains("URIs: http://i/debian-security"))
        spec.buildMirror = "http://m/debian"
        #expect(try spec.buildSources.last?.uri == "http://m/debian-security")
    }
}

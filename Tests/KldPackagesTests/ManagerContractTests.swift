import Glibc
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

private enum Here {
    static func has(_ path: String) -> Bool { (try? LocalFiles().status(FilePath(path))) != nil }
    static let root = geteuid() == 0
    /// dnf 4's plugin; dnf 5 holds packages by itself.
    static let dnf =
        ["dnf", "rpmbuild", "createrepo_c"].allSatisfy { has("/usr/bin/\($0)") }
        && (has("/etc/dnf/plugins/versionlock.conf") || has("/usr/bin/dnf5"))
    static let pacman = has("/usr/bin/pacman") && has("/usr/bin/pacman-conf")
}

/// A system below a folder of a test's own, and an archive beside it. Our commands run with options before theirs that keep the tool in there;
/// tools that have none are refused.
private struct SmallSystem: Sendable {
    typealias Change = PackageTransaction.Change

    var folder: FilePath
    var manager: any PackageManager
    var options: [String: [String]]
    let files = LocalFiles()
    let runner = SubprocessRunner()

    var root: FilePath { folder.appending("root") }
    var archive: FilePath { folder.appending("archive") }

    init(_ folder: FilePath, _ manager: any PackageManager, options: [String: [String]]) throws {
        (self.folder, self.manager, self.options) = (folder, manager, options)
        for name in ["root", "archive", "cache", "empty"] { try files.makeDirectory(folder.appending(name), mode: .directory) }
    }

    @discardableResult
    func run(_ command: Command) async throws -> CommandOutput {
        guard let before = options[command.tool.name] else { throw Unscripted(what: command.description) }
        var command = command
        command.arguments = before + command.arguments
        return try await runner.run(command)
    }

    /// What makes the archive.
    func make(_ tool: String, _ arguments: [String], in place: FilePath? = nil) async throws {
        try await runner.run(Command(Tool(tool), arguments, effect: .changes, workingDirectory: place))
    }

    /// What would change, sorted; what cannot be done throws.
    func preview(_ request: PackageRequest) async throws -> [Change] {
        let output = try await run(manager.preview(request))
        let failures = manager.failures(output)
        if !failures.isEmpty { throw Refused(causes: failures) }
        return manager.transaction(output.output).changes.sorted { $0.name < $1.name }
    }
    struct Refused: Error { var causes: [String] }

    func refusal(_ request: PackageRequest) async throws -> String {
        do {
            _ = try await preview(request)
            return ""
        } catch let refused as Refused { return refused.causes.joined(separator: "\n") } catch let error as CommandError {
            return error.failure.map { manager.reasons($0).joined(separator: "\n") } ?? ""
        }
    }

    func installed() async throws -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: manager.installed(try await run(manager.listInstalled).output).map { ($0.name, $0.version) })
    }

    func held() async throws -> [String] { manager.held(try await run(try #require(manager.listHeld)).output).sorted() }

    func text(_ path: String) throws -> String { try files.readText(root.appending(path)) }
}

@Suite("The dnf of this machine", .enabled(if: Here.dnf, "dnf, its plugin versionlock, rpmbuild or createrepo_c is not installed"))
struct DnfContractTests {
    /// - Parameter packages: name, version, lines of the spec file's header, and of its scripts.
    private func with(
        _ packages: [(String, String, String, String)],
        stanza: (FilePath) -> String = { "[small]\nname=small\nbaseurl=file://\($0)\ngpgcheck=0\n" },
        _ body: (SmallSystem) async throws -> Void
    ) async throws {
        try await Scratch.with { folder in
            let settings = folder.appending("dnf.conf")
            let system = try SmallSystem(
                folder, Dnf(),
                options: [
                    "dnf": ["--installroot=\(folder)/root", "--config=\(settings)", "--releasever=1"], "rpm": ["--root=\(folder)/root"],
                ])
            try system.files.makeDirectory(folder.appending("plugins"), mode: .directory)
            try system.files.write("", to: folder.appending("plugins/versionlock.list"))
            try system.files.write(
                "[main]\nenabled=1\nlocklist=\(folder)/plugins/versionlock.list\n", to: folder.appending("plugins/versionlock.conf"))
            try system.files.write(
                """
                [main]
                reposdir=\(folder)/empty
                varsdir=\(folder)/empty
                cachedir=\(folder)/cache
                logdir=\(folder)/log
                persistdir=\(folder)/persist
                pluginconfpath=\(folder)/plugins
                skip_if_unavailable=1
                \(stanza(system.archive))

                """, to: settings)
            for (name, version, header, scripts) in packages {
                let spec = folder.appending("\(name)-\(version).spec")
                try system.files.write(
                    """
                    Name: \(name)
                    Version: \(version)
                    Release: 1
                    Summary: A package of a test
                    License: MIT
                    BuildArch: noarch
                    \(header)
                    %description
                    A package of a test.
                    %install
                    mkdir -p %{buildroot}/etc
                    echo \(version) > %{buildroot}/etc/\(name).conf
                    \(scripts)
                    %files
                    %config(noreplace) /etc/\(name).conf

                    """, to: spec)
                try await system.make(
                    "rpmbuild",
                    [
                        "-bb", "--quiet", "--define", "_topdir \(folder)/build", "--define", "_rpmdir \(folder)/archive", "--define",
                        "_build_name_fmt %%{NAME}-%%{VERSION}.rpm", spec.string,
                    ])
            }
            try await system.make("createrepo_c", ["--quiet", system.archive.string])
            try await body(system)
        }
    }

    @Test(
        "packages come, are upgraded and go as the preview says; what is held moves only when it is let go of",
        .enabled(if: Here.root, "not root"))
    func life() async throws {
        try await with([
            ("kld-plain", "1", "", ""), ("kld-plain", "2", "Requires: kld-library", ""), ("kld-library", "1", "", ""),
            ("kld-kernel", "1", "", ""), ("kld-kernel", "2", "Epoch: 3", ""), ("kld-old", "1", "", ""),
            ("kld-new", "2", "Obsoletes: kld-old < 2", ""), ("kld-torn", "1", "", ""), ("kld-torn", "2", "Requires: nothing-has-it", ""),
        ]) { system in
            typealias Change = SmallSystem.Change
            let manager = system.manager
            try await system.run(manager.refresh)
            let first = PackageRequest.install(["kld-plain-1", "kld-kernel-1", "kld-old-1", "kld-torn-1"])
            #expect(
                try await system.preview(first)
                    == ["kld-kernel", "kld-old", "kld-plain", "kld-torn"].map { Change($0, old: nil, new: "1-1") })
            #expect(try await system.installed() == [:], "a preview changes nothing")
            let applied = try await system.run(manager.apply(first))
            #expect(manager.failures(applied) == [])
            #expect(try await system.installed() == ["kld-kernel": "1-1", "kld-old": "1-1", "kld-plain": "1-1", "kld-torn": "1-1"])
            #expect(try await system.preview(first) == [])

            let kernel = PackageHold.Package("kld-kernel", version: "1-1")
            let hold = try #require(PackageHold.command(.dnf, [kernel]))
            try await system.run(hold)
            #expect(try await system.held() == ["kld-kernel"])
            let waiting = try await system.run(try #require(manager.previewUpgrade(moving: ["kld-kernel"])))
            #expect(manager.transaction(waiting.output).changes.contains(Change("kld-kernel", old: nil, new: "3:2-1")))
            #expect(manager.transaction(waiting.output).changes.contains { $0.name == "kld-library" })
            try system.files.write("mine\n", to: system.root.appending("etc/kld-plain.conf"))
            let upgrade = try await system.preview(.upgrade)
            #expect(
                upgrade.map { $0.new == nil ? "- \($0.name) \($0.old ?? "")" : "+ \($0.name) \($0.new ?? "")" } == [
                    "+ kld-library 1-1", "+ kld-new 2-1", "- kld-old 1-1", "+ kld-plain 2-1",
                ], "neither what is held, nor what dnf skips")
            try await system.run(manager.apply(.upgrade))
            let after = ["kld-kernel": "1-1", "kld-library": "1-1", "kld-new": "2-1", "kld-plain": "2-1", "kld-torn": "1-1"]
            #expect(try await system.installed() == after)
            #expect(try system.text("etc/kld-plain.conf") == "mine\n")
            #expect(manager.leftBeside.contains { Here.has("\(system.root)/etc/kld-plain.conf\($0)") })

            try await system.run(try #require(manager.release(["kld-kernel"])))
            #expect(try await system.held() == [])
            #expect(try await system.preview(.upgrade).map(\.name) == ["kld-kernel"])
            try await system.run(manager.apply(.upgrade))
            #expect(try await system.installed()["kld-kernel"] == "3:2-1")
            try await system.run(hold)
            #expect(try await system.held() == ["kld-kernel"])
            #expect(try await system.preview(.upgrade) == [])

            let removal = try await system.preview(.remove(["kld-library"]))
            #expect(removal == [Change("kld-library", old: "1-1", new: nil), Change("kld-plain", old: "2-1", new: nil)])
            try await system.run(manager.apply(.remove(["kld-library"])))
            #expect(try await system.installed().keys.sorted() == ["kld-kernel", "kld-new", "kld-torn"])
            try await system.run(manager.clean)
        }
    }

    @Test("what cannot be done is no empty preview, and says why", .enabled(if: Here.root, "not root"))
    func refusals() async throws {
        try await with([("kld-torn", "2", "Requires: nothing-has-it", "")]) { system in
            try await system.run(system.manager.refresh)
            #expect(try await system.refusal(.install(["nosuch"])).contains("nosuch"))
            #expect(try await system.refusal(.remove(["nosuch"])).contains("nosuch"))
            #expect(try await system.refusal(.install(["kld-torn"])).contains("nothing provides nothing-has-it"))
        }
    }

    @Test("a script that fails is a failure, whatever dnf's exit status", .enabled(if: Here.root, "not root"))
    func scripts() async throws {
        try await with([
            ("kld-bad", "1", "", "%pre -p <lua>\nerror('it cannot be')\n"), ("kld-late", "1", "", "%post -p <lua>\nerror('too late')\n"),
        ]) { system in
            let manager = system.manager
            try await system.run(manager.refresh)
            let error = await #expect(throws: CommandError.self) { try await system.run(manager.apply(.install(["kld-bad"]))) }
            let said = manager.reasons(try #require(error?.failure)).joined(separator: "\n")
            #expect(said.contains("it cannot be") && said.contains("kld-bad"), "\(said)")
            #expect(try await system.installed() == [:])

            let output = try await system.run(manager.apply(.install(["kld-late"])))
            #expect(manager.failures(output).contains { $0.contains("kld-late") }, "\(output.errors)")
            #expect(output.errors.lines.compactMap(manager.progress).contains("Installing kld-late-1-1.noarch"))
        }
    }

    @Test("a repository's settings let no package in that is not signed", .enabled(if: Here.root, "not root"))
    func signatures() async throws {
        let stanza = { (archive: FilePath) in
            RPMRepository(id: "small", title: "small", address: "file://\(archive)", keys: [], signedIndex: false).stanza
        }
        try await with([("kld-plain", "1", "", "")], stanza: stanza) { system in
            try await system.run(system.manager.refresh)
            let apply = system.manager.apply(.install(["kld-plain"]))
            let error = await #expect(throws: CommandError.self) { try await system.run(apply) }
            let said = system.manager.reasons(try #require(error?.failure))
            #expect(said.contains { $0.hasSuffix("is not signed") }, "\(said)")
            #expect(try await system.installed() == [:])
        }
    }

    @Test("an archive that does not answer is no success, whatever dnf's settings say")
    func archive() async throws {
        try await with([("kld-plain", "1", "", "")]) { system in
            try await system.run(system.manager.refresh)
            try system.files.remove(system.archive)
            let error = await #expect(throws: CommandError.self) { try await system.run(system.manager.refresh) }
            let said = try #require(error?.failure)
            #expect(system.manager.reasons(said).contains { $0.contains("'small'") })
        }
    }
}

@Suite("The pacman of this machine", .enabled(if: Here.pacman, "pacman is not installed"))
struct PacmanContractTests {
    /// Name, version, what it needs, what it replaces, its script.
    private struct Package {
        var name: String
        var version: String
        var needs: String?
        var replaces: String?
        var script: String?
        init(_ name: String, _ version: String, needs: String? = nil, replaces: String? = nil, script: String? = nil) {
            (self.name, self.version, self.needs, self.replaces, self.script) = (name, version, needs, replaces, script)
        }
        var file: String { "\(name)-\(version)-any.pkg.tar.gz" }
    }

    private func with(_ body: (SmallSystem) async throws -> Void) async throws {
        try await Scratch.with { folder in
            let settings = folder.appending("pacman.conf")
            let system = try SmallSystem(
                folder, Pacman(), options: ["pacman": ["--config", settings.string], "pacman-conf": ["--config", settings.string]])
            for name in ["root/var", "root/var/lib", "root/var/lib/pacman", "root/tmp"] {
                try system.files.makeDirectory(folder.appending(name), mode: .directory)
            }
            try system.files.write(
                """
                [options]
                RootDir = \(folder)/root
                DBPath = \(folder)/root/var/lib/pacman/
                CacheDir = \(folder)/cache
                LogFile = \(folder)/log
                GPGDir = \(folder)/empty
                HookDir = \(folder)/empty
                Architecture = auto
                SigLevel = Never
                [small]
                Server = file://\(folder)/archive

                """, to: settings)
            // A shell for scripts, which run in there, with what it needs.
            let needs = try await system.runner.run(Command(Tool("ldd"), ["/bin/sh"], effect: .reads)).output.words.filter {
                $0.hasPrefix("/")
            }
            try await system.make("cp", ["--parents", "--dereference", "/bin/sh"] + needs + [system.root.string])
            try await body(system)
        }
    }

    /// The archive, as `makepkg` and `repo-add` would make it.
    private func publish(_ packages: [Package], _ system: SmallSystem) async throws {
        let (build, index) = (system.folder.appending("build"), system.folder.appending("index"))
        try? system.files.remove(index)
        try system.files.makeDirectory(index, mode: .directory)
        for package in packages {
            let (name, version) = (package.name, package.version)
            try? system.files.remove(build)
            for folder in [build, build.appending("etc"), index.appending("\(name)-\(version)")] {
                try system.files.makeDirectory(folder, mode: .directory)
            }
            try system.files.write("\(version)\n", to: build.appending("etc/\(name).conf"))
            var facts =
                "pkgname = \(name)\npkgver = \(version)\npkgdesc = A package of a test\nsize = 4\narch = any\nbackup = etc/\(name).conf\n"
            var entry = "%FILENAME%\n\(package.file)\n\n%NAME%\n\(name)\n\n%VERSION%\n\(version)\n\n%ARCH%\nany\n\n"
            for (key, title, value) in [
                ("depend", "DEPENDS", package.needs), ("replaces", "REPLACES", package.replaces),
                ("conflict", "CONFLICTS", package.replaces),
            ] {
                guard let value else { continue }
                facts += "\(key) = \(value)\n"
                entry += "%\(title)%\n\(value)\n\n"
            }
            try system.files.write(facts, to: build.appending(".PKGINFO"))
            if let script = package.script { try system.files.write(script, to: build.appending(".INSTALL")) }
            try await system.make(
                "tar",
                ["--create", "--gzip", "--file=\(system.archive)/\(package.file)", "--owner=0", "--group=0", ".PKGINFO", "etc"]
                    + (package.script == nil ? [] : [".INSTALL"]), in: build)
            try system.files.write(entry, to: index.appending("\(name)-\(version)/desc"))
        }
        try await system.make(
            "tar", ["--create", "--gzip", "--file=\(system.archive)/small.db"] + packages.map { "\($0.name)-\($0.version)" }, in: index)
        // Its age decides whether it is fetched, in whole seconds.
        try await system.make("touch", ["--date=tomorrow", "\(system.archive)/small.db"])
    }

    private func hold(_ names: [String], _ system: SmallSystem) throws {
        let settings = system.folder.appending("pacman.conf")
        try system.files.write(try #require(PackageHold.pacman(names, in: try system.files.readText(settings))), to: settings)
    }

    @Test(
        "packages come, are upgraded and go as the preview says; what is held moves only when it is let go of",
        .enabled(if: Here.root, "not root"))
    func life() async throws {
        try await with { system in
            typealias Change = SmallSystem.Change
            let manager = system.manager
            try await publish(
                [Package("kld-plain", "1-1"), Package("kld-kernel", "1-1"), Package("kld-old", "1-1")], system)
            try await system.run(manager.refresh)
            let first = PackageRequest.install(["kld-plain", "kld-kernel", "kld-old"])
            #expect(try await system.preview(first) == ["kld-kernel", "kld-old", "kld-plain"].map { Change($0, old: nil, new: "1-1") })
            let output = try await system.run(manager.apply(first))
            #expect(manager.failures(output) == [])
            #expect(output.errors.lines.compactMap(manager.progress).contains("installing kld-plain..."))
            #expect(try await system.installed() == ["kld-kernel": "1-1", "kld-old": "1-1", "kld-plain": "1-1"])
            #expect(try await system.preview(first) == [])
            #expect(try await system.preview(.upgrade) == [])

            try await publish(
                [
                    Package("kld-plain", "2-1", needs: "kld-library"), Package("kld-library", "1-1"), Package("kld-kernel", "3:2-1"),
                    Package("kld-new", "2-1", replaces: "kld-old"),
                ], system)
            try await system.run(manager.refresh)
            try hold(["kld-kernel"], system)
            #expect(try await system.held() == ["kld-kernel"])
            let waiting = try await system.run(try #require(manager.previewUpgrade(moving: ["kld-kernel"])))
            #expect(manager.transaction(waiting.output).changes.contains(Change("kld-kernel", old: nil, new: "3:2-1")))
            #expect(manager.transaction(waiting.output).changes.contains { $0.name == "kld-library" })
            try system.files.write("mine\n", to: system.root.appending("etc/kld-plain.conf"))
            #expect(
                try await system.preview(.upgrade) == [
                    Change("kld-library", old: nil, new: "1-1"), Change("kld-new", old: nil, new: "2-1"),
                    Change("kld-plain", old: nil, new: "2-1"),
                ])
            #expect(try await manager.failures(system.run(manager.apply(.upgrade))) == [])
            let after = ["kld-kernel": "1-1", "kld-library": "1-1", "kld-new": "2-1", "kld-plain": "2-1"]
            #expect(try await system.installed() == after)
            #expect(try system.text("etc/kld-plain.conf") == "mine\n")
            #expect(manager.leftBeside.contains { Here.has("\(system.root)/etc/kld-plain.conf\($0)") })

            #expect(try await system.preview(.install(["kld-kernel"])).map(\.name) == ["kld-kernel"], "pacman lets who names it move it")
            try hold([], system)
            #expect(try await system.held() == [])
            #expect(try await system.preview(.upgrade).map(\.name) == ["kld-kernel"])
            try await system.run(manager.apply(.upgrade))
            try hold(["kld-kernel"], system)
            #expect(try await system.held() == ["kld-kernel"])
            #expect(try await system.installed()["kld-kernel"] == "3:2-1")

            #expect(try await system.refusal(.install(["nosuch"])).contains("target not found: nosuch"))
            #expect(try await system.refusal(.remove(["kld-library"])).contains("required by kld-plain"))
            #expect(try await system.preview(.remove(["kld-plain"])) == [Change("kld-plain", old: "2-1", new: nil)])
            try await system.run(manager.apply(.remove(["kld-plain"])))
            #expect(try await system.installed().keys.sorted() == ["kld-kernel", "kld-library", "kld-new"])
            try await system.run(manager.clean)
        }
    }

    @Test("a script that fails is a failure, whatever pacman's exit status", .enabled(if: Here.root, "not root"))
    func scripts() async throws {
        try await with { system in
            let manager = system.manager
            try await publish(
                [
                    Package("kld-good", "1-1", script: "post_install() { echo done; }\n"),
                    Package("kld-bad", "1-1", script: "post_install() { echo it cannot be >&2; false; }\n"),
                ], system)
            try await system.run(manager.refresh)
            #expect(try await manager.failures(system.run(manager.apply(.install(["kld-good"])))) == [])
            let output = try await system.run(manager.apply(.install(["kld-bad"])))
            #expect(manager.failures(output) == ["error: command failed to execute correctly"], "\(output.errors)")
            #expect(output.errors.contains("it cannot be"))
        }
    }

    @Test("a repository's settings let no package in that is not signed", .enabled(if: Here.root, "not root"))
    func signatures() async throws {
        try await with { system in
            try await publish([Package("kld-plain", "1-1")], system)
            let settings = system.folder.appending("pacman.conf")
            let options = try #require(try system.files.readText(settings).split(separator: "[small]").first)
            let stanza = PacmanRepository(name: "small", servers: ["file://\(system.archive)"]).stanza
            try system.files.write(options + stanza, to: settings)
            try await system.run(system.manager.refresh)
            let apply = system.manager.apply(.install(["kld-plain"]))
            let error = await #expect(throws: CommandError.self) { try await system.run(apply) }
            let said = system.manager.reasons(try #require(error?.failure))
            #expect(said.contains { $0.contains("kld-plain-1-1-any.pkg.tar.gz.sig") }, "\(said)")
            #expect(!Here.has("\(system.root)/etc/kld-plain.conf"))
        }
    }

    @Test("an archive that does not answer is no success", .enabled(if: Here.root, "not root"))
    func archive() async throws {
        try await with { system in
            let error = await #expect(throws: CommandError.self) { try await system.run(system.manager.refresh) }
            let said = try #require(error?.failure)
            #expect(system.manager.reasons(said).contains { $0.contains("small.db") })
        }
    }
}

import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

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
            try await system.addShell()
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

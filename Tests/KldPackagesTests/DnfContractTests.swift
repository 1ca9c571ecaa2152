import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

/// dnf 4 with its plugin versionlock, or dnf 5.
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
            let version = try await system.runner.run(Command(Tool("dnf"), ["--version"], effect: .reads)).output
            // dnf 5 has no such plugin, keeps its locks below its root, and ends with an error where it finds these settings.
            if !version.hasPrefix("dnf5 ") {
                try system.files.write("", to: folder.appending("plugins/versionlock.list"))
                try system.files.write(
                    "[main]\nenabled=1\nlocklist=\(folder)/plugins/versionlock.list\n", to: folder.appending("plugins/versionlock.conf"))
            }
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
                best=0
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
            let moving = manager.transaction(waiting.output).filled(from: try await system.installed()).changes
            #expect(moving.contains(Change("kld-kernel", old: "1-1", new: "3:2-1")))
            #expect(moving.contains { $0.name == "kld-library" })
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
            #expect(try await system.preview(.upgrade) == [], "nothing to do is no refusal")
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

            // dnf 4 ends with 0, dnf 5 does not.
            let output: CommandOutput
            do { output = try await system.run(manager.apply(.install(["kld-late"]))) } catch let error as CommandError {
                output = try #require(error.failure)
                #expect(manager.reasons(output).joined(separator: "\n").contains("too late"), "\(output.errors)")
            }
            #expect(manager.failures(output).contains { $0.contains("kld-late") }, "\(output.errors)")
            #expect(output.errors.lines.compactMap(manager.progress).contains { $0.hasPrefix("Installing kld-late-") })
            #expect(try await system.installed() == ["kld-late": "1-1"])
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
            #expect(said.contains { $0.contains("is not signed") }, "\(said)")
            #expect(try await system.installed() == [:])
        }
    }

    @Test(
        "lists are read anew; an archive that does not answer is no success, whatever dnf's settings say",
        .enabled(if: Here.root, "not root"))
    func archive() async throws {
        try await with([("kld-plain", "1", "", ""), ("kld-plain", "2", "", "")]) { system in
            try await system.run(system.manager.refresh)
            #expect(try await system.preview(.install(["kld-plain"])).map(\.new) == ["2-1"])
            try system.files.remove(system.archive.appending("kld-plain-2.rpm"))
            try await system.make("createrepo_c", ["--quiet", system.archive.string])
            try await system.run(system.manager.refresh)
            #expect(try await system.preview(.install(["kld-plain"])).map(\.new) == ["1-1"])

            try system.files.remove(system.archive)
            let error = await #expect(throws: CommandError.self) { try await system.run(system.manager.refresh) }
            let said = try #require(error?.failure)
            #expect(system.manager.reasons(said).contains { $0.contains("repo") && $0.contains("small") }, "\(said.errors)")
        }
    }
}

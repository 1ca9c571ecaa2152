import Glibc
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

/// apk-tools 2.14 or 3.0. Packages and index are of the form that both read, and that Alpine's archives have.
@Suite("The apk of this machine", .enabled(if: Here.apk && Here.root, "apk or openssl is not on PATH, or not root"))
struct ApkContractTests {
    private struct Package {
        var name: String
        var version: String
        /// Lines of what it says of itself: `depend = kld-library`.
        var facts: [String] = []
        var script: (name: String, text: String)?
        init(_ name: String, _ version: String, _ facts: [String] = [], script: (name: String, text: String)? = nil) {
            (self.name, self.version, self.facts, self.script) = (name, version, facts, script)
        }
        var file: String { "\(name)-\(version).apk" }
    }

    private func with(_ body: (SmallSystem) async throws -> Void) async throws {
        try await Scratch.with { folder in
            let options = ["--root", "\(folder)/root", "--arch", "x86_64"]
            let system = try SmallSystem(folder, Apk(), options: ["apk": options])
            for name in ["root/etc/apk/keys", "build"] {
                try await system.make("mkdir", ["--parents", folder.appending(name).string])
            }
            try await system.make("openssl", ["genrsa", "-out", "\(folder)/kld.rsa", "2048"])
            try await system.make("openssl", ["rsa", "-in", "\(folder)/kld.rsa", "-pubout", "-out", "\(folder)/kld.rsa.pub"])
            try await system.make("cp", ["\(folder)/kld.rsa.pub", "\(system.root)/etc/apk/keys"])
            try use([system.archive.string], system)
            try await system.addShell()
            try await system.make("apk", options + ["add", "--initdb"])
            try await body(system)
        }
    }

    private func use(_ archives: [String], _ system: SmallSystem) throws {
        try system.files.write(
            archives.map { APKRepository(address: $0).line + "\n" }.joined(), to: system.root.appending("etc/apk/repositories"))
    }

    /// Part of a package: a tar without its end, so that the next part goes on.
    private func pack(_ names: [String], as name: String, in place: FilePath, _ system: SmallSystem) async throws -> [UInt8] {
        try await system.make(
            "tar",
            ["--create", "--format=ustar", "--blocking-factor=1", "--owner=root:0", "--group=root:0", "--file=\(name)"] + names, in: place)
        try await system.make("truncate", ["--size=-1024", name], in: place)
        try await system.make("gzip", ["--force", name], in: place)
        return try system.files.read(place.appending("\(name).gz"))
    }

    private func sum(_ tool: String, _ file: FilePath, _ system: SmallSystem) async throws -> String {
        try #require(try await system.runner.run(Command(Tool(tool), [file.string], effect: .reads)).output.words.first)
    }

    /// As `abuild` would make it, without its signature: the index says what it must be.
    private func build(_ package: Package, _ system: SmallSystem) async throws {
        let place = system.folder.appending("build")
        try system.files.remove(place)
        for folder in [place, place.appending("etc")] { try system.files.makeDirectory(folder, mode: .directory) }
        let settings = place.appending("etc/\(package.name).conf")
        try system.files.write("\(package.version)\n", to: settings)
        let header = "delete=atime,delete=ctime,APK-TOOLS.checksum.SHA1:=\(try await sum("sha1sum", settings, system))"
        try await system.make(
            "tar",
            [
                "--create", "--gzip", "--format=posix", "--pax-option=\(header)", "--owner=root:0", "--group=root:0", "--file=data.tar.gz",
                "etc",
            ], in: place)
        let data = place.appending("data.tar.gz")
        let facts = [
            "pkgname = \(package.name)", "pkgver = \(package.version)", "pkgdesc = A package of a test", "url = https://kld.example",
            "arch = noarch", "license = MIT", "size = 4", "origin = \(package.name)",
        ]
        try system.files.write(
            (facts + package.facts + ["datahash = \(try await sum("sha256sum", data, system))"]).map { $0 + "\n" }.joined(),
            to: place.appending(".PKGINFO"))
        if let script = package.script {
            try system.files.write("#!/bin/sh\n\(script.text)\n", to: place.appending(".\(script.name)"), mode: 0o755)
        }
        let control = try await pack(
            [".PKGINFO"] + (package.script.map { [".\($0.name)"] } ?? []), as: "control.tar", in: place, system)
        try system.files.write(control + system.files.read(data), to: system.archive.appending("x86_64/\(package.file)"), mode: .file)
    }

    /// An archive of exactly these.
    private func publish(_ packages: [Package], _ system: SmallSystem, key: String? = "kld.rsa") async throws {
        let place = system.archive.appending("x86_64")
        try system.files.remove(place)
        try system.files.makeDirectory(place, mode: .directory)
        for package in packages { try await build(package, system) }
        let index = place.appending("APKINDEX.tar.gz")
        try await system.make(
            "apk", ["index", "--allow-untrusted", "--rewrite-arch", "x86_64", "--output", index.string] + packages.map(\.file), in: place)
        guard let key else { return }
        let name = ".SIGN.RSA.\(key).pub"
        try await system.make(
            "openssl", ["dgst", "-sha1", "-sign", "\(system.folder)/\(key)", "-out", name, index.string], in: system.folder)
        let signature = try await pack([name], as: "signature.tar", in: system.folder, system)
        try system.files.write(signature + system.files.read(index), to: index, mode: .file)
    }

    @Test("packages come, are upgraded and go as the preview says; what is held moves only when it is let go of")
    func life() async throws {
        try await with { system in
            typealias Change = SmallSystem.Change
            let manager = system.manager
            try await publish([Package("kld-plain", "1-r0"), Package("kld-kernel", "1-r0"), Package("kld-old", "1-r0")], system)
            try await system.refresh()
            let first = PackageRequest.install(["kld-plain", "kld-kernel", "kld-old"])
            #expect(try await system.preview(first) == ["kld-kernel", "kld-old", "kld-plain"].map { Change($0, old: nil, new: "1-r0") })
            #expect(try await system.installed() == [:], "a preview changes nothing")
            let output = try await system.run(manager.apply(first))
            #expect(manager.failures(output) == [])
            #expect(output.errors.lines.compactMap(manager.progress).contains("Installing kld-plain (1-r0)"))
            #expect(try await system.installed() == ["kld-kernel": "1-r0", "kld-old": "1-r0", "kld-plain": "1-r0"])
            #expect(try await system.preview(first) == [])
            #expect(try await system.preview(.upgrade) == [])

            try await system.run(try #require(PackageHold.command(.apk, [.init("kld-kernel", version: "1-r0")])))
            #expect(try await system.held() == ["kld-kernel"])
            // As Alpine's archives, this one has no older versions.
            try await publish(
                [
                    Package("kld-plain", "2-r0", ["depend = kld-library"]), Package("kld-library", "1-r0"), Package("kld-kernel", "2-r0"),
                    Package("kld-new", "2-r0", ["replaces = kld-old", "provides = kld-old=2-r0", "provider_priority = 10"]),
                ], system)
            try await system.refresh()
            let waiting = try await system.run(try #require(manager.previewUpgrade(moving: ["kld-kernel"])))
            #expect(manager.transaction(waiting.output).changes.contains(Change("kld-kernel", old: "1-r0", new: "2-r0")))
            try system.files.write("mine\n", to: system.root.appending("etc/kld-plain.conf"))
            #expect(
                try await system.preview(.upgrade) == [
                    Change("kld-library", old: nil, new: "1-r0"), Change("kld-new", old: nil, new: "2-r0"),
                    Change("kld-old", old: "1-r0", new: nil), Change("kld-plain", old: "1-r0", new: "2-r0"),
                ])
            #expect(try await manager.failures(system.run(manager.apply(.upgrade))) == [])
            let after = ["kld-kernel": "1-r0", "kld-library": "1-r0", "kld-new": "2-r0", "kld-plain": "2-r0"]
            #expect(try await system.installed() == after)
            #expect(try system.text("etc/kld-plain.conf") == "mine\n")
            #expect(manager.leftBeside.contains { Here.has("\(system.root)/etc/kld-plain.conf\($0)") })

            try await system.run(try #require(manager.release(["kld-kernel"])))
            #expect(try await system.held() == [])
            #expect(try await system.installed() == after, "letting go moves nothing")
            #expect(try await system.preview(.upgrade) == [Change("kld-kernel", old: "1-r0", new: "2-r0")])
            try await system.run(manager.apply(.upgrade))
            try await system.run(try #require(PackageHold.command(.apk, [.init("kld-kernel", version: "2-r0")])))
            #expect(try await system.held() == ["kld-kernel"])
            #expect(try await system.installed()["kld-kernel"] == "2-r0")
            #expect(try await system.preview(.upgrade) == [])

            #expect(try await system.refusal(.remove(["kld-library"])).contains("kld-library: kld-plain"))
            #expect(
                try await system.preview(.remove(["kld-plain"]))
                    == [Change("kld-library", old: "1-r0", new: nil), Change("kld-plain", old: "2-r0", new: nil)])
            try await system.run(manager.apply(.remove(["kld-plain"])))
            #expect(try await system.installed().keys.sorted() == ["kld-kernel", "kld-new"])
            try await system.run(manager.clean)
        }
    }

    @Test("what cannot be done is no empty preview, and says why")
    func refusals() async throws {
        try await with { system in
            try await publish([Package("kld-torn", "2-r0", ["depend = nothing-has-it"])], system)
            try await system.refresh()
            #expect(try await system.refusal(.install(["nosuch"])).contains("nosuch (no such package)"))
            #expect(try await system.refusal(.remove(["nosuch"])).contains("No such package: nosuch"))
            #expect(try await system.refusal(.install(["kld-torn"])).contains("nothing-has-it (no such package)"))
        }
    }

    @Test(
        "a script that fails is a failure, whatever apk's exit status, until it is run again",
        arguments: ["pre-install", "post-install", "trigger"])
    func scripts(_ script: String) async throws {
        try await with { system in
            let manager = system.manager
            let facts = script == "trigger" ? ["triggers = /etc"] : []
            try await publish(
                [
                    Package("kld-good", "1-r0", script: ("post-install", "echo done")),
                    Package("kld-bad", "1-r0", facts, script: (script, "echo it cannot be >&2; exit 1")),
                ], system)
            try await system.refresh()
            #expect(try await manager.failures(system.run(manager.apply(.install(["kld-good"])))) == [])

            // Of a trigger 2.14 says so, and ends with 0.
            let said: [String]
            let printed: String
            do {
                let output = try await system.run(manager.apply(.install(["kld-bad"])))
                #expect(script == "trigger")
                (said, printed) = (manager.failures(output), output.errors)
            } catch let error as CommandError {
                let output = try #require(error.failure)
                (said, printed) = (manager.reasons(output), output.errors)
            }
            #expect(said.contains { $0.hasPrefix("ERROR: ") && $0.contains("kld-bad-1-r0.\(script): ") }, "\(said)")
            #expect(printed.contains("it cannot be"))
            #expect(try await system.installed() == ["kld-bad": "1-r0", "kld-good": "1-r0"])
            #expect(try await system.refusal(.upgrade).contains("apk fix"))
        }
    }

    @Test("no index that is not signed by a trusted key, and no package that is not the index's")
    func signatures() async throws {
        try await with { system in
            let plain = Package("kld-plain", "1-r0")
            try await system.make("openssl", ["genrsa", "-out", "\(system.folder)/other.rsa", "2048"])
            for key in [nil, "other.rsa"] {
                try await publish([plain], system, key: key)
                let refused = await #expect(throws: SmallSystem.Refused.self) { try await system.refresh() }
                #expect(refused?.causes.contains { $0.hasSuffix("UNTRUSTED signature") } == true, "\(refused?.causes ?? [])")
                #expect(try await system.refusal(.install(["kld-plain"])).contains("kld-plain (no such package)"))
            }
            try await publish([plain], system)
            try await system.refresh()
            #expect(try await system.preview(.install(["kld-plain"])).count == 1)

            try await build(Package("kld-plain", "1-r0", ["depend = evil"]), system)
            let apply = system.manager.apply(.install(["kld-plain"]))
            let error = await #expect(throws: CommandError.self) { try await system.run(apply) }
            let said = system.manager.reasons(try #require(error?.failure))
            #expect(said.contains { $0.hasPrefix("ERROR: kld-plain-1-r0: ") }, "\(said)")
            #expect(!Here.has("\(system.root)/etc/kld-plain.conf"))
        }
    }

    @Test("an archive that is not there is no success, beside one that is")
    func archive() async throws {
        try await with { system in
            try await publish([Package("kld-plain", "1-r0")], system)
            try use([system.archive.string, "\(system.folder)/nowhere"], system)
            let refused = await #expect(throws: SmallSystem.Refused.self) { try await system.refresh() }
            #expect(refused?.causes.contains { $0.contains("nowhere") } == true, "\(refused?.causes ?? [])")
        }
    }

    @Test(
        "lists are read anew, however young they are; a server that does not answer is no success",
        .enabled(if: Here.python, "python3 is not on PATH"))
    func server() async throws {
        try await with { system in
            try await publish([Package("kld-plain", "1-r0")], system)
            let port = Int.random(in: 20_000..<30_000)
            try use(["http://127.0.0.1:\(port)"], system)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    let words = ["-m", "http.server", "\(port)", "--bind", "127.0.0.1", "--directory", system.archive.string]
                    _ = try? await system.runner.run(Command(Tool("python3"), words, effect: .reads, environment: ["PATH": Here.path]))
                }
                for attempt in 1...100 {
                    do {
                        try await system.refresh()
                        break
                    } catch  where attempt < 100 { try await Task.sleep(for: .milliseconds(100)) }
                }
                #expect(try await system.preview(.install(["kld-plain"])).map(\.new) == ["1-r0"])
                try await publish([Package("kld-plain", "2-r0")], system)
                // Servers tell ages in whole seconds.
                try await system.make("touch", ["--date=tomorrow", "\(system.archive)/x86_64/APKINDEX.tar.gz"])
                try await system.refresh()
                #expect(try await system.preview(.install(["kld-plain"])).map(\.new) == ["2-r0"])
                group.cancelAll()
            }
            let error = await #expect(throws: CommandError.self) { try await system.refresh() }
            let said = system.manager.reasons(try #require(error?.failure))
            #expect(said.contains { $0.hasPrefix("WARNING: updating http://127.0.0.1:\(port)") }, "\(said)")
        }
    }
}

import FoundationEssentials
import KldAnswers
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Payload recipes")
struct PayloadRecipeTests {
    static func spec(_ profile: String = "server", kind: PayloadSpec.Kind = .target) -> PayloadSpec {
        kind == .live
            ? .live(backports: true, buildMirror: "http://build/debian", installedMirror: "http://mirror.example/debian")
            : PayloadSpec(
                kind: .target, distro: "debian", suite: "trixie", backports: false, profile: profile, extraPackages: ["zsh", "ansible"],
                buildMirror: "http://build/debian", installedMirror: "http://mirror.example/debian")
    }

    @Test("the recipe of Debian 13 is the recorded one, with all that it writes", arguments: ["server", "core", "live"])
    func golden(_ profile: String) throws {
        let plan = try PayloadRecipe.plan(Self.spec(profile, kind: profile == "live" ? .live : .target))
        if let difference = try Golden.difference(plan.text(contents: true), "payload-recipe-\(profile).txt") {
            Issue.record(Comment(rawValue: difference))
        }
    }

    @Test("every part that reads the tree has somebody who performs it")
    func performers() throws {
        for spec in [Self.spec(), Self.spec("core"), Self.spec(kind: .live)] {
            let known = PayloadRecipe.performers(spec)
            for case .perform(let name, _, _) in try PayloadRecipe.plan(spec).steps.flatMap(\.actions) { #expect(known[name] != nil) }
        }
    }

    @Test("nothing that the recipe does destroys")
    func effects() throws {
        for spec in [Self.spec(), Self.spec(kind: .live)] {
            #expect(try PayloadRecipe.plan(spec).steps.allSatisfy { $0.effect < .destroys })
        }
    }

    @Test("the installed system's sources name its mirror, not the one it was built from")
    func mirror() throws {
        let text = try PayloadRecipe.plan(Self.spec()).text(contents: true)
        #expect(text.contains("URIs: http://mirror.example/debian\n"))
        #expect(!text.contains("http://build"))
    }

    @Test("the build's mirror is named nowhere in a live environment either")
    func liveMirror() throws {
        let plan = try PayloadRecipe.plan(Self.spec(kind: .live))
        let text = plan.text(contents: true)
        #expect(text.contains("URIs: http://mirror.example/debian\n") && !text.contains("http://build"))
        #expect(text.contains("remove /etc/apt/sources.list\n") && text.contains("remove /etc/apt/sources.list.d/0000sources.list\n"))
    }

    @Test("what mmdebstrap was told does not stay: apt recommends, and dpkg unpacks everything, from the first upgrade on")
    func settings() throws {
        for spec in [Self.spec(), Self.spec("core"), Self.spec(kind: .live)] {
            let steps = try PayloadRecipe.plan(spec).steps
            #expect(steps.last?.id == "payload.clean", "after the last package")
            guard case .perform(_, let parameters, _)? = steps.last?.actions.first else {
                Issue.record("no purge")
                return
            }
            for path in ["/etc/apt/apt.conf.d/99mmdebstrap", "/etc/dpkg/dpkg.cfg.d/99mmdebstrap"] {
                #expect(parameters["paths"]?.words.contains(path) == true)
            }
        }
    }

    @Test("the manual that a unit names is a page that is installed with the tool")
    func manuals() {
        let installed = SystemFiles.units + SystemFiles.bootUnits + SystemFiles.bootHelpers + SystemFiles.dormantUnits
        for unit in installed {
            for line in unit.text.lines where line.hasPrefix("Documentation=") { #expect(line == "Documentation=man:kldload(8)") }
        }
        for unit in SystemFiles.snapshotUnits + SystemFiles.snapshotHelpers {
            #expect(unit.text.contains("\nDocumentation=man:\(AppletName.snapshot.rawValue)(8)\n"))
        }
        #expect(installed.contains { $0.text.contains("Documentation=") })
        #expect(!SystemFiles.autoinstall.text.contains("Documentation="), "the live environment reads no manuals")
    }

    @Test("each unit that wants to be started is enabled, what is enabled is there, and systemd expands nothing in a command line of one")
    func units() throws {
        for (kind, dormant) in [(PayloadSpec.Kind.target, SystemFiles.dormantUnits.map(\.name)), (.live, [])] {
            let folder = "/usr/lib/systemd/system/"
            var (wishing, enabled) = (Set<String>(), Set<String>())
            for action in try PayloadRecipe.plan(Self.spec(kind: kind)).steps.flatMap(\.actions) {
                switch action {
                case .write(let path, .text(let text), _) where path.string.hasPrefix(folder):
                    if text.contains("[Install]") { wishing.insert(String(path.string.dropFirst(folder.count))) }
                    for line in text.lines where line.hasPrefix("Exec") {
                        #expect(!line.contains { "$%".contains($0) }, "\(path): \(line)")
                    }
                case .run(let command) where command.tool.name == "systemctl" && command.arguments.first == "enable":
                    enabled.formUnion(command.arguments.dropFirst().filter { $0.hasPrefix("kldload-") })
                default: break
                }
            }
            #expect(!enabled.isEmpty && enabled == wishing.subtracting(dormant))
        }
    }

    @Test("what stages what boots has the name of earlier releases too")
    func aliases() throws {
        let actions = try PayloadRecipe.plan(Self.spec("core")).steps.flatMap(\.actions)
        for kind in ["path", "service"] {
            let place = "/usr/lib/systemd/system/kldload-"
            #expect(actions.contains(.symlink(FilePath("\(place)grub-refresh.\(kind)"), to: "kldload-boot-refresh.\(kind)")))
            #expect(actions.contains { $0.text.contains("\(place)boot-refresh.\(kind)") }, "it leads to one that is there")
        }
    }

    @Test("whoever changes what boots is told by the files of the release", arguments: DistroSpec.all.map(\.title))
    func hooks(_ title: String) throws {
        let spec = try #require(DistroSpec.all.first { $0.title == title })
        let payload = PayloadSpec(
            kind: .target, distro: spec.id, suite: spec.suite, backports: spec.backports, profile: "core",
            buildMirror: "http://mirror.example/debian",
            installedMirror: "http://mirror.example/debian")
        let actions = try PayloadRecipe.plan(payload).steps.flatMap(\.actions)
        #expect(!spec.bootHooks.isEmpty)
        for hook in spec.bootHooks {
            #expect(actions.contains(.write(FilePath(hook.path), content: .text(hook.text), mode: hook.isScript ? .script : .file)))
        }
    }

    @Test("every tool is on PATH in the live environment, and nothing listens there before there is a key")
    func live() throws {
        let actions = try PayloadRecipe.plan(Self.spec(kind: .live)).steps.flatMap(\.actions)
        for name in ["kldload", "kexport"] {
            #expect(actions.contains(.symlink(FilePath("/usr/bin/\(name)"), to: "../lib/kldload/kldload")))
        }
        func text(_ path: FilePath) -> String? {
            for case .write(path, .text(let text), _) in actions { return text }
            return nil
        }
        #expect(
            text("/etc/systemd/system/ssh.service.d/kldload.conf")?.contains("ConditionFileNotEmpty=/root/.ssh/authorized_keys") == true)
        #expect(text("/etc/ssh/sshd_config.d/10-kldload.conf")?.contains("PasswordAuthentication no") == true)
        let clean = try PayloadRecipe.plan(Self.spec(kind: .live)).steps.last
        #expect(clean?.actions.last == .write("/etc/hostname", content: .text("kldload\n")), "after the purge, which removes it")
        let screen = text("/etc/systemd/system/getty@tty1.service.d/kldload.conf")
        #expect(screen?.contains("--autologin root") == true)
        #expect(screen?.hasSuffix(" - $TERM\nTTYVTDisallocate=no\n") == true, "how the guided installation ended stays there")
        let serial = text("/etc/systemd/system/serial-getty@.service.d/kldload.conf")
        #expect(serial?.hasSuffix(" - $TERM\n") == true)
        let guided = text("/usr/lib/systemd/system/kldload-guided.service")
        #expect(guided?.contains("\nExecStart=/usr/bin/kldload-install-target --guided --wait\n") == true)
        let installed = try PayloadRecipe.plan(Self.spec()).text(contents: true)
        #expect(!installed.contains("autologin") && !installed.contains("autoinstall"))
    }

    // MARK: the cache's key

    static func builder(
        _ root: FilePath, _ runner: any CommandRunner = ScriptedRunner([:]), say: @escaping @Sendable (String) -> Void = { _ in }
    ) -> PayloadBuilder {
        PayloadBuilder(cache: ArtifactCache(root: root, runner: runner), runner: runner, executable: "/made/here", root: true, say: say)
    }

    @Test("all that goes in is in the cache's key: lists, policies, checks, mmdebstrap's words; the build's mirror and place are not")
    func key() throws {
        let text = try Self.builder("/nowhere/it/is").inputs(Self.spec(), ["zstd 1.5.7", "mmdebstrap 1.5.5"])
        for part in [
            "payload/3\n", "zstd 1.5.7\n", "mmdebstrap 1.5.5\n", "/var/lib/systemd/random-seed", "mlkem768x25519-sha256", "usb-storage",
            "'dpkg-divert'", "COMPRESSLEVEL=15\n", "--dpkgopt=path-exclude=", "--variant=apt", "'apt-get' '--yes'",
        ] { #expect(text.contains(part), "\(part)") }
        #expect(!text.contains("http://build") && !text.contains("/nowhere") && !text.contains("/made/here"))
        var other = Self.spec()
        other.buildMirror = BuildArchive("http://elsewhere/debian", security: "http://security/debian-security")
        #expect(try Self.builder("/there").inputs(other, ["zstd 1.5.7", "mmdebstrap 1.5.5"]) == text)
        #expect(try Self.builder("/there").inputs(other, ["zstd 1.5.8", "mmdebstrap 1.5.5"]) != text)
    }

    @Test("messages of the locale's language are kept, manuals on a server, copyright notices everywhere")
    func paths() {
        var spec = Self.spec()
        spec.locale = "pt_BR.UTF-8"
        #expect(
            PayloadBuilder.paths(spec).included == [
                "/usr/share/locale/pt/LC_MESSAGES/*.mo", "/usr/share/locale/pt_BR/LC_MESSAGES/*.mo",
            ])
        #expect(PayloadBuilder.paths(spec).excluded == ["/usr/share/locale/*/LC_MESSAGES/*.mo"])
        spec.locale = "sr_RS.UTF-8@latin"
        #expect(PayloadBuilder.paths(spec).included.contains("/usr/share/locale/sr@latin/LC_MESSAGES/*.mo"))
        spec.locale = "C.UTF-8"
        #expect(PayloadBuilder.paths(spec).included == [])
        for bare in [Self.spec("core"), Self.spec(kind: .live)] {
            #expect(PayloadBuilder.paths(bare).excluded.contains("/usr/share/man/*"))
            #expect(PayloadBuilder.paths(bare).included.contains("/usr/share/doc/*/copyright"))
        }
        for spec in [Self.spec(), Self.spec("core"), Self.spec(kind: .live)] {
            #expect(!PayloadBuilder.paths(spec).excluded.contains { $0.contains("lto1") }, "gcc -flto needs it")
        }
    }

    // MARK: the spec

    @Test("the spec's JSON is stable: it is part of a cache's key")
    func json() throws {
        let text = try SortedJSON.line(Self.spec())
        #expect(
            text == """
                {"backports":false,"distro":"debian","extraPackages":["ansible","zsh"],"groups":[],\
                "installedMirror":"http://mirror.example/debian","kind":"target","locale":"en_US.UTF-8","profile":"server","suite":"trixie"}
                """)
        var told = Self.spec()
        told.buildMirror = ""
        #expect(try JSONDecoder().decode(PayloadSpec.self, from: Data(text.utf8)) == told)
        var chosen = Self.spec()
        chosen.kernel = "7.2.12+deb13-amd64"
        chosen.buildMirror = ""
        #expect(try JSONDecoder().decode(PayloadSpec.self, from: Data(SortedJSON.line(chosen).utf8)) == chosen)
    }

    @Test("packages are asked for once, in a stable order, the extra ones among them")
    func packages() throws {
        let packages = try Self.spec().packages
        #expect(Set(packages).count == packages.count)
        #expect(packages.suffix(2) == ["ansible", "zsh"])
        #expect(packages.contains("linux-image-amd64") && packages.contains("zfs-dkms") && packages.contains("tmux"))
        #expect(try !Self.spec("core").packages.contains("tmux"))
        var twice = Self.spec()
        twice.extraPackages = ["tmux", "zsh"]
        #expect(try twice.packages.filter { $0 == "tmux" }.count == 1)
    }

    @Test("equal answers make equal specs, in whatever order packages were given")
    func order() throws {
        func spec(_ extra: String) throws -> PayloadSpec {
            try PayloadSpec(
                Answers("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=/dev/vda\nKLDLOAD_EXTRA_PACKAGES=\"\(extra)\""),
                buildMirror: "http://build/debian")
        }
        #expect(try spec("vim htop") == spec("htop vim"))
        #expect(try spec("vim") != spec("htop"))
    }

    @Test("a release that there is no data for is refused")
    func unsupported() {
        var spec = Self.spec()
        spec.suite = "sid"
        #expect(throws: Diagnosis.self) { try PayloadRecipe.plan(spec) }
    }
}

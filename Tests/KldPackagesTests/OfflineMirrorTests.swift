import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldPackages

@Suite("A part of an archive, for installations without a network")
struct OfflineMirrorTests {
    static let source = AptSource(
        uri: "http://mirror.example/debian", suite: "trixie", components: ["main", "contrib"], keyring: "/key.gpg")

    @Test("apt is told of nothing else; the index's signature counts, its date does not")
    func texts() {
        let mirror = OfflineMirror(
            sources: [
                AptSource(uri: "file:/mnt/debian", suite: "trixie", components: ["main", "contrib"], keyring: "/key.gpg"),
                AptSource(uri: "file:/mnt/debian-security", suite: "trixie-security", components: ["main"], keyring: "/key.gpg"),
            ], pins: [AptPin(sources: ["zfs-linux"], release: "trixie-backports", priority: 990)], state: "/var/tmp/m")
        let texts = Dictionary(uniqueKeysWithValues: mirror.texts)
        #expect(
            texts["sources.list"] == """
                deb [signed-by=/key.gpg check-date=no check-valid-until=no by-hash=no target=Packages] file:/mnt/debian trixie main contrib
                deb [signed-by=/key.gpg check-date=no check-valid-until=no by-hash=no target=Packages] file:/mnt/debian-security trixie-security main

                """)
        #expect(texts["preferences"] == "Package: src:zfs-linux\nPin: release n=trixie-backports\nPin-Priority: 990\n")
        #expect(
            texts["apt.conf"] == """
                Dir::Etc::parts "/dev/null";
                Dir::Etc::main "/dev/null";
                Dir::Etc::sourcelist "/var/tmp/m/sources.list";
                Dir::Etc::sourceparts "/dev/null";
                Dir::Etc::preferences "/var/tmp/m/preferences";
                Dir::Etc::preferencesparts "/dev/null";
                Dir::State::lists "/var/tmp/m/lists";
                Dir::Cache "/var/tmp/m/cache";
                APT::Architecture "amd64";
                APT::Architectures "amd64";
                APT::Install-Recommends "false";
                APT::Sandbox::User "root";
                Acquire::Languages "none";
                Dpkg::Use-Pty "0";
                Dpkg::Options:: "--force-confdef";
                Dpkg::Options:: "--force-confold";

                """)
        #expect(!texts.values.contains { $0.contains("trusted") || $0.contains("AllowInsecure") })
        var other = mirror
        other.status = "/w/status"
        #expect(other.texts.last?.text.hasSuffix("Dir::State::status \"/w/status\";\n") == true)
    }

    @Test("apt is run with its own settings, and asks nobody")
    func commands() {
        let mirror = OfflineMirror(sources: [Self.source], pins: [], state: "/var/tmp/m")
        #expect(mirror.refresh.description == "apt-get -q -o APT::Update::Error-Mode=any update")
        #expect(mirror.verify(["htop", "tmux"]).description == "apt-get -q -y --download-only install -- htop tmux")
        #expect(mirror.install(["htop"]).description == "apt-get -q -y install -- htop")
        for command in [mirror.refresh, mirror.verify(["htop"]), mirror.install(["htop"])] {
            #expect(command.environment["APT_CONFIG"] == "/var/tmp/m/apt.conf" && command.effect == .changes)
            #expect(command.environment["DEBIAN_FRONTEND"] == "noninteractive")
        }
        // What dpkg says of a package that cannot be set up is on standard output.
        #expect(mirror.install(["htop"]).tellsOnBoth)
    }

    @Test("what belongs together is held by name and by pattern")
    func hold() {
        #expect(
            Apt.hold(matching: ["grub-efi-amd64*", "grub-common"]).arguments
                == ["hold", "?and(?installed,?name(^grub-efi-amd64))", "?and(?installed,?exact-name(grub-common))"])
    }

    /// apt 2.6.1.
    static let uris = """
        Reading package lists...
        Need to get 726 kB of archives.
        'http://mirror.example/debian/pool/main/g/gpm/libgpm2_1.20.7-11%2bb2_amd64.deb' libgpm2_1.20.7-11+b2_amd64.deb 14376 SHA256:c8779444e5bb8df39c8bce3ef7dd3d662686a9ab770dcc96bb0f4aeb2077a67c
        'http://mirror.example/debian-security/pool/updates/main/n/nginx/nginx_1.26.3-3%2bdeb13u11_amd64.deb' nginx_1.26.3-3+deb13u11_amd64.deb 613960 SHA256:eb3fdf2605e8c3c0ed45fff6aa2f399a65b53aa077a1489452aa32aa924fa3c3

        """

    @Test("what apt would fetch is read with its digest, and has its place in its own archive")
    func downloads() async throws {
        let runner = ScriptedRunner([
            { command in
                guard command.tool.name == "apt-get", command.arguments.suffix(5) == ["--print-uris", "install", "--", "gpm", "nginx"]
                else {
                    return nil
                }
                #expect(command.arguments.contains("Dir::State::status=/w/status") && command.effect == .reads)
                #expect(command.arguments.contains("Acquire::ForceHash=SHA256"))
                return CommandOutput(output: Self.uris)
            }
        ])
        let found = try await AptIndexes(folder: "/cache/apt", runner: runner, files: MemoryFiles()).downloads(
            ["gpm", "nginx"], status: "/w/status")
        #expect(found.map(\.size.bytes) == [14376, 613_960])
        #expect(found.first?.sha256 == "c8779444e5bb8df39c8bce3ef7dd3d662686a9ab770dcc96bb0f4aeb2077a67c")
        #expect(found.map { $0.path(in: "http://mirror.example/debian") } == ["pool/main/g/gpm/libgpm2_1.20.7-11+b2_amd64.deb", nil])
        #expect(found[1].path(in: "http://mirror.example/debian-security") == "pool/updates/main/n/nginx/nginx_1.26.3-3+deb13u11_amd64.deb")
    }

    @Test("an address that leads elsewhere has no place", arguments: ["../x.deb", "%2e%2e/x.deb", "/etc/x.deb", "x%2", "%zz.deb"])
    func elsewhere(_ rest: String) {
        let download = AptDownload(uri: "http://m/debian/\(rest)", size: ByteCount(1), sha256: "")
        #expect(download.path(in: "http://m/debian") == nil)
    }

    @Test("a digest of another kind, or none, is not taken for one")
    func digests() async throws {
        for line in ["'http://m/debian/x.deb' x.deb 7 MD5Sum:d04c2e96", "'http://m/debian/x.deb' x.deb 7 ", "'' x 7 SHA256:ab"] {
            let runner = ScriptedRunner([{ _ in CommandOutput(output: line + "\n") }])
            await #expect {
                _ = try await AptIndexes(folder: "/a", runner: runner, files: MemoryFiles()).downloads(["x"], status: "/s")
            } throws: {
                Diagnosis(of: $0).code == "packages.uris"
            }
        }
    }

    static let release = """
        -----BEGIN PGP SIGNED MESSAGE-----
        Hash: SHA256

        Codename: trixie
        Components: main contrib non-free-firmware non-free
        MD5Sum:
         203e1451a4c2e0edf3646a5da3cec2d8  9679304 main/binary-amd64/Packages.xz
        SHA256:
         2efd6103f013081f8118f4c9f228739bc97bff2e4e1de496f80458c7e72a24ac 56634892 main/binary-amd64/Packages
         be3d7d96a040eda0505c1808cccc67f183bbc05dff0842c50f88e6c396557412  9679304 main/binary-amd64/Packages.xz
         cc6b395ef19c5383acbf6daa974e55b87a57284a5cde41d3fe843a40a0fbe10f    53856 contrib/binary-amd64/Packages.xz
         a6805dc5ddda1c8038f410f59be9e3442810deb8f499d2a14c2df5cc50bba311     6892 non-free-firmware/binary-amd64/Packages.xz

        """

    @Test("the signed index is taken as it is, with the lists that it names; they are fetched by their digest")
    func published() async throws {
        let files = MemoryFiles(["/a/lists/mirror.example_debian_dists_trixie_InRelease": Self.release])
        let runner = ScriptedRunner([{ $0.tool.name == "/usr/lib/apt/apt-helper" ? CommandOutput() : nil }])
        let indexes = AptIndexes(folder: "/a", runner: runner, files: files)
        let (signed, lists) = try indexes.published([Self.source])
        #expect(signed.map(\.file) == ["/a/lists/mirror.example_debian_dists_trixie_InRelease"])
        #expect(
            lists.map { $0.path(in: Self.source.uri) }
                == ["dists/trixie/main/binary-amd64/Packages.xz", "dists/trixie/contrib/binary-amd64/Packages.xz"])
        try await indexes.fetch([(lists[0], "/m/main.xz")])
        let hex = "be3d7d96a040eda0505c1808cccc67f183bbc05dff0842c50f88e6c396557412"
        #expect(
            runner.commands.first?.arguments.suffix(4) == [
                "download-file", "http://mirror.example/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/\(hex)", "/m/main.xz",
                "SHA256:\(hex)",
            ])
        var other = Self.source
        other.suite = "trixie-updates"
        #expect { _ = try indexes.published([other]) } throws: { Diagnosis(of: $0).code == "packages.no-index" }
    }
}

/// apt itself with a mirror of two packages, signed by a key made for it, whose index is long out of date.
@Suite(
    "apt on this machine with an offline mirror",
    .enabled(if: AptContractTests.signs && (try? LocalFiles().exists("/usr/bin/dpkg-deb")) == true, "there is no gpg, or no dpkg-deb"))
struct OfflineMirrorContractTests {
    /// `kldload-one` needs `kldload-two`.
    struct Archive {
        var mirror: OfflineMirror
        var place: FilePath
        let runner = SubprocessRunner()

        func package(_ name: String) -> FilePath { place.pushing(FilePath("debian/pool/\(name)_1_all.deb")) }

        func status(_ command: Command) async throws -> Int32 {
            var command = command
            command.acceptedExitStatuses = Set(0...255)
            return try await runner.run(command).status
        }
    }

    private func with(_ body: (Archive) async throws -> Void) async throws {
        try await Scratch.with { folder in
            let (files, runner) = (LocalFiles(), SubprocessRunner())
            let place = folder.appending("the mirror"), suite = place.pushing(FilePath("debian/dists/trixie"))
            try files.makeDirectory(place.pushing(FilePath("debian/pool")), mode: .directory)
            func digest(_ file: FilePath) async throws -> String {
                String(
                    try await runner.run(Command(Tool("sha256sum", package: "coreutils"), [file.string], effect: .reads)).output.prefix(64))
            }
            var packages = ""
            for (name, needs) in [("kldload-one", "Depends: kldload-two\n"), ("kldload-two", "")] {
                let control =
                    "Package: \(name)\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n\(needs)Description: a test\n"
                let tree = folder.appending(name)
                try files.write(control, to: tree.pushing(FilePath("DEBIAN/control")))
                let deb = place.pushing(FilePath("debian/pool/\(name)_1_all.deb"))
                try await runner.run(
                    Command(
                        Tool("dpkg-deb", package: "dpkg"), ["--root-owner-group", "--build", tree.string, deb.string], effect: .changes))
                let size = try files.status(deb)?.size.bytes ?? 0
                packages += control + "Filename: pool/\(name)_1_all.deb\nSize: \(size)\nSHA256: \(try await digest(deb))\n\n"
            }
            let list = suite.pushing(FilePath("main/binary-amd64/Packages"))
            try files.write(packages, to: list)
            let plain = (try files.status(list)?.size.bytes ?? 0, try await digest(list))
            try await runner.run(Command(Tool("xz", package: "xz-utils"), [list.string], effect: .changes))
            let compressed = FilePath("\(list).xz")
            let size = try files.status(compressed)?.size.bytes ?? 0
            try files.write(
                """
                Origin: Debian
                Codename: trixie
                Date: Sat, 01 Feb 2020 00:00:00 UTC
                Valid-Until: Sat, 08 Feb 2020 00:00:00 UTC
                Acquire-By-Hash: yes
                No-Support-for-Architecture-all: Packages
                Architectures: all amd64
                Components: main
                SHA256:
                 \(plain.1) \(plain.0) main/binary-amd64/Packages
                 \(try await digest(compressed)) \(size) main/binary-amd64/Packages.xz

                """, to: suite.appending("Release"))
            let keyring = try await AptContractTests().signed(folder, suite)
            let state = folder.appending("state"), status = folder.appending("status")
            try files.write("", to: status)
            let mirror = OfflineMirror(
                sources: [
                    AptSource(uri: "file:\(place)/debian", suite: "trixie", components: ["main"], keyring: keyring.string)
                ], pins: [], state: state, status: status)
            for part in OfflineMirror.folders { try files.makeDirectory(state.pushing(FilePath(part)), mode: .directory) }
            for (path, text) in mirror.texts { try files.write(text, to: state.appending(path)) }
            try await body(Archive(mirror: mirror, place: place))
        }
    }

    @Test("an index that is out of date is taken, and every package of a closure is looked at")
    func whole() async throws {
        try await with { (archive) async throws in
            #expect(try await archive.status(archive.mirror.refresh) == 0)
            #expect(try await archive.status(archive.mirror.verify(["kldload-one"])) == 0)
            #expect(try await archive.status(archive.mirror.verify(["kldload-none"])) != 0)
        }
    }

    @Test("an index that is out of date is refused where nothing says that its date does not count")
    func outOfDate() async throws {
        try await with { (archive) async throws in
            let list = archive.mirror.state.appending("sources.list")
            try LocalFiles().write(
                LocalFiles().readText(list).replacing("check-date=no check-valid-until=no ", with: ""), to: list)
            #expect(try await archive.status(archive.mirror.refresh) != 0)
        }
    }

    @Test("a package that something needs and that is not there is an error")
    func incomplete() async throws {
        try await with { (archive) async throws in
            try LocalFiles().remove(archive.package("kldload-two"))
            #expect(try await archive.status(archive.mirror.refresh) == 0)
            #expect(try await archive.status(archive.mirror.verify(["kldload-two"])) != 0)
            #expect(try await archive.status(archive.mirror.verify(["kldload-one"])) != 0)
        }
    }

    @Test("a package that was changed is an error")
    func changedPackage() async throws {
        try await with { (archive) async throws in
            var bytes = try LocalFiles().read(archive.package("kldload-two"))
            bytes[bytes.count - 1] ^= 1
            try LocalFiles().write(bytes, to: archive.package("kldload-two"), mode: .file)
            #expect(try await archive.status(archive.mirror.refresh) == 0)
            #expect(try await archive.status(archive.mirror.verify(["kldload-one"])) != 0)
        }
    }

    @Test("an index that was changed is an error, though its date counts for nothing")
    func changedIndex() async throws {
        try await with { (archive) async throws in
            let index = archive.place.pushing(FilePath("debian/dists/trixie/InRelease"))
            try LocalFiles().write(LocalFiles().readText(index).replacing("Origin: Debian", with: "Origin: Debain"), to: index)
            #expect(try await archive.status(archive.mirror.refresh) != 0)
        }
    }
}

import FoundationEssentials
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

private let hasXorriso = (try? LocalFiles().exists("/usr/bin/xorriso")) ?? false

/// With the real xorriso, on an ISO that is laid out as a live one.
@Suite("Trees for machines that start over the network", .enabled(if: hasXorriso, "needs xorriso"))
struct PXETreeTests {
    let files = LocalFiles()
    let runner = SubprocessRunner()
    static let payload = "kldload/payloads/debian-trixie-core"

    /// - Parameter damaged: a file whose content is another than the list says.
    /// - Parameter base: on which the payload's `payload.json` builds, so to speak.
    /// - Parameter texts: of files beside or in place of those that only hold their names.
    private func iso(
        in folder: FilePath, damaged: String? = nil, without: String? = nil, base: String? = nil, texts: [String: String] = [:]
    ) async throws -> FilePath {
        var list = MediumList(bases: base.map { ["\(Self.payload)/payload.json": $0] } ?? [:])
        var items: [(String, FilePath)] = []
        let names =
            ISOContents.netboot.map(\.target) + [
                ISOContents.kernel, ISOContents.netbootInitrd, LiveMedium.squashfs, "\(Self.payload)/payload.json",
                "\(Self.payload)/root.zfs",
            ]
        for name in Set(names).union(texts.keys).sorted() where name != without {
            let file = folder.appending("content").pushing(FilePath(name))
            let text = texts[name] ?? "\(name)\n"
            try files.write(text, to: file, mode: .secret)
            let digest = try SHA256Sum.parse(await runner.run(FileCommand.digest(of: file)).output)
            list.files.append(.init(path: name, size: ByteCount(UInt64(text.utf8.count)), digest: digest))
            if name == damaged { try files.write("other\n", to: file, mode: .secret) }
            items.append((name, file))
        }
        let file = folder.appending("content/list")
        try files.write(list.text, to: file)
        try files.write("", to: folder.appending("esp.img"))
        let image = folder.appending("kldload.iso")
        try await runner.run(
            Command(
                "xorriso",
                ["-as", "mkisofs", "-quiet", "-V", "KLDLOAD", "-iso-level", "3", "-R", "-o", image.string, "-graft-points"]
                    + (items + [(MediumList.path, file)]).map { "\($0.0)=\($0.1)" }, effect: .changes))
        return image
    }

    private func answers(_ machine: String, _ token: String = "a1") async throws -> PXEAnswers {
        try await PXEAnswers("KLDLOAD_HOSTNAME=web-1\n", for: PXEMachine(machine), allowingSecrets: false, token: token, runner: runner)
    }

    private func export(_ iso: FilePath, to output: FilePath, _ answers: [PXEAnswers] = []) async throws {
        let medium = try await PXEExport.read(
            iso, folder: iso.removingLastComponent().appending("list"), runner: runner, files: files)
        let request = PXEExport.Request(
            iso: iso, address: try PXEAddress("http://10.0.1.5/k"), output: output, answers: answers, version: "1")
        try PXEExport.check(request, medium, files: files)
        try await PlanRunner(runner: runner, files: files, performers: PXEExport.performers).apply(PXEExport.plan(request, medium))
    }

    @Test("everything that a menu names is there, readable for the servers, and answers for the web server's group alone")
    func whole() async throws {
        try await Scratch.with { folder in
            let tree = folder.appending("pxe")
            try await export(iso(in: folder), to: tree, [answers("52:54:00:12:34:56")])
            for path in [
                "tftp/shimx64.efi", "tftp/grubx64.efi", "tftp/mmx64.efi", "tftp/vmlinuz", "tftp/initrd", "tftp/grub/grub.cfg",
                "tftp/boot.ipxe",
                "http/shimx64.efi", "http/grubx64.efi", "http/vmlinuz", "http/initrd", "http/grub/grub.cfg", "http/boot.ipxe",
                "http/live.squashfs", "http/kldload/medium.list", "http/\(Self.payload)/root.zfs", "examples/nginx.conf",
                "tftp/machines/52-54-00-12-34-56.cfg", "tftp/machines/52-54-00-12-34-56.ipxe",
            ] {
                #expect(try files.status(tree.pushing(FilePath(path)))?.mode == 0o644, "\(path)")
            }
            #expect(try files.readText(tree.appending("tftp/initrd")) == "netboot/initrd\n")
            let menu = try files.readText(tree.appending("tftp/grub/grub.cfg"))
            let live = try SHA256Sum.parse(await runner.run(FileCommand.digest(of: tree.appending("http/live.squashfs"))).output)
            #expect(menu.contains(" root=live:http://10.0.1.5/k/live.squashfs kldload.live-sha256=\(live.hex) "))
            let list = try SHA256Sum.parse(await runner.run(FileCommand.digest(of: tree.appending("http/kldload/medium.list"))).output)
            #expect(menu.contains(" kldload.medium-sha256=\(list.hex) "))

            #expect(try files.status(tree.appending("tftp/machines"))?.mode == 0o711)
            for place in ["http/answers", "http/answers/a1"] { #expect(try files.status(tree.appending(place))?.mode == 0o2750) }
            #expect(try files.status(tree.appending("http/answers/a1/52-54-00-12-34-56.env"))?.mode == 0o640)
            #expect(try files.list(folder).sorted() == ["content", "esp.img", "kldload.iso", "pxe"])
        }
    }

    @Test("the boot file of an armed machine names its answers and their digest")
    func armed() async throws {
        try await Scratch.with { folder in
            let tree = folder.appending("pxe")
            try await export(iso(in: folder), to: tree)
            let found = try PXETree(tree, files: files)
            #expect(try found.armed(files).isEmpty)
            let runs = PlanRunner(runner: runner, files: files)
            try await runs.apply(found.arming(answers("ABC1", "b2"), files: files))
            let digest = try SHA256Sum.parse(
                await runner.run(FileCommand.digest(of: tree.appending("http/answers/b2/serial-ABC1.env"))).output)
            #expect(
                try files.readText(tree.appending("tftp/machines/serial-ABC1.cfg")).contains(
                    "set answers='kldload.answers=http://10.0.1.5/k/answers/b2/serial-{serial}.env kldload.answers-sha256=\(digest.hex)'\n")
            )
            try await runs.apply(found.arming(answers("52:54:00:12:34:56", "c3"), files: files))
            // Again: what it found before is gone.
            try await runs.apply(found.arming(answers("ABC1", "d4"), files: files))
            #expect(try found.armed(files).map(\.token) == ["c3", "d4"])
            #expect(try files.list(tree.appending("http/answers")) == ["c3", "d4"])

            let machine = try PXEMachine("ABC1")
            try await runs.apply(found.disarming(found.armed(files).filter { $0.machine == machine }))
            #expect(try files.list(tree.appending("http/answers")) == ["c3"])
            #expect(try files.list(tree.appending("tftp/machines")) == ["52-54-00-12-34-56.cfg", "52-54-00-12-34-56.ipxe"])
        }
    }

    @Test("machines are led to answers only once they are whole, and away before those are removed")
    func order() async throws {
        try await Scratch.with { folder in
            try files.write(PXETree.mark(try PXEAddress("http://h"), version: "1"), to: folder.appending(PXETree.mark))
            try files.makeDirectory(folder.appending("http/answers"), mode: .directory)
            let tree = try PXETree(folder, files: files)
            let arming = try await tree.arming(answers("ABC1"), files: files)
            #expect(arming.steps.map(\.id) == ["pxe.answers", "pxe.lead", "pxe.forget"])
            let disarming = tree.disarming([.init(machine: try PXEMachine("ABC1"), token: "a1")])
            #expect(
                disarming.steps.flatMap(\.actions) == [
                    .remove(folder.appending("tftp/machines/serial-ABC1.cfg")), .remove(folder.appending("tftp/machines/serial-ABC1.ipxe")),
                    .remove(folder.appending("http/answers/a1")),
                ])
        }
    }

    @Test("answers do not stand in a plan, and those with secrets need a word")
    func secrets() async throws {
        let text = "KLDLOAD_HOSTNAME=web-1\nKLDLOAD_PASSWORD=hunter2hunter2\nKLDLOAD_PASSWORD_HASH=$6$x\nKLDLOAD_ZFS_PASSPHRASE=pppppppp\n"
        let machine = try PXEMachine("ABC1")
        let refusal = await problem { _ = try await PXEAnswers(text, for: machine, allowingSecrets: false, runner: runner) }
        #expect(refusal?.code == "pxe.secret-answers" && refusal?.causes == ["KLDLOAD_PASSWORD", "KLDLOAD_ZFS_PASSPHRASE"])
        #expect(refusal?.rendered.contains("hunter2") == false)
        let allowed = try await PXEAnswers(text, for: machine, allowingSecrets: true, runner: runner)
        try await Scratch.with { folder in
            try files.write(PXETree.mark(try PXEAddress("http://h"), version: "1"), to: folder.appending(PXETree.mark))
            try files.makeDirectory(folder.appending("http/answers"), mode: .directory)
            let plan = try PXETree(folder, files: files).arming(allowed, files: files)
            #expect(!plan.text(contents: true).contains("hunter2") && !"\(plan)".contains("hunter2"))
        }
        let tokens = Set((0..<50).map { _ in PXEAnswers.randomToken() })
        #expect(tokens.count == 50 && tokens.allSatisfy { $0.utf8.count == 32 && $0.allSatisfy(\.isHexDigit) })
    }

    @Test("an earlier export is replaced as a whole, and nobody is armed any more; what is not kldload's stays")
    func replacing() async throws {
        try await Scratch.with { folder in
            let tree = folder.appending("pxe")
            let iso = try await iso(in: folder)
            try await export(iso, to: tree, [answers("ABC1")])
            try files.write("left", to: tree.appending("http/old"))
            try await export(iso, to: tree)
            #expect(try !files.exists(tree.appending("http/old")) && PXETree(tree, files: files).armed(files).isEmpty)

            let other = folder.appending("other")
            try files.write("theirs", to: other.appending("index.html"))
            #expect(await problem { try await export(iso, to: other) }?.code == "pxe.not-ours")
            #expect(try files.readText(other.appending("index.html")) == "theirs")
            #expect(await problem { try await export(iso, to: other.appending("index.html")) }?.code == "pxe.not-ours")
            // An empty one is nobody's.
            try files.makeDirectory(folder.appending("empty"), mode: .directory)
            #expect(await problem { try await export(iso, to: folder.appending("empty")) } == nil)
            #expect(problem { _ = try PXETree(other, files: files) }?.code == "pxe.no-tree")
        }
    }

    @Test("an ISO that is not whole, not ours, or not there changes nothing")
    func refused() async throws {
        try await Scratch.with { folder in
            let tree = folder.appending("pxe")
            let good = try await iso(in: folder)
            try await export(good, to: tree)
            let before = try files.readText(tree.appending("http/grub/grub.cfg"))
            for name in [LiveMedium.squashfs, "\(Self.payload)/root.zfs", ISOContents.kernel] {
                let iso = try await iso(in: folder.appending("damaged"), damaged: name)
                #expect(await problem { try await export(iso, to: tree) }?.code == "pxe.damaged-iso", "\(name)")
                try files.remove(folder.appending("damaged"))
            }
            let old = try await iso(in: folder.appending("old"), without: "netboot/grubx64.efi")
            #expect(await problem { try await export(old, to: tree) }?.code == "pxe.not-our-iso")
            let half = try await iso(in: folder.appending("half"), base: "\(Self.payload)-other/root.zfs")
            #expect(await problem { try await export(half, to: tree) }?.code == "medium.base-missing")
            try files.write(String(repeating: "x", count: 100_000), to: folder.appending("no.iso"))
            #expect(await problem { try await export(folder.appending("no.iso"), to: tree) }?.code == "pxe.not-our-iso")
            #expect(await problem { try await export(folder.appending("none.iso"), to: tree) }?.code == "file.missing")
            #expect(try files.readText(tree.appending("http/grub/grub.cfg")) == before)
            #expect(try files.list(folder).allSatisfy { !$0.contains("kldload-new") })
        }
    }

    @Test("answers that it cannot install are refused before anything is made: another kernel, a package or a profile that is not there")
    func uninstallable() async throws {
        func asked(_ lines: String...) throws -> Answers {
            try Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=web-1", "KLDLOAD_DISK=auto"] + lines).joined(separator: "\n"))
        }
        let core = try asked("KLDLOAD_PROFILE=core")
        let info = PayloadInfo(spec: PayloadSpec(core, buildMirror: ""), kernel: "6.12", openZFS: "2.3", packageCount: 1)
        let mirror = MirrorInfo(packages: ["core": ["htop"]])
        let texts = [
            "\(Self.payload)/payload.json": String(decoding: try JSONEncoder().encode(info), as: UTF8.self),
            "\(Self.payload)/packages.tsv": "python3\t3.13.5-1\tamd64\tpython3-defaults\t3.13.5-1\tM\n",
            "kldload/mirrors/debian-trixie/mirror.json": String(decoding: try JSONEncoder().encode(mirror), as: UTF8.self),
        ]
        try await Scratch.with { folder in
            let iso = try await iso(in: folder, texts: texts)
            let place = folder.appending("described")
            let medium = try await PXEExport.read(iso, folder: place, runner: runner, files: files)
            func refusal(_ answers: Answers...) async -> String? {
                await problem { try await PXEExport.check(answers, on: iso, medium, folder: place, runner: runner, files: files) }?.code
            }
            let htop = try asked("KLDLOAD_PROFILE=core", "KLDLOAD_EXTRA_PACKAGES='htop python3'")
            #expect(await refusal() == nil)
            #expect(await refusal(core, htop) == nil)
            let cowsay = try asked("KLDLOAD_PROFILE=core", "KLDLOAD_EXTRA_PACKAGES=cowsay")
            #expect(await refusal(core, cowsay) == "install.packages-missing")
            let newer = try asked("KLDLOAD_PROFILE=core", "KLDLOAD_DEBIAN_BACKPORTS=1")
            #expect(await refusal(newer) == "install.payload-differs")
            let server = try asked("KLDLOAD_PROFILE=server")
            #expect(await refusal(server) == "install.no-payload")
            let left = try files.exists(place)
            #expect(!left)
        }
    }

    @Test("two answers for one machine are refused")
    func twice() async throws {
        try await Scratch.with { folder in
            let iso = try await iso(in: folder)
            let both = [try await answers("52:54:00:12:34:56"), try await answers("52-54-00-12-34-56", "b2")]
            #expect(await problem { try await export(iso, to: folder.appending("pxe"), both) }?.code == "pxe.twice")
        }
    }

    @Test("whatever fails on the way, the old trees are served or the new ones, and the next export succeeds")
    func cut() async throws {
        try await Scratch.with { folder in
            let tree = folder.appending("pxe")
            let iso = try await iso(in: folder)
            try await export(iso, to: tree)
            let medium = try await PXEExport.read(iso, folder: folder.appending("list"), runner: runner, files: files)
            let request = PXEExport.Request(iso: iso, address: try PXEAddress("http://new"), output: tree, version: "2")
            let counted = Fuse(at: nil)
            func run(_ fuse: Fuse) async throws {
                try await PlanRunner(
                    runner: FaultyRunner(runner, fuse), files: FaultyFiles(files, fuse), performers: PXEExport.performers
                ).apply(PXEExport.plan(request, medium))
            }
            try await run(counted)
            try await export(iso, to: tree)
            // Every one of the last, where the two change places.
            for position in 0..<counted.count where position % 3 == 0 || position > counted.count - 12 {
                try? await run(Fuse(at: position, forever: true))
                // Through a fuse two folders change places in three steps: in between, the old one stands aside.
                let aside = FilePath("\(tree).kldload-aside")
                let place = try files.exists(tree) ? tree : aside
                let address = try PXETree(place, files: files).address.description
                #expect(["http://10.0.1.5/k", "http://new"].contains(address), "\(position)")
                #expect(try files.readText(place.appending("tftp/grub/grub.cfg")).contains(address))
                if place != tree { try files.rename(place, to: tree) } else { try files.remove(aside) }
            }
            try await export(iso, to: tree)
        }
    }
}

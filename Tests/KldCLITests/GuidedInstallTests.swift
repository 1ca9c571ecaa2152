import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTerminal
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite("The guided installation")
struct GuidedInstallTests {
    static func facts(_ count: Int) -> MachineFacts {
        let disks = (0..<count).map { index in
            BlockDevice(path: "/dev/vd\(["a", "b", "c"][index])", size: .gibibytes(20), filesystem: index == 1 ? "ext4" : nil)
        }
        let medium = BlockDevice(path: "/dev/sr0", size: .gibibytes(9))
        return MachineFacts(
            disks: disks + [medium, BlockDevice(path: "/dev/vdz", size: .gibibytes(1))],
            stableNames: Dictionary(uniqueKeysWithValues: disks.enumerated().map { ($1.path, "/dev/disk/by-id/virtio-d\($0)") }),
            liveDisks: ["/dev/sr0"])
    }

    static func guide(_ count: Int = 1) throws -> GuidedInstall {
        try GuidedInstall(facts: facts(count), payloads: ["debian-trixie-core", "debian-trixie-server"].compactMap { .init(folder: $0) })
    }

    @discardableResult
    private func press(_ guide: inout GuidedInstall, _ keys: [TerminalKey]) -> GuidedInstall.Outcome {
        keys.reduce(.stays) { guide.handle($1) }
    }

    private func type(_ text: String) -> [TerminalKey] { text.map { .character($0) } }

    private func problem(_ guide: GuidedInstall) -> String? { guide.forms[guide.screen.rawValue].problem }

    /// Enter, until a screen asks for something or the plan is due.
    private func through(_ guide: inout GuidedInstall) -> GuidedInstall.Outcome {
        for _ in 0..<60 {
            let outcome = guide.handle(.enter)
            if outcome != .stays || problem(guide) != nil { return outcome }
        }
        return .stays
    }

    @Test("a name is all that a machine with one disk needs; the answers are those of a file of three lines")
    func shortest() throws {
        var guide = try Self.guide()
        press(&guide, [.enter, .enter])
        #expect(guide.screen == .system)
        #expect(through(&guide) == .stays && problem(guide) == "the machine needs a name")
        press(&guide, [.up] + type("web-1"))
        #expect(through(&guide) == .plans && guide.screen == .plan)
        let answers = try guide.answers()
        #expect(answers.hostname.description == "web-1" && answers.profile.rawValue == "core" && answers.release == "trixie")
        #expect(answers.disk == .path("/dev/disk/by-id/virtio-d0") && answers.credentials == .defaultExpired && !answers.encrypt)
        // Nothing of it says that anything may be wiped.
        #expect(!guide.overrides.contains { $0.contains("FORCE_WIPE") })
    }

    @Test("disks that cannot be meant are not offered; what a disk holds is said")
    func disks() throws {
        let guide = try Self.guide(2)
        let labels = guide.forms[0].fields.filter { $0.kind == .toggle }.map(\.label)
        #expect(labels == ["/dev/vda 20 GiB empty", "/dev/vdb 20 GiB holds ext4"])
        #expect(guide.disks.isEmpty)
        #expect { try GuidedInstall(facts: Self.facts(1), payloads: []) } throws: { Diagnosis(of: $0).code == "guided.no-payload" }
    }

    @Test("where no disk will do, what speaks against the largest is told; that there is none, only where there is none")
    func noDisk() throws {
        let payloads = try Self.guide().payloads
        var facts = Self.facts(0)
        #expect { try GuidedInstall(facts: facts, payloads: payloads) } throws: {
            let problem = Diagnosis(of: $0)
            return problem.code == "disk.too-small" && problem.message == "/dev/vdz has 1 GiB; the profile core needs at least 4 GiB"
        }
        var large = BlockDevice(path: "/dev/vdy", size: .gibibytes(20))
        large.readOnly = true
        facts.disks.append(large)
        #expect { try GuidedInstall(facts: facts, payloads: payloads) } throws: { Diagnosis(of: $0).code == "disk.read-only" }
        facts.disks.removeAll { $0.path != "/dev/sr0" }
        #expect { try GuidedInstall(facts: facts, payloads: payloads) } throws: { Diagnosis(of: $0).code == "guided.no-disk" }
    }

    @Test("each screen says what is wrong on it, and lets nobody on before")
    func problems() throws {
        var guide = try Self.guide(2)
        #expect(through(&guide) == .stays && problem(guide) == "no disk is chosen")
        press(&guide, [.up, .up, .up, .right, .down, .down, .right])
        #expect(through(&guide) == .stays && problem(guide)?.isEmpty == false, "a mirror of one disk")
        press(&guide, [.up, .right])
        press(&guide, [.down, .enter])
        #expect(guide.screen == .system && guide.disks.count == 2)
        press(&guide, type("_bad_"))
        #expect(through(&guide) == .stays && guide.screen == .system && problem(guide) != nil)
        press(&guide, [.up] + Array(repeating: .backspace, count: 5) + type("ok") + [.enter, .enter])
        #expect(guide.screen == .region)
        press(&guide, [.enter, .enter, .enter])
        #expect(guide.screen == .account)
        press(&guide, [.down] + type("one-password") + [.down] + type("another"))
        #expect(through(&guide) == .stays && problem(guide) == "the two passwords differ")
        press(&guide, [.escape])
        #expect(guide.screen == .region)
    }

    @Test("a fixed address, a passphrase and a key end up in the answers")
    func everything() throws {
        var guide = try Self.guide()
        press(&guide, [.enter, .enter] + type("db-1") + [.enter, .right, .enter])
        press(&guide, [.enter, .enter, .enter, .enter] + type("Correct-Horse-7") + [.enter] + type("Correct-Horse-7") + [.enter, .enter])
        press(&guide, [.right, .enter] + type("192.0.2.10") + [.enter] + type("24") + [.enter] + type("192.0.2.1"))
        press(&guide, [.enter] + type("192.0.2.53") + [.enter] + type("battery staple") + [.enter] + type("battery staple") + [.enter])
        #expect(press(&guide, [.enter]) == .plans, "\(problem(guide) ?? "")")
        let answers = try guide.answers()
        #expect(answers.profile.rawValue == "server" && answers.encrypt && answers.secureBoot)
        guard case .fixed(let network) = answers.network else {
            Issue.record("no fixed address")
            return
        }
        #expect(network.address.description == "192.0.2.10/24" && network.gateway.description == "192.0.2.1")
        // Secrets stay off the screen.
        #expect(!(0..<6).contains { _ in guide.lines(columns: 80, rows: 24).joined().contains("battery") })
    }

    @Test("whose keyboard is another one than this console's sees what he types as a secret")
    func keyboards() throws {
        for (keyboard, shown) in [("us", false), ("de", true)] {
            var guide = try Self.guide()
            press(
                &guide,
                [.enter, .enter] + type("a") + [.enter, .enter, .enter, .enter, .backspace, .backspace] + type(keyboard) + [.enter])
            #expect(guide.screen == .account)
            press(&guide, [.down] + type("geheim"))
            #expect(guide.lines(columns: 80, rows: 24).joined().contains("geheim") == shown)
        }
    }

    @Test("with several cards, a fixed address is for one of them")
    func cards() throws {
        var facts = Self.facts(1)
        facts.interfaces = ["enp1s0", "enp2s0"]
        var guide = try GuidedInstall(facts: facts, payloads: Self.guide().payloads)
        press(
            &guide, [.enter, .enter] + type("a") + Array(repeating: .enter, count: 9) + [.right, .down, .right, .down] + type("192.0.2.9"))
        press(&guide, [.down] + type("24") + [.down] + type("192.0.2.1") + [.down] + type("192.0.2.1"))
        #expect(guide.overrides.contains("KLDLOAD_NET_IFACE=enp2s0") && guide.overrides.contains("KLDLOAD_NET_IP=192.0.2.9"))
    }

    @Test("nothing is installed before each disk's name was typed, exactly")
    func typed() throws {
        var guide = try Self.guide()
        press(&guide, [.enter, .enter] + type("web-1"))
        #expect(through(&guide) == .plans)
        guide.show((1...50).map { "step \($0)" }, wipes: ["/dev/disk/by-id/virtio-d0"], losses: [:])
        #expect(guide.handle(.enter) == .stays && problem(guide)?.contains("nothing has been written") == true)
        press(&guide, type("/dev/disk/by-id/virtio-d"))
        #expect(guide.handle(.enter) == .stays)
        press(&guide, type("0"))
        #expect(guide.lines(columns: 80, rows: 24).contains { $0.contains("step 1") })
        #expect(guide.handle(.enter) == .installs)
    }

    @Test("what other disks lose is told in the plan, and where a disk's name is asked for, whole on a screen of 80 by 24")
    func losses() throws {
        var guide = try Self.guide()
        press(&guide, [.enter, .enter] + type("web-1"))
        #expect(through(&guide) == .plans)
        let disks = ["/dev/disk/by-id/virtio-d0", "/dev/disk/by-id/virtio-d1"]
        let losses = ["ata-Samsung_SSD_870_EVO_4TB_S6PXNM0T000000A", "ata-WDC_WD40EFRX-68N32N0_WD-WCC7K0000000"].map {
            "/dev/disk/by-id/\($0) holds another part of the pool tank, whose data may be lost too"
        }
        let plan = Plan(
            "install", [Phase("disks", "Disks", [Step("disks.wipe", "Wipe", [], destroys: disks)])], losses: [disks[1]: losses])
        guide.show(plan.text().lines, wipes: plan.destroys, losses: plan.losses)
        func told() -> [Int] {
            let lines = guide.lines(columns: 80, rows: 24)
            #expect(lines.count == 24 && lines.allSatisfy { $0.count == 80 })
            let text = lines.flatMap { $0.split(separator: " ") }.joined(separator: " ")
            return losses.map { text.ranges(of: $0).count }
        }
        #expect(told() == [1, 1], "the first disk's loss is nobody's")
        press(&guide, [.down])
        #expect(told() == [2, 2])
    }

    @Test("what the machine says against a plan is shown, and can be mended")
    func refused() throws {
        var guide = try Self.guide()
        press(&guide, [.enter, .enter] + type("web-1"))
        #expect(through(&guide) == .plans)
        guide.refuse("there is no root file system here")
        #expect(guide.screen == .network && guide.lines(columns: 80, rows: 24).contains { $0.contains("! there is no root file system") })
        #expect(guide.handle(.interrupt) == .quits)
    }
}

@Suite("Trying disk selectors")
struct DeviceMatchTests {
    @Test("each says which disk it means, or why none")
    func table() throws {
        let facts = GuidedInstallTests.facts(2)
        let matches = ["auto", "/dev/vda", "/dev/disk/by-id/virtio-d1", "/dev/sr0", "/dev/none"].map {
            AnswersCommand.DeviceMatch.Match($0, facts)
        }
        #expect(matches.map { $0.disk?.device.path } == ["/dev/vda", "/dev/vda", "/dev/vdb", nil, nil])
        #expect(matches.compactMap { $0.problem?.code } == ["disk.live", "disk.missing"])
        let lines = AnswersCommand.DeviceMatch.table(matches).split(separator: "\n")
        #expect(lines.count == 6 && lines[1].contains("empty") && lines[3].contains("KLDLOAD_FORCE_WIPE=1"))
    }

    @Test("a disk is judged by what a profile needs: the server, where none is named")
    func profiles() {
        let facts = MachineFacts(disks: [BlockDevice(path: "/dev/vda", size: .gibibytes(6))])
        for word in ["auto", "/dev/vda"] {
            let problem = AnswersCommand.DeviceMatch.Match(word, facts).problem
            #expect(problem?.code == "disk.too-small")
            #expect(problem?.message == "/dev/vda has 6 GiB; the profile server needs at least 8 GiB")
            #expect(AnswersCommand.DeviceMatch.Match(word, facts, profile: "core").disk?.device.path == "/dev/vda")
        }
    }

    @Test("what is no disk is called what it is, as an installation calls it")
    func notDisks() async throws {
        let listing = #"{"blockdevices":[{"path":"/dev/vda","name":"vda","size":21474836480,"type":"disk"}]}"#
        let facts = try await MachineFacts.gather(
            runner: ScriptedRunner([ListBlockDevices.command.description: listing]),
            files: MemoryFiles(["/proc/meminfo": "MemTotal: 1 kB\n", "/dev/shm/x": ""]),
            asked: AnswersCommand.DeviceMatch.paths(["auto", "/dev/shm"]))
        let problem = AnswersCommand.DeviceMatch.Match("/dev/shm", facts).problem
        #expect(problem?.code == "disk.not-a-disk" && problem?.message == "/dev/shm is not a disk but a folder")
    }
}

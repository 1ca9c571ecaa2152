import KldCore
import KldExec
import KldImage
import KldTestSupport
import SystemPackage
import Testing

@Suite("Answers that the boot menu names")
struct UnattendedSeedTests {
    static let digest = String(repeating: "ab", count: 32)

    @Test("words of the command line are read; those of others are left alone")
    func words() throws {
        let seed = try UnattendedSeed(
            commandLine:
                "BOOT_IMAGE=/vmlinuz quiet kldload.answers=http://10.0.1.5/a/ kldload.answers-sha256=\(Self.digest) kldload.autoinstall=1 "
                + "kldload.hostname=web-1 kldload.topology=mirror kldload.net-ip=192.0.2.4 kldload.keyboard=de kldload.suite=bookworm kldload.extra-packages=\"vim tmux\" rd.live.image"
        )
        #expect(seed.url == "http://10.0.1.5/a/" && seed.digest?.hex == Self.digest)
        #expect(
            seed.overrides == [
                "KLDLOAD_HOSTNAME=web-1", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_NET_IP=192.0.2.4", "KLDLOAD_KEYBOARD_LAYOUT=de",
                "KLDLOAD_DEBIAN_SUITE=bookworm", "KLDLOAD_EXTRA_PACKAGES=vim tmux",
            ])
        #expect(try UnattendedSeed(commandLine: "root=live:LABEL=KLDLOAD quiet").url == nil)
        #expect(try UnattendedSeed(commandLine: "KLDLOAD_ANSWERS_URL=https://h/x quiet").url == "https://h/x")
        // Both names of one place are one.
        #expect(try UnattendedSeed(commandLine: "kldload.seed=https://h/x kldload.answers=https://h/x").url == "https://h/x")
    }

    @Test(
        "what is misspelt, secret, or no address is refused before anything is done",
        arguments: [
            ("kldload.hostnam=x", "autoinstall.unknown-word"), ("kldload.password=x", "autoinstall.secret-word"),
            ("kldload.zfs_passphrase=x", "autoinstall.secret-word"), ("kldload.answers=ftp://h/x", "autoinstall.bad-url"),
            ("kldload.answers=http://", "autoinstall.bad-url"), ("kldload.answers=https://me:secret@h/x", "autoinstall.bad-url"),
            ("kldload.answers-sha256=1234", "autoinstall.bad-digest"),
            ("kldload.answers=http://a/x kldload.seed=http://b/x", "autoinstall.several-seeds"),
            ("kldload.answers=http://a/x KLDLOAD_ANSWERS_URL=http://b/x", "autoinstall.several-seeds"),
            ("KLDLOAD_ANSWERS_URL=ftp://a/x", "autoinstall.bad-url"),
        ])
    func refused(_ line: String, _ code: String) {
        do {
            _ = try UnattendedSeed(commandLine: line)
            Issue.record("accepted: \(line)")
        } catch {
            #expect(error.code == code && !error.remedies.isEmpty && !error.rendered.contains("secret@"))
        }
    }

    @Test("a folder has a file for each machine: by address, serial number or host name; nothing odd gets into an address")
    func addresses() throws {
        let machine = UnattendedSeed.Machine(mac: "52:54:00:AB:CD:EF", serial: "S 1/..", host: "../x")
        let folder = try UnattendedSeed(commandLine: "kldload.answers=http://h/answers/")
        #expect(try folder.addresses(for: machine) == ["http://h/answers/52-54-00-ab-cd-ef.env"])
        let plain = UnattendedSeed.Machine(mac: "52:54:00:ab:cd:ef", serial: "S1", host: "web-7")
        #expect(
            try folder.addresses(for: plain) == ["52-54-00-ab-cd-ef", "S1", "web-7"].map { "http://h/answers/\($0).env" })
        #expect(try UnattendedSeed(commandLine: "kldload.answers=http://h/{host}.env").addresses(for: plain) == ["http://h/web-7.env"])
        let named = try UnattendedSeed(commandLine: "kldload.answers=http://h/a/{mac}.env")
        #expect(try named.addresses(for: machine) == ["http://h/a/52-54-00-ab-cd-ef.env"])
        let nested = try UnattendedSeed(commandLine: "kldload.answers=http://h/{host}/")
        #expect(try nested.addresses(for: .init(serial: "S1", host: "web-7")) == ["S1", "web-7"].map { "http://h/web-7/\($0).env" })
        // Not a file that is called like nobody.
        for seed in [folder, named] {
            #expect { try seed.addresses(for: .init()) } throws: { Diagnosis(of: $0).code == "autoinstall.unknown-machine" }
        }
    }

    @Test("a machine is known by the interface that has the default route")
    func machine() {
        let files = MemoryFiles([
            "/proc/net/route": "Iface\tDestination\tGateway\nenp1s0\t0002000A\t0\nenp2s0\t00000000\t0202000A\n",
            "/sys/class/net/enp2s0/address": "52:54:00:12:34:56\n", "/sys/class/dmi/id/product_serial": "ABC\n",
        ])
        #expect(UnattendedSeed.Machine.read(files) == .init(mac: "52:54:00:12:34:56", serial: "ABC"))
        let zeros = String(repeating: "0", count: 32)
        let other = MemoryFiles([
            "/proc/net/ipv6_route": "\(zeros) 00 \(zeros) 00 \(zeros) ffffffff 00000001 00000000 00200200       lo\n"
                + "\(zeros) 00 \(zeros) 00 fe800000000000000000000000000002 00000400 00000001 00000000 00000003   enp1s0\n",
            "/sys/class/net/enp1s0/address": "52:54:00:12:34:57\n",
        ])
        #expect(UnattendedSeed.Machine.read(other) == .init(mac: "52:54:00:12:34:57"))
        #expect(UnattendedSeed.Machine.read(MemoryFiles()) == .init())
    }

    @Test("its host name is the one in the lease of that interface, without a domain")
    func host() {
        let texts = [
            "/proc/net/route": "Iface\tDestination\tGateway\nenp2s0\t00000000\t0202000A\n", "/sys/class/net/enp2s0/ifindex": "3\n",
            "/run/systemd/netif/leases/2": "HOSTNAME=other\n",
            "/run/systemd/netif/leases/3": "# private\nADDRESS=10.0.2.15\nHOSTNAME=Web-7.example.org\nDOMAINNAME=example.org\n",
        ]
        #expect(UnattendedSeed.Machine.read(MemoryFiles(texts)).host == "web-7")
        #expect(UnattendedSeed.Machine.read(MemoryFiles(texts.merging(["/sys/class/net/enp2s0/ifindex": "4\n"]) { $1 })).host == nil)
    }

    @Test("without a default route it is known by the first wired card with a cable, once the network had its time")
    func cable() {
        func card(_ name: String, index: Int, carrier: String = "1", type: String = "1", more: [String] = ["device"]) -> [String: String] {
            var texts = [
                "address": "52:54:00:00:00:0\(index)\n", "ifindex": "\(index)\n", "carrier": "\(carrier)\n", "type": "\(type)\n",
            ]
            for part in more { texts[part] = "" }
            return Dictionary(uniqueKeysWithValues: texts.map { ("/sys/class/net/\(name)/\($0.key)", $0.value) })
        }
        let odd = [
            card("lo", index: 1, type: "772", more: []), card("enp1s0", index: 2, carrier: "0"), card("bond0", index: 3, more: []),
            card("wlp4s0", index: 4, more: ["device", "phy80211"]),
        ].reduce(into: [String: String]()) { $0.merge($1) { $1 } }
        #expect(UnattendedSeed.Machine.read(MemoryFiles(odd)).mac == nil)
        let all = [card("eth10", index: 5), card("eth9", index: 6)].reduce(into: odd) { $0.merge($1) { $1 } }
        #expect(UnattendedSeed.Machine.read(MemoryFiles(all)).mac == "52:54:00:00:00:05")
        #expect(UnattendedSeed.Machine.read(MemoryFiles(all), isUp: false).mac == nil)
        let routed = all.merging(["/proc/net/route": "Iface\tDestination\tGateway\neth9\t00000000\t0202000A\t0\n"]) { $1 }
        #expect(UnattendedSeed.Machine.read(MemoryFiles(routed)).mac == "52:54:00:00:00:06")
    }

    @Test("a machine that was started over the network is known by that card, whatever reaches the network")
    func startedFrom() {
        func mac(_ line: String, route: Bool = true) -> String? {
            var texts = ["/sys/class/net/enp2s0/address": "52:54:00:12:34:56\n", "/proc/cmdline": line]
            if route { texts["/proc/net/route"] = "Iface\tDestination\tGateway\nenp2s0\t00000000\t0202000A\t0\n" }
            return UnattendedSeed.Machine.read(MemoryFiles(texts)).mac
        }
        #expect(mac("quiet BOOTIF=01-52-54-00-AB-cd-01 x\n") == "52:54:00:ab:cd:01")
        #expect(mac("BOOTIF=01-52:54:00:ab:cd:01\n") == "52:54:00:ab:cd:01")
        #expect(mac("BOOTIF=01-52-54-00-ab-cd-01\n", route: false) == "52:54:00:ab:cd:01")
        // GRUB knew no card.
        for line in ["BOOTIF=01------", "BOOTIF=52-54-00-ab-cd-01", "BOOTIF=20-52-54-00-ab-cd-01", "BOOTIF=01-52-54-00-ab-cd-zz"] {
            #expect(mac(line) == "52:54:00:12:34:56")
        }
    }

    @Test("what a boot over the network says is no answer")
    func network() throws {
        let line = "root=live:http://h/live.squashfs kldload.live-sha256=\(Self.digest) kldload.medium-sha256=\(Self.digest)"
        #expect(try UnattendedSeed(commandLine: line).overrides.isEmpty)
    }

    /// Answers of curl, in their order: status and HTTP code.
    private func fetch(_ answers: [(Int32, String)], line: String = "kldload.answers=http://h/a/") async throws -> (String?, Int) {
        let counter = Fuse(at: nil)
        let runner = ScriptedRunner([
            { command in
                guard command.tool.name == "curl" else { return nil }
                let (status, code) = answers[min(counter.count, answers.count - 1)]
                try? counter.tick()
                return CommandOutput(status: status, output: code)
            }
        ])
        let seed = try UnattendedSeed(commandLine: line)
        let found = try await seed.fetch(
            for: .init(mac: "52:54:00:12:34:56", serial: "S"), every: .zero, runner: runner, files: MemoryFiles())
        return (found?.from, runner.commands.count { $0.tool.name == "curl" })
    }

    @Test("who is not meant is told nothing; a network that comes up late is waited for; anything else is an error")
    func fetching() async throws {
        #expect(try await fetch([(0, "200")]) == ("http://h/a/52-54-00-12-34-56.env", 1))
        #expect(try await fetch([(22, "404"), (0, "200")]) == ("http://h/a/S.env", 2))
        #expect(try await fetch([(22, "404")]) == (nil, 2))
        #expect(try await fetch([(7, "000"), (6, "000"), (22, "503"), (0, "200")]) == ("http://h/a/52-54-00-12-34-56.env", 4))
        for answers in [[(22, "403")], [(7, "000")]] as [[(Int32, String)]] {
            await #expect { _ = try await fetch(answers) } throws: { Diagnosis(of: $0).code == "autoinstall.unreachable" }
        }
    }

    @Test("answers that are others than were meant are not used, wherever they came from")
    func digests() async throws {
        let runner = ScriptedRunner(["sha256sum --binary --zero -- /run/a.env": Self.digest + " */run/a.env\0"])
        try await UnattendedSeed(commandLine: "kldload.answers-sha256=\(Self.digest)").check("/run/a.env", runner: runner)
        try await UnattendedSeed(commandLine: "quiet").check("/run/a.env", runner: ScriptedRunner([:]))
        let other = try UnattendedSeed(commandLine: "kldload.answers-sha256=" + String(repeating: "cd", count: 32))
        await #expect { try await other.check("/run/a.env", runner: runner) } throws: {
            Diagnosis(of: $0).code == "autoinstall.wrong-digest"
        }
    }
}

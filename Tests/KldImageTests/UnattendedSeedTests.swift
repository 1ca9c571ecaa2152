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
                + "kldload.hostname=web-1 kldload.topology=mirror kldload.net-ip=192.0.2.4 kldload.keyboard=de kldload.suite=bookworm rd.live.image"
        )
        #expect(seed.url == "http://10.0.1.5/a/" && seed.digest?.hex == Self.digest)
        #expect(
            seed.overrides == [
                "KLDLOAD_HOSTNAME=web-1", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_NET_IP=192.0.2.4", "KLDLOAD_KEYBOARD_LAYOUT=de",
                "KLDLOAD_DEBIAN_SUITE=bookworm",
            ])
        #expect(try UnattendedSeed(commandLine: "root=live:LABEL=KLDLOAD quiet").url == nil)
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
        ])
    func refused(_ line: String, _ code: String) {
        do {
            _ = try UnattendedSeed(commandLine: line)
            Issue.record("accepted: \(line)")
        } catch {
            #expect(error.code == code && !error.remedies.isEmpty && !error.rendered.contains("secret@"))
        }
    }

    @Test("a folder has a file for each machine: by address, serial number or name; nothing odd gets into an address")
    func addresses() throws {
        let machine = UnattendedSeed.Machine(mac: "52:54:00:AB:CD:EF", serial: "S 1/..", host: "web-1")
        let folder = try UnattendedSeed(commandLine: "kldload.answers=http://h/answers/")
        #expect(folder.addresses(for: machine) == ["http://h/answers/52-54-00-ab-cd-ef.env", "http://h/answers/web-1.env"])
        let named = try UnattendedSeed(commandLine: "kldload.answers=http://h/{host}/{mac}.env")
        #expect(named.addresses(for: machine) == ["http://h/web-1/52-54-00-ab-cd-ef.env"])
    }

    @Test("a machine is known by the interface that has the default route")
    func machine() {
        let files = MemoryFiles([
            "/proc/net/route": "Iface\tDestination\tGateway\nenp1s0\t0002000A\t0\nenp2s0\t00000000\t0202000A\n",
            "/sys/class/net/enp2s0/address": "52:54:00:12:34:56\n", "/sys/class/dmi/id/product_serial": "ABC\n",
            "/proc/sys/kernel/hostname": "kldload\n",
        ])
        #expect(UnattendedSeed.Machine.read(files) == .init(mac: "52:54:00:12:34:56", serial: "ABC", host: "kldload"))
        #expect(UnattendedSeed.Machine.read(MemoryFiles()) == .init())
    }

    /// Answers of curl, in their order: status and HTTP code.
    private func fetch(_ answers: [(Int32, String)], line: String = "kldload.answers=http://h/a/") async throws -> (String?, Int) {
        let counter = Fuse(at: nil)
        let runner = ScriptedRunner([
            { command in
                if command.tool.name == "sha256sum" { return CommandOutput(output: Self.digest + " *x") }
                guard command.tool.name == "curl" else { return nil }
                let (status, code) = answers[min(counter.count, answers.count - 1)]
                try? counter.tick()
                return CommandOutput(status: status, output: code)
            }
        ])
        let seed = try UnattendedSeed(commandLine: line)
        let found = try await seed.fetch(
            for: .init(mac: "52:54:00:12:34:56", serial: "S", host: "h"), every: .zero, runner: runner, files: MemoryFiles())
        return (found?.from, runner.commands.count { $0.tool.name == "curl" })
    }

    @Test("who is not meant is told nothing; a network that comes up late is waited for; anything else is an error")
    func fetching() async throws {
        #expect(try await fetch([(0, "200")]) == ("http://h/a/52-54-00-12-34-56.env", 1))
        #expect(try await fetch([(22, "404"), (0, "200")]) == ("http://h/a/S.env", 2))
        #expect(try await fetch([(22, "404")]) == (nil, 3))
        #expect(try await fetch([(7, "000"), (6, "000"), (22, "503"), (0, "200")]) == ("http://h/a/52-54-00-12-34-56.env", 4))
        for answers in [[(22, "403")], [(7, "000")]] as [[(Int32, String)]] {
            await #expect { _ = try await fetch(answers) } throws: { Diagnosis(of: $0).code == "autoinstall.unreachable" }
        }
    }

    @Test("answers that are others than were meant are not used")
    func digests() async throws {
        let line = "kldload.answers=http://h/a.env kldload.answers-sha256="
        #expect(try await fetch([(0, "200")], line: line + Self.digest).0 == "http://h/a.env")
        await #expect {
            _ = try await fetch([(0, "200")], line: line + String(repeating: "cd", count: 32))
        } throws: { Diagnosis(of: $0).code == "autoinstall.wrong-digest" }
    }

    @Test("a seed volume gets a folder with what became of it, and is unmounted whatever happens")
    func report() async throws {
        let runner = ScriptedRunner([
            "mount -o rw,nosuid,nodev,noexec /dev/sdb1 /run/kldload/seed": "", "sync --file-system /run/kldload/seed": "",
            "umount --recursive /run/kldload/seed": "",
        ])
        let files = MemoryFiles()
        try await SeedVolume(device: "/dev/sdb1").report([("result.txt", [7])], in: "kldload-web-1", runner: runner, files: files)
        #expect(try files.read("/run/kldload/seed/kldload-web-1/result.txt") == [7])
        #expect(runner.commands.map(\.tool.name) == ["mount", "sync", "umount"])
    }
}

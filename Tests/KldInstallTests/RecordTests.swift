import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Plans that are only shown")
struct PlaceholderTests {
    @Test("two of them are equal")
    func equal() throws {
        func shown() throws -> Plan {
            var request = try request(answers(), Machines.virtual)
            request.identity = .placeholder
            return try InstallPlanner(request).plan
        }
        #expect(try shown() == shown())
        #expect(try shown().text().contains("host id 6b6c646c"))
    }
}

@Suite("The network interface of the answers")
struct InterfaceTests {
    static let fixed = "KLDLOAD_NET_METHOD=static\nKLDLOAD_NET_IP=192.0.2.5\nKLDLOAD_NET_GW=192.0.2.1"

    func file(
        _ name: String?, _ interfaces: [String], fixed: Bool = true, sealed: Bool = false, called file: String = "10-kldload.network"
    ) throws -> String? {
        var facts = Machines.virtual
        facts.interfaces = interfaces
        let lines = (fixed ? Self.fixed : "") + (name.map { "\nKLDLOAD_NET_IFACE=\($0)" } ?? "")
        let plan = try PlanView.plan(InstallPlanner(request(answers(lines), facts, sealed: sealed)), sealed ? .image : .whole)
        let folder = "/target/etc/systemd/network/"
        return plan.steps.flatMap(\.actions).lazy.compactMap { action in
            if case .write(let path, .text(let text), _) = action, path.string == folder + file { text } else { nil }
        }.first
    }

    @Test("where the answers name it no other wired one is configured; else each of them keeps what it had", arguments: [true, false])
    func others(_ fixed: Bool) throws {
        let name = "50-kldload-others.network"
        let text = try #require(try file("eno1", ["enp3s0", "eno1"], fixed: fixed, called: name))
        #expect(text.hasPrefix("# Written by kldload"))
        #expect(text.lines.dropFirst() == ["[Match]", "Type=ether", "Kind=!*", "[Link]", "Unmanaged=yes"])
        #expect(try file("eth0", ["eth0", "eth1"], fixed: fixed, called: name) == text)
        // A clone of an image may call its card otherwise.
        #expect(try file("enp9s0", ["eno1"], fixed: fixed, sealed: true, called: name) == nil)
        #expect(try file("eth0", ["eno1"], fixed: fixed, called: name) == nil)
        #expect(try file(nil, ["eno1"], fixed: fixed, called: name) == nil)
    }

    @Test("one that this machine does not have is refused, with those it has", arguments: [true, false])
    func missing(_ fixed: Bool) throws {
        let problem = problem { _ = try file("enp9s0", ["eno1", "wlp2s0"], fixed: fixed) }
        #expect(problem?.code == "network.no-interface")
        #expect(problem?.message == "this machine has no network interface enp9s0")
        #expect(problem?.remedies.first == "it has: eno1, wlp2s0")
        #expect(problem?.exit == .badAnswers)
    }

    @Test("one address for several cards is refused, with their names", arguments: [nil, "eth0"])
    func several(_ name: String?) throws {
        let problem = problem { _ = try file(name, ["eno1", "enp3s0", "wlp2s0"]) }
        #expect(problem?.code == "network.which-interface")
        #expect(problem?.remedies == ["KLDLOAD_NET_IFACE=NAME; it has: eno1, enp3s0"])
        #expect(problem?.exit == .badAnswers)
        #expect(try file(name, ["eno1", "wlp2s0"]) != nil, "only one of them has a cable")
        #expect(try file(name, ["eno1", "enp3s0"], fixed: false) == nil, "DHCP is for all of them")
        #expect(try file(name, ["eno1", "enp3s0"], sealed: true) != nil)
    }

    @Test("an address for the wired card of a machine that has none is refused, with what it has", arguments: [nil, "eth0"])
    func wireless(_ name: String?) throws {
        let problem = problem { _ = try file(name, ["wlp2s0", "wwan0"]) }
        #expect(problem?.code == "network.no-interface")
        #expect(problem?.message == "this machine has no wired network interface for the address 192.0.2.5/24")
        #expect(problem?.remedies.first == "KLDLOAD_NET_IFACE=NAME if one of these is meant: wwan0")
        #expect(problem?.exit == .badAnswers)
        #expect(try file(name, ["wlp2s0"], fixed: false) == nil, "DHCP waits for whatever comes")
        #expect(try file(name, ["wlp2s0"], sealed: true) != nil)
        #expect(try file(name, []) != nil, "nobody knows what it has")
    }

    @Test("one that it has is taken")
    func there() throws { #expect(try file("eno1", ["enp3s0", "eno1"])?.hasPrefix("[Match]\nName=eno1\n") == true) }

    @Test("a sealed image runs on other hardware, and so does what a guest without a network card installs")
    func elsewhere() throws {
        #expect(try file("enp9s0", ["eno1"], sealed: true)?.contains("Name=enp9s0\n") == true)
        #expect(try file("enp9s0", [])?.contains("Name=enp9s0\n") == true)
    }

    @Test("eth0 is the one of that name, and where there is none the wired one")
    func ethernet() throws {
        #expect(try file("eth0", ["eth0", "eth1"])?.hasPrefix("[Match]\nName=eth0\n") == true)
        #expect(try file("eth0", ["eno1"])?.hasPrefix("[Match]\nType=ether\nKind=!*\n") == true)
        #expect(try file("eth0", [])?.hasPrefix("[Match]\nType=ether\n") == true)
        #expect(try file(nil, ["eno1"])?.hasPrefix("[Match]\nType=ether\n") == true)
        // Every wired interface has DHCP already.
        #expect(try file("eth0", ["eno1"], fixed: false) == nil)
    }
}

@Suite("The record of an installation")
struct ManifestTests {
    @Test("the answers are written down as they were given, without secrets, with what kldload decided")
    func environment() throws {
        let request = try request(
            answers(
                "KLDLOAD_PASSWORD_HASH='\(RandomRequests.hash)'", "KLDLOAD_ROOT_PASSWORD='\(RandomRequests.secrets[2])'",
                "KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='\(RandomRequests.secrets[0])'", "KLDLOAD_WIFI_SSID='a b'",
                "KLDLOAD_WIFI_PSK='\(RandomRequests.secrets[1])'", "KLDLOAD_EXPORT_FORMAT=qcow2", "KLDLOAD_EXPORT_SCP_HOST=x",
                "KLDLOAD_EXPORT_SCP_PASS=scp-secret-x"),
            Machines.virtual)
        let plan = try InstallPlanner(request).plan
        let step = try #require(plan[step: "finish.manifest"])
        let written = step.actions.compactMap { action -> String? in
            guard case .write("/target/etc/kldload/install-manifest.env", .text(let text), 0o640) = action else { return nil }
            return text
        }
        #expect(
            written == [
                """
                # What this machine was installed with; see also install-manifest.json. No secret stands here.
                KLDLOAD_DISTRO=debian
                KLDLOAD_DISK=/dev/vda
                KLDLOAD_HOSTNAME=host
                KLDLOAD_ZFS_ENCRYPT=1
                KLDLOAD_WIFI_SSID='a b'
                KLDLOAD_EXPORT_FORMAT=qcow2
                KLDLOAD_EXPORT_SCP_HOST=x
                KLDLOAD_ZFS_POOL=rpool
                KLDLOAD_BOOT_ENVIRONMENT=\(request.spec.id)
                KLDLOAD_HOST_ID=01234567
                KLDLOAD_VERSION=2.0.0-test

                """
            ])
    }

    @Test("the answers in it are read back as answers")
    func readable() throws {
        let answers = try answers("KLDLOAD_ZFS_POOL=tank", "KLDLOAD_SSH_PUBKEY='\(RandomRequests.key)'")
        let plan = try InstallPlanner(request(answers, Machines.virtual)).plan
        let text = try #require(
            plan.steps.flatMap(\.actions).lazy.compactMap { action -> String? in
                if case .write("/target/etc/kldload/install-manifest.env", .text(let text), _) = action { text } else { nil }
            }.first)
        let decided = ["KLDLOAD_BOOT_ENVIRONMENT", "KLDLOAD_HOST_ID", "KLDLOAD_VERSION"]
        let own = text.lines.filter { line in !decided.contains { line.hasPrefix($0) } }
        #expect(try Answers(own.joined(separator: "\n")) == answers)
        #expect(decided.allSatisfy { AnswerKey.named($0) == nil })
    }
}

@Suite("Pools that are to be encrypted")
struct EncryptedPoolTests {
    @Test("a passphrase that nobody read is refused: a pool that is not encrypted must not come of it")
    func unread() throws {
        let unread = try answers("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE_FILE=/run/secrets/pool")
        #expect(unread.encrypt && unread.passphrase == nil)
        #expect(problem { _ = try InstallPlanner(request(unread, Machines.virtual)) }?.code == "install.no-passphrase")
        let given = try answers("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse'")
        let create = try InstallPlanner(request(given, Machines.virtual)).plan.commandLines.first { $0.hasPrefix("zpool create") }
        #expect(create?.contains("encryption=aes-256-gcm") == true)
    }
}

@Suite("Pools that are there already")
struct PoolNameTests {
    @Test("a pool of the same name, imported from another disk, is refused before anything is wiped")
    func imported() throws {
        var facts = Machines.virtual
        facts.importedPools = ["/dev/vdd": "rpool"]
        #expect(problem { _ = try InstallPlanner(request(answers(), facts)) }?.code == "install.pool-imported")
        facts.importedPools = ["/dev/vdd": "tank"]
        #expect(problem { _ = try InstallPlanner(request(answers(), facts)) } == nil)
        #expect(problem { _ = try InstallPlanner(request(answers("KLDLOAD_ZFS_POOL=tank"), facts)) }?.code == "install.pool-imported")
        (facts.importedPools, facts.pools) = ([:], ["rpool"])
        #expect(problem { _ = try InstallPlanner(request(answers(), facts)) }?.code == "install.pool-imported")
    }
}

@Suite("Firmware that takes no entry")
struct FirmwareEntryTests {
    @Test("does not undo an installation that boots without one")
    func anyStatus() throws {
        let plan = try InstallPlanner(request(answers(), Machines.virtual)).plan
        let entry = try #require(plan.commands.first { $0.tool.name == "efibootmgr" })
        // 6 to 11: the variable was written, its place in the order was not.
        #expect(Set(0...255).isSubset(of: entry.acceptedExitStatuses))
    }
}

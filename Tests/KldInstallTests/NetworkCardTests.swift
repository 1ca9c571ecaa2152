import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldTestSupport
import Testing

@Suite("Network cards")
struct NetworkCardTests {
    @Test("an interface is a card: what is made of others is not there on the new system, nor is a file")
    func cards() async throws {
        let net = "/sys/class/net"
        let files = MemoryFiles(
            [
                "/proc/meminfo": "MemTotal: 1 kB\n", "\(net)/lo/mtu": "", "\(net)/eno1.5/mtu": "", "\(net)/bond0/mtu": "",
                "\(net)/docker0/mtu": "", "\(net)/bonding_masters": "bond0\n", "\(net)/wlp2s0/mtu": "", "\(net)/eno1/mtu": "",
            ], links: ["\(net)/eno1/device": "../../../0000:00:1f.6", "\(net)/wlp2s0/device": "../../../0000:02:00.0"])
        let facts = try await MachineFacts.gather(
            runner: ScriptedRunner([ListBlockDevices.command.description: #"{"blockdevices":[]}"#]), files: files)
        #expect(facts.interfaces == ["eno1", "wlp2s0"])
        #expect(facts.cabled == ["eno1"])
    }

    func problem(_ interfaces: [String], sealed: Bool = false, _ lines: String...) -> Diagnosis? {
        var facts = Machines.virtual
        facts.interfaces = interfaces
        return KldTestSupport.problem {
            _ = try InstallPlanner(request(answers(lines.joined(separator: "\n")), facts, sealed: sealed)).plan
        }
    }

    @Test("a wireless card without a wireless network is refused, whatever gives it an address")
    func wireless() {
        let found = problem(["eno1", "wlp2s0"], "KLDLOAD_NET_IFACE=wlp2s0")
        #expect(found?.code == "network.wireless" && found?.exit == .badAnswers)
        let fixed = problem(
            ["eno1", "wlp2s0"], "KLDLOAD_NET_IFACE=wlp2s0", "KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=192.0.2.5/24",
            "KLDLOAD_NET_GW=192.0.2.1")
        #expect(fixed?.code == "network.wireless")
        #expect(problem(["eno1", "wlp2s0"], "KLDLOAD_NET_IFACE=wlp2s0", "KLDLOAD_WIFI_SSID=home") == nil)
        #expect(problem(["eno1", "wlp2s0"], "KLDLOAD_NET_IFACE=eno1") == nil)
        #expect(problem(["eno1"], sealed: true, "KLDLOAD_NET_IFACE=wlp2s0") == nil)
    }

    @Test("with wireless cards alone no name of one is offered for an address")
    func remedies() {
        let found = problem(["wlp2s0"], "KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=192.0.2.5/24", "KLDLOAD_NET_GW=192.0.2.1")
        #expect(found?.code == "network.no-interface")
        #expect(found?.remedies == ["KLDLOAD_NET_METHOD=dhcp, with KLDLOAD_WIFI_SSID where the network is wireless"])
    }
}

import KldAnswers
import KldCore

extension InstallRequest {
    /// The interface that the answers name.
    private var namedInterface: String? {
        switch answers.network {
        case .dhcp(let interface): interface
        case .fixed(let fixed): fixed.interface
        }
    }

    /// The interface to configure; `nil`: the wired one, whatever it is called.
    ///
    /// `eth0` is what the documents always used in their examples. Where there is none of that name it stands for the wired interface.
    var interface: String? {
        guard let name = namedInterface, name != "eth0" || facts.interfaces.contains(name) else { return nil }
        return name
    }

    /// Cards with a cable, by the names that udev or the kernel gives them: `enp1s0`, `eth0`. Source: systemd.net-naming-scheme(7), 257.
    private var wired: [String] { facts.interfaces.filter { $0.hasPrefix("en") || $0.hasPrefix("eth") } }

    /// A machine without its network is a machine out of reach, and one address on two cards is no better. A sealed image runs elsewhere, and a
    /// factory's guest, which has no network card, installs for another machine as well: there nothing is known to be wrong.
    ///
    /// - Throws: ``Diagnosis`` `network.no-interface`, `network.which-interface`, `network.wireless`.
    func checkInterface() throws {
        if sealed { return }
        guard let name = interface else {
            guard case .fixed(let fixed) = answers.network, wired.count != 1, !facts.interfaces.isEmpty else { return }
            if wired.isEmpty {
                let others = facts.cabled.joined(separator: ", ")
                throw Diagnosis(
                    "network.no-interface", "this machine has no wired network interface for the address \(fixed.address)",
                    remedies: (others.isEmpty ? [] : ["KLDLOAD_NET_IFACE=NAME if one of these is meant: \(others)"])
                        + ["KLDLOAD_NET_METHOD=dhcp, with KLDLOAD_WIFI_SSID where the network is wireless"], exit: .badAnswers)
            }
            throw Diagnosis(
                "network.which-interface",
                "this machine has \(wired.count) wired interfaces, and the answers do not say which of them has the address \(fixed.address)",
                remedies: ["KLDLOAD_NET_IFACE=NAME; it has: " + wired.joined(separator: ", ")], exit: .badAnswers)
        }
        guard facts.interfaces.isEmpty || facts.interfaces.contains(name) else {
            throw Diagnosis(
                "network.no-interface", "this machine has no network interface \(name)",
                remedies: [
                    "it has: " + facts.interfaces.joined(separator: ", "), "or leave out KLDLOAD_NET_IFACE: then it is the wired one",
                ], exit: .badAnswers)
        }
        if MachineFacts.isWireless(name), answers.wifi == nil {
            throw Diagnosis(
                "network.wireless",
                "\(name) is a wireless card, and the answers name no wireless network: the machine would be out of reach",
                remedies: ["KLDLOAD_WIFI_SSID=NAME, with KLDLOAD_NET_METHOD=dhcp", "or name a wired card: KLDLOAD_NET_IFACE"],
                exit: .badAnswers)
        }
    }
}

extension MachineFacts {
    /// By the names that udev or the kernel gives such cards: `wlp2s0`, `wlan0`.
    static func isWireless(_ interface: String) -> Bool { interface.hasPrefix("wl") }

    /// The cards that may have a fixed address: it does not go together with a wireless network.
    package var cabled: [String] { interfaces.filter { !Self.isWireless($0) } }
}

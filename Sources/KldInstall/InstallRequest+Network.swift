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

    /// A machine without its network is a machine out of reach. A sealed image runs elsewhere, and a factory's guest, which has no
    /// network card, installs for another machine as well: there the name is not known to be wrong.
    ///
    /// - Throws: ``Diagnosis`` `network.no-interface`.
    func checkInterface() throws {
        guard let name = interface, !sealed, !facts.interfaces.isEmpty, !facts.interfaces.contains(name) else { return }
        throw Diagnosis(
            "network.no-interface", "this machine has no network interface \(name)",
            remedies: [
                "it has: " + facts.interfaces.joined(separator: ", "), "or leave out KLDLOAD_NET_IFACE: then it is the wired one",
            ], exit: .badAnswers)
    }
}

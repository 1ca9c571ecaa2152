extension AnswersDraft {
    mutating func checkNetwork(_ answers: Answers) {
        checkWiFi()
        guard isSound("NET_METHOD") else { return }
        guard text("NET_METHOD") == "static" else {
            for stem in ["NET_IP", "NET_GW", "NET_PREFIX", "NET_DNS"] where isChosen(stem) {
                report(.networkConflict, stem, "the key belongs to a static address, and the method is dhcp")
            }
            return
        }
        for stem in ["NET_IP", "NET_GW"] where isSound(stem) && !isGiven(stem) {
            report(.networkIncomplete, stem, "a static address needs this key", remedy: "add KLDLOAD_\(stem)=…")
        }
        checkAddresses()
    }

    private mutating func checkAddresses() {
        guard isSound("NET_IP", "NET_PREFIX"), isGiven("NET_IP") else { return }
        let written = IPNetwork(text("NET_IP"))
        if let written, isGiven("NET_PREFIX"), number("NET_PREFIX") != written.prefix {
            report(
                .networkConflict, "NET_PREFIX", "KLDLOAD_NET_IP says the prefix is \(written.prefix)", remedy: "say it in one place")
            return
        }
        guard let network = Answers.address(self) else {
            report(.number, "NET_PREFIX", "\(number("NET_PREFIX")) is no prefix of an IPv4 network", remedy: "write one from 1 to 32")
            return
        }
        let isHostAddress = AnswersDraft.isHost(network.address, in: network)
        if !isHostAddress { report(.addressUnusable, "NET_IP", "no host of the network can have the address \(network)") }
        guard let gateway = IPAddress(text("NET_GW")), isSound("NET_GW") else { return }
        if !network.contains(gateway) {
            // A link-local gateway is how IPv6 routers announce themselves.
            if gateway.family == .v6, network.address.family == .v6, gateway.number >> 118 == 0x3FA { return }
            report(.gatewayOutside, "NET_GW", "\(gateway) does not lie in \(network.network)/\(network.prefix)")
        } else if gateway == network.address {
            report(.addressUnusable, "NET_GW", "the gateway has the machine's own address")
        } else if isHostAddress, !AnswersDraft.isHost(gateway, in: network) {
            report(.addressUnusable, "NET_GW", "no host of the network can have the address \(gateway)")
        }
    }

    /// Neither the network's own address nor that of all its hosts, which IPv4 sets aside in networks of more than two.
    private static func isHost(_ address: IPAddress, in network: IPNetwork) -> Bool {
        guard address.isUsableByHost else { return false }
        guard network.address.family == .v4, network.prefix < 31 else { return true }
        return address != network.network && address != network.last
    }

    private mutating func checkWiFi() {
        guard isSound("WIFI_SSID", "WIFI_PSK", "WIFI_PSK_FILE", "NET_METHOD") else { return }
        if let key = given(secret: "WIFI_PSK").first, !isGiven("WIFI_SSID") {
            report(.wifi, key, "there is a wireless passphrase and no network", remedy: "add KLDLOAD_WIFI_SSID")
        }
        if isGiven("WIFI_SSID"), text("NET_METHOD") == "static" {
            report(
                .wifi, "WIFI_SSID", "a wireless network and a static address do not go together", remedy: "use dhcp, or no wireless network"
            )
        }
    }
}

import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Recorded plans")
struct GoldenTests {
    static let examples = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent().appending("Examples")

    func compare(_ text: String, _ name: String) throws {
        if let difference = try Golden.difference(text, name) { Issue.record(Comment(rawValue: difference)) }
    }

    static var names: [String] {
        ((try? LocalFiles().list(examples)) ?? []).filter { $0.hasSuffix(".env") }.map { String($0.dropLast(4)) }
    }

    @Test("the plan of each example is the recorded one, with all that it writes", arguments: names)
    func example(_ name: String) throws {
        let answers = try Answers(
            bytes: LocalFiles().read(Self.examples.appending("\(name).env")), source: name)
        let planner = try InstallPlanner(request(answers, Machines.virtual, sealed: name == "golden-image"))
        try compare(planner.plan.text(contents: true), "example-\(name).txt")
    }

    @Test("there are examples") func some() { #expect(Self.names.count >= 11) }

    @Test("the plan for disks that have seen everything is the recorded one")
    func used() throws {
        let answers = try answers(
            disk: "/dev/sda", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb", "KLDLOAD_ZFS_SPECIAL_DISKS=")
        try compare(InstallPlanner(request(answers, Machines.used)).plan.text(contents: true), "used-disks.txt")
    }

    struct Class: CustomTestStringConvertible {
        var topology: Answers.Topology
        var release: (name: String, lines: String)
        var encrypted: Bool
        var sealed: Bool
        var testDescription: String { "\(topology.rawValue)-\(release.name)\(encrypted ? "-encrypted" : "")\(sealed ? "-sealed" : "")" }
    }

    static let releases = [
        ("debian12", "KLDLOAD_DEBIAN_SUITE=bookworm"), ("debian13", "KLDLOAD_DEBIAN_SUITE=trixie"),
        ("debian13-backports", "KLDLOAD_DEBIAN_SUITE=trixie\nKLDLOAD_DEBIAN_BACKPORTS=1"),
    ]

    /// The third release differs from the second in its title and one property: two topologies of it are enough to see that.
    static let classes: [Class] = Answers.Topology.allCases.flatMap { topology in
        releases.prefix(topology == .single || topology == .mirror ? 3 : 2).flatMap { release in
            [false, true].flatMap { encrypted in
                [false, true].map { Class(topology: topology, release: release, encrypted: encrypted, sealed: $0) }
            }
        }
    }

    @Test("the plan of each class of installation is the recorded one", arguments: classes)
    func combination(_ one: Class) throws {
        let disks = (0..<one.topology.minimumDisks).map { "/dev/vd\(["a", "b", "c", "d", "e"][$0])" }
        let facts = MachineFacts(
            disks: disks.map { BlockDevice(path: $0, size: .gibibytes(20)) },
            stableNames: Dictionary(uniqueKeysWithValues: disks.enumerated().map { ($1, "/dev/disk/by-id/virtio-disk\($0)") }))
        var lines = [one.release.lines, "KLDLOAD_ZFS_TOPOLOGY=\(one.topology.rawValue)"]
        if disks.count > 1 { lines.append("KLDLOAD_ZFS_DATA_DISKS=\(disks.dropFirst().joined(separator: ","))") }
        if one.encrypted { lines += ["KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse battery staple'"] }
        let plan = try InstallPlanner(request(answers(disk: disks[0], lines.joined(separator: "\n")), facts, sealed: one.sealed)).plan
        try compare(plan.text(), "class-\(one.testDescription).txt")
    }

    @Test("recorded files are those that are compared, and no others")
    func nothingElse() throws {
        let folder = FilePath(#filePath).removingLastComponent().appending("Golden")
        let expected =
            Self.names.map { "example-\($0).txt" } + Self.classes.map { "class-\($0.testDescription).txt" } + ["used-disks.txt"]
        #expect(try Set(LocalFiles().list(folder)) == Set(expected))
    }
}

@Suite("A wireless network")
struct WirelessTests {
    static func configuration(_ lines: String...) throws -> Action.Content? {
        let text = (["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/vda", "KLDLOAD_HOSTNAME=host"] + lines).joined(separator: "\n")
        let plan = try InstallPlanner(request(Answers(text), Machines.virtual)).plan
        return plan.steps.flatMap(\.actions).compactMap { action in
            if case .write("/target/etc/wpa_supplicant/kldload.conf", let content, .secret) = action { content } else { nil }
        }.first
    }

    @Test("a passphrase is quoted, a key of 64 digits is not, and a name is digits")
    func keys() throws {
        let start = "ctrl_interface=/run/wpa_supplicant\nupdate_config=0\nnetwork={\n\tssid=61222062\n\tscan_ssid=1\n"
        let key = String(repeating: "0f", count: 32)
        #expect(
            try Self.configuration(#"KLDLOAD_WIFI_SSID='a" b'"#, "KLDLOAD_WIFI_PSK='twelve \"letters'")
                == .secret(Secret(start + "\tpsk=\"twelve \"letters\"\n\tkey_mgmt=WPA-PSK SAE\n\tieee80211w=1\n}\n")))
        #expect(
            try Self.configuration(#"KLDLOAD_WIFI_SSID='a" b'"#, "KLDLOAD_WIFI_PSK=\(key)")
                == .secret(Secret(start + "\tpsk=\(key)\n\tkey_mgmt=WPA-PSK SAE\n\tieee80211w=1\n}\n")))
        #expect(try Self.configuration(#"KLDLOAD_WIFI_SSID='a" b'"#) == .secret(Secret(start + "\tkey_mgmt=NONE\n}\n")))
        #expect(try Self.configuration() == nil)
    }
}

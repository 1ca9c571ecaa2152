import FoundationEssentials
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
        let sealed = name == "golden-image"
        let planner = try InstallPlanner(request(answers, Machines.virtual, sealed: sealed))
        let plans = try sealed ? [planner.template, planner.image] : [planner.plan]
        try compare(plans.map { $0.text(contents: true) }.joined(separator: "\n"), "example-\(name).txt")
    }

    @Test("there are examples") func some() { #expect(Self.names.count >= 11) }

    @Test("the plan for disks that have seen everything is the recorded one")
    func used() throws {
        let answers = try answers(
            disk: "/dev/sda", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb", "KLDLOAD_ZFS_SPECIAL_DISKS=")
        try compare(InstallPlanner(request(answers, Machines.used)).plan.text(contents: true), "used-disks.txt")
    }

    @Test("facts that an installed machine printed, with other disks in it, replay: their plan is the recorded one")
    func recordedFacts() throws {
        let file = FilePath(#filePath).removingLastComponent().appending("Golden/facts-installed.json")
        let facts = try JSONDecoder().decode(MachineFacts.self, from: Data(LocalFiles().read(file)))
        let answers = try answers(disk: "/dev/disk/by-id/virtio-tdisk", "KLDLOAD_ZFS_POOL=tank", "KLDLOAD_FORCE_WIPE=1")
        try compare(InstallPlanner(request(answers, facts)).plan.text(), "facts-installed.txt")
        let used = #expect(throws: Diagnosis.self) { try InstallPlanner(request(answers.replacing(["KLDLOAD_DISK=/dev/vda"]), facts)) }
        #expect(used?.code == "disk.in-use")
        let small = #expect(throws: Diagnosis.self) { try InstallPlanner(request(answers.replacing(["KLDLOAD_DISK=/dev/vdd"]), facts)) }
        #expect(small?.code == "disk.too-small")
    }

    @Test("the plan for a boot environment in two parts is the recorded one")
    func parts() throws {
        let answers = try Answers(bytes: LocalFiles().read(Self.examples.appending("three-lines.env")), source: "three-lines")
        var request = try request(answers, Machines.virtual)
        request.payload.source = increment
        try compare(InstallPlanner(request).plan.text(), "increment.txt")
    }

    /// One kind of installation, or of image, that a command can be asked for.
    struct Class {
        enum Firmware: String, CaseIterable {
            case bios, uefi
            /// UEFI that starts only what is signed.
            case enforcing
        }
        enum Network: String, CaseIterable {
            case dhcp, wireless
            case fixed = "static"
        }

        var topology = Answers.Topology.single
        var release: (name: String, lines: String)
        var profile = Answers.Profile.server
        var firmware = Firmware.uefi
        var network = Network.dhcp
        var encrypted = false
        var special = false
        /// The machine signs what it boots.
        var signed = true
        /// GRUB starts it.
        var grub = false
        /// An image: a template, and what is made of a copy of it.
        var sealed = false

        var name: String {
            let words: [String] = [
                sealed ? "image" : topology.rawValue, release.name, profile.rawValue, firmware.rawValue, network.rawValue,
                encrypted ? "encrypted" : "", special ? "special" : "", signed ? "signed" : "",
                grub ? "grub" : "",
            ]
            return words.filter { !$0.isEmpty }.joined(separator: " ")
        }

        /// Each plan that is applied, by its name.
        func plans() throws -> [(name: String, plan: Plan)] {
            let count = topology.minimumDisks, more = special ? topology.toleratedLosses(disks: topology.minimumDisks) + 1 : 0
            let disks = "abcdefghij".prefix(count + more).map { "/dev/vd\($0)" }
            var facts = MachineFacts(
                disks: disks.map { BlockDevice(path: $0, size: .gibibytes(20)) },
                stableNames: Dictionary(uniqueKeysWithValues: disks.enumerated().map { ($1, "/dev/disk/by-id/virtio-disk\($0)") }),
                firmwareEntries: firmware != .bios)
            facts.secureBoot = firmware == .enforcing
            var lines = [release.lines, "KLDLOAD_PROFILE=\(profile.rawValue)", "KLDLOAD_ZFS_TOPOLOGY=\(topology.rawValue)"]
            if count > 1 { lines.append("KLDLOAD_ZFS_DATA_DISKS=\(disks[1..<count].joined(separator: ","))") }
            if special { lines.append("KLDLOAD_ZFS_SPECIAL_DISKS=\(disks[count...].joined(separator: ","))") }
            if encrypted { lines += ["KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse battery staple'"] }
            switch network {
            case .dhcp: break
            case .wireless: lines += ["KLDLOAD_WIFI_SSID=office", "KLDLOAD_WIFI_PSK='correct horse'"]
            case .fixed: lines += ["KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=192.0.2.5", "KLDLOAD_NET_GW=192.0.2.1"]
            }
            if !signed { lines.append("KLDLOAD_ENABLE_SECURE_BOOT=0") }
            if grub { lines.append("KLDLOAD_BOOTLOADER=grub") }
            let planner = try InstallPlanner(request(answers(disk: disks[0], lines.joined(separator: "\n")), facts, sealed: sealed))
            guard sealed else { return [(name, try planner.plan)] }
            return [("\(name), template", try planner.template), ("\(name), copy", try planner.image)]
        }
    }

    static let releases = [
        ("debian12", "KLDLOAD_DEBIAN_SUITE=bookworm"), ("debian13", "KLDLOAD_DEBIAN_SUITE=trixie"),
        ("debian13-backports", "KLDLOAD_DEBIAN_SUITE=trixie\nKLDLOAD_DEBIAN_BACKPORTS=1"),
    ]

    static let profiles: [Answers.Profile] = [.core, .server, .kvm, .desktop]

    /// 6 topologies, 3 releases, 3 kinds of firmware, encrypted, special, signed or not: 432 machines. On one disk 4 profiles and 3 networks,
    /// but for what is among those: 198 more. 3 releases, 4 profiles, 2 kinds of firmware, 2 networks, signed or not: 96 images. By GRUB, of
    /// each release: 6 topologies, encrypted or not, signed or not, with firmware that enforces or does not, and an image: 147.
    static let classes: [Class] = releases.flatMap { machines($0) + systems($0) + images($0) } + releases.flatMap(grubs)

    static func machines(_ release: (String, String)) -> [Class] {
        var all: [Class] = []
        for topology in Answers.Topology.allCases {
            for firmware in Class.Firmware.allCases {
                for bits in 0..<8 {
                    all.append(
                        Class(
                            topology: topology, release: release, firmware: firmware, encrypted: bits & 1 != 0, special: bits & 2 != 0,
                            signed: bits & 4 == 0))
                }
            }
        }
        return all
    }

    static func systems(_ release: (String, String)) -> [Class] {
        var all: [Class] = []
        for profile in profiles {
            for network in Class.Network.allCases where profile != .server || network != .dhcp {
                for firmware in Class.Firmware.allCases {
                    for encrypted in [false, true] {
                        all.append(Class(release: release, profile: profile, firmware: firmware, network: network, encrypted: encrypted))
                    }
                }
            }
        }
        return all
    }

    static func grubs(_ release: (String, String)) -> [Class] {
        var all = [Class(release: release, grub: true, sealed: true)]
        for topology in Answers.Topology.allCases {
            for firmware in [Class.Firmware.uefi, .enforcing] {
                for bits in 0..<4 {
                    all.append(
                        Class(
                            topology: topology, release: release, firmware: firmware, encrypted: bits & 1 != 0, signed: bits & 2 == 0,
                            grub: true))
                }
            }
        }
        return all
    }

    static func images(_ release: (String, String)) -> [Class] {
        var all: [Class] = []
        for profile in profiles {
            for network in [Class.Network.dhcp, .fixed] {
                for firmware in [Class.Firmware.bios, .uefi] {
                    for signed in [true, false] {
                        all.append(
                            Class(release: release, profile: profile, firmware: firmware, network: network, signed: signed, sealed: true))
                    }
                }
            }
        }
        return all
    }

    /// Plans share most of their steps: each step's text stands once, numbered, and a plan is the list of its numbers.
    @Test("the plan of each class of installation is the recorded one")
    func combinations() throws {
        #expect(Self.classes.count == 432 + 198 + 96 + 147)
        #expect(Set(Self.classes.map(\.name)).count == Self.classes.count)
        var numbers: [String: Int] = [:]
        var texts: [String] = []
        var plans: [String] = []
        for (name, plan) in try Self.classes.flatMap({ try $0.plans() }) {
            var blocks: [String] = []
            for line in plan.text().split(separator: "\n", omittingEmptySubsequences: true) {
                // Actions are indented deeper than the step they belong to, which stands below its phase.
                if line.hasPrefix("      "), let last = blocks.popLast() {
                    blocks.append("\(last)\n\(line)")
                } else {
                    blocks.append(String(line))
                }
            }
            let list = blocks.map { block in
                if let known = numbers[block] { return known }
                texts.append(block)
                numbers[block] = texts.count
                return texts.count
            }
            plans.append("\(name): \(Self.ranges(list))")
        }
        let steps = texts.enumerated().map { "[\($0 + 1)]\n\($1)" }
        try compare((["# steps"] + steps + ["", "# plans"] + plans).joined(separator: "\n") + "\n", "classes.txt")
    }

    /// `1-4 9 11-12`.
    static func ranges(_ numbers: [Int]) -> String {
        var parts: [(first: Int, last: Int)] = []
        for number in numbers {
            if let last = parts.last, last.last + 1 == number {
                parts[parts.count - 1].last = number
            } else {
                parts.append((number, number))
            }
        }
        return parts.map { $0.first == $0.last ? "\($0.first)" : "\($0.first)-\($0.last)" }.joined(separator: " ")
    }

    @Test("recorded files are those that are compared, and no others")
    func nothingElse() throws {
        let folder = FilePath(#filePath).removingLastComponent().appending("Golden")
        let expected =
            Self.names.map { "example-\($0).txt" } + [
                "classes.txt", "increment.txt", "used-disks.txt", "facts-installed.json", "facts-installed.txt",
            ]
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

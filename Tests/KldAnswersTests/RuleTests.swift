import KldAnswers
import KldCore
import Testing

@Suite struct Rules {
    static func disks(_ count: Int) -> String {
        "KLDLOAD_ZFS_DATA_DISKS='" + (0..<count).map { "/dev/vd\(["b", "c", "d", "e", "f", "g", "h"][$0])" }.joined(separator: " ") + "'"
    }

    @Test(arguments: [
        ("single", 0, true), ("single", 1, false), ("mirror", 0, false), ("mirror", 1, true), ("mirror", 3, true), ("raidz1", 1, false),
        ("raidz1", 2, true), ("raidz2", 2, false), ("raidz2", 3, true), ("raidz3", 3, false), ("raidz3", 4, true),
        ("mirror-stripe", 1, false),
        ("mirror-stripe", 2, false), ("mirror-stripe", 3, true), ("mirror-stripe", 4, false), ("mirror-stripe", 5, true),
    ])
    func aTopologyTakesItsNumberOfDisks(topology: String, others: Int, fits: Bool) {
        #expect(codes("KLDLOAD_ZFS_TOPOLOGY=\(topology)", Self.disks(others)) == (fits ? [] : [.diskCount]))
    }

    @Test(arguments: [
        ("single", 0, 1, true), ("single", 0, 2, true), ("mirror", 1, 1, false), ("mirror", 1, 2, true), ("mirror", 2, 2, false),
        ("raidz1", 2, 2, true), ("raidz2", 3, 2, false), ("raidz2", 3, 3, true), ("mirror-stripe", 3, 2, true), ("single", 0, 3, true),
        ("mirror", 1, 4, true), ("raidz1", 2, 4, true), ("raidz2", 3, 6, true),
    ])
    func aSpecialVdevIsAsSafeAsTheRoot(topology: String, others: Int, special: Int, fits: Bool) {
        let disks = (1...special).map { "/dev/nvme\($0)n1" }.joined(separator: ",")
        #expect(
            codes("KLDLOAD_ZFS_TOPOLOGY=\(topology)", Self.disks(others), "KLDLOAD_ZFS_SPECIAL_DISKS=\(disks)")
                == (fits ? [] : [.specialRedundancy]))
    }

    /// Each would be refused when the pool is made: `zfs.vdev.special`.
    @Test(arguments: [
        ("mirror", 1, 3, "2 or 4"), ("mirror", 2, 4, "3 or 6"), ("raidz1", 2, 3, "2 or 4"), ("raidz2", 3, 4, "3 or 6"),
        ("mirror-stripe", 3, 5, "4 or 6"),
    ])
    func specialDisksFormMirrorsOfOneWidth(topology: String, others: Int, special: Int, fitting: String) {
        let disks = (1...special).map { "/dev/nvme\($0)n1" }.joined(separator: ",")
        let found = problems(
            threeLines + "KLDLOAD_ZFS_TOPOLOGY=\(topology)\n\(Self.disks(others))\nKLDLOAD_ZFS_SPECIAL_DISKS=\(disks)\n")
        #expect(found.map(\.code) == [.specialCount])
        #expect(found.first?.remedy == "give \(fitting) special disks")
    }

    @Test func disksAreDistinct() {
        #expect(codes("KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sda") == [.duplicateDisk])
        #expect(codes("KLDLOAD_ZFS_SPECIAL_DISKS=/dev/sda") == [.duplicateDisk])
        #expect(codes("KLDLOAD_ZFS_TOPOLOGY=raidz1", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb,/dev/sdb") == [.duplicateDisk])
    }

    @Test func encryptionAndPassphraseGoTogether() throws {
        #expect(codes("KLDLOAD_ZFS_ENCRYPT=1") == [.passphraseMissing])
        #expect(codes("KLDLOAD_ZFS_PASSPHRASE=battery-staple") == [.passphraseUnused])
        #expect(codes("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE=1234567") == [.passphrase])
        #expect(codes("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE=" + String(repeating: "x", count: 513)) == [.passphrase])
        let answers = try answers("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse'")
        #expect(answers.passphrase?.reveal() == "correct horse")
    }

    @Test func aSecretIsGivenInOneWay() {
        #expect(codes("KLDLOAD_PASSWORD=x", "KLDLOAD_PASSWORD_FILE=/x") == [.passwordConflict])
        #expect(codes("KLDLOAD_PASSWORD_FILE=/x", "KLDLOAD_PASSWORD_HASH_FILE=/y") == [.passwordConflict])
        #expect(codes("KLDLOAD_ROOT_PASSWORD=x", "KLDLOAD_ROOT_PASSWORD_HASH_FILE=/y") == [.passwordConflict])
        #expect(codes("KLDLOAD_ROOT_PASSWORD_HASH_FILE=/x", "KLDLOAD_ROOT_PASSWORD_FILE=/y") == [.passwordConflict])
        #expect(codes("KLDLOAD_PASSWORD=x", "KLDLOAD_ROOT_PASSWORD=x") == [])
        #expect(codes("KLDLOAD_MOK_PASSWORD=x", "KLDLOAD_MOK_PASSWORD_FILE=/y") == [.passwordConflict])
        #expect(
            codes("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE=battery-staple", "KLDLOAD_ZFS_PASSPHRASE_FILE=/x") == [.passwordConflict]
        )
    }

    @Test(arguments: [
        (["NET_IP=10.0.1.50", "NET_GW=10.0.1.1"], [AnswersProblem.Code]()),
        (["NET_IP=10.0.1.50/16", "NET_GW=10.0.200.1"], []),
        (["NET_IP=2001:db8::50", "NET_GW=2001:db8::1"], []),
        (["NET_IP=2001:db8::50", "NET_GW=fe80::1"], []),
        (["NET_IP=10.0.1.50/31", "NET_GW=10.0.1.51"], []),
        ([], [.networkIncomplete, .networkIncomplete]),
        (["NET_IP=10.0.1.50"], [.networkIncomplete]),
        (["NET_IP=10.0.1.50", "NET_GW=10.0.2.1"], [.gatewayOutside]),
        (["NET_IP=10.0.1.50", "NET_GW=2001:db8::1"], [.gatewayOutside]),
        (["NET_IP=10.0.1.50/24", "NET_PREFIX=16", "NET_GW=10.0.1.1"], [.networkConflict]),
        (["NET_IP=10.0.1.50", "NET_PREFIX=64", "NET_GW=10.0.1.1"], [.number]),
        (["NET_IP=10.0.1.0", "NET_GW=10.0.1.1"], [.addressUnusable]),
        (["NET_IP=127.0.0.1", "NET_GW=127.0.0.2"], [.addressUnusable]),
        (["NET_IP=224.0.0.1", "NET_GW=224.0.0.2"], [.addressUnusable]),
        (["NET_IP=10.0.1.50", "NET_GW=10.0.1.50"], [.addressUnusable]),
        (["NET_IP=10.0.1.50", "NET_GW=10.0.1.255"], [.addressUnusable]),
        (["NET_IP=10.0.1.300", "NET_GW=10.0.1.1"], [.ipAddress]),
        (["NET_IP=10.0.1.50", "NET_GW=10.0.1.1", "NET_DNS=1.1.1.1,dns.example"], [.ipAddress]),
        (["NET_IP=10.0.1.50", "NET_GW=10.0.1.1", "WIFI_SSID=office"], [.wifi]),
    ])
    func aStaticNetworkIsConsistent(lines: [String], expected: [AnswersProblem.Code]) {
        let text = (["NET_METHOD=static"] + lines).map { "KLDLOAD_\($0)\n" }.joined()
        #expect(problems(threeLines + text).map(\.code) == expected)
    }

    @Test func staticSettingsWithDHCPAreRefused() {
        #expect(codes("KLDLOAD_NET_IP=10.0.1.50", "KLDLOAD_NET_GW=10.0.1.1") == [.networkConflict, .networkConflict])
        #expect(codes("KLDLOAD_NET_DNS=1.1.1.1") == [.networkConflict])
        // A default that is written down contradicts nothing, and an interface may be named with DHCP too.
        #expect(codes("KLDLOAD_NET_PREFIX=24", "KLDLOAD_NET_IFACE=eth0") == [])
    }

    @Test func wipingNamesADisk() throws {
        #expect(try answers().forceWipe == false)
        #expect(try answers("KLDLOAD_FORCE_WIPE=0").forceWipe == false)
        #expect(try answers("KLDLOAD_FORCE_WIPE=1").forceWipe)
        let automatic = problems(threeLines, overrides: ["KLDLOAD_DISK=auto", "KLDLOAD_FORCE_WIPE=1"])
        #expect(automatic.map(\.code) == [.wipeWithoutDisk])
        #expect(automatic.first?.remedy.hasPrefix("remove KLDLOAD_FORCE_WIPE: ") == true)
        // Without the approval the other disks could not be wiped: removing it is no advice then.
        let mirror = problems(
            threeLines,
            overrides: ["KLDLOAD_DISK=auto", "KLDLOAD_FORCE_WIPE=1", "KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb"])
        #expect(mirror.map(\.remedy) == ["name KLDLOAD_DISK by its path too, as the other disks are"])
    }

    @Test func copyingNeedsAPlaceAndAnImage() {
        #expect(codes("KLDLOAD_EXPORT_SCP_KEY=/root/.ssh/id") == [.exportTarget])
        #expect(codes("KLDLOAD_EXPORT_SCP_HOST=images.example") == [.exportTarget])
        #expect(codes("KLDLOAD_EXPORT_SCP_USER=root", "KLDLOAD_EXPORT_SCP_PATH=/root/") == [])
        let target = ["KLDLOAD_EXPORT_FORMAT=qcow2", "KLDLOAD_EXPORT_SCP_HOST=2001:db8::5"]
        #expect(codes(target[0], target[1], "KLDLOAD_EXPORT_SCP_PASS=x") == [])
        #expect(codes(target[0], target[1], "KLDLOAD_EXPORT_SCP_PASS=x", "KLDLOAD_EXPORT_SCP_KEY=/k") == [.exportLogin])
        #expect(codes(target[0], target[1], "KLDLOAD_EXPORT_SCP_PASS_FILE=/x", "KLDLOAD_EXPORT_SCP_KEY=/k") == [.exportLogin])
        #expect(codes("KLDLOAD_EXPORT_SCP_PASS_FILE=/x") == [.exportTarget])
    }

    /// Each would be refused when the image is to be built.
    @Test func whatNoImageCanBeIsRefused() {
        for (profile, size) in [("core", 4), ("server", 8), ("ai", 8), ("desktop", 12), ("kvm", 16)] {
            #expect(codes("KLDLOAD_PROFILE=\(profile)", "KLDLOAD_DISK_SIZE=\(size)G") == [])
            #expect(codes("KLDLOAD_PROFILE=\(profile)", "KLDLOAD_DISK_SIZE=\(size * 1024 - 1)M") == [.size])
            // A machine's own disk has its own size.
            #expect(codes("KLDLOAD_PROFILE=\(profile)") == [])
        }
        #expect(codes("KLDLOAD_PROFILE=none", "KLDLOAD_DISK_SIZE=4G") == [.choice])
        let small = problems(threeLines + "KLDLOAD_PROFILE=kvm\nKLDLOAD_DISK_SIZE=8G\n")
        #expect(small.map(\.remedy) == ["write 16G or more, or choose another profile"])
        let target = ["KLDLOAD_EXPORT_FORMAT=raw", "KLDLOAD_EXPORT_SCP_HOST=images.example"]
        #expect(codes(target[0], target[1], "KLDLOAD_EXPORT_SCP_PATH=/srv/a-b_c/2026,1@x") == [])
        for path in ["/srv/my images", "/srv/$HOME", "/srv/;reboot", "/srv/*"] {
            #expect(codes(target[0], target[1], "KLDLOAD_EXPORT_SCP_PATH='\(path)'") == [.path], "\(path)")
        }
    }

    @Test(arguments: [
        ("alpine", "PROFILE=server", [AnswersProblem.Code.profile]), ("alpine", "PROFILE=core", []), ("arch", "PROFILE=desktop", []),
        ("debian", "DEBIAN_SUITE=noble", [.release]), ("ubuntu", "DEBIAN_SUITE=noble", []), ("ubuntu", "DEBIAN_SUITE=trixie", [.release]),
        ("rocky", "DEBIAN_SUITE=trixie", []), ("rocky", "DEBIAN_SUITE=bookworm", [.release]), ("rocky", "RELEASE=10", []),
        ("debian", "RELEASE=9", []), ("debian", "RELEASE=10", [.release]), ("ubuntu", "DEBIAN_BACKPORTS=1", [.release]),
        ("debian", "DEBIAN_BACKPORTS=1", []), ("fedora", "FEDORA_RELEASE=45", []), ("debian", "WINDOWS_INDEX=2", [.release]),
        ("rhel", "CUSTOM_MIRROR_URL=https://mirror.example/rhel", []), ("rhel", "RHEL_USERNAME=me", [.subscription]),
        ("rhel", "RELEASE=9", [.subscription]),
    ])
    func releasesAndProfilesFitTheDistribution(distro: String, line: String, expected: [AnswersProblem.Code]) {
        #expect(problems("KLDLOAD_DISTRO=\(distro)\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_\(line)\n").map(\.code) == expected)
    }

    @Test func aSubscriptionHasOneForm() {
        let rhel = "KLDLOAD_DISTRO=rhel\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_RHEL_USERNAME=me\nKLDLOAD_RHEL_PASSWORD=pw\n"
        #expect(problems(rhel) == [])
        #expect(problems(rhel + "KLDLOAD_RHEL_ORG=1\nKLDLOAD_RHEL_KEY=k\n").map(\.code) == [.subscription])
        let key = "KLDLOAD_DISTRO=rhel\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_RHEL_KEY_FILE=/k\n"
        #expect(problems(key).map(\.code) == [.subscription])
        #expect(problems(key + "KLDLOAD_RHEL_ORG=1\n") == [])
    }

    @Test func aWirelessPassphraseInAFileNeedsItsNetworkToo() {
        #expect(codes("KLDLOAD_WIFI_PSK_FILE=/x") == [.wifi])
        #expect(codes("KLDLOAD_WIFI_PSK_FILE=/x", "KLDLOAD_WIFI_SSID=office") == [])
    }

    @Test func bothBootLoadersAreAccepted() {
        #expect(codes("KLDLOAD_BOOTLOADER=grub") == [])
        #expect(codes("KLDLOAD_BOOTLOADER=systemd-boot") == [])
    }

    /// Which distributions can be installed is known in another module.
    @Test func whatCannotBeInstalledIsReportedWithTheRest() throws {
        func unsupported(_ answers: Answers) -> Diagnosis? {
            if answers.distro == .debian, !answers.backports { return nil }
            return Diagnosis("distro.unsupported", "no \(answers.distro.rawValue) \(answers.release)", remedies: ["take debian"])
        }
        func found(_ text: String) throws -> [AnswersProblem] {
            try #require(throws: AnswersError.self) { try Answers(text, unsupported: unsupported) }.problems
        }
        let rocky = try found("KLDLOAD_HOSTNAME=a_b\nKLDLOAD_DISTRO=rocky\nKLDLOAD_DISK=/dev/sda\n")
        #expect(rocky.map(\.code) == [.hostname, .unsupported])
        #expect(rocky.last?.description == "line 2: KLDLOAD_DISTRO: no rocky 9 (distro.unsupported)")
        #expect(rocky.last?.remedy == "take debian")
        let backports = try found(threeLines + "KLDLOAD_DEBIAN_BACKPORTS=1\nKLDLOAD_SUITE=bookworm\n")
        #expect(backports.map(\.key) == ["KLDLOAD_DEBIAN_BACKPORTS"])
        // A suite of another distribution is not also one that cannot be installed.
        #expect(try found("KLDLOAD_DISTRO=ubuntu\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_SUITE=trixie\n").map(\.code) == [.release])
        #expect(throws: Never.self) { try Answers(threeLines, unsupported: unsupported) }
    }

    @Test func aClusterHasRoomForItsNodes() throws {
        #expect(codes("KLDLOAD_INFRA_MODE=cluster") == [.cluster])
        #expect(codes("KLDLOAD_CLUSTER_CIDR=10.100.0.0/24") == [.cluster])
        #expect(codes("KLDLOAD_INFRA_MODE=cluster", "KLDLOAD_CLUSTER_CIDR=10.100.0.0/28") == [.cluster])
        let answers = try answers("KLDLOAD_INFRA_MODE=cluster-manager", "KLDLOAD_CLUSTER_CIDR=10.100.0.0/24", "KLDLOAD_CLUSTER_SIZE=254")
        #expect(answers.infrastructure.mode == .cluster)
        #expect(answers.infrastructure.size == 254)
    }

    @Test func stayingAndLeavingContradict() throws {
        #expect(codes("KLDLOAD_NO_AUTO_REBOOT=1", "KLDLOAD_AFTER_INSTALL=reboot") == [.afterInstall])
        #expect(try answers("KLDLOAD_NO_AUTO_REBOOT=1").afterInstall == .stay)
    }

    @Test func variantsBelongToTheirLayout() throws {
        #expect(codes("KLDLOAD_KEYBOARD_LAYOUT=de", "KLDLOAD_KEYBOARD_VARIANT=nodeadkey") == [.keyboardVariant])
        #expect(codes("KLDLOAD_KEYBOARD_VARIANT=nodeadkeys") == [.keyboardVariant])
        #expect(try answers("KLDLOAD_KEYBOARD_LAYOUT=de", "KLDLOAD_KEYBOARD_VARIANT=nodeadkeys").keyboard.variant == "nodeadkeys")
    }

    @Test func allProblemsAreReportedAtOnce() {
        let found = problems(
            "KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_HOSTNAME=a_b\nKLDLOAD_TIMEZNOE=UTC\nKLDLOAD_ZFS_TOPOLOGY=mirror\n"
                + "KLDLOAD_NET_METHOD=static\nKLDLOAD_NET_IP=10.0.1.50\nKLDLOAD_PASSWORD='x\n")
        #expect(found.map(\.code) == [.hostname, .unknownKey, .diskCount, .unterminatedQuote, .networkIncomplete])
    }
}

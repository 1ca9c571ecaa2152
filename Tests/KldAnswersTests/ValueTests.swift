import KldAnswers
import KldCore
import Testing

@Suite struct Values {
    @Test(arguments: ["a", "web-01", "WEB-01", "a.b.example", "1a", String(repeating: "x", count: 63)])
    func hostNamesAreAccepted(name: String) throws {
        #expect(try answers(overrides: ["KLDLOAD_HOSTNAME=\(name)"]).hostname.value == name.lowercased())
    }

    @Test(arguments: ["-a", "a-", "a_b", "a..b", ".a", "a.", "123", "10.0.0.1", "a b", "é", String(repeating: "x", count: 64)])
    func hostNamesAreRefused(name: String) {
        #expect(problems(threeLines, overrides: ["KLDLOAD_HOSTNAME=\(name)"]).map(\.code) == [.hostname])
    }

    @Test func hostNamesHaveParts() {
        #expect(HostName("web.example.org")?.short == "web")
        #expect(HostName("web.example.org")?.domain == "example.org")
        #expect(HostName("web")?.domain == nil)
    }

    @Test(arguments: [
        ("USERNAME=ops", [AnswersProblem.Code]()), ("USERNAME=_svc-1", []), ("USERNAME=Ops", [.username]), ("USERNAME=1ops", [.username]),
        ("USERNAME=root", [.reservedUsername]), ("USERNAME=systemd-x", [.reservedUsername]),
        ("USERNAME=dhcpcd", [.reservedUsername]), ("USERNAME=clock", [.reservedUsername]), ("USERNAME=_ssh", [.reservedUsername]),
        ("USERNAME=a.b", [.username]),
        ("PASSWORD=a:b", [.password]), ("ROOT_PASSWORD=a:b", [.password]),
        ("TIMEZONE=Europe/Kyiv", []), ("TIMEZONE=US/Pacific", []), ("TIMEZONE=Factory", [.timezone]),
        ("TIMEZONE=../etc/passwd", [.timezone]),
        ("TIMEZONE=utc", [.timezone]), ("LOCALE=de_DE.utf8", []), ("LOCALE=C.UTF-8", []), ("LOCALE=de_DE", [.locale]),
        ("LOCALE=de_DE.ISO-8859-1", [.locale]), ("KEYBOARD_LAYOUT=de", []), ("KEYBOARD_LAYOUT=xx", [.keyboardLayout]),
        ("DISK_SIZE=8G", []), ("DISK_SIZE=8GiB", []), ("DISK_SIZE=16384m", []), ("DISK_SIZE=64T", []), ("DISK_SIZE=65T", [.size]),
        // An installation needs 4 GiB.
        ("DISK_SIZE=4095M", [.size]), ("DISK_SIZE=2G", [.size]), ("DISK_SIZE=1G", [.size]), ("DISK_SIZE=G", [.size]),
        ("DISK_SIZE=18446744073709551616", [.size]), ("DISK_SIZE=999999999999999T", [.size]), ("DISK_SIZE=8.5G", [.size]),
        ("ZBM_TIMEOUT=0", []), ("ZBM_TIMEOUT=-1", [.number]), ("ZBM_TIMEOUT=1.5", [.number]),
        ("EXTRA_PACKAGES=vim,tmux htop", []), ("EXTRA_PACKAGES=-y", [.package]), ("EXTRA_PACKAGES=a;b", [.package]),
        ("EXPORT_FORMAT=qcow2,raw", []), ("EXPORT_FORMAT=all", []), ("EXPORT_FORMAT=all,raw", [.choice]), ("EXPORT_FORMAT=vdi", [.choice]),
        ("CUSTOM_MIRROR_URL=https://mirror.example/debian/", []), ("CUSTOM_MIRROR_URL=http://[2001:db8::1]:3142/debian", []),
        ("CUSTOM_MIRROR_URL=https://user:pass@mirror.example/", [.url]), ("CUSTOM_MIRROR_URL=https:///x", [.url]),
        ("CUSTOM_MIRROR_URL=https://a:99999/", [.url]), ("CUSTOM_MIRROR_URL=file:///etc", [.url]),
        ("CUSTOM_MIRROR_URL=https://a b/", [.url]),
        ("CONSOLE=ttyS0,115200n8", []), ("CONSOLE=tty0 init=/bin/sh", [.console]), ("BOOTLOADER_ID=../x", [.label]),
        ("ZFS_POOL=tank", []), ("ZFS_POOL=raidz1", [.poolName]), ("ZFS_POOL=c0t0", [.poolName]), ("ZFS_POOL=log", [.poolName]),
        ("ZFS_POOL=a/b", [.poolName]), ("NET_IFACE=lo", [.interface]), ("NET_IFACE=enp1s0.5", []), ("NET_IFACE=../x", [.interface]),
        ("EXPORT_DIR=/a/../b", [.path]), ("WIREGUARD=2", [.bool]), ("STORAGE_MODE=ext4", [.choice]), ("ENABLE_ZFS=0", [.choice]),
        ("NVIDIA_DRIVERS=auto", []), ("WIFI_SSID=caf\u{E9}", []),
        ("MOK_PASSWORD= open  sesame ~", []), ("MOK_PASSWORD=s\u{E9}same", [.mokPassword]), ("MOK_PASSWORD=a\tb", [.mokPassword]),
        ("WIREGUARD_PRIVATE_KEY=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", []), ("WIREGUARD_PRIVATE_KEY=AAAA", [.wireguardKey]),
    ])
    func valuesAreHeldToTheirTypes(line: String, expected: [AnswersProblem.Code]) {
        #expect(problems(threeLines, overrides: ["KLDLOAD_" + line]).map(\.code) == expected)
    }

    @Test(arguments: [
        ("/dev/sdb", [AnswersProblem.Code]()), ("/dev/nvme0n1", []), ("/dev/disk/by-id/nvme-Samsung_SSD_980_S64-1", []), ("/dev/md127", []),
        ("/dev/disk/by-path/pci-0000:00:1f.2-ata-1", []), ("/dev/mapper/lab-root1", []), ("auto", []), ("/dev/dm-0", []), ("/dev/zd16", []),
        ("/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", []), ("/dev/vda", []), ("/dev/disk/by-id/sda1", []), ("/dev/nvme10n1", []),
        ("sda", [.disk]), ("/dev/", [.disk]), ("/dev", [.disk]), ("/dev/../etc/passwd", [.disk]), ("/dev//sda", [.disk]),
        ("/tmp/x", [.disk]),
        ("/dev/sda;reboot", [.disk]), ("/dev/sda1", [.diskIsPartition]), ("/dev/vdb12", [.diskIsPartition]),
        ("/dev/nvme0n1p1", [.diskIsPartition]),
        ("/dev/mmcblk0p2", [.diskIsPartition]), ("/dev/disk/by-id/ata-x-part1", [.diskIsPartition]),
        ("/dev/disk/by-uuid/1234", [.diskIsPartition]),
    ])
    func disksAreWholeDisks(path: String, expected: [AnswersProblem.Code]) {
        #expect(problems(threeLines, overrides: ["KLDLOAD_DISK=\(path)"]).map(\.code) == expected)
    }

    @Test(arguments: [
        "$6$saltsalt$" + String(repeating: "a", count: 86), "$6$rounds=5000$salt$" + String(repeating: "a", count: 86),
        "$5$salt$" + String(repeating: "a", count: 43), "$y$j9T$saltsaltsalt$" + String(repeating: "a", count: 43),
        "$2b$12$" + String(repeating: "a", count: 53), "$2y$04$" + String(repeating: "a", count: 53),
        "$2b$31$" + String(repeating: "a", count: 53), "$5$rounds=999999999$salt$" + String(repeating: "a", count: 43),
        "$6$rounds=1000$0123456789abcdef$" + String(repeating: "a", count: 86), "$y$j9T$$" + String(repeating: "a", count: 43),
        "$gy$j9T$salt$" + String(repeating: "a", count: 43), "$7$CU..../....salt$" + String(repeating: "a", count: 43),
    ])
    func soundPasswordHashesAreAccepted(hash: String) throws {
        #expect(try answers("KLDLOAD_PASSWORD_HASH='\(hash)'").credentials == .hash(Secret(hash)))
    }

    @Test(arguments: [
        "secret", "$1$salt$5cDKTiZBSPWbgSTdSmiaz.", "$6$salt$short", "$6$" + String(repeating: "a", count: 86), "!", "*", "$6$a:b$c",
    ])
    func weakOrBrokenPasswordHashesAreRefused(hash: String) {
        #expect(codes("KLDLOAD_PASSWORD_HASH='\(hash)'") == [.passwordHash])
    }

    /// Whoever has one of these in /etc/shadow never logs in.
    @Test(arguments: [
        ("$6$rounds=abc$salt$", 86), ("$6$rounds=999$salt$", 86), ("$6$rounds=05000$salt$", 86), ("$6$rounds=1000000000$salt$", 86),
        ("$6$rounds=$salt$", 86), ("$5$rounds=5000$rounds=5000$salt$", 43), ("$6$rounds=5000$", 86), ("$6$$", 86),
        ("$6$0123456789abcdefg$", 86), ("$6$a$b$", 86), ("$2b$99$", 53), ("$2b$32$", 53), ("$2b$03$", 53), ("$2b$4$", 53), ("$2b$1a$", 53),
        ("$y$$salt$", 43), ("$y$j9T$", 43), ("$7$short$", 43), ("$1$salt$", 22),
    ])
    func hashesThatNoPasswordMatchesAreRefused(settings: String, length: Int) {
        #expect(codes("KLDLOAD_PASSWORD_HASH='\(settings)\(String(repeating: "a", count: length))'") == [.passwordHash])
    }

    @Test(arguments: ["yes", "true", "on"])
    func aSwitchInWordsIsExplained(word: String) {
        let problem = problems(threeLines, overrides: ["KLDLOAD_WIREGUARD=\(word)"]).first
        #expect(problem?.remedy == "write 1")
        #expect(problem?.suggestion == "1")
    }

    @Test func thePasswordOfTheKeyManagerHasItsLength() {
        let long = String(repeating: "x", count: 257)
        #expect(codes("KLDLOAD_MOK_PASSWORD=\(long)") == [.mokPassword] && codes("KLDLOAD_MOK_PASSWORD=\(long.dropLast())") == [])
    }

    @Test func nearMissesAreSuggested() {
        let found = problems(
            threeLines, overrides: ["KLDLOAD_TIMEZONE=Europe/Berlln", "KLDLOAD_PROFILE=sever", "KLDLOAD_LOCALE=en_UK.UTF-8"])
        #expect(found.map(\.remedy).contains("did you mean Europe/Berlin?"))
        #expect(found.map(\.remedy).contains("did you mean server?"))
        #expect(found.map(\.suggestion).contains("Europe/Berlin") && found.map(\.suggestion).contains("server"))
    }

    @Test(arguments: [
        ("LOCALE=en_US", "en_US.UTF-8"), ("LOCALE=de_DE", "de_DE.UTF-8"), ("LOCALE=fr_FR", "fr_FR.UTF-8"), ("LOCALE=en_GB", "en_GB.UTF-8"),
        ("LOCALE=de_DE@euro", "de_DE.UTF-8"), ("LOCALE=de_DE.ISO-8859-1", "de_DE.UTF-8"), ("LOCALE=pt-BR", "pt_BR.UTF-8"),
        ("LOCALE=hi_IN.UTF-8", "hi_IN"), ("PROFILE=kwm", "kvm"), ("KEYBOARD_LAYOUT=DE", "de"), ("TIMEZONE=utc", "UTC"),
    ])
    func whatWasMeantIsSuggested(line: String, meant: String) {
        #expect(problems(threeLines, overrides: ["KLDLOAD_" + line]).map(\.suggestion) == [meant])
    }

    /// In a word of two letters one that is wrong leads anywhere: not Ukrainian for British.
    @Test(arguments: ["KEYBOARD_LAYOUT=uk", "KEYBOARD_LAYOUT=xx", "STORAGE_MODE=ext4", "PROFILE=vm", "TEMPLATE=lab1", "LOCALE=xx_XX"])
    func aShortValueIsNotGuessed(line: String) {
        #expect(problems(threeLines, overrides: ["KLDLOAD_" + line]).map(\.suggestion) == [nil])
    }

    @Test(arguments: [
        ("10.0.1.50", "10.0.1.50"), ("::", "::"), ("::1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1::", "1::"),
        ("::ffff:10.0.0.1", "::ffff:a00:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ])
    func addressesAreReadAndWritten(text: String, canonical: String) {
        #expect(IPAddress(text)?.description == canonical)
    }

    @Test(arguments: [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", ":", ":1", "1:", ":::", "1::2::3", "1:2:3:4:5:6:7", "12345::", "g::",
        "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "::1.2.3", "1:2:3:4:5:6:7:8::", "1.2.3.-4",
    ])
    func malformedAddressesAreRefused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func networksKnowTheirAddresses() throws {
        let network = try #require(IPNetwork("10.0.1.50/24"))
        #expect(network.network.description == "10.0.1.0")
        #expect(network.last.description == "10.0.1.255")
        #expect(network.hostCount == 254)
        #expect(IPNetwork("10.0.0.0/33") == nil)
        #expect(IPNetwork("2001:db8::/0")?.hostCount == .max)
        #expect(IPNetwork("10.0.0.0/0")?.hostCount == 4_294_967_294)
    }
}

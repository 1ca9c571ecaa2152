import KldAnswers
import Testing

@Suite struct JSONForm {
    @Test func objectsAreReadLikeLines() throws {
        let json = """
            {"KLDLOAD_DISTRO": "debian", "KLDLOAD_DISK": "/dev/sda", "KLDLOAD_HOSTNAME": "web-prod-01",
             "KLDLOAD_ENABLE_KVM": false, "KLDLOAD_NET_PREFIX": 24, "KLDLOAD_TIMEZONE": null,
             "KLDLOAD_EXTRA_PACKAGES": ["vim", "tmux"]}
            """
        #expect(
            try Answers(json)
                == answers("KLDLOAD_ENABLE_KVM=0", "KLDLOAD_NET_PREFIX=24", "KLDLOAD_EXTRA_PACKAGES='vim tmux'"))
    }

    @Test(arguments: ["rollback", "Install", "", "1"])
    func anActionIsAnInstallation(action: String) {
        let found = problems("{\"distro\": \"debian\",\n\"action\": \"\(action)\",\n\"disk\": \"/dev/sda\"}")
        #expect(found.map(\.description) == ["line 2: action: \"\(action)\" is not one of: install (answers.choice)"])
    }

    @Test func anActionIsTakenOnceAndInObjectsOnly() throws {
        let start = #"{"distro": "debian", "disk": "/dev/sda", "action": "install""#
        let answers = try Answers(start + "}")
        #expect(
            answers.notes.map(\.description) == [
                "line 1: action: the key has no effect: answers ask for an installation and nothing else (answers.no-effect)"
            ])
        #expect(try answers == Answers(#"{"distro": "debian", "disk": "/dev/sda"}"#))
        #expect(problems(start + #", "action": "install"}"#).map(\.code) == [.repeatedKey])
        #expect(problems(start + #", "action": null}"#).map(\.code) == [.repeatedKey])
        #expect(problems(#"{"distro": "debian", "disk": "/dev/sda", "action": null}"#).map(\.code) == [.choice])
        #expect(codes("action=install") == [.unknownKey])
        #expect(problems(threeLines, overrides: ["action=install"]).map(\.code) == [.unknownKey])
    }

    @Test func shortNamesAreInSmallLettersOrCapitals() throws {
        let json = #"{"DISTRO": "debian", "disk": "/dev/sda", "suite": "bookworm", "net_iface": "eth0"}"#
        let answers = try Answers(json)
        #expect(answers["KLDLOAD_DEBIAN_SUITE"] == "bookworm" && answers["KLDLOAD_NET_IFACE"] == "eth0")
        let mixed = problems(#"{"distro": "debian", "disk": "/dev/sda", "Suite": "bookworm"}"#)
        #expect(mixed.map(\.code) == [.unknownKey])
        #expect(mixed.map(\.suggestion) == ["KLDLOAD_SUITE"])
    }

    @Test func theFlatMessageOfTheGuideIsUnderstood() throws {
        let message = """
            {"distro": "debian", "disk": "/dev/sda", "hostname": "web-prod-01", "username": "ops", "password": "changeme",
             "profile": "server", "timezone": "America/Vancouver", "ssh_pubkey": "\(ed25519)"}
            """
        let answers = try Answers(message)
        #expect(answers.username == "ops")
        #expect(answers.timezone == "America/Vancouver")
        #expect(answers.sshKeys.user.map(\.comment) == ["ops@example"])
    }

    @Test func escapesAreUndone() throws {
        let answers = try Answers(#"{"distro":"debian","disk":"/dev/sda","wifi_ssid":"\u00e9\ud834\udd1e\"\\\/"}"#)
        #expect(answers.wifi?.ssid == "é𝄞\"\\/")
    }

    @Test func listsOfKeysAreJoined() throws {
        let answers = try Answers(#"{"distro":"debian","disk":"/dev/sda","ssh_pubkey":["\#(ed25519)","\#(ed25519)-2"]}"#)
        #expect(answers.sshKeys.user.map(\.comment) == ["ops@example", "ops@example-2"])
    }

    @Test(arguments: [
        "{", "{}}", "{\"distro\"}", "{\"distro\":}", "{\"distro\":\"debian\",}", "{\"distro\":tru}", "{\"distro\":01}",
        "{\"distro\":\"\\x\"}",
        "{\"distro\":\"\\ud800\"}", "{\"distro\":\"\\ud800\\u0041\"}", "{\"distro\":{}}", "{\"distro\":[[]]}", "{\"distro\":[\"a\" \"b\"]}",
        "{\"distro\":\"a\nb\"}", "{\"distro\":1.}", "{\"distro\":1e}", "{distro:1}", "{\"distro\":\"open",
    ])
    func malformedObjectsAreRefused(json: String) {
        #expect(problems(json).map(\.code) == [.json])
    }

    @Test func repeatedMembersAreReportedWithTheirLines() {
        let found = problems("{\"distro\":\"debian\",\n\"disk\":\"/dev/sda\",\n\"KLDLOAD_DISK\":\"/dev/sdb\"}")
        #expect(found.map(\.code) == [.repeatedKey])
        #expect(found.first?.line == 3)
    }

    static func object(_ member: String) -> String { "{\(member), \"distro\": \"debian\", \"disk\": \"/dev/sda\"}" }

    /// Each was taken as something: a password `1`, a host name `0`, one word for two.
    @Test(arguments: [
        #""password": true"#, #""password": ["a", "b"]"#, #""hostname": false"#, #""hostname": 12"#, #""zfs_passphrase": 12345678"#,
        #""timezone": ["UTC"]"#, #""hostname": []"#, #""wireguard": ["1"]"#, #""zbm_timeout": true"#, #""zfs_topology": false"#,
        #""extra_packages": 7"#, #""extra_packages": ["vim", 7]"#, #""zfs_data_disks": true"#, #""action": ["install"]"#,
        #""action": true"#,
    ])
    func aValueOfAnotherTypeIsRefused(member: String) {
        let found = problems(Self.object(member))
        #expect(found.map(\.code) == [.wrongType])
        #expect(!found.contains { $0.description.contains("12345678") })
    }

    @Test(arguments: [
        #""wireguard": 1"#, #""zbm_timeout": 5"#, #""zbm_timeout": "5""#, #""hostname": null"#, #""extra_packages": []"#,
        #""extra_packages": "vim""#, #""storage_manual": false"#, #""nvidia_drivers": 0"#, #""extra_packages": ["vim", "tmux"]"#,
        #""alpine_release": 3.21"#,
    ])
    func aValueOfTheKeysTypeIsTaken(member: String) {
        #expect(problems(Self.object(member)).isEmpty)
    }

    @Test func aWrongTypeSaysWhatIsTaken() {
        let found = problems(#"{"distro": "debian", "disk": "/dev/sda", "password": true, "console": 1}"#)
        #expect(
            found.map(\.description) == [
                "line 1: KLDLOAD_PASSWORD: the value is true or false, and has to be a string (answers.type)",
                "line 1: KLDLOAD_CONSOLE: the value is a number, and has to be a string or a list of strings (answers.type)",
            ])
        #expect(found.first?.remedy == "write it as a string, in double quotes")
    }

    /// One that stood for "could not be read" took the answer away: encryption, the approval, the key.
    @Test(arguments: AnswerKey.all.map(\.name)) func aNULIsAProblemInEveryKey(key: String) throws {
        let rest = ["distro": "debian", "disk": "/dev/sda"].filter { "KLDLOAD_" + $0.key.uppercased() != key }
        let members = rest.map { "\"\($0.key)\": \"\($0.value)\"" }.joined(separator: ", ")
        for value in ["\\u0000", "1\\u0000"] {
            let found = problems("{\(members), \"\(key)\": \"\(value)\"}")
            #expect(found.contains { $0.code == .controlCharacter && $0.key == key }, "\(value)")
            // Nor is it also missing.
            #expect(!found.contains { $0.code == .missingKey }, "\(value)")
        }
    }

    @Test func aLineBreakCannotBeSmuggledIn() {
        #expect(problems(#"{"distro":"debian","disk":"/dev/sda","password":"a\nKLDLOAD_FORCE_WIPE=1"}"#).map(\.code) == [.controlCharacter])
    }
}

import KldAnswers
import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite struct TypedAnswers {
    @Test func defaultsAreThoseOfTheDocuments() throws {
        let answers = try Answers("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=auto\n")
        #expect(answers.profile == .server)
        #expect(answers.release == "trixie")
        #expect(!answers.backports)
        #expect(answers.debianMirror == "https://mirror.it.ubc.ca/debian")
        #expect(answers.hostname.value == "kldload-node")
        #expect(answers.username == "admin")
        #expect(answers.credentials == .defaultExpired)
        #expect(answers.rootPassword == nil)
        #expect(answers.timezone == "UTC")
        #expect(answers.locale == "en_US.UTF-8")
        #expect(answers.keyboard.layout == "us" && answers.keyboard.variant == nil)
        #expect(answers.disk == .automatic)
        #expect(answers.topology == .single)
        #expect(answers.poolName == "rpool")
        #expect(!answers.encrypt && answers.passphrase == nil && !answers.forceWipe)
        #expect(answers.network == .dhcp(interface: nil))
        #expect(answers.bootloader == .systemdBoot)
        #expect(answers.bootloaderID == "KLDload")
        #expect(answers.zbmTimeout == 10)
        #expect(answers.consoles == ["tty0", "ttyS0"])
        #expect(answers.export.formats.isEmpty && answers.export.target == nil)
        #expect(answers.afterInstall == .powerOff)
        #expect(answers.diskSize == .gibibytes(8))
        #expect(answers.infrastructure.mode == .standalone && answers.infrastructure.domain == "infra.local")
        #expect(!answers.features.ebpf)
        #expect(answers.rootPasswordHash == nil && answers.notes == [])
        #expect(answers.generateSSHHostKeys && answers.secureBoot)
    }

    @Test func givenValuesArriveTyped() throws {
        let answers = try answers(
            "KLDLOAD_ZFS_TOPOLOGY=mirror-stripe", "KLDLOAD_ZFS_DATA_DISKS=/dev/sdb,/dev/sdc,/dev/sdd", "KLDLOAD_NET_METHOD=static",
            "KLDLOAD_NET_IP=10.0.1.50", "KLDLOAD_NET_GW=10.0.1.1", "KLDLOAD_NET_DNS='10.0.1.1, 1.1.1.1'", "KLDLOAD_DISK_SIZE=20g",
            "KLDLOAD_EXPORT_FORMAT=all", "KLDLOAD_EXPORT_SCP_HOST=images.example", "KLDLOAD_EXPORT_SCP_KEY=/root/.ssh/id",
            "KLDLOAD_ENABLE_EBPF=1", "KLDLOAD_CUSTOM_MIRROR_URL=https://mirror.example/debian/", "KLDLOAD_AFTER_INSTALL=reboot",
            "KLDLOAD_CONSOLE=ttyS0")
        #expect(answers.topology == .mirrorStripe)
        #expect(answers.rootDisks == ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdd"])
        guard case .fixed(let network) = answers.network else {
            Issue.record("not a static network")
            return
        }
        #expect(network.address.description == "10.0.1.50/24")
        #expect(network.gateway.description == "10.0.1.1")
        #expect(network.dns.map(\.description) == ["10.0.1.1", "1.1.1.1"])
        #expect(network.interface == nil)
        #expect(answers.diskSize == .gibibytes(20))
        #expect(answers.export.formats == Set(Answers.Export.Format.allCases))
        #expect(answers.export.target?.user == "root" && answers.export.target?.path == "/root/")
        #expect(answers.export.target?.login == .key("/root/.ssh/id"))
        #expect(answers.features.ebpf)
        #expect(answers.customMirrorURL == "https://mirror.example/debian")
        #expect(answers.afterInstall == .reboot)
        #expect(answers.consoles == ["ttyS0"])
    }

    @Test(arguments: [
        ("ubuntu", "noble"), ("rocky", "9"), ("fedora", "44"), ("arch", "rolling"), ("freebsd", "15.0"), ("debian", "trixie"),
    ])
    func everyDistributionHasARelease(distro: String, release: String) throws {
        #expect(try Answers("KLDLOAD_DISTRO=\(distro)\nKLDLOAD_DISK=/dev/sda\n").release == release)
    }

    @Test func theProfileCoreIsBare() throws {
        let answers = try answers("KLDLOAD_PROFILE=core", "KLDLOAD_ENABLE_EBPF=1")
        #expect(!answers.features.ebpf)
    }

    @Test func thePasswordThatEverybodyKnowsStaysExpired() throws {
        #expect(try answers("KLDLOAD_PASSWORD=admin").credentials == .defaultExpired)
    }

    @Test func anyKeyCanBeAsked() throws {
        let answers = try answers("KLDLOAD_TEMPLATE=klab")
        #expect(answers["KLDLOAD_TEMPLATE"] == "klab")
        #expect(answers["KLDLOAD_K8S_WORKERS"] == "3")
        #expect(answers["KLDLOAD_ROOT_PASSWORD"] == nil)
        #expect(answers["KLDLOAD_NOTHING"] == nil)
        #expect(answers.isGiven("KLDLOAD_TEMPLATE") && !answers.isGiven("KLDLOAD_K8S_WORKERS"))
    }

    @Test func secretsAreNeverPrinted() throws {
        let answers = try answers("KLDLOAD_PASSWORD=hunter2-hunter2", "KLDLOAD_ROOT_PASSWORD=hunter3-hunter3")
        let printed = [answers.redactedEnvironmentText, "\(answers)", String(reflecting: answers)]
        for text in printed { #expect(!text.contains("hunter")) }
        #expect(answers.redactedEnvironmentText.contains("KLDLOAD_PASSWORD=<redacted>\n"))
        #expect(answers.environmentText.contains("KLDLOAD_PASSWORD=hunter2-hunter2\n"))
        var dumped = ""
        dump(answers, to: &dumped)
        #expect(!dumped.contains("hunter"))
    }

    @Test func messagesHoldNoSecrets() {
        for key in AnswerKey.all where key.isSecret {
            let found = problems(threeLines, overrides: ["\(key.name)=hunter2:\(String(repeating: "x", count: 600))\u{7}"])
            #expect(!found.isEmpty, "\(key.name)")
            #expect(!found.contains { $0.description.contains("hunter2") || $0.remedy.contains("hunter2") }, "\(key.name)")
        }
    }

    @Test func secretsAreReadFromFiles() throws {
        let text =
            threeLines + "KLDLOAD_PASSWORD_FILE=/run/secrets/admin\nKLDLOAD_ZFS_ENCRYPT=1\nKLDLOAD_ZFS_PASSPHRASE_FILE=/run/secrets/pool\n"
        let unread = try Answers(text)
        #expect(unread.credentials == .file("/run/secrets/admin"))
        #expect(unread.passphrase == nil)

        let files = MemoryFiles(["/a.env": text, "/run/secrets/admin": "it's me\r\nsecond", "/run/secrets/pool": "correct horse"])
        let answers = try Answers.load("/a.env", files: files)
        #expect(answers.credentials == .password(Secret("it's me")))
        #expect(answers.passphrase == Secret("correct horse"))
        #expect(try Answers(answers.environmentText) == answers)
    }

    @Test func everySecretIsReadFromItsFile() throws {
        let values = [
            "PASSWORD": "it's me", "PASSWORD_HASH": sha512, "ROOT_PASSWORD": "it's root", "ROOT_PASSWORD_HASH": sha512,
            "ZFS_PASSPHRASE": "correct horse", "WIFI_PSK": "battery staple",
            "WIREGUARD_PRIVATE_KEY": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
            "WIREGUARD_PRESHARED_KEY": "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
        ]
        let company = [
            "ZFS_PASSPHRASE": "KLDLOAD_ZFS_ENCRYPT=1\n", "WIFI_PSK": "KLDLOAD_WIFI_SSID=office\n",
            "EXPORT_SCP_PASS": "KLDLOAD_EXPORT_FORMAT=raw\nKLDLOAD_EXPORT_SCP_HOST=images.example\n",
        ]
        for key in AnswerKey.all where key.isSecret {
            let stem = String(key.name.dropFirst("KLDLOAD_".count))
            let value = values[stem] ?? "hunter2"
            let rhel = "KLDLOAD_DISTRO=rhel\nKLDLOAD_DISK=/dev/sda\nKLDLOAD_RHEL_"
            let base =
                switch stem {
                case "RHEL_PASSWORD": rhel + "USERNAME=me\n"
                case "RHEL_ACTIVATION_KEY": rhel + "ORG=1\n"
                default: threeLines + (company[stem] ?? "")
                }
            let files = MemoryFiles(["/a.env": base + "\(key.name)_FILE=/run/secret\n", "/run/secret": value + "\n"])
            let answers = try Answers.load("/a.env", files: files)
            #expect(answers[key.name] == value, "\(key.name)")
            #expect(!answers.isGiven(key.name + "_FILE"), "\(key.name)")
            #expect(!answers.redactedEnvironmentText.contains(value), "\(key.name)")
        }
    }

    @Test func rootsPasswordMayBeHashed() throws {
        let answers = try answers("KLDLOAD_ROOT_PASSWORD_HASH='\(sha512)'")
        #expect(answers.rootPasswordHash == Secret(sha512) && answers.rootPassword == nil)
        #expect(codes("KLDLOAD_ROOT_PASSWORD_HASH=plain") == [.passwordHash])
    }

    @Test func missingFilesHaveTheirExitStatus() throws {
        let error = try #require(throws: AnswersError.self) { try Answers.load("/nowhere.env", files: MemoryFiles()) }
        #expect(error.diagnosis.code == "answers.missing-file")
        #expect(error.diagnosis.exit == .inputMissing)
        let files = MemoryFiles(["/a.env": threeLines + "KLDLOAD_PASSWORD_FILE=/nowhere"])
        let secret = try #require(throws: AnswersError.self) { try Answers.load("/a.env", files: files) }
        #expect(secret.diagnosis.code == "answers.secret-file")
        #expect(secret.diagnosis.exit == .badAnswers)
    }

    @Test func anErrorListsEverythingWithRemedies() throws {
        let error = try #require(throws: AnswersError.self) {
            try Answers("KLDLOAD_DISTRO=debain\nKLDLOAD_DISKS=/dev/sda\n", source: "web.env")
        }
        #expect(
            error.description == """
                web.env has 3 problems
                  line 1: KLDLOAD_DISTRO: "debain" is not one of: centos, debian, ubuntu, fedora, rhel, rocky, arch, alpine, \
                nixos, freebsd (answers.choice)
                    remedy: did you mean debian?
                  line 2: KLDLOAD_DISKS: there is no such key (answers.unknown-key)
                    remedy: did you mean KLDLOAD_DISK?
                  KLDLOAD_DISK: the key has no default and must be given (answers.missing-key)
                    remedy: add KLDLOAD_DISK=…
                """)
        #expect(error.diagnosis.code == "answers.invalid")
        #expect(error.diagnosis.exit == .badAnswers)
        #expect(error.diagnosis.causes.count == 3)
    }
}

@Suite("What an installation wrote down")
struct WrittenAnswersTests {
    @Test("values are read without being checked, and what is not there has its default")
    func values() {
        let values = Answers.values(assignedIn: "# comment\nKLDLOAD_BOOTLOADER_ID='Our machine'\nKLDLOAD_HOST_ID=01234567\nbroken line\n")
        #expect(values["KLDLOAD_BOOTLOADER_ID"] == "Our machine" && values["KLDLOAD_ZBM_TIMEOUT"] == "10")
        #expect(values["KLDLOAD_HOST_ID"] == "01234567")
    }
}

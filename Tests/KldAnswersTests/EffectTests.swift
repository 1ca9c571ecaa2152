import FoundationEssentials
import KldAnswers
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@Suite struct Effects {
    @Test func aKeyWithoutEffectIsNotedByLine() throws {
        let answers = try answers("KLDLOAD_ENABLE_AI=1", "KLDLOAD_ALLOW_INTERNET_FALLBACK=0", overrides: ["KLDLOAD_TEMPLATE=klab"])
        #expect(
            answers.notes.map(\.description) == [
                "line 4: KLDLOAD_ENABLE_AI: the key has no effect in this version: it waits for the assistant (answers.no-effect)",
                "line 5: KLDLOAD_ALLOW_INTERNET_FALLBACK: the key has no effect in this version: it waits for packages from the network "
                    + "(answers.no-effect)",
                "KLDLOAD_TEMPLATE: the key has no effect in this version: it waits for roles at the first boot (answers.no-effect)",
            ])
    }

    @Test(arguments: [
        ("ENABLE_AI=0", false), ("ALLOW_INTERNET_FALLBACK=1", false), ("K8S_WORKERS=3", false), ("K8S_WORKERS=5", true),
        // Their default promises something that does not happen either.
        ("ENABLE_KVM=1", true), ("ENABLE_KVM=0", true), ("ENABLE_SECURE_BOOT=1", false), ("ENABLE_SECURE_BOOT=0", false),
        ("AFTER_INSTALL=reboot", false), ("NO_AUTO_REBOOT=1", false),
        ("PROFILE=ai", true), ("PROFILE=kvm", false), ("ENABLE_EBPF=1", false), ("ENABLE_EBPF=0", false), ("HOSTNAME=x", false),
        ("WIREGUARD_PRIVATE_KEY=YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=", true), ("MOK_PASSWORD=hunter2", false),
        ("STORAGE_MANUAL=1", true), ("STORAGE_MANUAL=0", false), ("KEEP_NETBOOT=1", true), ("KEEP_NETBOOT=0", false),
        ("KEEP_DARKSITE=1", true), ("NVIDIA_DRIVERS=auto", true),
        ("WIREGUARD=1", true), ("WG1_PORT=4000", true), ("EXPORT_FORMAT=raw", false),
    ])
    func notesAreForWhatIsAskedInVain(line: String, noted: Bool) throws {
        let answers = try Answers(threeLines, overrides: ["KLDLOAD_\(line)"])
        #expect(answers.notes.map(\.code) == (noted ? [.noEffect] : []))
        #expect(answers.notes.allSatisfy { !$0.message.contains("hunter2") && !$0.message.contains("YAnz5") })
    }

    @Test func whatTheProfileLeavesOutIsNoted() throws {
        let core = try answers("KLDLOAD_ENABLE_EBPF=1", "KLDLOAD_PROFILE=core")
        #expect(!core.features.ebpf)
        #expect(
            core.notes.map(\.description) == [
                "line 4: KLDLOAD_ENABLE_EBPF: the key has no effect with the profile core, which is the distribution and nothing else "
                    + "(answers.no-effect)"
            ])
        #expect(try answers("KLDLOAD_ENABLE_EBPF=0", "KLDLOAD_PROFILE=core").notes.isEmpty)
        #expect(try answers("KLDLOAD_PROFILE=core").notes.isEmpty)
    }

    @Test func aPassphraseThatAKeyboardMayNotTypeIsNoted() throws {
        let given = try answers("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_KEYBOARD_LAYOUT=de", "KLDLOAD_ZFS_PASSPHRASE='pferd überall'")
        #expect(
            given.notes.map(\.description) == [
                "line 6: KLDLOAD_ZFS_PASSPHRASE: the passphrase has letters beyond ASCII, and the prompt at boot takes what the keyboard "
                    + "de types (answers.hard-to-type)"
            ])
        let text = threeLines + "KLDLOAD_ZFS_ENCRYPT=1\nKLDLOAD_ZFS_PASSPHRASE_FILE=/p\n"
        let read = try Answers.load("/a.env", files: MemoryFiles(["/a.env": text, "/p": "pferd überall\n"]))
        #expect(read.notes.map(\.key) == ["KLDLOAD_ZFS_PASSPHRASE_FILE"] && read.notes.map(\.line) == [5])
        #expect(try answers("KLDLOAD_ZFS_ENCRYPT=1", "KLDLOAD_ZFS_PASSPHRASE='correct horse'").notes.isEmpty)
    }

    @Test func aStaticAddressWithoutNameServersIsNoted() throws {
        let fixed = "KLDLOAD_NET_METHOD=static\nKLDLOAD_NET_IP=10.0.1.50\nKLDLOAD_NET_GW=10.0.1.1"
        let notes = try answers(fixed).notes
        #expect(
            notes.map(\.description) == [
                "KLDLOAD_NET_DNS: with a static address and no name server the machine resolves no names: "
                    + "apt finds no archive by its name (answers.no-name-server)"
            ])
        #expect(notes.map(\.remedy) == ["add KLDLOAD_NET_DNS=…"])
        #expect(try answers(fixed, "KLDLOAD_NET_DNS=10.0.1.1").notes.isEmpty)
        #expect(try answers("KLDLOAD_NET_METHOD=dhcp").notes.isEmpty)
    }

    @Test func whatNothingWaitsForSaysWhy() throws {
        let notes = try answers("KLDLOAD_STORAGE_MANUAL=1", "KLDLOAD_KEEP_NETBOOT=1").notes
        #expect(
            notes.map(\.description) == [
                "line 4: KLDLOAD_STORAGE_MANUAL: the key has no effect in this version: the installer makes the pool itself, "
                    + "by a plan that names every disk, in a guided installation too (answers.no-effect)",
                "line 5: KLDLOAD_KEEP_NETBOOT: the key has no effect in this version: what other machines start from is made "
                    + "out of the ISO, by kldload pxe export (answers.no-effect)",
            ])
        #expect(notes.map(\.remedy) == ["remove it", "remove it"])
    }

    @Test func credentialsOfCloudsAreKnownNotedAndNotKept() throws {
        let lines = "AWS_SECRET_ACCESS_KEY=hunter2\nAZURE_CLIENT_SECRET='hunter2'\nGCP_PROJECT=\n"
        let answers = try Answers(threeLines + lines, overrides: ["GCP_KEY=hunter2"])
        #expect(
            answers.notes.map(\.description) == [
                "line 4: AWS_SECRET_ACCESS_KEY: the key has no effect in this version: it waits for cloud publishing (answers.no-effect)",
                "line 5: AZURE_CLIENT_SECRET: the key has no effect in this version: it waits for cloud publishing (answers.no-effect)",
                "GCP_KEY: the key has no effect in this version: it waits for cloud publishing (answers.no-effect)",
            ])
        #expect(try answers == Answers(threeLines) && !answers.environmentText.contains("hunter2"))
        let json = #"{"distro": "debian", "disk": "/dev/sda", "hostname": "a", "AWS_ACCESS_KEY_ID": "hunter2"}"#
        #expect(try Answers(json).notes.map(\.key) == ["AWS_ACCESS_KEY_ID"])
        #expect(problems(threeLines + "AWSX=1\n").map(\.code) == [.unknownKey])
    }

    @Test func whatMattersToImagesIsNotedWhereAMachineIsInstalled() throws {
        let given = ["KLDLOAD_DISK_SIZE=20G", "KLDLOAD_EXPORT_FORMAT=raw", "KLDLOAD_EXPORT_DIR=/srv/images"]
        let answers = try Answers(threeLines, overrides: given)
        #expect(answers.notes.isEmpty)
        #expect(answers.imageNotes.map(\.key) == ["KLDLOAD_DISK_SIZE", "KLDLOAD_EXPORT_FORMAT", "KLDLOAD_EXPORT_DIR"])
        #expect(answers.imageNotes.allSatisfy { $0.code == .noEffect && $0.remedy.contains("kldload image build") })
        #expect(try Answers(threeLines, overrides: ["KLDLOAD_DISK_SIZE=8G", "KLDLOAD_EXPORT_FORMAT=none"]).imageNotes.isEmpty)
    }

    @Test func notesOutliveTheReadingOfSecrets() throws {
        let files = MemoryFiles(["/a.env": threeLines + "KLDLOAD_RHEL_PASSWORD_FILE=/m\n", "/m": "hunter2"])
        let notes = try Answers.load("/a.env", files: files).notes
        #expect(notes.map(\.key) == ["KLDLOAD_RHEL_PASSWORD_FILE"])
        #expect(notes.map(\.line) == [4])
    }

    @Test func refusedAnswersHaveTheirNotesToo() throws {
        let error = try #require(throws: AnswersError.self) {
            try Answers(threeLines + "KLDLOAD_ENABLE_AI=1\nKLDLOAD_TIMEZONE=nowhere\n")
        }
        #expect(error.problems.map(\.code) == [.timezone])
        #expect(error.notes.map(\.line) == [4])
    }

    @Test func theDocumentsSayWhatHasNoEffect() throws {
        let text = AnswersReferenceDocument.markdown
        for key in AnswerKey.all {
            let row = try #require(text.split(separator: "\n").first { $0.hasPrefix("| `\(key.name)` |") })
            let told = row.contains("o effect yet: waits for ") || row.contains("**No effect: ")
            #expect(told == (key.effect != .now), "\(key.name)")
            if let sentence = key.effect.sentence { #expect(row.hasSuffix(" **\(sentence)** |"), "\(key.name)") }
        }
        #expect(AnswersReferenceDocument.jsonSchema.contains("No effect yet: waits for the assistant."))
    }

    /// Who gives a key its effect must say so in the table.
    @Test func whatIsSaidToHaveNoEffectIsReadNowhere() throws {
        let files = LocalFiles()
        var text = ""
        func read(_ folder: FilePath) throws {
            for name in try files.list(folder) where name != "KldAnswers" {
                let path = folder.appending(name)
                if name.hasSuffix(".swift") { text += String(decoding: try files.read(path), as: UTF8.self) }
                if !name.contains(".") { try read(path) }
            }
        }
        try read(projectRoot.appending("Sources"))
        #expect(text.contains("answers.hostname") && text.contains("\"KLDLOAD_DEBIAN_MIRROR\""))
        for key in AnswerKey.all where key.effect != .now && key.name != "KLDLOAD_PROFILE" {
            #expect(!text.contains("\"\(key.name)\""), "\(key.name)")
        }
        #expect(!text.contains("answers.infrastructure"))
    }
}

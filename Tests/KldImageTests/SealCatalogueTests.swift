import FoundationEssentials
import Glibc
import KldCore
import KldFiles
import KldInstall
import SystemPackage
import Testing

@testable import KldImage

@Suite struct SealCatalogueTests {
    let classes = SealCatalogue.classes

    @Test func catalogueHoldsAtLeastSixtyClassesInFiles() {
        #expect(classes.count { !$0.targets.isEmpty } >= 60)
        #expect(classes.count >= 100)
    }

    @Test func idsAreUniqueAndStableWords() {
        #expect(Set(classes.map(\.id)).count == classes.count)
        let allowed = Set("abcdefghijklmnopqrstuvwxyz0123456789-")
        for sealClass in classes { #expect(sealClass.id.allSatisfy(allowed.contains), "\(sealClass.id)") }
    }

    @Test func everyClassSaysWhatAndWhyInOneTableCell() {
        for sealClass in classes {
            #expect(!sealClass.title.isEmpty && sealClass.why.count > 7, "\(sealClass.id)")
            #expect(!(sealClass.title + sealClass.why).contains("|"), "\(sealClass.id)")
        }
    }

    @Test func patternsAreRelativeAndStayOutOfWhatTheKernelMounts() {
        for sealClass in classes {
            for pattern in sealClass.targets.flatMap({ $0.patterns + $0.excluding }) {
                #expect(!pattern.text.hasPrefix("/") && !pattern.text.contains(".."), "\(sealClass.id): \(pattern)")
                guard case .literal(let first) = pattern.components.first else { continue }
                #expect(!SealTree.neverEntered.contains(first), "\(sealClass.id): \(pattern)")
            }
        }
    }

    /// A copy's ESP is mounted beside that folder while it is sealed: both are looked into.
    @Test func whatIsSoughtOnTheESPIsSoughtWhereverItIsMounted() {
        let patterns = Set(classes.flatMap { $0.targets.flatMap(\.patterns) }.map(\.text))
        for pattern in patterns where pattern.hasPrefix("boot/efi/") {
            #expect(patterns.contains(pattern.replacing("boot/efi/", with: "boot/efi*/")), "\(pattern)")
        }
    }

    /// All operations of virt-sysprep, guestfs-tools 1.57, `sysprep/sysprep_operation_*.ml`.
    private static let sysprepOperations: Set<String> = [
        "abrt-data", "backup-files", "bash-history", "blkid-tab", "ca-certificates", "crash-data", "cron-spool", "customize",
        "dhcp-client-state", "dhcp-server-state", "dovecot-data", "firewall-rules", "flag-reconfiguration", "fs-uuids", "ipa-client",
        "kerberos-data", "kerberos-hostkeytab", "logfiles", "lvm-system-devices", "lvm-uuids", "machine-id", "mail-spool", "net-hostname",
        "net-hwaddr", "net-nmconn", "pacct-log", "package-manager-cache", "pam-data", "passwd-backups", "puppet-data-log",
        "rh-subscription-manager", "rhn-systemid", "rpm-db", "samba-db-log", "script", "smolt-uuid", "ssh-hostkeys", "ssh-userdir",
        "sssd-db-log", "tmp-files", "udev-persistent-net", "user-account", "utmp", "yum-uuid", "zsh-history",
    ]

    @Test func everyOperationOfVirtSysprepIsTakenOrRefusedWithAReason() {
        let taken = Set(classes.flatMap(\.sysprep))
        let refused = Set(SealCatalogue.sysprepNotTaken.keys)
        #expect(taken.union(refused) == Self.sysprepOperations)
        #expect(taken.isDisjoint(with: refused))
    }

    @Test(arguments: [
        "machine-id", "host-id", "ssh-host-keys", "module-signing-key", "kldload-ca", "kldload-secrets", "kldload-manifest", "zpool-cache",
        "zfs-list-cache", "random-seed", "wireguard-keys", "networkmanager-state", "password-backups", "package-cache", "cloud-init",
        "initramfs", "pool-guid", "gpt-disk-guid", "gpt-partition-guids", "fat-serial", "vdev-guids", "kldload-network", "free-space",
        "zfs-snapshots",
    ])
    func classesThatOtherSealsForgetAreThere(_ id: String) { #expect(classes.contains { $0.id == id }) }

    @Test func whatASealPromisesOfTheFirstBootIsWhatTheFirstBootDoes() {
        #expect(CloneState.renewals(classes) == FirstBoot.renewals.keys.sorted())
        for sealClass in classes {
            guard case .disk(let identity) = sealClass.kind else { continue }
            #expect((identity.moment == .firstBoot) == (sealClass.renewal != nil), "\(sealClass.id)")
        }
    }

    @Test func everyDiskClassIsFingerprintedMarkedBorneOrOutsideTheImage() {
        let proven = Set(DiskFingerprint.Kind.allCases.map { $0.rawValue.words.last ?? "" })
            .union(SealCanaries(seed: 1).elsewhere.map(\.classID))
        for sealClass in classes {
            guard case .disk(let identity) = sealClass.kind, identity.moment != .borne else { continue }
            #expect(
                proven.contains(sealClass.id) || ["backup-partition-ends", "firmware-variables"].contains(sealClass.id), "\(sealClass.id)")
        }
    }

    @Test func documentShowsTheCatalogueAsItIs() throws {
        let path = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent().appending("docs/sealing.md")
        let document = try LocalFiles().readText(path)
        let updated = try #require(SealDocument.updated(document), "docs/sealing.md has lost the marks around its table")
        if getenv("KLDLOAD_RECORD") != nil {
            try LocalFiles().write(updated, to: path)
        } else {
            #expect(document == updated, "docs/sealing.md is not what the code says: run the tests once with KLDLOAD_RECORD=1")
        }
    }
}

@Suite struct SealPatternTests {
    @Test(arguments: [
        ("etc/ssh/ssh_host_*", "etc/ssh/ssh_host_rsa_key", true), ("etc/*", "etc/.hidden", true), ("etc/*", "etc/a/b", true),
        ("etc/*.bak", "etc/a/b.bak", false), ("etc/**/*.bak", "etc/a/b.bak", true), ("etc/**/*.bak", "etc/b.bak", true),
        ("etc/**/*.bak", "etc/a/c/b.bak", true), ("etc/**/*.bak", "var/b.bak", false), ("core?", "core1", true), ("core?", "core", false),
        ("a*b*c", "aXbYc", true), ("a*b*c", "aXbY", false), ("*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
    ])
    func wildcardsMeanWhatTheySay(_ pattern: String, _ path: String, _ expected: Bool) {
        #expect(PathPattern(pattern).covers(path.split(separator: "/").map(String.init)) == expected)
    }

    @Test func aSampleIsMatchedByItsPattern() {
        for pattern in SealCatalogue.classes.flatMap(\.targets).flatMap(\.patterns) {
            let whole = pattern.isBelowHome ? pattern.below(home: "root") : pattern
            #expect(whole.covers(pattern.sample.split(separator: "/").map(String.init)), "\(pattern) and \(pattern.sample)")
        }
    }

    @Test func homesComeFromTheTreeAndItsAccounts() throws {
        let tree = try SealTestTree.inMemory()
        #expect(try SealTree(root: tree.root, files: tree.files).homes() == ["root", "home/admin", "var/lib/postgresql"])
    }

    @Test func homesElsewhereAreFoldersOfAccountsThatCanLogIn() throws {
        let tree = try SealTestTree.inMemory()
        let accounts = [
            "ann:x:1001:1001::/data/people/ann:/bin/bash",
            // The shell is the default one; the home lies behind a link.
            "bob:x:1002:1002::/people/bob/:", "gone:x:1003:1003::/data/people/gone:/bin/sh", "web:x:900:900::/data/web:/usr/sbin/nologin",
            "sync:x:4:65534::/bin:/bin/sync", "tool:x:901:901::/usr/share/tool:/bin/sh", "all:x:902:902::/:/bin/sh",
        ]
        try tree.add([
            "etc/passwd": try tree.text("etc/passwd") + accounts.joined(separator: "\n") + "\n", "data/people/ann/.profile": "",
            "data/people/bob/.profile": "", "data/web/index.html": "", "usr/share/tool/data": "",
        ])
        try tree.files.symlink(tree.root.pushing("people"), to: "data/people")
        #expect(
            try SealTree(root: tree.root, files: tree.files).homes() == [
                "root", "home/admin", "var/lib/postgresql", "data/people/ann", "data/people/bob",
            ])
    }
}

@Suite struct SealLineEditTests {
    private func edited(_ edit: LineEdit, _ text: String) -> String {
        String(decoding: edit.applied(to: Array(text.utf8)).content, as: UTF8.self)
    }

    @Test(arguments: [
        ("a:$6$salt$hash:19800:0:99999:7:::", "a:!:19800:0:99999:7:::"), ("a::19800:0:99999:7:::", "a:!:19800:0:99999:7:::"),
        ("a:!$6$salt$hash:19800:0:99999:7:::", "a:!:19800:0:99999:7:::"), ("a:*:19800:0:99999:7:::", "a:*:19800:0:99999:7:::"),
        ("a:!*:19800:0:99999:7:::", "a:!*:19800:0:99999:7:::"), ("a:!!:19800::::::", "a:!!:19800::::::"),
        // A change that is due would refuse log-ins by key.
        ("a:$y$x:0:0:99999:7:::", "a:!::0:99999:7:::"), ("group:hash:0:members", "group:!:0:members"),
        ("# not an account", "# not an account"),
    ])
    func passwordsAreLocked(_ before: String, _ after: String) { #expect(edited(.lockPasswords, before + "\n") == after + "\n") }

    @Test func passwordsInTheOldPlaceMoveOut() {
        #expect(
            edited(.shadowPasswords, "a::0:0::/:/bin/sh\nb:hash:1:1::/:/bin/sh\nc:x:2:2::/:/bin/sh")
                == "a:x:0:0::/:/bin/sh\nb:x:1:1::/:/bin/sh\nc:x:2:2::/:/bin/sh")
    }

    @Test func recordsGoWithTheirContinuations() {
        let text = "MAILADDR root\nARRAY /dev/md0\n  UUID=1\n\tname=a\n# ARRAY stays\nARRAY /dev/md1 UUID=2\nHOMEHOST <system>\n"
        #expect(edited(.dropRecords("ARRAY"), text) == "MAILADDR root\n# ARRAY stays\nHOMEHOST <system>\n")
    }

    @Test func keysAreFoundWithBlanksAndOnlyWhole() {
        #expect(
            edited(.dropKeys(["PrivateKey"]), "[WireGuard]\n PrivateKey = abc\nPrivateKeyFile=/x\n#PrivateKey\n")
                == "[WireGuard]\nPrivateKeyFile=/x\n#PrivateKey\n")
    }

    @Test func ownAddressGoesAndItsNeighboursStay() {
        #expect(edited(.dropFirstWords(["127.0.1.1"]), "127.0.0.1 a\n127.0.1.1\tb\n127.0.1.10 c") == "127.0.0.1 a\n127.0.1.10 c")
    }

    @Test func bytesThatAreNotTextStay() {
        let bytes: [UInt8] = [0xff, 0x0a, 0x80, 0x00, 0x0a]
        #expect(LineEdit.dropPrefixes(["x"]).applied(to: bytes).content == bytes)
        #expect(LineEdit.dropPrefixes(["x"]).applied(to: bytes).changes == 0)
    }

    @Test func aMachineIdIsALineOfItsOwn() {
        #expect(edited(.dropMachineIDs, "0123456789abcdef0123456789ABCDEF\nkldload\n") == "kldload\n")
    }
}

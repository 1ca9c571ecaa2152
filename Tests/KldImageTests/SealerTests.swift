import FoundationEssentials
import Glibc
import KldCore
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite struct SealerTests {
    private static let added: Set<String> = [
        "etc/machine-id", "etc/cloud/cloud.cfg.d/98-kldload-zfs.cfg", "etc/cloud/cloud.cfg.d/99-kldload-datasource.cfg",
        "etc/cloud/ds-identify.cfg", "var/lib/kldload/firstboot/sealed",
    ]
    static let inFiles = SealCatalogue.classes.filter { !$0.targets.isEmpty }

    @Test(arguments: inFiles.map(\.id))
    func eachClassByItselfTakesItsMarksOutAndNothingElse(_ id: String) throws {
        try withTemporaryFolder { try takesItsMarksOut(id, $0.appending("target"), LocalFiles()) }
    }

    /// One class for each operation.
    @Test(arguments: ["host-id", "ssh-user-keys", "audit-logs", "machine-id", "hostname", "passwords", "authorized-keys", "mdadm-arrays"])
    func theSameInMemory(_ id: String) throws { try takesItsMarksOut(id, "/target", MemoryFiles()) }

    private func takesItsMarksOut(_ id: String, _ root: FilePath, _ files: any FileSystem) throws {
        let sealClass = try #require(Self.inFiles.first { $0.id == id })
        let canaries = SealCanaries(seed: 1, catalogue: [sealClass], fillerBytes: 256)
        // The neighbours of the marks; the test of everything at once has all files.
        let folders = Set(canaries.canaries.map { FilePath($0.path).removingLastComponent() } + ["etc", "home/admin"])
        let neighbours = SealTestTree.kept.filter { folders.contains(FilePath($0.key).removingLastComponent()) }
        let tree = try SealTestTree(root: root, files: files, kept: neighbours)
        #expect(!canaries.canaries.isEmpty)
        try canaries.plant(in: tree.root, tree.files, catalogue: [sealClass])
        for canary in canaries.canaries {
            let content = try files.read(root.pushing(FilePath(canary.path)))
            #expect(content.firstRange(of: Array(canary.marker.utf8)) != nil, "\(canary.path)")
        }
        let report = try tree.seal(only: id)
        #expect(report.isComplete && report.classes.first?.state == .sealed)
        let after = try tree.contents()
        #expect(SealTestTree.found(canaries, in: after) == [])
        #expect(unexpected(neighbours.mapValues { Array($0.utf8) }, after, canaries) == [])
    }

    @Test func everythingAtOnceOnARealDisk() throws {
        try withTemporaryFolder { folder in
            let tree = try SealTestTree(root: folder.appending("target"), files: LocalFiles())
            let before = try tree.contents()
            let canaries = SealCanaries(seed: 2, fillerBytes: 512)
            try canaries.plant(in: tree.root, tree.files)
            #expect(SealTestTree.found(canaries, in: try tree.contents()).count == canaries.canaries.count)
            let report = try tree.seal()
            #expect(report.left == [])
            let sealed = try tree.contents()
            #expect(SealTestTree.found(canaries, in: sealed) == [])
            #expect(unexpected(before, sealed, canaries) == [])
            #expect(report.classes.count { $0.state == .sealed } >= Self.inFiles.count - 5)

            #expect(try tree.seal().changes == 0)
            #expect(try tree.contents() == sealed)
        }
    }

    /// Paths that are different from before, apart from what planting and sealing bring.
    private func unexpected(_ before: [String: [UInt8]], _ after: [String: [UInt8]], _ canaries: SealCanaries) -> [String] {
        let planted = Set(canaries.canaries.map(\.path))
        return Set(before.keys).union(after.keys).filter { path in
            if Self.added.contains(path) { return false }
            // Of planted files an emptied one may stay, or one whose marked line is neutral now.
            if before[path] == nil, planted.contains(path) { return after[path].map { $0.count > 64 } ?? false }
            let lines = after[path].map { String(decoding: $0, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false) }
            // The marked account stays, without a password.
            let others = lines?.filter { !$0.hasPrefix("canary:!:") && !$0.hasPrefix("canary:x:") }.joined(separator: "\n")
            return others.map { Array($0.utf8) } != before[path] && after[path] != before[path]
        }.sorted()
    }

    @Test func machineIdIsThereAndEmpty() throws {
        try SealTestTree.onDisk { tree in
            _ = try tree.seal()
            #expect(try tree.text("etc/machine-id") == "")
            try tree.add([
                "etc/machine-id": "0123456789abcdef0123456789abcdef\n", "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
            ])
            _ = try tree.seal()
            #expect(try tree.text("etc/machine-id") == "")
            #expect(try !tree.exists("var/lib/dbus/machine-id"))
        }
    }

    /// As `kldload-ca` leaves it: links into folders of versions.
    @Test func noAuthorityStays() throws {
        try SealTestTree.onDisk { tree in
            let home = "etc/kldload/ca"
            try tree.add(["\(home)/roots/1/private/ca.key": "key", "\(home)/issued/web/2/private/web.key": "key"])
            for (link, target) in [
                ("root", "roots/1"), ("root.archived.20261129080721", "roots/0"), ("issued/web/current", "2"),
                ("leaves/web.key", "../issued/web/current/private/web.key"),
            ] { try tree.files.symlink(tree.root.pushing(FilePath("\(home)/\(link)")), to: target) }
            #expect(try tree.seal(only: "kldload-ca").left == [])
            #expect(try tree.contents(home).isEmpty)
        }
    }

    @Test func clonesAreToldWhatToDo() throws {
        try SealTestTree.onDisk { tree in
            try tree.add(["etc/cloud/cloud-init.disabled": ""])
            let report = try tree.seal()
            #expect(
                try tree.text("etc/cloud/cloud.cfg.d/99-kldload-datasource.cfg").lines.last
                    == "datasource_list: [ NoCloud, ConfigDrive, OpenStack, Azure, GCE, Ec2, None ]")
            #expect(try !tree.exists("etc/cloud/cloud-init.disabled"))
            #expect(
                report.unitsToEnable == [
                    "cloud-init-local.service", "cloud-init-network.service", "cloud-config.service", "cloud-final.service",
                    "kldload-firstboot.service",
                ])
            let marker = try tree.text("var/lib/kldload/firstboot/sealed")
            for renewal in ["host-id", "pool-guid", "ssh-host-keys"] { #expect(marker.contains(renewal)) }
        }
    }

    @Test func aLinkToAFolderOfTheHostIsNotFollowed() throws {
        try withTemporaryFolder { folder in
            let host = folder.appending("host")
            try LocalFiles().write("host's own", to: host.appending("syslog"))
            try LocalFiles().write("root:$6$hash:1:0:99999:7:::\n", to: host.appending("shadow"))
            let tree = try SealTestTree(root: folder.appending("target"), files: LocalFiles())
            for (link, target) in [
                ("var/log", host.string), ("var/crash", "../../host"), ("home/guest", "../../host"), ("tmp/way-out", host.string),
            ] {
                try tree.files.symlink(tree.root.pushing(FilePath(link)), to: target)
            }
            try tree.files.remove(tree.root.appending("etc").appending("shadow"))
            try tree.files.symlink(tree.root.appending("etc").appending("shadow"), to: host.appending("shadow").string)
            let report = try tree.seal()
            #expect(try LocalFiles().list(host) == ["shadow", "syslog"])
            #expect(try LocalFiles().readText(host.appending("shadow")).contains("$6$hash"))
            #expect(try LocalFiles().readText(host.appending("syslog")) == "host's own")
            // A link inside a folder that is emptied goes; what it points to stays.
            #expect(try !tree.exists("tmp/way-out"))
            #expect(report.left.map(\.path) == [tree.root.appending("etc").appending("shadow").string])
            #expect(!report.isComplete)
        }
    }

    @Test(arguments: ["/etc", "../etc", "../../../../etc"])
    func aLinkToAFolderOfTheRootIsLeftAndReported(_ target: String) throws {
        try SealTestTree.onDisk { tree in
            try tree.files.symlink(tree.root.pushing("var/log"), to: target)
            let report = try tree.seal()
            #expect(try tree.text("etc/fstab") == SealTestTree.kept["etc/fstab"])
            let entry = try #require(report.classes.first { $0.id == "logs" })
            #expect(entry.state == .left && entry.left.map(\.path) == ["\(tree.root)/var/log"])
            #expect(entry.left.first?.why == "a link to \(target); links are not followed")
        }
    }

    @Test func aLinkIntoAFolderThatIsSealedAnywayHidesNothing() throws {
        try SealTestTree.onDisk { tree in
            try tree.add(["var/mail/admin": "dear admin"])
            try tree.files.symlink(tree.root.pushing("var/spool/mail"), to: "../mail")
            let report = try tree.seal()
            #expect(report.isComplete, "\(report.left)")
            #expect(try !tree.exists("var/mail/admin"))
            #expect(try tree.exists("var/spool/mail"))
        }
    }

    @Test func linksInACircleEnd() throws {
        try SealTestTree.onDisk { tree in
            try tree.files.symlink(tree.root.pushing("var/log"), to: "/var/other")
            try tree.files.symlink(tree.root.pushing("var/other"), to: "/var/log")
            #expect(try tree.seal().left.contains { $0.path.hasPrefix("\(tree.root)/var/log") })
        }
    }

    @Test func onlyTheAnswersKeysOfTheAdministratorStay() throws {
        try SealTestTree.onDisk { tree in
            let mine = "ssh-ed25519 AAAAmine admin@desk"
            let keys = "# from the answers\n\(mine)\nssh-ed25519 AAAAother builder@host\n"
            func plant() throws {
                try tree.add(["home/admin/.ssh/authorized_keys": keys, "root/.ssh/authorized_keys": keys, "root/.ssh/id_deploy": "key"])
            }
            try plant()
            _ = try tree.seal(SealOptions(keepUser: "admin", keepAuthorizedKeys: [mine]))
            #expect(try tree.text("home/admin/.ssh/authorized_keys") == mine + "\n")
            #expect(try !tree.exists("root/.ssh/authorized_keys") && !tree.exists("root/.ssh/id_deploy"))
            try plant()
            _ = try tree.seal()
            #expect(try !tree.exists("home/admin/.ssh/authorized_keys") && !tree.exists("root/.ssh/authorized_keys"))
        }
    }

    @Test func anExportedMachinesAddressGoesAndThatOfAnImagesAnswersStays() throws {
        try SealTestTree.onDisk { tree in
            let fixed = [
                "etc/systemd/network/10-kldload.network": "[Match]\nType=ether\n\n[Network]\nAddress=10.0.1.50/24\n",
                "etc/systemd/network/50-kldload-others.network": "[Match]\nType=ether\nKind=!*\n\n[Link]\nUnmanaged=yes\n",
                "etc/systemd/network/20-kldload-wireless.network": "[Match]\nType=wlan\n",
                "etc/udev/rules.d/80-kldload-wireless.rules": "SUBSYSTEM==\"net\"\n",
                "etc/systemd/system/wpa_supplicant@.service.d/kldload.conf": "[Service]\n",
                // Of an open network: the unit above does not start without it.
                "etc/wpa_supplicant/kldload.conf": "network={\n\tssid=6f70656e\n\tkey_mgmt=NONE\n}\n",
            ]
            let key = "etc/wpa_supplicant/wpa_supplicant-wlan0.conf"
            try tree.add(fixed)
            try tree.add(["etc/systemd/network/99-kldload-dhcp.network": "[Network]\nDHCP=yes\n", key: "network={\n\tpsk=secret\n}\n"])
            #expect(try tree.seal(SealOptions(keepNetwork: true)).isComplete)
            for path in fixed.keys { #expect(try tree.exists(path), "\(path)") }
            #expect(try !tree.exists(key))
            #expect(try tree.seal().isComplete)
            for path in fixed.keys { #expect(try !tree.exists(path), "\(path)") }
            #expect(try tree.exists("etc/systemd/network/99-kldload-dhcp.network"))
        }
    }

    @Test func theManifestOfTheInstallGoesUnderBothItsNames() throws {
        try SealTestTree.onDisk { tree in
            try tree.add(["etc/kldload/install-manifest.env": "A=b\n", String(InstallManifest.path.dropFirst()): "{}\n"])
            _ = try tree.seal()
            #expect(try !tree.exists("etc/kldload/install-manifest.env") && !tree.exists("etc/kldload/install-manifest.json"))
        }
    }

    @Test func marksOutsideTheRootAreMadeForEveryClassThatHasNoFilesThere() throws {
        try withTemporaryFolder { folder in
            let canaries = SealCanaries(seed: 3, fillerBytes: 256)
            try canaries.plantElsewhere(in: folder, LocalFiles())
            #expect(try LocalFiles().list(folder) == SealCanaries.Place.allCases.map(\.rawValue).sorted())
            let scanner = try ByteScanner(canaries.markers)
            var found: Set<String> = []
            for place in SealCanaries.Place.allCases where place != .esp {
                found.formUnion(try scanner.scan(folder.appending(place.rawValue)).hits.map(\.name))
            }
            let esp = canaries.elsewhere.filter { $0.place == .esp }
            #expect(esp.map(\.path).sorted() == ["EFI/canary/user.cfg", "loader/random-seed"])
            for canary in esp {
                let text = try LocalFiles().read(folder.appending("esp").pushing(FilePath(canary.path)))
                #expect(text.starts(with: canary.marker.utf8))
            }
            #expect(found.count == canaries.elsewhere.count - esp.count)
            let classes = Set(canaries.elsewhere.map(\.classID))
            for sealClass in SealCatalogue.rebuilt { #expect(classes.contains(sealClass.id), "\(sealClass.id)") }
            #expect(classes.isSuperset(of: ["free-space", "zfs-snapshots", "esp-free-clusters"]))
            // As a kernel reads it: a name of an archive, then the mark.
            let archive = try LocalFiles().read(folder.appending("initramfs"))
            #expect(archive.starts(with: "070701".utf8))
        }
    }

    @Test func homesOfServicesAreHomes() throws {
        try SealTestTree.onDisk { tree in
            try tree.add([
                "var/lib/postgresql/.psql_history": "ALTER ROLE admin PASSWORD 'x'", "var/lib/postgresql/17/main/PG_VERSION": "17",
            ])
            _ = try tree.seal()
            #expect(try !tree.exists("var/lib/postgresql/.psql_history") && tree.exists("var/lib/postgresql/17/main/PG_VERSION"))
        }
    }

    @Test func homesOfPeopleAreHomesWhereverTheyLie() throws {
        try SealTestTree.onDisk { tree in
            let accounts = try tree.text("etc/passwd")
            try tree.add([
                "etc/passwd": accounts + "ann:x:1001:1001::/data/ann:/bin/bash\n", "data/ann/.ssh/id_ed25519": "key",
                "data/ann/.bash_history": "mysql -psecret", "data/ann/notes.txt": "buy bread\n",
            ])
            #expect(try tree.seal().isComplete)
            for path in [".ssh/id_ed25519", ".bash_history"] { #expect(try !tree.exists("data/ann/\(path)"), "\(path)") }
            #expect(try tree.exists("data/ann/notes.txt"))
        }
    }

    @Test(.enabled(if: geteuid() == 0, "only root may give files away"))
    func aChangedFileKeepsModeAndOwner() throws {
        try withTemporaryFolder { folder in
            let tree = try SealTestTree(root: folder.appending("target"), files: LocalFiles())
            let shadow = tree.root.pushing("etc/shadow")
            try tree.files.write("admin:$y$hash:0:0:99999:7:::\n", to: shadow, mode: 0o640)
            #expect(chown(shadow.string, 0, 42) == 0)
            _ = try tree.seal(only: "passwords")
            #expect(try tree.text("etc/shadow") == "admin:!::0:99999:7:::\n")
            #expect(try LocalFiles().ownership(of: shadow).group == 42)
            #expect(try tree.files.status(shadow)?.mode == 0o640)
        }
    }

    @Test func aDryRunPrintsAndChangesNothing() throws {
        let tree = try SealTestTree.inMemory()
        try tree.add(["etc/hostid": "\u{1}\u{2}\u{3}\u{4}", "etc/hosts": "127.0.1.1 builder\n"])
        let before = try tree.contents()
        let plan = try Sealer(
            root: tree.root, files: tree.files, catalogue: SealCatalogue.classes.filter { ["host-id", "hosts-own-name"].contains($0.id) }
        ).plan()
        #expect(try tree.contents() == before)
        #expect(
            plan.text == """
                seal /target
                host-id: Host id of ZFS
                  remove /target/etc/hostid
                hosts-own-name: Own name in the hosts file
                  drop lines whose first word is `127.0.1.1`: /target/etc/hosts
                clone-state: What a clone's first boot needs
                  write /target/etc/machine-id (0 bytes)
                  write /target/etc/cloud/cloud.cfg.d/99-kldload-datasource.cfg (\(plan.bytes("99-kldload-datasource.cfg")) bytes)
                  write /target/etc/cloud/cloud.cfg.d/98-kldload-zfs.cfg (\(plan.bytes("98-kldload-zfs.cfg")) bytes)
                  write /target/etc/cloud/ds-identify.cfg (54 bytes)
                  write /target/var/lib/kldload/firstboot/sealed (\(plan.bytes("sealed")) bytes)

                """)
    }

    @Test func aFolderWithoutASystemIsRefused() throws {
        let error = #expect(throws: Diagnosis.self) { try Sealer(root: "/empty", files: MemoryFiles()).seal() }
        #expect(error?.code == "seal.no-root")
    }

    @Test func theReportTellsAllAndCanBeReadBack() throws {
        try SealTestTree.onDisk { tree in
            try tree.add(["etc/shadow": "admin:$6$secrethash:1:0:99999:7:::\n"])
            let report = try tree.seal()
            let json = try report.json()
            #expect(try JSONDecoder().decode(SealReport.self, from: Data(json.utf8)) == report)
            #expect(!json.contains("secrethash"))
            let states = Dictionary(uniqueKeysWithValues: report.classes.map { ($0.id, $0.state) })
            #expect(states["passwords"] == .sealed)
            #expect(states["gnupg"] == .absent)
            #expect(states["pool-guid"] == .disk)
            #expect(states["initramfs"] == .rebuild)
            #expect(report.classes.first { $0.id == "pool-guid" }?.todo?.hasPrefix("first boot: zpool reguid") == true)
        }
    }

    @Test func theStepSealsWritesTheReportAndFailsWhenSomethingIsLeft() async throws {
        let tree = try SealTestTree.inMemory()
        try tree.add(["etc/hostid": "1234", "home/admin/.ssh/authorized_keys": "ssh-ed25519 A a\n"])
        let options = SealOptions(keepUser: "admin", keepAuthorizedKeys: ["ssh-ed25519 A a"], datasources: ["NoCloud", "None"])
        let step = Step("seal", "Seal", [SealStep.action(root: tree.root, options: options, report: "/run/kldload/seal.json")])
        let log = EventLog()
        let runner = PlanRunner(
            runner: ScriptedRunner([]), files: tree.files,
            performers: SealStep.performers(say: { log.report(PlanEvent(.output, message: $0)) }))
        let plan = Plan("seal", [Phase("image", "Image", [step])])
        try await runner.apply(plan)
        // What was done is said, for the report is gone with the guest.
        #expect(log.events.contains { $0.message == "sealed host-id: remove /target/etc/hostid" })
        #expect(try !tree.exists("etc/hostid"))
        #expect(try tree.exists("home/admin/.ssh/authorized_keys"))
        #expect(try tree.text("etc/cloud/cloud.cfg.d/99-kldload-datasource.cfg").contains("[ NoCloud, None ]"))
        #expect(try tree.files.readText("/run/kldload/seal.json").contains("\"schema\" : \"seal/1\""))

        try tree.files.remove(tree.root.pushing("etc/shadow"))
        try tree.files.symlink(tree.root.pushing("etc/shadow"), to: "/elsewhere/shadow")
        let error = await #expect(throws: Diagnosis.self) { try await runner.apply(plan) }
        #expect(error?.code == "seal.incomplete")
    }
}

extension SealPlan {
    fileprivate func bytes(_ name: String) -> Int {
        for case .write(let path, let content, _) in actions where path.lastComponent?.string == name { return content.count }
        return -1
    }
}

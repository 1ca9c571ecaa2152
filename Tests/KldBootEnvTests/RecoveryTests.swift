import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("A machine that does not start")
struct RecoveryTests {
    private static func label(_ name: String, _ guid: UInt64, _ state: Int) -> String {
        "LABEL 0\n    name: '\(name)'\n    state: \(state)\n    pool_guid: \(guid)\n    hostid: 19088743\n    hostname: 'box'\n"
    }

    private func pool(_ name: String, _ guid: UInt64, state: Int = 0) throws -> RescuePool {
        RescuePool(name: name, guid: guid, label: try #require(DiskLabel.parse(Self.label(name, guid, state))))
    }

    @Test("the pool that is meant is found, or it is said which there are")
    func choice() throws {
        let pools = try [pool("rpool", 1), pool("tank", 2)]
        #expect(try RescuePool.choose("tank", among: pools, open: []).guid == 2)
        #expect(try RescuePool.choose("1", among: pools, open: []).name == "rpool")
        // The medium's own, or one that is open already, is not meant.
        #expect(try RescuePool.choose(nil, among: pools, open: [2]).guid == 1)
        let twins = try [pool("rpool", 1), pool("rpool", 2)]
        func code(_ wanted: String?, _ pools: [RescuePool], _ open: Set<UInt64> = []) -> String? {
            do { return try RescuePool.choose(wanted, among: pools, open: open).name } catch { return error.code }
        }
        #expect(code(nil, []) == "recovery.no-pool" && code("other", pools) == "recovery.no-pool")
        #expect(code(nil, pools) == "recovery.ambiguous" && code("rpool", twins) == "recovery.ambiguous")
        #expect(code("rpool", pools, [1]) == "recovery.imported")
    }

    @Test("a pool is imported under the host id of its own machine, and never by force")
    func opening() throws {
        #expect(
            try pool("rpool", 77).opening().steps.flatMap(\.actions).map(\.text) == [
                "mkdir /recovery (755)", "tee /sys/module/spl/parameters/spl_hostid", "zpool import -N -R /recovery 77",
            ])
        #expect(try pool("rpool", 77).isInUse && !pool("rpool", 77, state: 1).isInUse)
        var unknown = try pool("rpool", 77)
        unknown.label.hostID = nil
        #expect(
            try unknown.opening(as: PoolName("rpool")).steps.flatMap(\.actions).map(\.text) == [
                "mkdir /recovery (755)", "zpool import -N -R /recovery 77 rpool",
            ])
    }

    @Test("disks are asked, not imported pools; a destroyed pool is none")
    func find() async throws {
        let listing = """
            {"blockdevices":[{"path":"/dev/vda","name":"vda","size":1,"type":"disk","children":[
              {"path":"/dev/vda1","name":"vda1","size":1,"type":"part","fstype":"vfat"},
              {"path":"/dev/vda2","name":"vda2","size":1,"type":"part","fstype":"zfs_member","label":"rpool"}]},
              {"path":"/dev/vdb","name":"vdb","size":1,"type":"disk","fstype":"zfs_member"}]}
            """
        let runner = ScriptedRunner([
            ListBlockDevices.command.description: listing, DiskLabel.command("/dev/vda2").description: Self.label("rpool", 5, 0),
            DiskLabel.command("/dev/vdb").description: Self.label("old", 6, 2), ZPool.list().description: "",
        ])
        let found = try await RescuePool.find(nil, runner: runner, files: MemoryFiles())
        #expect(found.name == "rpool" && found.guid == 5 && found.isInUse && found.label.hostID == HostID(0x0123_4567))
    }

    private func tree(_ wanted: String?, bootfs: String = "rpool/ROOT/debian") async throws -> RescuePool.Tree {
        let pool = try PoolName("rpool")
        let columns = ["name", "canmount", "mountpoint"]
        let runner = ScriptedRunner([
            ZFS.list(pool.dataset, columns: columns, types: ["filesystem"]).description:
                "rpool\toff\tnone\nrpool/ROOT\toff\tnone\nrpool/ROOT/.new-x\tnoauto\t/recovery\n"
                + "rpool/ROOT/debian\tnoauto\t/recovery\nrpool/ROOT/next\tnoauto\t/recovery\n"
                + "rpool/ROOT/next/usr\tnoauto\t/recovery/usr\nrpool/ROOT/next/x\tnoauto\tnone\nrpool/var/log\ton\t/recovery/var/log\n",
            ZPool.list(pool).description: "rpool\t1\t9\t1\t8\tONLINE\toff\t/recovery\t\(bootfs)\n",
        ])
        return try await RescuePool.tree(wanted, of: pool, runner: runner, files: MemoryFiles())
    }

    @Test("the environment that boots is entered, or the one that is named, with what lies below it")
    func environment() async throws {
        #expect(try await tree(nil).environment.text == "rpool/ROOT/debian")
        let next = try await tree("next")
        #expect(next.environment.text == "rpool/ROOT/next" && next.children.map(\.text) == ["rpool/ROOT/next/usr"])
        // What is half made is no environment.
        let wrong: [(String?, String)] = [("other", "rpool/ROOT/debian"), (".new-x", "-"), (nil, "-"), (nil, "rpool/ROOT/gone")]
        for (wanted, bootfs) in wrong {
            await #expect { try await self.tree(wanted, bootfs: bootfs) } throws: { Diagnosis(of: $0).code == "recovery.no-environment" }
        }
        let texts = next.mounting("/usr/lib/kldload/kldload").steps.flatMap(\.actions).map(\.text)
        #expect(
            texts == [
                "zfs mount rpool/ROOT/next", "zfs mount rpool/ROOT/next/usr", "zfs mount -a", "mount --bind /dev /recovery/dev",
                "mount --bind /dev/pts /recovery/dev/pts", "mount --bind /proc /recovery/proc", "mount --bind /sys /recovery/sys",
                "mount --bind /run /recovery/run", "mkdir /run/kldload/recovery (700)",
                "cp /usr/lib/kldload/kldload /run/kldload/recovery/kldload",
            ])
    }

    @Test("only what environments are encrypted by has to be unlocked; a person's own home and a copy without its key may stay locked")
    func keys() async throws {
        /// - Parameter rows: dataset, state of its key, what it is encrypted by, where the key is.
        func missing(_ rows: [(String, String, String, String)]) async throws -> RescuePool.MissingKeys {
            let text = rows.map { name, status, root, location in
                "\(name)\tkeystatus\t\(status)\t-\n\(name)\tencryptionroot\t\(root)\t-\n\(name)\tkeylocation\t\(location)\tlocal\n"
            }.joined()
            let command = ZFS.get(
                "rpool", ["keystatus", "encryptionroot", "keylocation"], recursive: true, types: ["filesystem", "volume"])
            return try await RescuePool.missingKeys(of: PoolName("rpool"), runner: ScriptedRunner([command.description: text]))
        }
        func names(_ keys: RescuePool.MissingKeys) -> [[String]] { [keys.needed.map(\.text), keys.others.map(\.text)] }
        let (root, alice, copy) = ("rpool", "rpool/home/alice", "rpool/copies/db")
        let rows = [
            (root, "unavailable", root, "prompt"), ("rpool/ROOT", "unavailable", root, "none"),
            ("rpool/ROOT/debian", "unavailable", root, "none"), ("rpool/ROOT/debian/srv", "unavailable", "rpool/ROOT/debian/srv", "prompt"),
            ("rpool/home", "unavailable", root, "none"), (alice, "unavailable", alice, "prompt"), (copy, "unavailable", copy, "prompt"),
            ("rpool/files", "unavailable", "rpool/files", "file:///etc/key"), ("rpool/open", "available", "rpool/open", "prompt"),
        ]
        let all = try await missing(rows)
        #expect(names(all) == [[root, "rpool/ROOT/debian/srv"], [copy, alice]])
        #expect(all.note?.hasPrefix("\(copy), \(alice) stay locked") == true && RescuePool.MissingKeys(needed: all.needed).note == nil)
        // A pool that is not encrypted but for her.
        let plain = [("rpool", "-", "-", "none"), ("rpool/ROOT", "-", "-", "none"), (alice, "unavailable", alice, "prompt")]
        #expect(try await names(missing(plain)) == [[], [alice]])
        // Laid out otherwise: what its root needs nobody knows.
        let otherwise = [("rpool", "-", "-", "none"), ("rpool/os", "unavailable", "rpool/os", "prompt")]
        #expect(try await names(missing(otherwise)) == [["rpool/os"], []])
    }

    @Test("a pool that somebody else has used since is opened again by the machine's own host id, and nothing here keeps that id")
    func foreign() throws {
        func id(_ parameter: String, own: UInt32 = 0x0123_4567) throws -> HostID? {
            let files = MemoryFiles(["/sys/module/spl/parameters/spl_hostid": parameter + "\n"])
            try files.write(#require(HostID(own)).fileContent, to: "/recovery/etc/hostid", mode: .file)
            return RescuePool.foreign(files)
        }
        let same = try id("19088743")
        #expect(same == nil)
        for parameter in ["7", "0"] { #expect(try id(parameter)?.description == "01234567") }
        let plan = RescuePool.reopening(try PoolName("rpool"), by: try #require(HostID(0x0123_4567)))
        #expect(
            plan.steps.flatMap(\.actions).map(\.text) == [
                "umount --recursive /recovery", "zfs.export pool=rpool target=/recovery", "tee /sys/module/spl/parameters/spl_hostid",
                "tee /sys/module/spl/parameters/spl_hostid", "zpool import -N -R /recovery rpool",
            ])
    }

    @Test("an older kernel boots where the newest one's module was not built")
    func unusable() throws {
        var target = try Fixture.target("test")
        target.facts.unusable = ["7.9"]
        let gate = BootGate(try Fixture.system(), target)
        #expect(gate.problems.isEmpty && gate.doubts.count == 1)
    }

    @Test("every step of it can be performed")
    func performers() throws {
        let pool = try PoolName("rpool")
        let tree = RescuePool.Tree(pool: pool, environment: try pool.dataset.appending("ROOT"), children: [], hasFirmwareVariables: true)
        for plan in [try self.pool("rpool", 1).opening(), RescuePool.leaving, RescuePool.closing(pool), tree.mounting("/x")] {
            for case .perform(let name, _, _) in plan.steps.flatMap({ $0.actions + $0.release + $0.undo }) {
                #expect(BootPerformers.table[name] != nil, "\(name)")
            }
        }
    }

    @Test("a report holds no secret: logs, and what the installation wrote down")
    func report() async throws {
        let runner = ScriptedRunner(["lsblk --fs": "vda\n"])
        let report = await RecoveryReport.gather(try PoolName("rpool"), runner: runner)
        let texts = report.packing(into: "/mnt/k.tar.gz").steps.flatMap(\.actions).map(\.text)
        let packing = try #require(texts.first { $0.hasPrefix("tar ") })
        #expect(
            packing
                == "tar --create --gzip --ignore-failed-read --file /mnt/k.tar.gz.partial --directory /recovery var/log var/lib/kldload/boot "
                + "etc/kldload/install-manifest.json etc/kldload/install-manifest.env --directory /run/kldload/recovery report")
        #expect(texts.count { $0.contains("report/") } == 7 && texts.last == "mv --force /mnt/k.tar.gz.partial /mnt/k.tar.gz")
    }

    // MARK: ESPs that are lost

    private static let disks = """
        {"blockdevices":[
          {"path":"/dev/sda","name":"sda","size":1,"type":"disk","children":[
            {"path":"/dev/sda1","name":"sda1","size":1,"type":"part","fstype":"vfat","label":"EFI","partlabel":"EFI system partition","mountpoints":["/boot/efi"]},
            {"path":"/dev/sda2","name":"sda2","size":1,"type":"part","fstype":"zfs_member"}]},
          {"path":"/dev/sdb","name":"sdb","size":1,"type":"disk","children":[
            {"path":"/dev/sdb1","name":"sdb1","size":1,"type":"part","fstype":null,"partlabel":"EFI system partition"},
            {"path":"/dev/sdb2","name":"sdb2","size":1,"type":"part","fstype":"zfs_member"},
            {"path":"/dev/sdb3","name":"sdb3","size":1,"type":"part","fstype":"vfat","label":"SYSTEM","partlabel":"EFI system partition"}]},
          {"path":"/dev/sdc","name":"sdc","size":1,"type":"disk","children":[
            {"path":"/dev/sdc1","name":"sdc1","size":1,"type":"part","fstype":null,"partlabel":"EFI system partition"}]},
          {"path":"/dev/sdd","name":"sdd","size":1,"type":"disk","children":[
            {"path":"/dev/sdd2","name":"sdd2","size":1,"type":"part","fstype":"zfs_member"}]}
        ]}
        """

    private func restore(_ disk: FilePath? = nil, listed: String = "aa-bb") async throws -> (BootRestore, ScriptedRunner) {
        let runner = ScriptedRunner([
            ListBlockDevices.command.description: Self.disks,
            "zpool list -vHPp -o name,bootfs,altroot rpool": "rpool\t-\t-\n\t/dev/sda2\n\t/dev/sdb2\n\t/dev/sdd2\n",
            "efibootmgr --verbose": "Boot0001* KLDload\tHD(1,GPT,\(listed),0x800,0x200000)/\\EFI\\kldload\\shimx64.efi\n",
            "lsblk --noheadings --output PARTUUID /dev/sda1": "aa-bb\n", "lsblk --noheadings --output PARTUUID /dev/sdb1": "cc-dd\n",
        ])
        let files = MemoryFiles(
            ["/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n"],
            devices: ["/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdd", "/dev/sda2", "/dev/sdb2", "/dev/sdd2"])
        return (try await BootRestore.gather(disk: disk, runner: runner, files: files), runner)
    }

    @Test("only a partition of the pool's disks that is named as an ESP and holds none is made one, with an approval")
    func lost() async throws {
        let restore = try await restore().0
        #expect(restore.lost.map(\.path) == ["/dev/sdb1"])
        let plan = try restore.formatting([], serial: 0x1234_abcd)
        #expect(plan.destroys == ["/dev/sdb1"])
        #expect(plan.steps[0].actions[0].text == "mkfs.vfat -F 32 -n EFI -i 1234abcd /dev/sdb1")
        #expect { try PlanRunner.check(plan, approvals: []) } throws: { Diagnosis(of: $0).code == "plan.unapproved" }
    }

    @Test("a disk of nobody's pool, one without a place for an ESP, a foreign partition and a mounted one are refused")
    func refused() async throws {
        for (disk, code) in [("/dev/sdc", "boot.not-a-pool-disk"), ("/dev/sdd", "boot.no-esp-partition")] as [(FilePath, String)] {
            await #expect { try await self.restore(disk) } throws: { Diagnosis(of: $0).code == code }
        }
        let restore = try await restore("/dev/sdb").0
        #expect { try restore.formatting(["/dev/sda1"], serial: 1) } throws: { Diagnosis(of: $0).code == "boot.not-an-esp" }
        // Of one disk only what lies on it: sdb lacks an ESP, and has a partition that a person might name.
        let first = try await self.restore("/dev/sda").0
        #expect(first.lost.isEmpty)
        #expect { try first.formatting(["/dev/sdb3"], serial: 1) } throws: { Diagnosis(of: $0).code == "boot.not-an-esp" }
        let all = try await self.restore().0
        // Another system's, perhaps: not by itself.
        #expect(try all.formatting([], serial: 1).destroys == ["/dev/sdb1"])
        #expect(try all.formatting(["/dev/sdb3"], serial: 1).destroys == ["/dev/sdb1", "/dev/sdb3"])
        #expect { try all.formatting(["/dev/sdc1"], serial: 1) } throws: { Diagnosis(of: $0).code == "boot.not-an-esp" }
        #expect { try all.formatting(["/dev/sda1"], serial: 1) } throws: { Diagnosis(of: $0).code == "boot.esp-mounted" }
    }

    @Test("the firmware gets an entry for each ESP that has none, where it keeps any")
    func firmware() async throws {
        let (restore, runner) = try await restore(listed: "other")
        let firmware = MemoryFiles(["/sys/firmware/efi/efivars/x": ""])
        let plan = try await restore.entering("KLDload", runner: runner, files: firmware)
        #expect(
            plan.steps.flatMap(\.actions).map(\.text) == [
                "efibootmgr --create --quiet --disk /dev/sda --part 1 --label KLDload --loader '\\EFI\\kldload\\shimx64.efi'"
            ])
        // One that is no ESP yet gets none, and one that has an entry no second.
        let (listed, other) = try await self.restore()
        #expect(try await listed.entering("KLDload", runner: other, files: firmware).steps.isEmpty)
        #expect(try await restore.entering("KLDload", runner: runner, files: MemoryFiles()).steps.isEmpty)
        // Nor one that is damaged: the firmware would begin with it.
        let damaged = BootSystem.Damaged(device: "/dev/sda1", problem: .damagedESP("/dev/sda1", causes: []))
        #expect(try await restore.entering("KLDload", except: [damaged], runner: runner, files: firmware).steps.isEmpty)
        #expect(restore.includes("/dev/sda1") && !restore.includes("/dev/sdb1"))
    }
}

@Suite("A boot loader that is not the system's")
struct LoaderStagingTests {
    @Test("an ESP that lacks it is told before the next boot; one that has another version warns")
    func prediction() throws {
        let paths = ["EFI/kldload/shimx64.efi", "EFI/BOOT/BOOTX64.EFI"]
        func lacking(_ missing: [String], _ count: Int) throws -> BootPrediction {
            try BootPredictionTests.predict { system, facts in
                facts.loaders = system.esps.prefix(count).map { .init(esp: $0, files: .init(missing: missing)) }
            }
        }
        #expect(try !lacking(paths, 2).starts)
        #expect(try lacking(paths, 1).starts && lacking([paths[0]], 2).starts)
        let outdated = try BootPredictionTests.predict { system, facts in
            facts.loaders = [.init(esp: system.esps[0], files: .init(outdated: paths))]
        }
        #expect(outdated.starts && outdated.findings.contains { $0.status == .warn && $0.remedy == "kldload boot refresh" })
    }
}

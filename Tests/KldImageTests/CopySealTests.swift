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

@testable import KldImage

@Suite("Sealing a copy")
struct CopySealTests {
    static let seal = CopySeal(
        disk: "/dev/disk/by-id/virtio-disk0", pool: "rpool", device: "/dev/disk/by-id/virtio-disk0-part2", foreign: true,
        espSerial: 0x0BAD_CAFE)

    @Test("the plan: identities of the disk first, then the files, then what is built of them, free blocks last")
    func plan() throws {
        let part = "/dev/disk/by-id/virtio-disk0-part1"
        #expect(
            try Self.seal.plan.text() == """
                plan: seal a copy of rpool
                  WIPES /dev/disk/by-id/virtio-disk0
                open: Open the copy
                  + copy.guids: GUIDs of its own for the disk and its partitions
                      sgdisk --randomize-guids /dev/disk/by-id/virtio-disk0
                      udevadm settle --timeout=30
                      wait for \(part) (at most 30 s)
                  + copy.import: Import the pool rpool
                      mkdir /target (755)
                      zpool import -N -f -R /target rpool
                      release: umount --recursive /target
                      release: zfs.export pool=rpool
                  + copy.holds: Release the holds of the copy's snapshots
                      copy.release-holds pool=rpool
                  ! copy.environments: Destroy the copy's other boot environments
                      copy.drop-environments pool=rpool
                  + copy.mount: Mount its boot environment
                      copy.open pool=rpool
                  + copy.kernel-filesystems: Give it kernel file systems
                      mount --bind /dev /target/dev
                      mount --bind /proc /target/proc
                      mount --bind /sys /target/sys
                      mount --bind /run /target/run
                      release: umount --recursive /target/run
                      release: umount --recursive /target/sys
                      release: umount --recursive /target/proc
                      release: umount --recursive /target/dev
                    copy.describe: Read what is installed
                      copy.describe target=/target
                  + copy.units: Enable what gives a clone its identity
                      copy.enable-units target=/target
                seal: Seal
                  ! copy.snapshots: Destroy the copy's snapshots
                      copy.drop-snapshots pool=rpool
                  + seal: Remove every identity and secret
                      mkdir /target/boot/efi-copy (700)
                      mount -t vfat \(part) /target/boot/efi-copy
                      copy.keep-manifest from=/target/etc/kldload/install-manifest.json to=/run/kldload/clone-manifest.json
                      image.seal datasources=NoCloud,ConfigDrive,OpenStack,Azure,GCE,Ec2,None report=/run/kldload/seal.json root=/target
                      copy.keep-manifest from=/run/kldload/clone-manifest.json to=/target/etc/kldload/install-manifest.json
                      umount --recursive /target/boot/efi-copy
                      remove /target/boot/efi-copy
                      zfs.mount-cache file=/target/etc/zfs/zfs-list.cache/rpool pool=rpool target=/target
                      copy.rebuild-trust target=/target
                      release: umount --recursive /target/boot/efi-copy
                  + copy.initramfs: Build every initramfs again, and look into it
                      write /target/etc/initramfs-tools/conf.d/zz-kldload-seal (644, 16 bytes)
                      chroot /target update-initramfs -u -k all
                      remove /target/etc/initramfs-tools/conf.d/zz-kldload-seal
                      copy.look-into-initramfs target=/target
                disk: Make the rest of the disk anew
                  ! copy.esp: Make the ESP anew, with boot images without the host id
                      copy.remake-esp partition=\(part) serial=195939070 target=/target
                  + copy.passports: Take away what is known of the source's disk
                      copy.drop-passports pool=rpool
                  + copy.pool-guid: A GUID of its own for the pool
                      zpool reguid rpool
                  + copy.logs: Empty the intent logs
                      umount --recursive /target
                      zfs.export pool=rpool target=/target
                      zpool import -N -R /target rpool
                      copy.empty-logs pool=rpool
                  + copy.free: Close the pool, and give back what it does not use
                      zfs.export pool=rpool target=/target
                      zfs.release-free-space device=/dev/disk/by-id/virtio-disk0-part2 pool=rpool

                """)
    }

    private func perform(
        _ name: String, _ parameters: [String: String], _ runner: ScriptedRunner, _ files: MemoryFiles
    ) async throws {
        let performers = CopySeal.performers { _ in }
        let performer = try #require(performers[name])
        try await performer(parameters, runner, files)
    }

    @Test("an initramfs with a host id or a pool cache is not sealed", arguments: ["etc/hostid", "etc/zfs/zpool.cache", nil])
    func lookInto(_ left: String?) async throws {
        let files = MemoryFiles(["/target/boot/initrd.img-6.12": "", "/target/boot/vmlinuz-6.12": "", "/target/boot/initrd.img": ""])
        let list = ["init", "usr/bin/zpool", "usr/bin/hostid", "etc/fstab"] + (left.map { [$0] } ?? [])
        let runner = ScriptedRunner(["chroot /target lsinitramfs /boot/initrd.img-6.12": list.joined(separator: "\n")])
        func look() async throws { try await perform(CopySeal.lookIntoInitramfs, ["target": "/target"], runner, files) }
        guard let left else { return try await look() }
        let problem = await #expect(throws: Diagnosis.self) { try await look() }
        #expect(problem?.code == "seal.incomplete")
        #expect(problem?.causes == ["initrd.img-6.12: \(left)"])
    }

    @Test("passports are taken off vdevs, and off the pool's dataset, where an older OpenZFS put them")
    func passports() async throws {
        let runner = ScriptedRunner([
            "zfs --version": "zfs-2.4.4\nzfs-kmod-2.4.4\n",
            "zfs get -Hp -o name,property,value,source all rpool":
                "rpool\tcom.kldload:owner\tkldload\tlocal\nrpool\tcom.kldload:disk.5.slot\t7\tlocal\n",
            "zpool get -Hp -o name,property,value,source all rpool all-vdevs":
                "a\tguid\t5\t-\na\tcom.kldload:disk.serial\tWD-1\tlocal\nb\tguid\t6\t-\n",
            "zfs inherit com.kldload:disk.5.slot rpool": "", "zpool set com.kldload:disk.serial= rpool 5": "",
        ])
        try await perform(CopySeal.dropPassports, ["pool": "rpool"], runner, MemoryFiles())
        #expect(runner.commands.filter { $0.effect == .changes }.count == 2)
    }

    @Test("the bundle of authorities is made again where there is one")
    func trust() async throws {
        let runner = ScriptedRunner(["chroot /target update-ca-certificates": ""])
        try await perform(CopySeal.rebuildTrust, ["target": "/target"], runner, MemoryFiles())
        #expect(runner.commands.isEmpty)
        let files = MemoryFiles(["/target/usr/sbin/update-ca-certificates": ""])
        try await perform(CopySeal.rebuildTrust, ["target": "/target"], runner, files)
        #expect(runner.commands.count == 1)
    }

    static let parameter = "/sys/module/zfs/parameters/zil_replay_disable"

    /// The module's parameter, as `tee` sets it.
    private static func module(_ files: MemoryFiles, refuses: Bool = false, fails: String? = nil) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                switch command.tool.name {
                case "tee":
                    if !refuses, case .text(let value) = command.input { try files.write(value, to: FilePath(command.arguments[0])) }
                case "zfs":
                    return CommandOutput(
                        output: "rpool\tnone\t-\nrpool/old\tlegacy\t-\nrpool/a b\t/target/b\tunavailable\n"
                            + "rpool/c\t/target/c\tavailable\n")
                case "mount": if command.arguments.contains(fails ?? "") { throw CommandError.failed(command, CommandOutput(status: 1)) }
                case "umount": break
                default: return nil
                }
                return CommandOutput()
            }
        ])
    }

    @Test("every log whose key is there is emptied, while logs are not replayed, and only then")
    func logsEmptied() async throws {
        let files = MemoryFiles([Self.parameter: "0\n"])
        let runner = Self.module(files)
        try await perform(CopySeal.emptyLogs, ["pool": "rpool"], runner, files)
        #expect(
            runner.commands.map(\.description) == [
                "zfs list -Hp -r -t filesystem -o name,mountpoint,keystatus rpool", "tee \(Self.parameter)",
                "mount -t zfs -o zfsutil rpool /run/kldload/logs/0", "mount -t zfs rpool/old /run/kldload/logs/1",
                "mount -t zfs -o zfsutil rpool/c /run/kldload/logs/2", "umount /run/kldload/logs/0", "umount /run/kldload/logs/1",
                "umount /run/kldload/logs/2", "tee \(Self.parameter)",
            ])
        #expect(runner.commands.filter { $0.tool.name == "tee" }.map(\.input) == [.text("1\n"), .text("0\n")])
        #expect(files.texts[Self.parameter] == "0\n")
    }

    @Test("a file system that does not mount is an error; logs are replayed again, and nothing stays mounted")
    func logsNotEmptied() async throws {
        let files = MemoryFiles([Self.parameter: "0\n"])
        let runner = Self.module(files, fails: "rpool/c")
        await #expect(throws: CommandError.self) { try await perform(CopySeal.emptyLogs, ["pool": "rpool"], runner, files) }
        #expect(runner.commands.suffix(3).map(\.tool.name) == ["umount", "umount", "tee"])
        #expect(files.texts[Self.parameter] == "0\n")
    }

    @Test("a parameter that the module does not take is an error, before anything is mounted")
    func parameterRefused() async throws {
        let files = MemoryFiles([Self.parameter: "0\n"])
        let runner = Self.module(files, refuses: true)
        let problem = await #expect(throws: Diagnosis.self) { try await perform(CopySeal.emptyLogs, ["pool": "rpool"], runner, files) }
        #expect(problem?.code == "zfs.parameter")
        #expect(!runner.commands.contains { $0.tool.name == "mount" })
    }

    @Test("half a mirror is refused before anything is changed: no clone of it could get a GUID of its own")
    func half() throws {
        func pool(_ state: String, _ config: String) throws -> ImportablePool {
            try #require(ImportablePool.parse("  pool: rpool\n    id: 7\n state: \(state)\nconfig:\n\n\(config)").first)
        }
        #expect(try FactoryGuest.onlyDevice(of: try pool("ONLINE", "\trpool       ONLINE\n\t  vda2      ONLINE\n")) == "vda2")
        let problem = #expect(throws: Diagnosis.self) {
            _ = try FactoryGuest.onlyDevice(
                of:
                    try pool(
                        "DEGRADED", "\trpool       DEGRADED\n\t  mirror-0  DEGRADED\n\t    vda2    ONLINE\n\t    sdb2    UNAVAIL\n"))
        }
        #expect(problem?.code == "image.incomplete-pool")
        #expect(problem?.causes.count == 3)
        let several = #expect(throws: Diagnosis.self) {
            try FactoryGuest.onlyDevice(of: try pool("ONLINE", "\trpool  ONLINE\n\t  vda2  ONLINE\n\t  vda3  ONLINE\n"))
        }
        #expect(several?.code == "image.several-devices")
    }
}

@Suite("Making an ESP anew")
struct ESPRemakeTests {
    static let mount = "/run/kldload/esp"
    static let partition = "/dev/disk/by-id/virtio-disk0-part1"
    static let kernel = "6.12.48+deb13-amd64"
    static let image = "EFI/kldload/kldload-debian-\(kernel).1.efi"

    /// An ESP and a target; `mkfs.vfat` takes away what lies on the ESP.
    static func files(_ more: [String: String] = [:]) -> MemoryFiles {
        let esp = [
            "EFI/BOOT/BOOTX64.EFI": "shim", "EFI/kldload/BOOTX64.CSV": "table", "loader/loader.conf": "timeout 3\n",
            "loader/random-seed": "seed", image: "old image with the host id",
        ]
        var texts = Dictionary(uniqueKeysWithValues: esp.map { ("\(mount)/\($0.key)", $0.value) })
        texts["/target/boot/vmlinuz-\(kernel)"] = "linux"
        texts["/proc/self/mounts"] = "rpool/ROOT/debian /target zfs rw 0 0\n"
        texts["/target/etc/fstab"] = "UUID=1234-ABCD /boot/efi vfat umask=0077,nofail 0 2\n"
        return MemoryFiles(texts.merging(more) { $1 })
    }

    static func runner(
        _ files: MemoryFiles, inspection: String = #"{".cmdline":{"text":"root=ZFS=rpool/ROOT/debian rw"},".uname":{"text":"\#(kernel)"}}"#,
        damage: @escaping @Sendable () -> Void = {}
    ) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                let words = command.arguments
                let last = FilePath(words.last ?? "")
                switch (command.tool.name, words.first ?? "") {
                case ("blkid", _): return CommandOutput(output: "EFI\n")
                case ("mkfs.vfat", _): try files.remove(FilePath(mount))
                case ("ukify", "inspect"): return CommandOutput(output: inspection)
                case ("ukify", "build"): try files.write("new image", to: "/run/kldload/boot.efi")
                case ("cp", _): try files.write(files.read(FilePath(words[0])), to: last, mode: .file)
                case ("cmp", _): if try files.read(FilePath(words[0])) != files.read(last) { return CommandOutput(status: 1) }
                case ("umount", _): damage()
                case ("mount", _), ("sync", _), ("blkdiscard", _): break
                default: return nil
                }
                return CommandOutput()
            }
        ])
    }

    private func remake(_ files: MemoryFiles, _ runner: ScriptedRunner) async throws {
        try await ESPRemake(partition: Self.partition, target: "/target", serial: 0x0BAD_CAFE, runner: runner, files: files).run()
    }

    @Test("nothing of the old file system stays but the files that are kept; images are built again, the random seed goes")
    func remade() async throws {
        let files = Self.files()
        let runner = Self.runner(files)
        try await remake(files, runner)
        let left = files.texts.filter { $0.key.hasPrefix(Self.mount) }
        #expect(
            left == [
                "\(Self.mount)/EFI/BOOT/BOOTX64.EFI": "shim", "\(Self.mount)/EFI/kldload/BOOTX64.CSV": "table",
                "\(Self.mount)/loader/loader.conf": "timeout 3\n", "\(Self.mount)/\(Self.image)": "new image",
            ])
        #expect(try files.readText("/target/etc/fstab") == "UUID=0BAD-CAFE /boot/efi vfat umask=0077,nofail 0 2\n")
        #expect(try !files.exists("/run/kldload/boot.efi"))
        let commands = runner.commands.map(\.description)
        let zero = try #require(commands.firstIndex(of: "blkdiscard --force --zeroout \(Self.partition)"))
        #expect(commands[zero + 1] == "mkfs.vfat -F 32 -n EFI -i 0badcafe \(Self.partition)")
        // The old one is only read, and the new one is read again from the disk.
        #expect(
            commands.filter { $0.hasPrefix("mount") } == [
                "mount -t vfat -o ro \(Self.partition) \(Self.mount)", "mount -t vfat \(Self.partition) \(Self.mount)",
                "mount -t vfat -o ro \(Self.partition) \(Self.mount)",
            ])
        #expect(commands.filter { $0.hasPrefix("umount") }.count == 3)
        #expect(
            commands.contains {
                $0.hasPrefix("ukify build --linux=/target/boot/vmlinuz-\(Self.kernel) --initrd=/target/boot/initrd.img-\(Self.kernel) ")
                    && $0.contains("'--cmdline=root=ZFS=rpool/ROOT/debian rw zfs_force=1'")
            })
    }

    @Test("entries of environments that the copy does not have go, with images that only they need; an image that is shared stays")
    func others() async throws {
        func entry(_ name: String, _ release: String = Self.kernel, image: String? = nil) -> BootEntry {
            BootEntry(dataset: "rpool/ROOT/\(name)", release: release, order: 100, sharedImage: image)
        }
        let (own, maker, old) = (entry("next", image: Self.image), entry("debian"), entry("old", "6.1.0"))
        var more = ["/proc/self/mounts": "rpool/ROOT/next /target zfs rw 0 0\n"]
        for entry in [own, maker, old] { more["\(Self.mount)/\(entry.path)"] = entry.text }
        // Its kernel is not in the environment that stays.
        more["\(Self.mount)/\(old.imagePath)"] = "another image"
        let files = Self.files(more)
        let line = "root=ZFS=rpool/ROOT/debian rw \(EnvironmentChoice.word)"
        let runner = Self.runner(files, inspection: #"{".cmdline":{"text":"\#(line)"},".uname":{"text":"\#(Self.kernel)"}}"#)
        try await remake(files, runner)
        let left = Set(files.texts.keys.filter { $0.hasPrefix("\(Self.mount)/loader/entries") || $0.hasSuffix(".efi") })
        #expect(left == ["\(Self.mount)/\(own.path)", "\(Self.mount)/\(Self.image)"])
        #expect(
            runner.commands.contains {
                $0.description.contains("'--cmdline=root=ZFS=rpool/ROOT/next rw \(EnvironmentChoice.word) zfs_force=1'")
            })
    }

    @Test(
        "a boot image that cannot be built again is refused, and the ESP is left alone",
        arguments: [
            "{}", #"{".cmdline":{"text":"rw"}}"#, #"{".uname":{"text":"6.12"}}"#, "not JSON",
            #"{".cmdline":{"text":"rw"},".uname":{"text":"6.1"}}"#,
        ])
    func unreadable(_ inspection: String) async throws {
        let files = Self.files()
        let runner = Self.runner(files, inspection: inspection)
        let problem = await #expect(throws: Diagnosis.self) { try await remake(files, runner) }
        #expect(problem?.code == "image.unreadable-boot-image")
        #expect(!runner.commands.contains { $0.effect == .destroys })
        #expect(runner.commands.last?.tool.name == "umount")
    }

    @Test("an initramfs on the ESP is refused: nobody can say what is in it")
    func initramfs() async throws {
        let files = Self.files(["\(Self.mount)/debian/6.12/initrd.img-6.12": "x"])
        let problem = await #expect(throws: Diagnosis.self) { try await remake(files, Self.runner(files)) }
        #expect(problem?.code == "image.unreadable-boot-image")
    }

    @Test("a file that is not what it was is an error")
    func compared() async throws {
        let files = Self.files()
        let damage: @Sendable () -> Void = { try? files.write("shin", to: FilePath("\(Self.mount)/EFI/BOOT/BOOTX64.EFI")) }
        let problem = await #expect(throws: Diagnosis.self) { try await remake(files, Self.runner(files, damage: damage)) }
        #expect(problem?.code == "image.copy-differs")
        #expect(problem?.causes == ["EFI/BOOT/BOOTX64.EFI"])
    }
}

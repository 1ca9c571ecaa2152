import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("The recovery image")
struct RecoveryImageTests {
    static func staging(_ esps: [BootSystem.ESP], signing: BootSystem.Signing = .off) throws -> RecoveryStaging {
        var system = try Fixture.system(esps)
        system.signing = signing
        let target = try Fixture.target("debian")
        return RecoveryStaging(
            system: system, fingerprint: "0123456789abcdef", kernel: target.kernels[0], target: target, tool: .mebibytes(24))
    }

    static func esp(_ device: String, _ fingerprint: String?, mounted: Bool = true, free: ByteCount = .mebibytes(800)) -> BootSystem.ESP {
        var esp = Fixture.esp([Fixture.entry("debian", order: 100)], device, mounted: mounted)
        esp.free = free
        esp.recovery = fingerprint.map { .init(fingerprint: $0, size: .mebibytes(60)) }
        return esp
    }

    @Test("it is the running kernel and initramfs with another script, built once and put onto every ESP; the entry comes last")
    func plan() throws {
        let staging = try Self.staging([Self.esp("/dev/vda1", nil), Self.esp("/dev/vdb1", "older", mounted: false)])
        let plan = Plan("recovery", [Phase("boot", "Boot", try staging.building() + staging.placing)])
        let scratch = "/var/cache/kldload/recovery-image"
        #expect(
            plan.text() == """
                plan: recovery
                boot: Boot
                  + boot.recovery.image: Build the recovery image, Linux \(Fixture.release)
                      mkdir \(scratch) (700)
                      boot.recovery-supplement host-id=01234567 to=\(scratch)/recovery.cpio.zst tool=/usr/lib/kldload/kldload
                      ukify build --linux=/boot/vmlinuz-\(Fixture.release) --initrd=/boot/initrd.img-\(Fixture.release) \
                --initrd=\(scratch)/recovery.cpio.zst '--cmdline=root=ZFS=rpool/ROOT/debian boot=kldload rw console=tty0' \
                --uname=\(Fixture.release) --os-release=@/usr/lib/os-release --stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub \
                --output=\(scratch)/recovery.efi
                  + boot.recovery.vda1: Put the recovery image onto /dev/vda1
                      mkdir /boot/efi/EFI/kldload (755)
                      cp \(scratch)/recovery.efi /boot/efi/EFI/kldload/.recovery.efi.new
                      sync --file-system /boot/efi
                      cmp \(scratch)/recovery.efi /boot/efi/EFI/kldload/.recovery.efi.new
                      mv --force /boot/efi/EFI/kldload/.recovery.efi.new /boot/efi/EFI/kldload/recovery.efi
                      sync --file-system /boot/efi
                      write /boot/efi/loader/entries/recovery-kldload.conf (644, \(RecoveryImage.entry(release: Fixture.release, fingerprint: "0123456789abcdef").utf8.count) bytes)
                      sync --file-system /boot/efi
                  + boot.recovery.vdb1: Put the recovery image onto /dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1 (700)
                      boot.mount-esp at=/run/kldload/boot/esp-vdb1 device=/dev/vdb1
                      mkdir /run/kldload/boot/esp-vdb1/EFI/kldload (755)
                      cp \(scratch)/recovery.efi /run/kldload/boot/esp-vdb1/EFI/kldload/.recovery.efi.new
                      sync --file-system /run/kldload/boot/esp-vdb1
                      cmp \(scratch)/recovery.efi /run/kldload/boot/esp-vdb1/EFI/kldload/.recovery.efi.new
                      mv --force /run/kldload/boot/esp-vdb1/EFI/kldload/.recovery.efi.new /run/kldload/boot/esp-vdb1/EFI/kldload/recovery.efi
                      sync --file-system /run/kldload/boot/esp-vdb1
                      write /run/kldload/boot/esp-vdb1/loader/entries/recovery-kldload.conf (644, \(RecoveryImage.entry(release: Fixture.release, fingerprint: "0123456789abcdef").utf8.count) bytes)
                      sync --file-system /run/kldload/boot/esp-vdb1
                      release: umount --recursive /run/kldload/boot/esp-vdb1

                """)
    }

    @Test("an ESP that has it gives it to the others: they stay the same, bit by bit")
    func copied() throws {
        let staging = try Self.staging([Self.esp("/dev/vda1", "0123456789abcdef"), Self.esp("/dev/vdb1", nil, mounted: false)])
        #expect(try staging.building().isEmpty)
        #expect(staging.placing.map(\.id) == ["boot.recovery.vdb1"])
        let commands = staging.placing[0].actions.map(\.text)
        #expect(commands.contains("cp /boot/efi/EFI/kldload/recovery.efi /run/kldload/boot/esp-vdb1/EFI/kldload/.recovery.efi.new"))
        // A disk that came later gets it with everything else.
        #expect(BootTrial(staging.system).healing.map(\.id).contains("boot.recovery.vdb1"))
    }

    @Test("where the next kernel's image would have no room beside it, it is not made, and the ESP is named")
    func room() throws {
        #expect(try !Self.staging([Self.esp("/dev/vda1", nil, free: .mebibytes(70 + 12 + 70 + 4))]).building().isEmpty)
        #expect {
            try Self.staging([Self.esp("/dev/vda1", nil), Self.esp("/dev/vdb1", nil, free: .mebibytes(155))]).building()
        } throws: {
            let problem = Diagnosis(of: $0)
            return problem.code == "boot.recovery-room" && problem.message.contains("/dev/vdb1")
        }
    }

    @Test("it is signed as everything else that boots; without the key there is none")
    func signed() throws {
        #expect { try Self.staging([Self.esp("/dev/vda1", nil)], signing: .keyless).building() } throws: {
            Diagnosis(of: $0).code == "trust.no-key"
        }
        let signer = try CertificateIdentity([0x30, 13, 0x30, 11, 0x02, 1, 7, 0x30, 0, 0x30, 4, 0x31, 2, 0x30, 0])
        let actions = try Self.staging([Self.esp("/dev/vda1", nil)], signing: .by(signer)).building()[0].actions.map(\.text)
        #expect(actions.contains { $0.hasPrefix("sbsign ") && $0.contains("/var/cache/kldload/recovery-image/recovery.efi") })
    }

    @Test("it is no environment's entry, and whoever was started by it has proved nothing")
    func isNoEntry() throws {
        let text = RecoveryImage.entry(release: Fixture.release, fingerprint: "0123456789abcdef")
        #expect(BootEntry(fileName: "\(RecoveryImage.entryID).conf", text: text) == nil)
        #expect(!BootEntry.isImage("recovery.efi") && RecoveryImage.fingerprint(of: text) == "0123456789abcdef")
        #expect(!RecoveryImage.entryID.hasPrefix(BootEntry.pattern.dropLast()))
        var system = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100, left: 0, done: 3)])])
        #expect(BootTrial(system).pending != nil)
        system.selected = RecoveryImage.entryID
        #expect(system.current == nil && BootTrial(system).pending == nil && BootTrial(system).counted == nil)
    }

    @Test("with GRUB its menu starts the image, and nothing of systemd-boot's is written")
    func grub() throws {
        #expect(GrubMenu.text.contains("chainloader /\(RecoveryImage.imagePath)"))
        var staging = try Self.staging([Self.esp("/dev/vda1", nil), Self.esp("/dev/vdb1", "0123456789abcdef", mounted: false)])
        staging.system.chain = .grub
        let actions = staging.placing.flatMap(\.actions).map(\.text)
        #expect(actions.contains { $0.contains("/boot/efi/EFI/kldload/recovery.conf") })
        #expect(!actions.contains { $0.contains("/loader/") })
    }

    @Test("a command line of the recovery image is not carried over into an environment's image")
    func commandLine() {
        let usual = KernelCommandLine(running: "root=ZFS=rpool/ROOT/debian boot=zfs rw console=ttyS0,115200 panic=15")
        #expect(usual.recovering.description == "root=ZFS=rpool/ROOT/debian boot=kldload rw console=ttyS0,115200")
        #expect(
            KernelCommandLine(running: usual.recovering.description).restartingAfterPanic(seconds: 15).description == usual.description)
    }

    @Test("the fingerprint changes with each file, wherever it differs, and with each word")
    func fingerprint() throws {
        var texts = ["/a": String(repeating: "a", count: 100_000), "/b": "b"]
        func print(_ words: [String] = ["x", "y"]) throws -> String {
            try RecoveryImage.fingerprint(of: ["/a", "/b"], words, MemoryFiles(texts))
        }
        let before = try print()
        #expect(before.count == 16)
        #expect(try print() == before && print(["xy"]) != before && print(["x", "z"]) != before)
        texts["/b"] = "c"
        #expect(try print() != before)
        texts["/b"] = "b"
        texts["/a"] = String(repeating: "a", count: 99_999) + "z"
        #expect(try print() != before)
        texts["/a"] = String(repeating: "a", count: 100_001)
        #expect(try print() != before)
        #expect(throws: FileError.missing("/none")) { try RecoveryImage.fingerprint(of: ["/none"], [], MemoryFiles()) }
    }

    @Test("behind the initramfs lie host id, script, tool and library, in folders that are made before them")
    func supplement() throws {
        let id = try #require(HostID(0x0123_4567))
        let bytes = RecoveryImage.supplement(id, tool: [1, 2, 3], libraries: [("usr/lib/x86_64-linux-gnu/libstdc++.so.6", [4])])
        let text = String(decoding: bytes.map { $0 < 32 || $0 > 126 ? 10 : $0 }, as: UTF8.self)
        let names = text.lines.filter { $0.hasPrefix("070701") }.map { String($0.dropFirst(110)) }
        #expect(
            names == [
                "etc", "etc/hostid", "scripts", "scripts/kldload", "usr", "usr/lib", "usr/lib/kldload", "usr/lib/kldload/kldload",
                "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/libstdc++.so.6", "TRAILER!!!",
            ])
        #expect(bytes.count.isMultiple(of: 512))
    }

    @Test("the script waits for a choice, tells OpenZFS' script that the pool is open, and hands over to it")
    func script() {
        #expect(
            RecoveryImage.supplement(.placeholder, tool: [], libraries: []).firstRange(
                of: Array(
                    """
                    mountroot()
                    {
                    	wait_for_udev 10
                    	modprobe zfs
                    	mkdir -p /run/kldload
                    	mount -o remount,nosuid,nodev,exec /run
                    	while [ ! -s /run/kldload/recovery-root ]; do
                    		/usr/lib/kldload/kldload recovery-console
                    		[ -s /run/kldload/recovery-root ] || panic "kldload: the recovery console ended; exit starts it again"
                    	done
                    	mount -o remount,nosuid,nodev,noexec /run
                    	read -r chosen </run/kldload/recovery-root
                    	rm -f /run/kldload/recovery-root
                    	ROOT="ZFS=$chosen"
                    	POOL_IMPORTED=1
                    	. /scripts/zfs
                    	mountroot
                    }

                    """.utf8)) != nil)
    }

    @Test("the loader is told once, in one write; another wish is taken back first")
    func oneShot() throws {
        let path = "/sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        let value = "recovery-kldload.conf".map { "\($0)\0" }.joined() + "\0\0"
        func commands(_ files: MemoryFiles) throws -> [Command] {
            try RecoveryStaging.startingNext(.systemdBoot, files).steps.flatMap(\.actions).compactMap {
                if case .run(let command) = $0 { command } else { nil }
            }
        }
        let others = ["/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\u{6}\0\0\0\0"]
        let first = try commands(MemoryFiles(others))
        #expect(first.map(\.description) == ["tee \(path)"] && first[0].input == .text("\u{7}\0\0\0" + value))
        #expect(try commands(MemoryFiles([path: "\u{7}\0\0\0" + value])).isEmpty)
        #expect(try commands(MemoryFiles([path: "\u{7}\0\0\0x\0"])).map(\.tool.name) == ["chattr", "tee"])
        #expect { try RecoveryStaging.startingNext(.systemdBoot, MemoryFiles()) } throws: { Diagnosis(of: $0).code == "boot.no-variables" }
        #expect { try RecoveryStaging.startingNext(.grub, MemoryFiles(others)) } throws: { Diagnosis(of: $0).code == "boot.no-variables" }
    }
}

@Suite("The pool in the recovery image")
struct RecoveryPoolTests {
    let pool: RecoveryPool

    init() throws { pool = RecoveryPool(name: try PoolName("rpool"), guid: 42) }

    private func lines(_ plan: Plan) -> [String] { plan.steps.flatMap(\.actions).map(\.text) }

    @Test("it is opened to be read; for writing, and for what boots, by name of the purpose; by force only when a person says so")
    func opening() {
        #expect(lines(pool.opening(for: .reading)) == ["mkdir /recovery (755)", "zpool import -N -o readonly=on -R /recovery 42"])
        #expect(lines(pool.opening(for: .changing)).last == "zpool import -N -R /recovery 42")
        #expect(lines(pool.opening(for: .booting)).last == "zpool import -N 42")
        var foreign = pool
        foreign.force = true
        #expect(lines(foreign.opening(for: .reading)).last == "zpool import -N -f -o readonly=on -R /recovery 42")
    }

    @Test("closing ends what runs in the environment, unmounts the newest first, and exports")
    func closing() async throws {
        let files = MemoryFiles(
            [
                "/proc/self/mounts": "rpool/ROOT/debian /recovery zfs rw 0 0\nproc /recovery/proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\n",
                "/proc/7/stat": "", "/proc/8/stat": "",
            ],
            links: ["/proc/7/root": "/recovery", "/proc/8/root": "/"])
        let runner = ScriptedRunner([
            { command in
                if command.description == "umount /recovery" { try files.write("tmpfs /run tmpfs rw 0 0\n", to: "/proc/self/mounts") }
                return CommandOutput()
            }
        ])
        try await PlanRunner(runner: runner, files: files, performers: RecoveryPool.performers) { _ in }.apply(pool.closing)
        #expect(
            runner.commands.map(\.description) == [
                "kill -KILL 7", "umount /recovery/proc", "umount /recovery", "zpool list -H -o name rpool", "zpool export rpool",
            ])
    }

    @Test("environments and snapshots are read without their ESP, and mount points without the folder they are seen below")
    func system() async throws {
        let files = MemoryFiles([
            "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=kldload rw\n", "/proc/self/mounts": "",
            "/proc/sys/kernel/osrelease": "6.12.48+deb13-amd64\n",
        ])
        let columns = BootSystem.columns.joined(separator: ",")
        let runner = ScriptedRunner([
            "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs rpool":
                "rpool\t42\t1\t1\t1\tONLINE\ton\t/recovery\trpool/ROOT/test\n",
            "zfs list -Hp -r -t filesystem,snapshot -o \(columns) rpool/ROOT": """
            rpool/ROOT\tfilesystem\t1\t1\t1700000000\t-\tnone\toff\t-\t-
            rpool/ROOT/.new-next\tfilesystem\t1\t1\t1700000000\trpool/ROOT/debian@install\t/recovery\tnoauto\t-\t-
            rpool/ROOT/debian\tfilesystem\t1\t1\t1700000000\t-\t/recovery\tnoauto\t-\t-
            rpool/ROOT/debian/src\tfilesystem\t1\t1\t1700000000\t-\t/recovery/usr/src\tnoauto\t-\t-
            rpool/ROOT/debian/src@install\tsnapshot\t1\t1\t1700000100\t-\t-\t-\t-\t-
            rpool/ROOT/debian@install\tsnapshot\t1\t1\t1700000100\t-\t-\t-\t-\t-
            rpool/ROOT/golden\tfilesystem\t1\t1\t1700000000\trpool/ROOT/debian@install\t/recovery\tnoauto\tforeign\t-
            rpool/ROOT/golden@kfleet-1\tsnapshot\t1\t1\t1700000100\t-\t-\t-\tforeign\t-
            rpool/ROOT/test\tfilesystem\t1\t1\t1700000000\trpool/ROOT/debian@install\t/recovery\tnoauto\town\t-
            rpool/ROOT/test@kfleet-1\tsnapshot\t1\t1\t1700000100\t-\t-\t-\tforeign\t-

            """,
        ])
        let system = try await pool.system(runner: runner, files: files)
        #expect(system.environments.map(\.name) == ["debian", "golden", "test"] && system.running.leaf == "test")
        #expect(system.environments[0].snapshots.map(\.name.label) == ["install"])
        #expect(system.environments[0].children.values.map(\.mountpoint) == ["/usr/src"])
        #expect(system.unfinished.map(\.text) == ["rpool/ROOT/.new-next"])
        let again = try BootEnvironments(system).create("again", from: "debian@install", now: Fixture.now)
        #expect(again.commandLines.contains { $0.contains(" -o mountpoint=/usr/src ") } && again.steps.first?.id == "be.sweep")
        // The console boots none of another machine, and makes none that would be booted.
        #expect(try system.bootable("test").name == "test" && system.bootable("debian").name == "debian")
        #expect { try system.bootable("golden") } throws: { Diagnosis(of: $0).code == "boot.foreign" }
        for source in ["golden@kfleet-1", "test@kfleet-1"] {
            #expect { try BootEnvironments(system).rollback(source, now: Fixture.now) } throws: { Diagnosis(of: $0).code == "boot.foreign" }
            #expect(
                try BootEnvironments(system).create("copy", from: source, now: Fixture.now).commandLines.last
                    == "zfs clone -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload -o com.kldload:identity=foreign rpool/ROOT/\(source) rpool/ROOT/copy"
            )
        }
    }

    @Test("ssh lets root in by the keys of the machine's people, by nothing else; without a key nothing listens")
    func ssh() throws {
        let server = ["/recovery/usr/sbin/sshd": "", "/recovery/etc/ssh/ssh_host_ed25519_key": ""]
        #expect { try RecoveryPool.serving(MemoryFiles(server)) } throws: { Diagnosis(of: $0).code == "recovery.no-key" }
        #expect { try RecoveryPool.serving(MemoryFiles()) } throws: { Diagnosis(of: $0).code == "recovery.no-ssh" }
        let files = MemoryFiles(server.merging(["/recovery/home/admin/.ssh/authorized_keys": "ssh-ed25519 AAAA admin"]) { $1 })
        let actions = try RecoveryPool.serving(files).steps[0].actions
        #expect(actions.last?.text == "chroot /recovery /usr/sbin/sshd -f /run/kldload/recovery/ssh/sshd_config")
        let written = actions.compactMap { if case .write(_, .text(let text), _) = $0 { text } else { nil } }
        #expect(
            written == [
                "ssh-ed25519 AAAA admin\n",
                """
                HostKey /etc/ssh/ssh_host_ed25519_key
                AuthorizedKeysFile /run/kldload/recovery/ssh/authorized_keys
                AllowUsers root
                PermitRootLogin prohibit-password
                PasswordAuthentication no
                KbdInteractiveAuthentication no
                X11Forwarding no
                UsePAM yes
                PidFile none

                """,
            ])
    }
}

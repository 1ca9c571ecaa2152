import KldBoot
import KldCore
import KldExec
import KldTestSupport
import SystemPackage
import Testing

@Suite("Kernel command lines")
struct KernelCommandLineTests {
    @Test("an image that follows the loader starts whatever differs in the root alone, of the same pool and place")
    func starts() {
        let plain = KernelCommandLine(root: "rpool/ROOT/debian", initramfs: .initramfsTools, consoles: ["tty0"])
        let image = plain.choosing(true)
        #expect(image.words.last == EnvironmentChoice.word && image.choosing(true) == image && image.choosing(false) == plain)
        #expect(image.starts(image.rooted(at: "rpool/ROOT/next")) && image.starts(image))
        #expect(!image.starts(image.rooted(at: "tank/ROOT/next")) && !image.starts(image.rooted(at: "rpool/OTHER/next")))
        #expect(!plain.starts(plain.rooted(at: "rpool/ROOT/next")) && plain.starts(plain))
        var other = image.rooted(at: "rpool/ROOT/next")
        other.words.append("quiet")
        #expect(!image.starts(other) && !image.starts(plain.rooted(at: "rpool/ROOT/next")))
        // A name that the loader does not tell as it is, and an initramfs that has no such script.
        #expect(plain.rooted(at: "rpool/ROOT/Other").choosing(true) == plain.rooted(at: "rpool/ROOT/Other"))
        #expect(!image.starts(plain.rooted(at: "rpool/ROOT/Other")))
        let dracut = KernelCommandLine(root: "rpool/ROOT/next", initramfs: .dracut, consoles: [])
        #expect(dracut.choosing(true) == dracut)
    }

    @Test("each initramfs is told of the root in its own words")
    func root() {
        func line(_ kind: InitramfsKind) -> String {
            KernelCommandLine(root: "rpool/ROOT/debian", initramfs: kind, consoles: []).description
        }
        #expect(line(.initramfsTools) == "root=ZFS=rpool/ROOT/debian boot=zfs rw")
        #expect(line(.dracut) == "root=zfs:rpool/ROOT/debian rw")
    }

    @Test("consoles keep their order, for the last is /dev/console; serial ones get a speed")
    func consoles() {
        #expect(
            KernelCommandLine(root: "p/a", initramfs: .dracut, consoles: ["tty0", "ttyS1", "hvc0"], quiet: true).description
                == "root=zfs:p/a rw console=tty0 console=ttyS1,115200 console=hvc0 quiet")
    }

    @Test("a blank in the dataset's name does not end the word")
    func blank() {
        #expect(KernelCommandLine(root: "p/a b", initramfs: .initramfsTools, consoles: []).words[0] == "root=ZFS=p/a+b")
    }

    @Test("the running kernel's line is taken over without what a boot loader put there")
    func running() {
        #expect(
            KernelCommandLine(running: "BOOT_IMAGE=/vmlinuz root=ZFS=p/a  boot=zfs initrd=\\EFI\\x.img rw").description
                == "root=ZFS=p/a boot=zfs rw")
        #expect(KernelCommandLine(running: "").description.isEmpty)
    }
}

@Suite("Unified kernel images")
struct UnifiedKernelImageTests {
    @Test("are built by one command that names every part")
    func command() {
        let image = UnifiedKernelImage(
            linux: "/t/boot/vmlinuz-6.12", initrds: ["/t/boot/initrd.img-6.12", "/run/x.cpio"],
            commandLine: KernelCommandLine(running: "root=a rw"), release: "6.12", osRelease: "/t/usr/lib/os-release", stub: "/stub",
            output: "/run/o.efi")
        #expect(
            image.build.description
                == "ukify build --linux=/t/boot/vmlinuz-6.12 --initrd=/t/boot/initrd.img-6.12 --initrd=/run/x.cpio '--cmdline=root=a rw' "
                + "--uname=6.12 --os-release=@/t/usr/lib/os-release --stub=/stub --output=/run/o.efi")
        #expect(image.build.effect == .changes)
        #expect(image.build.tool.package == "systemd-ukify")
    }
}

@Suite("What lies on an ESP")
struct ESPLayoutTests {
    let programs = EFIPrograms(shim: "s/shim", mokManager: "s/mm", fallback: "s/fb", systemdBoot: "s/boot", stub: "s/stub")

    @Test("the loader waits as long as asked, takes the newest of ours, and lets nobody edit")
    func configuration() {
        #expect(ESPLayout.loaderConfiguration(timeoutSeconds: 7) == "timeout 7\ndefault kldload-*\neditor no\nconsole-mode keep\n")
    }

    @Test("shim, its second stage and its key manager lie together, in the removable place and in our own folder")
    func copies() {
        let copies = ESPLayout.copies(programs)
        #expect(
            copies.map { "\($0.source) \($0.target)" } == [
                "s/shim EFI/BOOT/BOOTX64.EFI", "s/mm EFI/BOOT/mmx64.efi", "s/boot EFI/BOOT/grubx64.efi", "s/shim EFI/kldload/shimx64.efi",
                "s/mm EFI/kldload/mmx64.efi", "s/boot EFI/kldload/grubx64.efi",
            ])
        #expect(Set(copies.map { $0.target.lowercased() }).count == copies.count, "FAT does not tell case apart")
    }

    @Test("the fallback table is UTF-16 with a mark of its byte order, one line")
    func fallback() {
        let bytes = ESPLayout.fallbackTable(label: "KLD é")
        #expect(bytes.prefix(6) == [0xFF, 0xFE, 0x73, 0x00, 0x68, 0x00])
        let units = stride(from: 2, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
        #expect(String(decoding: units, as: UTF16.self) == "shimx64.efi,KLD é,,This is the boot entry for KLD é\n")
    }

    @Test("a firmware entry names disk, partition and loader, and is no failure where the firmware keeps none")
    func entry() {
        let command = FirmwareEntry.create(disk: "/dev/disk/by-id/a", partition: 1, label: "KLD load")
        #expect(
            command.description
                == "efibootmgr --create --quiet --disk /dev/disk/by-id/a --part 1 --label 'KLD load' --loader '\\EFI\\kldload\\shimx64.efi'"
        )
        #expect(command.acceptedExitStatuses.isSuperset(of: [0, 2]))
        let loader = command.arguments.last?.split(separator: "\\").joined(separator: "/")
        #expect(ESPLayout.copies(programs).contains { $0.target == loader && $0.source == programs.shim })
    }
}

import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("The live ISO")
struct ISOTests {
    @Test("its menu starts the live environment, and offers what helps where that does not work")
    func menu() {
        let menu = ISOContents.grub()
        #expect(
            menu.hasPrefix(
                """
                # Written by kldload.
                set timeout=5
                set default=0

                menuentry 'kldload: live environment and installer' {
                    linux /live/vmlinuz root=live:LABEL=KLDLOAD rd.live.image rd.live.overlay.overlayfs=1 rootdelay=30 rd.retry=120 \
                console=ttyS0,115200 console=tty0 quiet loglevel=4
                    initrd /live/initrd
                }

                menuentry 'Live environment, installs nothing' {

                """))
        for words in ["nomodeset", "modprobe.blacklist=uas", "rd.shell", "rd.live.check", "fwsetup"] { #expect(menu.contains(words)) }
        #expect(menu.filter { $0 == "{" }.count == menu.filter { $0 == "}" }.count)
    }

    @Test(
        "who checks a medium, looks for trouble or wants nothing installed is not installed by answers that are found",
        arguments: [true, false])
    func looking(_ looks: Bool) throws {
        let lines = ISOContents.grub().lines
        let titles = ["Live environment, installs nothing", "Troubleshooting: ", "Check this medium"]
        let other = ["kldload: live environment and installer", "Safe graphics", "Maximum compatibility"]
        for title in looks ? titles : other {
            let index = try #require(lines.firstIndex { $0.hasPrefix("menuentry '\(title)") }, "\(title)")
            #expect(lines[index + 1].words.contains("kldload.autoinstall=0") == looks, "\(title)")
        }
    }

    @Test("a stick starts as a disc does: the El Torito image is a GPT partition")
    func xorriso() {
        let command = ISOBuild.xorriso([("live/vmlinuz", "/cache/vmlinuz")], esp: "/w/esp.img", to: "/out/k.iso.part")
        #expect(
            command.description
                == "xorriso -as mkisofs -quiet -V KLDLOAD -iso-level 3 -R -o /out/k.iso.part -append_partition 2 0xef /w/esp.img "
                + "-appended_part_as_gpt -e --interval:appended_partition_2:all:: -no-emul-boot -partition_offset 16 "
                + "--set_all_file_dates =\(PayloadBuilder.defaultEpoch) -dir-mode 0755 -graft-points live/vmlinuz=/cache/vmlinuz")
        #expect(command.environment["SOURCE_DATE_EPOCH"] != nil)
    }

    @Test("shim comes first, and nothing between firmware and kernel is ours")
    func programs() {
        #expect(
            ISOContents.programs.map(\.target) == ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/mmx64.efi", "EFI/BOOT/grubx64.efi", "KLDLOAD.DER"])
        #expect(ISOContents.programs.dropLast().allSatisfy { $0.source.hasSuffix(".signed") })
    }

    @Test("it carries what a machine starts from over the network: shim, and the GRUB that looks for its menu where it came from")
    func netboot() {
        #expect(ISOContents.netboot.map(\.target) == ["netboot/shimx64.efi", "netboot/mmx64.efi", "netboot/grubx64.efi"])
        #expect(ISOContents.netboot.allSatisfy { $0.source.hasSuffix(".signed") })
        #expect(ISOContents.netboot.contains { $0.source.contains("grubnetx64") })
    }

    @Test("each payload on board is asked for by answers of its own", arguments: ["core", "server"])
    func payloads(profile: String) throws {
        #expect(LiveMedium.payload(try ISOBuild.payload(distro: "debian", profile: profile)) == "kldload/payloads/debian-trixie-\(profile)")
        #expect(throws: (any Error).self) { try ISOBuild.payload(distro: "debain", profile: profile) }
    }

    private func answers(_ lines: String...) throws -> Answers {
        try Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=web-1"] + lines).joined(separator: "\n"))
    }

    private func unsigned(_ lines: String...) throws -> Answers {
        let common = ["KLDLOAD_DISTRO=debian", "KLDLOAD_HOSTNAME=web-1", "KLDLOAD_ENABLE_SECURE_BOOT=0"]
        return try Answers((common + lines).joined(separator: "\n"))
    }

    @Test("answers on board are looked for where the medium is mounted, after those of the live environment itself")
    func bakedIn() {
        #expect(UnattendedSeed.bakedIn == ["/etc/kldload/autoinstall.env", "/run/initramfs/live/kldload/autoinstall.env"])
    }

    @Test("answers on board install what is on board too")
    func answersPayload() throws {
        let payloads = try ["core", "server"].map { try ISOBuild.payload(distro: "debian", profile: $0) }
        let server = try answers("KLDLOAD_DISK=auto", "KLDLOAD_PROFILE=server")
        #expect(throws: Never.self) { try ISOBuild.check(server, payloads: payloads) }
        #expect { try ISOBuild.check(server, payloads: [payloads[0]]) } throws: { Diagnosis(of: $0).code == "iso.answers-payload" }
        // The medium's have the kernel of the release.
        let newer = try answers("KLDLOAD_DISK=auto", "KLDLOAD_PROFILE=server", "KLDLOAD_DEBIAN_BACKPORTS=1")
        #expect { try ISOBuild.check(newer, payloads: payloads) } throws: { Diagnosis(of: $0).code == "install.payload-differs" }
    }

    @Test("packages that answers on board ask for are on board too: in the root file system, or in the mirror beside it")
    func answersPackages() throws {
        let built = try ISOBuild.payload(distro: "debian", profile: "core")
        let payload = PayloadBuilder.Payload(
            archive: "/p/rootfs.tar", digest: "x",
            info: PayloadInfo(spec: PayloadSpec(built, buildMirror: ""), kernel: "6.12", openZFS: "2.3", packageCount: 1), mirrors: [],
            packages: "/p/packages.tsv")
        // dpkg-query 1.22.21
        let list = "python3 3.13.5-1 amd64 python3-defaults 3.13.5-1 M".replacing(" ", with: "\t") + "\n"
        let files = MemoryFiles(["/p/packages.tsv": list])
        func code(_ packages: String, mirror: [String] = [], profile: String = "core") throws -> String? {
            let asked = try answers("KLDLOAD_DISK=auto", "KLDLOAD_PROFILE=\(profile)", "KLDLOAD_EXTRA_PACKAGES='\(packages)'")
            do {
                try ISOBuild.check(asked, payload, of: built, packages: mirror, files)
                return nil
            } catch { return Diagnosis(of: error).code }
        }
        #expect(try code("python3 intel-microcode") == nil)
        #expect(try code("htop") == "install.packages-missing")
        #expect(try code("htop", mirror: ["htop"]) == nil)
        // It is another payload's.
        #expect(try code("htop", profile: "server") == nil)
    }

    @Test("a medium with secrets, or that overwrites disks, says so when it is made")
    func notes() throws {
        #expect(try ISOBuild.notes(unsigned("KLDLOAD_DISK=auto")).isEmpty)
        let secret = try ISOBuild.notes(unsigned("KLDLOAD_DISK=auto", "KLDLOAD_PASSWORD=Correct-Horse-7"))
        #expect(secret.count == 1 && secret[0].contains("KLDLOAD_PASSWORD") && !secret[0].contains("Correct-Horse-7"))
        let wiping = try ISOBuild.notes(unsigned("KLDLOAD_DISK=/dev/vda", "KLDLOAD_FORCE_WIPE=1"))
        #expect(wiping.count == 1 && wiping[0].contains("overwrites its disk"))
    }

    @Test("so does one whose machines will ask for a password that nobody has chosen")
    func enrolment() throws {
        let asks = try ISOBuild.notes(answers("KLDLOAD_DISK=auto"))
        #expect(asks.count == 1 && asks[0].contains("KLDLOAD_MOK_PASSWORD"))
        let chosen = try ISOBuild.notes(answers("KLDLOAD_DISK=auto", "KLDLOAD_MOK_PASSWORD=enrol-7-horses"))
        #expect(chosen.count == 1 && chosen[0].contains("can read KLDLOAD_MOK_PASSWORD"))
    }
}

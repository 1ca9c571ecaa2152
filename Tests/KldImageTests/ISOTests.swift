import KldAnswers
import KldCore
import KldExec
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

                menuentry 'Safe graphics' {

                """))
        for words in ["nomodeset", "modprobe.blacklist=uas", "rd.shell", "rd.live.check", "fwsetup"] { #expect(menu.contains(words)) }
        #expect(menu.filter { $0 == "{" }.count == menu.filter { $0 == "}" }.count)
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
    }

    @Test("a medium with secrets, or that overwrites disks, says so when it is made")
    func notes() throws {
        #expect(try ISOBuild.notes(answers("KLDLOAD_DISK=auto")).isEmpty)
        let secret = try ISOBuild.notes(answers("KLDLOAD_DISK=auto", "KLDLOAD_PASSWORD=Correct-Horse-7"))
        #expect(secret.count == 1 && secret[0].contains("KLDLOAD_PASSWORD") && !secret[0].contains("Correct-Horse-7"))
        let wiping = try ISOBuild.notes(answers("KLDLOAD_DISK=/dev/vda", "KLDLOAD_FORCE_WIPE=1"))
        #expect(wiping.count == 1 && wiping[0].contains("overwrites its disk"))
    }
}

import KldCore
import KldExec
import KldFiles
import KldVirt
import SystemPackage
import Testing

@Suite("The QEMU of this machine", .enabled(if: Here.hasQEMU, "qemu-system-x86_64 is not installed"), .serialized)
struct MachineContractTests {
    let patience: Duration = .seconds(300)

    private func file(_ name: String, in folder: FilePath, bytes: Int = 1 << 20) throws -> FilePath {
        let path = folder.appending(name)
        try LocalFiles().write([UInt8](repeating: 0, count: bytes), to: path, mode: .file)
        return path
    }

    /// Every kind of device and option at once, with commas where they may be.
    @Test(.enabled(if: Here.hasQemuImg, "qemu-img is not installed")) func acceptsEveryArgument() async throws {
        try await withScratch { folder in
            let overlay = folder.appending("overlay.qcow2")
            try await SubprocessRunner().run(QemuImg.create(overlay, format: .qcow2, size: .mebibytes(1)))
            let rules = folder.appending("rules,1.conf")
            try LocalFiles().write("[inject-error]\nevent = \"write_aio\"\nerrno = \"5\"\nsector = \"2047\"\n", to: rules)
            let spec = MachineSpec(
                name: "every,thing", accelerator: .tcg, memory: .mebibytes(128), processors: 2, boot: .bios,
                disks: [
                    MachineDisk(try file("a,b.raw", in: folder), serial: "12345678901234567890", detectZeroes: true, bootIndex: 0),
                    MachineDisk(overlay, format: .qcow2, serial: "overlay", cache: .writeback),
                    MachineDisk(try file("nvme.raw", in: folder), interface: .nvme),
                    MachineDisk(try file("scsi.raw", in: folder), serial: "scsi", interface: .virtioSCSI),
                    MachineDisk(try file("sata.raw", in: folder), serial: "sata", discard: false, detectZeroes: true, interface: .sata),
                    MachineDisk(try file("cd.iso", in: folder), interface: .cdrom, bootIndex: 1),
                    MachineDisk(try file("stick.raw", in: folder), readOnly: true, interface: .usbStick, bootIndex: 2),
                    MachineDisk(try file("rules.raw", in: folder), serial: "rules", errorRules: rules),
                    MachineDisk(
                        try file("both.raw", in: folder), serial: "both", errorRules: rules,
                        writeLog: try file("writes,1.log", in: folder, bytes: 0)),
                ],
                networks: [
                    MachineNetwork(restricted: true, mac: "52:54:00:12:34:56"),
                    MachineNetwork(tftpRoot: folder, bootFile: "boot.efi", bootIndex: 3),
                ],
                channels: ["org.kldload.a", "org.kldload.b"], endsOnReboot: true, clock: .at("2026-01-31T12:00:00"),
                oemStrings: ["io.systemd.credential:a=1,2"], systemSerial: "ds=nocloud",
                firmwareFiles: ["opt/org.kldload/answers": try file("answers,1.env", in: folder)], graphics: true, extraArguments: ["-S"])
            try await VirtualMachine.with(spec, qemu: Here.qemu, folder: folder) { machine in
                let disks = try await machine.monitor.execute("query-block").elements ?? []
                #expect(disks.count == 9)
                let status = try await machine.monitor.execute("query-status")
                #expect(status["running"] == JSONValue.bool(false))
                #expect(try await machine.monitor.execute("query-name")["name"]?.text == "every,thing")
                let picture = folder.appending("screen.png")
                try await machine.monitor.screenDump(to: picture)
                #expect(try LocalFiles().read(picture).prefix(4) == [0x89, 0x50, 0x4e, 0x47])
            }
        }
    }

    @Test func listensOnSocketsToo() async throws {
        try await withScratch { folder in
            let wiring = MachineWiring(
                console: .file(folder.appending("console.txt")), monitor: .socket(folder.appending("qmp,1.sock")),
                channels: ["a": .socket(folder.appending("a.sock"))])
            let disk = try file("probe.raw", in: folder)
            try LocalFiles().write(ProbeGuest.disk, to: disk, mode: .file)
            var spec = ProbeGuest.machine(.tcg, disk: disk)
            spec.channels = ["a"]
            // -S and a monitor command on standard input: QEMU parses everything, opens everything, and quits.
            let arguments = try spec.arguments(wiring: wiring) + ["-S", "-monitor", "stdio"]
            let output = try await SubprocessRunner().run(Command(QEMU.tool, arguments, effect: .changes, input: .text("quit\n")))
            #expect(output.output.contains("QEMU 10") || output.output.contains("QEMU "))
            #expect(try LocalFiles().exists(folder.appending("console.txt")))
        }
    }

    @Test(.enabled(if: Here.hasFirmware, "ovmf is not installed"), arguments: Firmware.Kind.allCases)
    func startsFirmware(kind: Firmware.Kind) async throws {
        try await withScratch { folder in
            let firmware = try Firmware.find(kind, files: LocalFiles())
            let variables = try firmware.copyVariables(to: folder.appending("vars.fd"), files: LocalFiles())
            let boot: MachineSpec.Boot =
                switch kind {
                case .uefi: .uefi(code: firmware.code, variables: variables)
                case .secureBoot: .secureBoot(code: firmware.code, variables: variables)
                }
            let spec = MachineSpec(name: "firmware", accelerator: .tcg, memory: .mebibytes(512), processors: 1, boot: boot)
            try await VirtualMachine.with(spec, qemu: Here.qemu, folder: folder) { machine in
                // The firmware's own shell is not signed: where Secure Boot is enforced it is refused, or not part of the firmware (Debian 13).
                let seen = try await machine.console.expect(
                    anyOf: ["UEFI Interactive Shell", "Security Violation", "No bootable option"], within: patience)
                #expect((seen.index > 0) == (kind == .secureBoot), "\(seen.read)")
            }
        }
    }
}

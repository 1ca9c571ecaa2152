import KldCore
import KldVirt
import SystemPackage
import Testing

@Suite("Arguments of QEMU")
struct MachineArgumentsTests {
    let wiring = MachineWiring(console: .descriptor(4), monitor: .descriptor(3), channels: ["org.kldload.agent": .descriptor(5)])

    /// One option per line, as a person would compare them.
    private func text(_ spec: MachineSpec, _ wiring: MachineWiring) throws -> String {
        var lines: [String] = []
        for argument in try spec.arguments(wiring: wiring) {
            if argument.hasPrefix("-") { lines.append(argument) } else { lines[lines.count - 1] += " " + argument }
        }
        return lines.joined(separator: "\n")
    }

    @Test func bootAKernelUnderEmulation() throws {
        let spec = MachineSpec(
            name: "install", accelerator: .tcg, memory: .gibibytes(3), processors: 2,
            boot: .direct(kernel: "/c/vmlinuz", initrd: "/c/initrd.img", commandLine: "console=ttyS0 root=/dev/vda ro quiet,x"),
            disks: [
                MachineDisk("/c/live.squashfs", serial: "live", readOnly: true),
                MachineDisk("/s/target.qcow2", format: .qcow2, serial: "target", detectZeroes: true, bootIndex: 0),
            ],
            networks: [MachineNetwork(hostForwards: [.init(host: 2222, guest: 22)], restricted: true, mac: "52:54:00:00:00:01")],
            channels: ["org.kldload.agent"], endsOnReboot: true)
        #expect(
            try text(spec, wiring) == """
                -name install
                -no-user-config
                -nodefaults
                -display none
                -machine q35
                -accel tcg,thread=multi,tb-size=1024
                -cpu max,erms=off,fsrm=off,fsrs=off,fzrm=off
                -m 3072M
                -smp 2
                -no-reboot
                -kernel /c/vmlinuz
                -initrd /c/initrd.img
                -append console=ttyS0 root=/dev/vda ro quiet,x
                -drive id=disk0,if=none,format=raw,file=/c/live.squashfs,cache=unsafe,readonly=on
                -device virtio-blk-pci,drive=disk0,serial=live
                -drive id=disk1,if=none,format=qcow2,file=/s/target.qcow2,cache=unsafe,discard=unmap,detect-zeroes=unmap
                -device virtio-blk-pci,drive=disk1,serial=target,bootindex=0
                -netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22
                -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:01,romfile=
                -object rng-random,id=rng0,filename=/dev/urandom
                -device virtio-rng-pci,rng=rng0
                -chardev socket,id=console,fd=4
                -serial chardev:console
                -chardev socket,id=qmp,fd=3
                -mon chardev=qmp,mode=control
                -device virtio-serial-pci,id=serial0
                -chardev socket,id=channel0,fd=5
                -device virtserialport,bus=serial0.0,nr=1,chardev=channel0,name=org.kldload.agent
                """)
    }

    @Test("the firmware's own driver starts from a card without a boot ROM")
    func bootWithoutROM() throws {
        let spec = MachineSpec(
            name: "x", accelerator: .tcg, boot: .uefi(code: "/c", variables: "/v"),
            networks: [MachineNetwork(tftpRoot: "/s/tftp", bootFile: "shimx64.efi", bootIndex: 0, bootROM: false)])
        #expect(
            try text(spec, MachineWiring()).contains(
                """
                -netdev user,id=net0,tftp=/s/tftp,bootfile=shimx64.efi
                -device virtio-net-pci,netdev=net0,bootindex=0,romfile=
                """))
    }

    @Test("a card on a tap device runs no script of QEMU's")
    func tap() throws {
        let spec = MachineSpec(
            name: "x", accelerator: .tcg, boot: .uefi(code: "/c", variables: "/v"),
            networks: [MachineNetwork(tap: "tap0", bootIndex: 1, bootROM: false)])
        #expect(
            try text(spec, MachineWiring()).contains(
                """
                -netdev tap,id=net0,ifname=tap0,script=no,downscript=no
                -device virtio-net-pci,netdev=net0,bootindex=1,romfile=
                """))
    }

    @Test func enforceSecureBootWithKVM() throws {
        let spec = MachineSpec(
            name: "secure", accelerator: .kvm, boot: .secureBoot(code: "/fw/OVMF_CODE_4M.ms.fd", variables: "/s/vars.fd"),
            disks: [
                MachineDisk("/s/a,b.raw", serial: "disk0", cache: .writeback),
                MachineDisk("/s/n.raw", interface: .nvme),
                MachineDisk("/s/s.raw", serial: "scsi-disk", interface: .virtioSCSI),
                MachineDisk("/s/t.raw", discard: false, detectZeroes: true, interface: .sata),
                MachineDisk("/s/kldload.iso", interface: .cdrom, bootIndex: 0),
                MachineDisk("/s/kldload.iso", readOnly: true, interface: .usbStick, bootIndex: 1),
            ],
            networks: [MachineNetwork(tftpRoot: "/s/tftp", bootFile: "shimx64.efi", bootIndex: 2)],
            clock: .at("2026-01-31T12:00:00"), oemStrings: ["io.systemd.credential:a=1,2", "second"], systemSerial: "ds=nocloud",
            firmwareFiles: ["opt/org.kldload/answers": "/s/answers.env"], graphics: true, tpmSocket: "/s/tpm.sock",
            extraArguments: ["-S"])
        let wiring = MachineWiring(console: .file("/s/console.log"), monitor: .socket("/s/qmp,1.sock"))
        #expect(
            try text(spec, wiring) == """
                -name secure
                -no-user-config
                -nodefaults
                -display none
                -machine q35,smm=on
                -accel kvm
                -cpu host
                -m 2048M
                -smp 2
                -rtc base=2026-01-31T12:00:00
                -smbios type=1,serial=ds=nocloud
                -smbios type=11,value=io.systemd.credential:a=1,,2,value=second
                -fw_cfg name=opt/org.kldload/answers,file=/s/answers.env
                -global driver=cfi.pflash01,property=secure,value=on
                -drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/OVMF_CODE_4M.ms.fd
                -drive if=pflash,unit=1,format=raw,file=/s/vars.fd
                -device virtio-scsi-pci,id=scsi0
                -device qemu-xhci,id=usb0
                -drive id=disk0,if=none,format=raw,file=/s/a,,b.raw,cache=writeback,discard=unmap
                -device virtio-blk-pci,drive=disk0,serial=disk0
                -drive id=disk1,if=none,format=raw,file=/s/n.raw,cache=unsafe,discard=unmap
                -device nvme,drive=disk1,serial=kldload-1
                -drive id=disk2,if=none,format=raw,file=/s/s.raw,cache=unsafe,discard=unmap
                -device scsi-hd,bus=scsi0.0,drive=disk2,serial=scsi-disk
                -drive id=disk3,if=none,format=raw,file=/s/t.raw,cache=unsafe,detect-zeroes=on
                -device ide-hd,bus=ide.0,drive=disk3
                -drive id=disk4,if=none,format=raw,file=/s/kldload.iso,cache=unsafe,readonly=on,media=cdrom
                -device ide-cd,bus=ide.1,drive=disk4,bootindex=0
                -drive id=disk5,if=none,format=raw,file=/s/kldload.iso,cache=unsafe,readonly=on
                -device usb-storage,bus=usb0.0,removable=on,drive=disk5,bootindex=1
                -netdev user,id=net0,tftp=/s/tftp,bootfile=shimx64.efi
                -device virtio-net-pci,netdev=net0,bootindex=2
                -object rng-random,id=rng0,filename=/dev/urandom
                -device virtio-rng-pci,rng=rng0
                -device VGA
                -chardev socket,id=tpm,path=/s/tpm.sock
                -tpmdev emulator,id=tpm0,chardev=tpm
                -device tpm-tis,tpmdev=tpm0
                -chardev file,id=console,path=/s/console.log
                -serial chardev:console
                -chardev socket,id=qmp,path=/s/qmp,,1.sock,server=on,wait=off
                -mon chardev=qmp,mode=control
                -S
                """)
    }

    @Test func injectErrorsAndRecordWrites() throws {
        let disk = MachineDisk("/s/esp.raw", errorRules: "/s/rules.conf", writeLog: "/s/writes.log")
        let spec = MachineSpec(name: "x", accelerator: .tcg, boot: .uefi(code: "/c", variables: "/v"), disks: [disk])
        let arguments = try spec.arguments(wiring: MachineWiring())
        #expect(arguments.contains("virtio-blk-pci,request-merging=off,drive=disk0"))
        #expect(
            arguments.contains(
                "id=disk0,if=none,format=raw,file.driver=blklogwrites,file.log.driver=file,file.log.filename=/s/writes.log,"
                    + "file.file.driver=blkdebug,file.file.config=/s/rules.conf,file.file.image.driver=file,"
                    + "file.file.image.filename=/s/esp.raw,cache=unsafe,discard=unmap"))
    }

    @Test(arguments: ["", "a b", "a,b", "123456789012345678901", "ü"])
    func refuseASerialThatNoGuestWouldShow(serial: String) throws {
        let spec = MachineSpec(name: "x", accelerator: .tcg, boot: .bios, disks: [MachineDisk("/d", serial: serial)])
        let error = #expect(throws: Diagnosis.self) { try spec.arguments(wiring: MachineWiring()) }
        #expect(error?.code == "vm.bad-serial")
    }

    @Test func refuseAMachineThatCannotBe() throws {
        let good = MachineSpec(name: "x", accelerator: .tcg, boot: .bios)
        func code(_ change: (inout MachineSpec) -> Void) -> String? {
            var spec = good
            change(&spec)
            return #expect(throws: Diagnosis.self) { try spec.arguments(wiring: MachineWiring()) }?.code
        }
        #expect(code { $0.memory = ByteCount(1_000_000) } == "vm.bad-machine")
        #expect(code { $0.processors = 0 } == "vm.bad-machine")
        #expect(code { $0.firmwareFiles = ["etc/x": "/x"] } == "vm.bad-machine")
        #expect(code { $0.channels = ["a", "a"] } == "vm.bad-machine")
    }

    @Test func neverTakeAFileNameForAProtocolOrAnOption() throws {
        let spec = MachineSpec(name: "x", accelerator: .tcg, boot: .bios, disks: [MachineDisk("nbd:x", discard: false)])
        #expect(try spec.arguments(wiring: MachineWiring()).contains("id=disk0,if=none,format=raw,file=./nbd:x,cache=unsafe"))
    }
}

import KldCore
import SystemPackage

extension MachineSpec {
    /// The arguments of `qemu-system-x86_64`, without the program itself.
    ///
    /// Source: qemu(1), 10.0.
    /// - Throws: ``Diagnosis`` `vm.bad-serial`, `vm.bad-machine`.
    package func arguments(wiring: MachineWiring) throws -> [String] {
        try check()
        var list = ["-name", escaped(name), "-no-user-config", "-nodefaults", "-display", "none"]
        list += platformArguments
        list += bootArguments
        if disks.contains(where: { $0.interface == .virtioSCSI }) { list += ["-device", "virtio-scsi-pci,id=scsi0"] }
        if disks.contains(where: { $0.interface == .usbStick }) { list += ["-device", "qemu-xhci,id=usb0"] }
        for (index, disk) in disks.enumerated() {
            list += disk.arguments(index: index, port: disks[..<index].count { $0.isOnSATA })
        }
        for (index, network) in networks.enumerated() { list += network.arguments(index: index) }
        // Without a source of entropy a guest's first key generation may wait for minutes.
        list += ["-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"]
        if graphics { list += ["-device", "VGA"] }
        if let tpmSocket {
            list += ["-chardev", "socket,id=tpm,path=\(escaped(tpmSocket))"]
            list += ["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]
        }
        list += wireArguments(wiring)
        return list + extraArguments
    }

    private func check() throws {
        for disk in disks { try disk.check() }
        guard disks.count(where: \.isOnSATA) <= 6 else { throw bad("more than six SATA disks and optical drives") }
        guard memory.bytes % (1 << 20) == 0, memory.bytes > 0 else { throw bad("memory of \(memory) is not a whole number of MiB") }
        guard (1...255).contains(processors) else { throw bad("\(processors) processors; 1 to 255 are possible") }
        if let wrong = firmwareFiles.keys.first(where: { !$0.hasPrefix("opt/") || $0.utf8.count > 55 }) {
            throw bad("the firmware file name \(wrong) does not begin with opt/, or is longer than 55 bytes")
        }
        guard Set(channels).count == channels.count else { throw bad("two channels have the same name") }
        guard channels.count <= 30 else { throw bad("more than 30 channels") }
    }

    private func bad(_ what: String) -> Diagnosis {
        Diagnosis(
            "vm.bad-machine", "machine \(name): \(what)", remedies: ["report this as a defect of kldload, with the log"], exit: .bug)
    }

    private var platformArguments: [String] {
        var machine = "q35"
        if case .secureBoot = boot { machine += ",smm=on" }
        var list = ["-machine", machine, "-accel", accelerator.argument, "-cpu", accelerator.processor]
        list += ["-m", "\(memory.bytes >> 20)M", "-smp", "\(processors)"]
        if endsOnReboot { list.append("-no-reboot") }
        if case .at(let moment) = clock { list += ["-rtc", "base=\(moment)"] }
        if let systemSerial { list += ["-smbios", "type=1,serial=\(escaped(systemSerial))"] }
        if !oemStrings.isEmpty { list += ["-smbios", "type=11," + oemStrings.map { "value=\(escaped($0))" }.joined(separator: ",")] }
        for (name, path) in firmwareFiles.sorted(by: { $0.key < $1.key }) {
            list += ["-fw_cfg", "name=\(escaped(name)),file=\(escaped(path))"]
        }
        return list
    }

    private var bootArguments: [String] {
        switch boot {
        case .bios: return []
        case .direct(let kernel, let initrd, let commandLine):
            // All three are taken as they are: these are no options with commas.
            let ramdisk = initrd.map { ["-initrd", $0.string] } ?? []
            return ["-kernel", kernel.string] + ramdisk + ["-append", commandLine]
        case .uefi(let code, let variables), .secureBoot(let code, let variables):
            var list: [String] = []
            // Only code in System Management Mode may then write the variables: without this the guest could enrol keys itself.
            if case .secureBoot = boot { list += ["-global", "driver=cfi.pflash01,property=secure,value=on"] }
            list += ["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=\(escaped(code))"]
            return list + ["-drive", "if=pflash,unit=1,format=raw,file=\(escaped(variables))"]
        }
    }

    private func wireArguments(_ wiring: MachineWiring) -> [String] {
        var list: [String] = []
        if let console = wiring.console { list += ["-chardev", console.chardev(id: "console"), "-serial", "chardev:console"] }
        if let monitor = wiring.monitor { list += ["-chardev", monitor.chardev(id: "qmp"), "-mon", "chardev=qmp,mode=control"] }
        let wired = channels.compactMap { name in wiring.channels[name].map { (name, $0) } }
        if !wired.isEmpty { list += ["-device", "virtio-serial-pci,id=serial0"] }
        for (index, (name, endpoint)) in wired.enumerated() {
            list += ["-chardev", endpoint.chardev(id: "channel\(index)")]
            list += ["-device", "virtserialport,bus=serial0.0,nr=\(index + 1),chardev=channel\(index),name=\(escaped(name))"]
        }
        return list
    }
}

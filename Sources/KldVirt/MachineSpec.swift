package import KldCore
package import SystemPackage

/// A guest as a value: everything QEMU is told, and nothing about how we talk to it (that is ``MachineWiring``).
package struct MachineSpec: Sendable, Hashable {
    package enum Boot: Sendable, Hashable {
        /// SeaBIOS and the first bootable disk.
        case bios
        /// The kernel straight from the host, without boot loader or firmware variables.
        case direct(kernel: FilePath, initrd: FilePath?, commandLine: String)
        /// OVMF without Secure Boot. `variables` is a writable copy of the template that belongs to this guest.
        case uefi(code: FilePath, variables: FilePath)
        /// OVMF with Secure Boot: System Management Mode guards the variables.
        case secureBoot(code: FilePath, variables: FilePath)
    }

    /// What the guest's clock says at power-on.
    package enum Clock: Sendable, Hashable {
        case now
        /// A UTC moment as `2026-01-31T12:00:00`; from there the clock runs with the host's.
        case at(String)
    }

    package var name: String
    package var accelerator: Accelerator
    /// Whole mebibytes.
    package var memory: ByteCount
    package var processors: Int
    package var boot: Boot
    package var disks: [MachineDisk]
    package var networks: [MachineNetwork]
    /// Names of virtio-serial ports: `/dev/virtio-ports/NAME` in the guest, `channel(NAME)` here.
    package var channels: [String]
    /// A guest that resets ends QEMU instead.
    package var endsOnReboot: Bool
    package var clock: Clock
    /// SMBIOS type 11 strings, for instance `io.systemd.credential:NAME=VALUE`.
    package var oemStrings: [String]
    /// SMBIOS type 1 serial number, for instance `ds=nocloud` of cloud-init.
    package var systemSerial: String?
    /// Files the guest finds below `/sys/firmware/qemu_fw_cfg/by_name/`; names begin with `opt/`.
    package var firmwareFiles: [String: FilePath]
    /// A standard VGA adapter, which `screendump` needs. Off: the guest has a serial console only.
    package var graphics: Bool
    /// The control socket of a running swtpm, for a TPM 2.0.
    package var tpmSocket: FilePath?
    /// Arguments passed on as they are, after everything else.
    package var extraArguments: [String]

    package init(
        name: String, accelerator: Accelerator, memory: ByteCount = .gibibytes(2), processors: Int = 2, boot: Boot,
        disks: [MachineDisk] = [], networks: [MachineNetwork] = [], channels: [String] = [], endsOnReboot: Bool = false,
        clock: Clock = .now, oemStrings: [String] = [], systemSerial: String? = nil, firmwareFiles: [String: FilePath] = [:],
        graphics: Bool = false, tpmSocket: FilePath? = nil, extraArguments: [String] = []
    ) {
        self.name = name
        self.accelerator = accelerator
        self.memory = memory
        self.processors = processors
        self.boot = boot
        self.disks = disks
        self.networks = networks
        self.channels = channels
        self.endsOnReboot = endsOnReboot
        self.clock = clock
        self.oemStrings = oemStrings
        self.systemSerial = systemSerial
        self.firmwareFiles = firmwareFiles
        self.graphics = graphics
        self.tpmSocket = tpmSocket
        self.extraArguments = extraArguments
    }
}

import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    static let clones: [Scenario] = [
        Scenario("image.clones", "two clones with two NoCloud seeds are two machines; a third has its seed's address") { lab in
            let image = try await golden(lab)
            var seen: [String: Set<String>] = [:]
            // The same hardware address each time: what differs is the machines' own.
            let mac = "52:54:00:00:00:01"
            for name in ["clone-one", "clone-two"] {
                let facts = try await boot(image, as: name, mac: mac, identity + addresses, lab)
                lab.log("\(facts)")
                try check(facts["hostname"] == name, "the clone \(name) calls itself \(facts["hostname"] ?? "nothing")")
                // The first that QEMU's DHCP server gives.
                try check(facts["address"] == "10.0.2.15/24", "\(name) has not the address of DHCP: \(facts)")
                for (key, value) in facts where key != "hostname" { seen[key, default: []].insert(value) }
            }
            let fixed = try await boot(image, as: "clone-fixed", mac: mac, identity + addresses, network: staticNetwork(mac), lab)
            lab.log("\(fixed)")
            try check(fixed["hostname"] == "clone-fixed", "the third clone calls itself \(fixed["hostname"] ?? "nothing")")
            let network = ["address": "10.0.2.77/24", "gateway": "10.0.2.2", "resolver": "10.0.2.3", "reached": "0"]
            for (key, value) in network { try check(fixed[key] == value, "its \(key) is not the seed's: \(fixed)") }
            try check(fixed["dhcp-identity"] == nil, "it has asked DHCP too: \(fixed)")
            for key in ["machine-id", "host-key", "host-id", "pool-guid", "disk-guid", "esp-guid", "esp-serial"] {
                guard let own = fixed[key] else { throw CheckFailure("the third clone has no \(key): \(fixed)") }
                try check(seen[key]?.contains(own) == false, "the third clone has the \(key) of another: \(fixed)")
            }
            for key in ["machine-id", "host-key", "host-id", "pool-guid", "disk-guid", "esp-guid", "esp-serial", "dhcp-identity"] {
                try check(seen[key]?.count == 2, "both clones have the same \(key), or none: \(seen[key] ?? [])")
            }
        },
        Scenario(
            "image.grown", "on a disk that is 4 GiB larger than the image the pool has grown after the first boot; the second does nothing"
        ) {
            lab in
            let image = try await golden(lab)
            let facts = try await boot(
                image, as: "grown", mac: "52:54:00:00:00:05", growth, again: true, disk: .gibibytes(12), atEachBoot: true, lab)
            lab.log("\(facts)")
            func bytes(_ name: String) -> UInt64 { facts[name].flatMap { UInt64($0) } ?? 0 }
            try check(bytes("disk") == 12 << 30, "the disk has not the size that was asked for: \(facts)")
            try check(bytes("partition") > 10 << 30, "the partition has not grown: \(facts)")
            try check(bytes("pool") > 10 << 30 && facts["spare"] == "-", "the pool does not use its partition: \(facts)")
            try check(facts["ran"] == "yes" && facts["status"] == "0", "the first boot is not done: \(facts)")
            try check(facts["again-ran"] == "no" && facts["again-status"] == "0", "the second boot begins again: \(facts)")
            for key in ["events", "pool", "partition"] {
                try check(facts["again-\(key)"] == facts[key] && facts[key] != nil, "the second boot changed \(key): \(facts)")
            }
        },
        Scenario(
            "image.grub",
            "a clone of an image that GRUB starts, with a package more, keeps its boot loader after a good boot and starts again"
        ) { lab in
            let image = try await golden(lab, ["KLDLOAD_BOOTLOADER=grub", "KLDLOAD_EXTRA_PACKAGES=tree"])
            let facts = try await boot(image, as: "grub", mac: "52:54:00:00:00:06", grub, again: true, atEachBoot: true, lab)
            lab.log("\(facts)")
            try check(facts["tree"] == "tree", "the package is not there: \(facts)")
            try check(facts["again-good"] == "1", "the first boot was not noted as good: \(facts)")
            for key in ["entry", "loaders"] {
                try check(facts["again-\(key)"] == facts[key] && facts[key]?.isEmpty == false, "\(key) has changed: \(facts)")
            }
            try check(facts["loaders"] != "4294967295", "no boot loader was read, this is the sum of nothing: \(facts)")
            try check(facts["again-systemd-boot"] == "none", "the other boot loader was placed: \(facts)")
        },
    ]

    /// What started a clone, and whether the boot before was good. The ESP may not be mounted yet.
    private static let grub = [
        // What is left of its tries stands there too.
        ("entry", "grep -o 'kldload.entry=kldload-[^ ]*' /proc/cmdline"), ("tree", "tree --version"),
        // A good boot notes them.
        ("good", "ls /var/lib/kldload/boot/network-cards > /dev/null 2>&1 && echo 1 || echo 0"),
        (
            "loaders",
            "mkdir -p /run/look; mount /dev/vda1 /run/look && cd /run/look/EFI && cat BOOT/BOOTX64.EFI BOOT/grubx64.efi kldload/grubx64.efi | cksum; cd /; umount /run/look"
        ),
        ("systemd-boot", "mount /dev/vda1 /run/look; ls -d /run/look/loader 2> /dev/null || echo none; umount /run/look"),
    ]

    /// What makes a machine itself.
    private static let identity = [
        ("hostname", "hostname"), ("machine-id", "cat /etc/machine-id"),
        ("host-key", "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub"),
        ("host-id", "od -An -tx4 /etc/hostid | tr -d ' '"), ("pool-guid", "zpool get -H -o value guid rpool"),
        ("disk-guid", "lsblk -dno PTUUID /dev/vda"), ("esp-guid", "blkid -p -o value -s PART_ENTRY_UUID /dev/vda1"),
        ("esp-serial", "blkid -p -o value -s UUID /dev/vda1"),
        ("dhcp-identity", "grep -h ^CLIENTID= /run/systemd/netif/leases/*"),
    ]

    /// How it is reached, and what it reaches.
    private static let addresses = [
        ("address", "ip -4 -o address show scope global | sed 's/.*inet //;s/ .*//'"),
        ("gateway", "ip -4 route show default | sed 's/.*via //;s/ .*//'"),
        ("resolver", "resolvectl dns | grep -o '10[.]0[.]2[.][0-9]*' | head -n 1"),
        ("reached", "ping -c 1 -W 10 10.0.2.2 > /dev/null 2>&1; echo $?"),
    ]

    /// An address that QEMU's DHCP server does not give, in its network. Source: cloud-init, "Networking config Version 2".
    ///
    /// The card's address stands between quotation marks: without them YAML 1.1 reads a number with the base sixty.
    private static func staticNetwork(_ mac: String) -> String {
        """
        version: 2
        ethernets:
          wired:
            match:
              macaddress: "\(mac)"
            dhcp4: false
            addresses: [10.0.2.77/24]
            routes:
              - to: 0.0.0.0/0
                via: 10.0.2.2
            nameservers:
              addresses: [10.0.2.3]

        """
    }

    /// How large a clone is, and what its first boot says of itself.
    private static let growth = [
        ("disk", "lsblk -b -d -n -o SIZE /dev/vda"), ("partition", "lsblk -b -d -n -o SIZE /dev/vda2"),
        ("pool", "zpool list -H -p -o size rpool"), ("spare", "zpool get -H -o value expandsize rpool"),
        ("status", "/usr/lib/kldload/kldload firstboot --status > /dev/null; echo $?"),
        ("ran", "systemctl show -P ConditionResult kldload-firstboot.service"),
        ("events", "cksum < /var/lib/kldload/firstboot/events.jsonl"),
    ]

    /// Boots a throw-away overlay with a NoCloud seed whose commands print facts.
    ///
    /// - Parameters:
    ///   - again: afterwards boot the same overlay once more, and verify it.
    ///   - disk: the overlay's size, where it is not the image's.
    ///   - atEachBoot: the commands run at the second boot too; its facts are named `again-…`.
    ///   - network: the seed's `network-config`; without one the clone asks DHCP.
    ///   - limit: how long the commands may take, from the moment the machine is on.
    static func boot(
        _ image: FilePath, as name: String, mac: String, _ commands: [(String, String)] = identity, again: Bool = false,
        disk: ByteCount? = nil, atEachBoot: Bool = false, network: String? = nil, within limit: Duration = .seconds(300), _ lab: Laboratory
    ) async throws -> [String: String] {
        let place = lab.folder.appending(name)
        try lab.files.makeDirectory(place, mode: 0o700)
        let overlay = place.appending("overlay.qcow2")
        try await lab.workshop.runner.run(QemuImg.createOverlay(overlay, backing: image, backingFormat: .qcow2))
        if let disk { try await lab.workshop.runner.run(QemuImg.resize(overlay, format: .qcow2, to: disk)) }
        let seed = try await noCloudSeed(name, commands, module: atEachBoot ? "bootcmd" : "runcmd", network: network, in: place, lab)
        return try await start(overlay, seed, as: name, mac: mac, lab) { machine, host in
            var facts = try await Self.facts(machine, host, within: limit)
            guard again else { return facts }
            _ = try await ImageVerification.answer(machine, on: host)
            try await machine.monitor.reset()
            if atEachBoot { for (key, value) in try await Self.facts(machine, host, within: limit) { facts["again-\(key)"] = value } }
            try lab.require(try await ImageVerification.answer(machine, on: host))
            return facts
        }
    }

    /// Starts an overlay of an image with its seed, for as long as `body` runs. - Parameter oemStrings: of SMBIOS, credentials for systemd.
    static func start<Result: Sendable>(
        _ overlay: FilePath, _ seed: FilePath, as name: String, mac: String, oemStrings: [String] = [], _ lab: Laboratory,
        _ body: @Sendable (VirtualMachine, FactoryHost) async throws -> Result
    ) async throws -> Result {
        let place = overlay.removingLastComponent()
        let host = try await FactoryHost.find(runner: lab.workshop.runner, files: lab.files, cache: lab.workshop.cache.root)
        let firmware = try Firmware.find(.uefi, files: lab.files)
        var spec = MachineSpec(
            name: name, accelerator: host.accelerator, memory: .gibibytes(2), processors: 2,
            boot: .uefi(code: firmware.code, variables: try firmware.copyVariables(to: place.appending("vars.fd"), files: lab.files)),
            disks: [MachineDisk(overlay, format: .qcow2, serial: "disk0"), MachineDisk(seed, serial: "seed", readOnly: true)],
            networks: [MachineNetwork(mac: mac)], channels: [ImageVerification.channel])
        spec.oemStrings = oemStrings
        return try await VirtualMachine.with(spec, qemu: host.qemu, folder: place) { try await body($0, host) }
    }

    /// What the commands of a seed print, up to its last.
    static func facts(
        _ machine: VirtualMachine, _ host: FactoryHost, within limit: Duration = .seconds(300)
    ) async throws -> [String: String] {
        let text = try await machine.console.expect("KLDLOAD-END", within: host.deadline(limit))
        var facts: [String: String] = [:]
        for line in text.lines {
            // A login prompt that comes up at the same time puts its escapes before it.
            guard let mark = line.firstRange(of: "KLDLOAD-FACT ") else { continue }
            let words = String(line[mark.upperBound...]).words
            if words.count > 1 { facts[words[0]] = words[1] }
        }
        return facts
    }

    /// - Parameter network: its `network-config`.
    static func noCloudSeed(
        _ name: String, _ commands: [(String, String)], module: String, network: String? = nil, in place: FilePath, _ lab: Laboratory
    ) async throws -> FilePath {
        let lines = commands.map { "  - [sh, -c, \"echo KLDLOAD-FACT \($0.0) $(\($0.1)) > /dev/ttyS0\"]\n" }.joined()
        let user = place.appending("user-data")
        let meta = place.appending("meta-data")
        try lab.files.write("#cloud-config\n\(module):\n\(lines)  - [sh, -c, \"echo KLDLOAD-END > /dev/ttyS0\"]\n", to: user)
        try lab.files.write("instance-id: \(name)\nlocal-hostname: \(name)\n", to: meta)
        var contents = [user, meta]
        if let network {
            contents.append(place.appending("network-config"))
            try lab.files.write(network, to: place.appending("network-config"))
        }
        return try await lab.volume("CIDATA", contents, at: place.appending("seed.img"))
    }
}

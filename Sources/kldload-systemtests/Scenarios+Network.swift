import Glibc
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// Machines without any medium: on QEMU's own DHCP and TFTP, and on dnsmasq as the examples of an export have it.
    static let networkBoots: [Scenario] = [
        Scenario(
            "pxe.install",
            "without a medium a machine starts over the network, refuses a live environment that was tampered with, installs as it is armed, and powers off; disarmed, it starts from its disk"
        ) { lab in
            try await network(lab)
        },
        Scenario("pxe.secure-boot", "with Secure Boot enforcing, a machine starts the live environment over the network", isSecure: true) {
            lab in
            let iso = try await lab.iso(profiles: [])
            let tree = lab.folder.appending("pxe")
            try await lab.serving(tree.appending("http")) { address in
                lab.log(try await lab.kldload(["pxe", "export", "--iso", iso.string, "--url", address, "-o", tree.string] + lab.ownGroup))
                try await lab.boot([], label: "network", network: lab.network(tree), memory: .gibibytes(3)) { machine, host in
                    // Nobody is armed: the menu is there, and starts from the disk when nobody chooses.
                    _ = try await machine.console.expect("kldload: live environment and installer", within: host.deadline(.seconds(120)))
                    try await machine.console.send("\u{1b}[B\r")
                    let shell = try await lab.liveShell(machine, host)
                    let said = try await shell.run("mokutil --sb-state; cat /sys/kernel/security/lockdown; kldload pxe --help | head -n 1")
                    lab.log(said.lines.joined(separator: "; "))
                    try check(said.contains("SecureBoot enabled") && said.contains("[integrity]"), said)
                }
            }
        },
        Scenario(
            "pxe.http",
            "with Secure Boot enforcing, firmware starts the live environment over HTTP, as dnsmasq says by the export's example",
            isSecure: true
        ) { lab in
            try await served(lab) { network, tree in
                // OVMF asks by TFTP first: there nobody says what to start. It must be able to ask: GRUB reads by its PXE who is armed.
                let example = try lab.files.readText(tree.appending("examples/dnsmasq-full.conf"))
                let silent = lab.folder.appending("dnsmasq.conf")
                try lab.files.write(example.lines.filter { !$0.contains("tag:uefi") }.joined(separator: "\n") + "\n", to: silent)
                try await network.serving([(.server, network.dnsmasq(silent)), (.server, network.web(tree.appending("http")))]) {
                    try await live(lab, network, "http", "SecureBoot enabled")
                }
            }
        },
        Scenario(
            "pxe.servers",
            "beside a DHCP server, dnsmasq by the export's example starts a machine by TFTP, and one whose iPXE comes from a stick"
        ) { lab in
            try await served(lab) { network, tree in
                let beside = tree.appending("examples/dnsmasq-proxy.conf")
                try await network.serving([
                    (.router, network.dhcp), (.server, network.dnsmasq(beside)), (.server, network.web(tree.appending("http"))),
                ]) {
                    try await live(lab, network, "tftp", "")
                    try await live(lab, network, "ipxe", "", more: [try await iPXE(lab)])
                }
            }
        },
    ]

    /// An export whose server has the address of a network of its own.
    private static func served(_ lab: Laboratory, _ body: (OwnNetwork, FilePath) async throws -> Void) async throws {
        guard SubprocessRunner.find("dnsmasq", path: SubprocessRunner.searchPath) != nil else {
            throw ScenarioSkipped("dnsmasq is not installed: apt-get install dnsmasq-base")
        }
        try await OwnNetwork.with(lab) { network in
            let iso = try await lab.iso(profiles: [])
            let tree = lab.folder.appending("pxe")
            let url = "http://\(OwnNetwork.server)"
            lab.log(try await lab.kldload(["pxe", "export", "--iso", iso.string, "--url", url, "-o", tree.string] + lab.ownGroup))
            try await body(network, tree)
        }
    }

    /// A machine that nobody armed starts the live environment from the menu.
    private static func live(
        _ lab: Laboratory, _ network: OwnNetwork, _ label: String, _ expected: String, more: [MachineDisk] = []
    ) async throws {
        try await lab.boot(
            [], label: label, network: OwnNetwork.card, more: more, memory: .gibibytes(3), on: network
        ) { machine, host in
            _ = try await machine.console.expect("kldload: live environment and installer", within: host.deadline(.seconds(120)))
            try await machine.console.send("\u{1b}[B\r")
            let shell = try await lab.liveShell(machine, host)
            let said = try await shell.run("mokutil --sb-state 2>&1; cat /proc/cmdline; kldload pxe --help | head -n 1")
            lab.log("\(label): \(said.lines.joined(separator: "; "))")
            try check(said.contains("root=live:http://\(OwnNetwork.server)/live.squashfs") && said.contains(expected), said)
        }
    }

    /// A stick with Debian's iPXE on it, which firmware starts before any card.
    private static func iPXE(_ lab: Laboratory) async throws -> MachineDisk {
        let program: FilePath = "/usr/lib/ipxe/ipxe.efi"
        guard try lab.files.exists(program) else { throw ScenarioSkipped("iPXE is not installed: apt-get install ipxe") }
        let folder = lab.folder.appending("EFI")
        try lab.files.makeDirectory(folder.appending("BOOT"), mode: 0o700)
        try lab.files.write(lab.files.read(program), to: folder.appending("BOOT/BOOTX64.EFI"), mode: .file)
        let image = try await lab.volume("IPXE", [folder], at: lab.folder.appending("ipxe.img"))
        return MachineDisk(image, serial: "ipxe", readOnly: true, bootIndex: 0)
    }

    private static func network(_ lab: Laboratory) async throws {
        let iso = try await lab.iso(profiles: ["core"])
        let disks = try await lab.disks(1)
        let answers = lab.folder.appending("web.env")
        try lab.files.write(
            lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest().environmentText, to: answers, mode: .secret)
        let tree = lab.folder.appending("pxe")
        try await lab.serving(tree.appending("http")) { address in
            lab.log(
                try await lab.kldload(
                    ["pxe", "export", "--iso", iso.string, "--url", address, "-o", tree.string] + lab.ownGroup
                        + ["--answers-for", "52:54:00:12:34:56=\(answers)"]))
            lab.log(try await lab.kldload(["pxe", "list", tree.string]))
            // One byte of it is another.
            let squashfs = tree.appending("http/live.squashfs")
            let byte = try lab.files.read(squashfs, 1_000_000..<1_000_001)
            try lab.patch(squashfs, at: 1_000_000, [byte[0] ^ 0xff])
            try await lab.boot(disks, label: "network", network: lab.network(tree), memory: .gibibytes(3)) { machine, host in
                _ = try await machine.console.expect("kldload: fetching \(address)/live.squashfs", within: host.deadline(.seconds(180)))
                lab.log("GRUB, kernel and initramfs came over the network")
                _ = try await machine.console.expect("is not what the boot menu means", within: host.deadline(.seconds(180)))
                lab.log("a live environment that was tampered with was refused")
                try lab.patch(squashfs, at: 1_000_000, byte)
                _ = try await machine.console.expect("Enter: a shell before that", within: host.deadline(.seconds(10)))
                try await machine.console.send("\r")
                _ = try await machine.console.expect("'exit' tries once more", within: host.deadline(.seconds(40)))
                try await machine.console.send("exit\r")
                _ = try await machine.console.expect(
                    "kldload: installing as answers.env on \(address)/answers/", within: host.deadline(.seconds(300)))
                lab.log("the answers were found")
                try await machine.waitForPowerOff(within: host.deadline(.seconds(300)))
            }
            try await lab.verify(disks)
            // It still starts from the network first, and nobody means it any more.
            lab.log(try await lab.kldload(["pxe", "disarm", tree.string, "--all"]))
            try check(try lab.files.list(tree.appending("http/answers")).isEmpty, "answers are still there")
            try await lab.boot(disks, label: "disarmed", network: lab.network(tree)) { machine, host in
                _ = try await machine.console.expect("Start from the disk", within: host.deadline(.seconds(120)))
                // Not the live environment's, which logs root in.
                _ = try await machine.console.expect("web-prod-01 login:", within: host.deadline(.seconds(240)))
            }
        }
    }
}

extension Laboratory {
    /// A card that the firmware starts from, before any disk.
    func network(_ tree: FilePath) -> MachineNetwork {
        MachineNetwork(tftpRoot: tree.appending("tftp"), bootFile: "shimx64.efi", bootIndex: 0, bootROM: false)
    }

    /// For the tool's `--group`: this user serves the answers.
    var ownGroup: [String] { geteuid() == 0 ? ["--group", "root"] : [] }

    /// What the tool prints.
    func kldload(_ words: [String]) async throws -> String {
        let output = try await workshop.runner.run(Command(Tool(workshop.executable.string), words, effect: .changes))
        return (output.output + output.errors).trimmed
    }

    /// Changes bytes of a file where it lies.
    func patch(_ file: FilePath, at offset: Int64, _ bytes: [UInt8]) throws {
        let descriptor = try FileDescriptor.open(file, .writeOnly)
        _ = try descriptor.closeAfter { try descriptor.writeAll(toAbsoluteOffset: offset, bytes) }
    }
}

import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Starting machines over the network")
struct PXETests {
    static var live: FileDigest { get throws { try digest("ab") } }
    static var list: FileDigest { get throws { try digest("cd") } }
    static func digest(_ byte: String) throws -> FileDigest { try #require(FileDigest(hex: String(repeating: byte, count: 32))) }

    static func menus(_ url: String) throws -> PXEMenus { PXEMenus(address: try PXEAddress(url), live: try live, list: try list) }

    // MARK: Names

    @Test(
        "an address is taken apart, and written the same way every time",
        arguments: [
            ("http://10.0.1.5", "http://10.0.1.5", ""), ("http://10.0.1.5:8080/kldload/", "http://10.0.1.5:8080/kldload", "/kldload"),
            ("https://Boot.Example.org/a/b", "https://boot.example.org/a/b", "/a/b"), ("http://10.0.1.5/", "http://10.0.1.5", ""),
        ])
    func address(_ text: String, _ written: String, _ path: String) throws {
        let address = try PXEAddress(text)
        #expect(address.description == written && address.path == path)
        #expect(try PXEAddress(address.description) == address)
    }

    @Test(
        "what is no address, or needs quoting in a menu, is refused",
        arguments: [
            "", "10.0.1.5", "ftp://10.0.1.5", "http://", "http:///x", "http://10.0.1.5:0", "http://10.0.1.5:x", "http://10.0.1.5:70000",
            "http://me:secret@10.0.1.5", "http://[fd00::1]", "http://h/a b", "http://h/a;b", "http://h/'", "http://h/$x", "http://h/a?b",
            "http://h/a#b", "http://h/../x", "http://h//x", "http://h o/", "http://h\n/x", "http://ü",
        ])
    func badAddress(_ text: String) {
        let problem = problem { _ = try PXEAddress(text) }
        #expect(problem?.code == "pxe.bad-url" && problem?.rendered.contains("secret") == false)
    }

    @Test("a machine is known by the address of its card, in any spelling, or by its serial number")
    func machines() throws {
        for text in ["52:54:00:AB:cd:01", "52-54-00-ab-CD-01"] {
            let machine = try PXEMachine(text)
            #expect(machine == .mac("52-54-00-ab-cd-01") && machine.description == "52:54:00:ab:cd:01")
            #expect(machine.name == "52-54-00-ab-cd-01" && machine.template == "{mac}")
        }
        let serial = try PXEMachine("CZJ_1.2-A")
        #expect(serial.name == "serial-CZJ_1.2-A" && serial.template == "serial-{serial}")
        for machine in [serial, try PXEMachine("52:54:00:ab:cd:01"), try PXEMachine(serial: "52-54-00-ab-cd-01")] {
            #expect(PXEMachine(name: machine.name) == machine)
        }
        #expect(serial.option == "--serial CZJ_1.2-A")
        #expect(try PXEMachine("52-54-00-AB-cd-01").option == "--mac 52:54:00:ab:cd:01")
        // Another case is another file.
        for name in ["52-54-00-AB-cd-01", "web", "serial-", "serial-a b", ""] { #expect(PXEMachine(name: name) == nil) }
        for text in ["", "a b", "../x", ".hidden", "a/b", "a'b", "$(x)", "ä", String(repeating: "x", count: 65)] {
            #expect { try PXEMachine(text) } throws: { Diagnosis(of: $0).code == "pxe.bad-machine" }
        }
        for text in ["52:54:00:ab:cd", "52:54:00:ab:cd:0g", "525400abcd01"] {
            #expect { try PXEMachine(mac: text) } throws: { Diagnosis(of: $0).code == "pxe.bad-machine" }
        }
    }

    // MARK: Texts

    @Test(
        "menus and examples are what they were",
        arguments: [
            ("pxe-grub-tftp.cfg", "http://10.0.1.5"), ("pxe-grub-http.cfg", "http://10.0.1.5:8080/kldload"),
            ("pxe-boot.ipxe", "http://10.0.1.5"), ("pxe-boot-path.ipxe", "http://10.0.1.5:8080/kldload"),
            ("pxe-dnsmasq-proxy.conf", "http://10.0.1.5"), ("pxe-dnsmasq-full.conf", "http://10.0.1.5"),
            ("pxe-nginx.conf", "http://10.0.1.5"), ("pxe-nginx-path.conf", "http://10.0.1.5:8080/kldload"),
            ("pxe-armed.cfg", "http://10.0.1.5"), ("pxe-armed.ipxe", "http://10.0.1.5"),
        ])
    func texts(_ name: String, _ url: String) throws {
        if let difference = try Golden.difference(Self.text(name, url), name) { Issue.record("\(difference)") }
    }

    static func text(_ name: String, _ url: String) throws -> String {
        let menus = try menus(url)
        let servers = PXEServers(address: menus.address, tree: "/srv/pxe")
        let arming = PXEArming(machine: try PXEMachine("52:54:00:12:34:56"), token: String(repeating: "0f", count: 16), digest: try live)
        switch name {
        case "pxe-grub-tftp.cfg": return menus.grub(overTFTP: true)
        case "pxe-grub-http.cfg": return menus.grub(overTFTP: false)
        case "pxe-boot.ipxe", "pxe-boot-path.ipxe": return menus.ipxe
        case "pxe-dnsmasq-proxy.conf": return servers.dnsmasqProxy
        case "pxe-dnsmasq-full.conf": return servers.dnsmasqFull
        case "pxe-nginx.conf", "pxe-nginx-path.conf": return servers.nginx
        case "pxe-armed.cfg": return arming.menus(menus.address)[0].text
        default: return arming.menus(menus.address)[1].text
        }
    }

    @Test("with https the example asks for a certificate")
    func tls() throws {
        for (url, port) in [("https://10.0.1.5", "443"), ("https://10.0.1.5:8443/x", "8443")] {
            let text = try Self.text("pxe-nginx.conf", url)
            #expect(text.contains("    listen \(port) ssl;\n"))
            #expect(text.contains("\n    ssl_certificate /") && text.contains("\n    ssl_certificate_key /"))
        }
        #expect(try !Self.text("pxe-nginx.conf", "http://10.0.1.5").contains("ssl"))
    }

    private static func has(_ program: String) -> Bool {
        ["/usr/bin/", "/usr/sbin/"].contains { (try? LocalFiles().exists(FilePath($0 + program))) ?? false }
    }

    @Test("GRUB's own parser takes the menus", .enabled(if: has("grub-script-check"), "needs grub-common"))
    func grubParses() async throws {
        try await Scratch.with { folder in
            for name in ["pxe-grub-tftp.cfg", "pxe-grub-http.cfg", "pxe-armed.cfg"] {
                let file = folder.appending(name)
                try LocalFiles().write(Self.text(name, "http://10.0.1.5:8080/kldload"), to: file)
                try await SubprocessRunner().run(
                    Command(Tool("grub-script-check", package: "grub-common"), [file.string], effect: .reads))
            }
        }
    }

    @Test("dnsmasq takes the examples", .enabled(if: has("dnsmasq"), "needs dnsmasq-base"))
    func dnsmasqParses() async throws {
        try await Scratch.with { folder in
            for name in ["pxe-dnsmasq-proxy.conf", "pxe-dnsmasq-full.conf"] {
                let file = folder.appending(name)
                // It looks for the folder that it would serve.
                try LocalFiles().write(
                    Self.text(name, "http://10.0.1.5").replacing("/srv/pxe/tftp", with: folder.string), to: file)
                try await SubprocessRunner().run(
                    Command(Tool("dnsmasq", package: "dnsmasq-base"), ["--test", "--conf-file=\(file)"], effect: .reads))
            }
        }
    }

    @Test("the menu leads a machine that nobody armed to its disk, and says nowhere where answers are")
    func unarmed() throws {
        let menus = try Self.menus("http://10.0.1.5")
        for text in [menus.grub(overTFTP: true), menus.grub(overTFTP: false), menus.ipxe] {
            #expect(!text.contains("kldload.answers") && !text.contains("/answers/"))
        }
        #expect(menus.grub(overTFTP: true).contains("set default=disk\n") && menus.ipxe.contains("set choice disk\n"))
    }

    @Test("what leads to answers lies in the TFTP tree alone")
    func overHTTP() throws {
        let grub = try Self.menus("http://10.0.1.5/kldload").grub(overTFTP: false)
        #expect(grub.contains("source \"(tftp,10.0.1.5)/machines/$mac.cfg\"") && grub.contains("linux /kldload/vmlinuz "))
        for file in PXEArming(machine: .serial("S"), token: "t", digest: try Self.live).menus(try PXEAddress("http://h")) {
            #expect(file.path.hasPrefix("machines/serial-S."))
        }
    }

    // MARK: The scripts of the initramfs

    @Test("the initramfs' scripts are shell")
    func scripts() async throws {
        try await Scratch.with { folder in
            for (name, text) in [("init", NetworkInitramfs.start), ("dhcp", NetworkInitramfs.lease)] {
                try LocalFiles().write(text, to: folder.appending(name))
                try await SubprocessRunner().run(
                    Command(Tool("sh", package: "dash"), ["-n", folder.appending(name).string], effect: .reads))
                #expect(text.hasPrefix("#!/busybox sh\n") && text.hasSuffix("\n"))
            }
        }
    }

    static let dependencies = """
        kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/core/failover.ko.xz
        kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
        kernel/net/core/failover.ko.xz:
        kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz:
        kernel/drivers/net/wireless/ath/ath9k/ath9k.ko.xz:
        kernel/drivers/net/tun.ko.xz:
        kernel/drivers/usb/host/xhci-pci.ko.xz: kernel/drivers/usb/host/xhci-hcd.ko.xz
        kernel/drivers/usb/host/xhci-hcd.ko.xz:
        kernel/drivers/ata/ahci.ko.xz:
        kernel/fs/squashfs/squashfs.ko.xz:
        kernel/fs/overlayfs/overlay.ko.xz:
        kernel/drivers/block/loop.ko.xz:

        """

    @Test("it has wired cards, what they need and what mounts the live environment, and nothing else")
    func modules() throws {
        let paths = try NetworkInitramfs.modules(dependencies: Self.dependencies, builtin: "")
        #expect(
            paths == [
                "kernel/drivers/block/loop.ko.xz", "kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz",
                "kernel/drivers/net/net_failover.ko.xz", "kernel/drivers/net/virtio_net.ko.xz", "kernel/drivers/usb/host/xhci-hcd.ko.xz",
                "kernel/drivers/usb/host/xhci-pci.ko.xz", "kernel/fs/overlayfs/overlay.ko.xz", "kernel/fs/squashfs/squashfs.ko.xz",
                "kernel/net/core/failover.ko.xz",
            ])
        #expect(
            NetworkInitramfs.dependencyIndex(Self.dependencies, of: ["kernel/drivers/net/virtio_net.ko.xz"])
                == "kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko\n")
        #expect(
            NetworkInitramfs.aliases(
                "# Aliases\nalias virtio:d00000001v* virtio_net\nalias pci:v1 ahci\nalias pci:v2 xhci_pci\n", of: paths)
                == "alias virtio:d00000001v* virtio_net\nalias pci:v2 xhci_pci\n")
    }

    @Test("a kernel that has a needed module built in is good; one that lacks it is not")
    func needed() throws {
        let without = Self.dependencies.lines.filter { !$0.contains("squashfs") }.joined(separator: "\n")
        #expect(try NetworkInitramfs.modules(dependencies: without, builtin: "kernel/fs/squashfs/squashfs.ko\n").count == 8)
        #expect { try NetworkInitramfs.modules(dependencies: without, builtin: "") } throws: {
            Diagnosis(of: $0).code == "live.no-module" && Diagnosis(of: $0).message.contains("squashfs")
        }
    }

    @Test("firmware is what modules name, and nothing outside of its folder")
    func firmware() {
        let text = "license=GPL\0firmware=rtl_nic/rtl8168g-2.fw\0firmware=a*.bin\0firmware=../x\0alias=pci:v1\0firmware=b.bin\0"
        #expect(NetworkInitramfs.firmware(of: [1, 0, 2] + Array(text.utf8)) == ["rtl_nic/rtl8168g-2.fw", "b.bin"])
    }

    @Test("a module is called as when it is not compressed")
    func uncompressed() async throws {
        #expect(KernelModule.uncompressed("/a.ko.d/usb-storage.ko.xz") == "/a.ko.d/usb-storage.ko")
        for path in ["a/b.ko", "a/b.ko.zst", "a/b.ko.gz"] { #expect(KernelModule.uncompressed(path) == "a/b.ko") }
        let runner = ScriptedRunner(["xz --decompress /m/a.ko.xz /m/c.ko.xz": "", "zstd --decompress --rm --quiet /m/b.ko.zst": ""])
        #expect(
            try await KernelModule.decompress(["/m/a.ko.xz", "/m/b.ko.zst", "/m/c.ko.xz", "/m/d.ko"], runner)
                == ["/m/a.ko", "/m/b.ko", "/m/c.ko", "/m/d.ko"])
    }

    // MARK: The list

    @Test("the list of a medium is read as it was written; nothing in it leads elsewhere")
    func list() throws {
        let list = MediumList([
            .init(path: "LiveOS/squashfs.img", size: ByteCount(7), digest: try Self.live),
            .init(path: "kldload/payloads/debian-trixie-core/root.zfs", size: ByteCount(8), digest: try Self.list),
            .init(path: "kldload/payloads/debian-trixie-core/payload.json", size: ByteCount(9), digest: try Self.list),
            .init(
                path: "kldload/mirrors/debian-trixie/debian/pool/main/l/x/libx1_1.2~rc1+dfsg-1_amd64.deb", size: ByteCount(9),
                digest: try Self.list),
        ])
        #expect(try MediumList(text: list.text) == list)
        #expect(list("LiveOS/squashfs.img")?.size == ByteCount(7) && list("LiveOS") == nil)
        #expect(LiveMedium.payloads(in: list) == ["debian-trixie-core"])
        let hex = try Self.live.hex
        for line in ["\(hex) 7 ../x", "\(hex) 7 /etc/x", "\(hex) x y", "ab 7 x", "\(hex) 7 a b"] {
            #expect { try MediumList(text: line + "\n") } throws: { Diagnosis(of: $0).code == "medium.list-unreadable" }
        }
    }
}

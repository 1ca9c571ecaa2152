import KldBoot
import KldExec
import KldFiles
import KldPackages
import KldTestSupport
import SystemPackage
import Testing

@testable import KldDistro

@Suite("What is told when packages change what boots")
struct BootHookTests {
    /// A release of another family, with a word for each kind of package.
    static func spec(_ packaging: DistroSpec.Packaging, held: [String], initramfs: InitramfsKind = .dracut) -> DistroSpec {
        var spec = DistroSpec.debian13
        spec.packaging = packaging
        spec.initramfs = initramfs
        spec.heldPackages = held
        spec.grubHeldPackages = ["grub2-efi-x64"]
        spec.efi = EFIPrograms(
            shim: "usr/share/shim/shimx64.efi", mokManager: "usr/share/shim/mmx64.efi", fallback: "usr/share/shim/fbx64.efi",
            systemdBoot: "usr/lib/systemd/boot/efi/systemd-bootx64.efi", stub: "usr/lib/systemd/boot/efi/linuxx64.efi.stub")
        return spec
    }

    static let fedora = spec(.dnf(release: "44", repositories: []), held: ["kernel*", "zfs*", "shim-x64", "systemd-boot*"])
    static let arch = spec(.pacman(repositories: []), held: ["linux", "linux-lts", "zfs-*", "shim-signed"], initramfs: .mkinitcpio)

    static let script = """
        #!/bin/sh
        # Written by kldload: what boots follows the kernel and its initramfs.
        [ -x /usr/lib/kldload/kldload ] || exit 0
        exec /usr/lib/kldload/kldload boot refresh --hook >&2

        """

    @Test("with apt: who makes an initramfs, and who removes a kernel", arguments: DistroSpec.all.map(\.title))
    func apt(_ title: String) throws {
        let spec = try #require(DistroSpec.all.first { $0.title == title })
        #expect(spec.bootHooks.map(\.path) == ["/etc/initramfs/post-update.d/zz-kldload", "/etc/kernel/postrm.d/zz-kldload"])
        #expect(spec.bootHooks.allSatisfy { $0.text == Self.script && $0.isScript })
    }

    @Test("with apt and dracut: who installs a kernel, and who removes one")
    func dracut() {
        var spec = DistroSpec.debian13
        spec.initramfs = .dracut
        #expect(spec.bootHooks.map(\.path) == ["/etc/kernel/postinst.d/zz-kldload", "/etc/kernel/postrm.d/zz-kldload"])
        #expect(spec.bootHooks.allSatisfy { $0.text == Self.script && $0.isScript })
    }

    @Test("with dnf 5, dnf 4 and kernel-install")
    func dnf() throws {
        let hooks = Self.fedora.bootHooks
        try #require(hooks.count == 3)
        #expect(hooks[0] == .kernelInstall)
        #expect(
            hooks[0].text == """
                #!/bin/sh
                # Written by kldload: what boots follows the kernels that are there.
                case "$1" in
                    add | remove) ;;
                    *) exit 0 ;;
                esac
                [ -x /usr/lib/kldload/kldload ] || exit 0
                /usr/lib/kldload/kldload boot refresh --hook >&2 || exit 1

                """)
        #expect(hooks[0].path == "/etc/kernel/install.d/95-kldload.install" && hooks[0].isScript)
        #expect(hooks[1].path == "/etc/dnf/libdnf5-plugins/actions.d/kldload.actions" && !hooks[1].isScript)
        #expect(
            hooks[1].text == """
                # Written by kldload: what boots follows kernel, OpenZFS, shim and boot loader.
                post_transaction:kernel*:::/usr/lib/kldload/kldload boot refresh --hook
                post_transaction:zfs*:::/usr/lib/kldload/kldload boot refresh --hook
                post_transaction:shim-x64:::/usr/lib/kldload/kldload boot refresh --hook
                post_transaction:systemd-boot*:::/usr/lib/kldload/kldload boot refresh --hook
                post_transaction:grub2-efi-x64:::/usr/lib/kldload/kldload boot refresh --hook

                """)
        #expect(hooks[2].path == "/etc/dnf/plugins/post-transaction-actions.d/kldload.action" && !hooks[2].isScript)
        #expect(
            hooks[2].text == """
                # Written by kldload: what boots follows kernel, OpenZFS, shim and boot loader.
                kernel*:any:/usr/lib/kldload/kldload boot refresh --hook
                zfs*:any:/usr/lib/kldload/kldload boot refresh --hook
                shim-x64:any:/usr/lib/kldload/kldload boot refresh --hook
                systemd-boot*:any:/usr/lib/kldload/kldload boot refresh --hook
                grub2-efi-x64:any:/usr/lib/kldload/kldload boot refresh --hook

                """)
    }

    @Test("with pacman: by package, and by file, for systemd-boot comes with systemd")
    func pacman() throws {
        let hooks = Self.arch.bootHooks
        try #require(hooks.count == 2)
        #expect(hooks[0] == .kernelInstall)
        #expect(hooks[1].path == "/etc/pacman.d/hooks/zz-kldload.hook" && !hooks[1].isScript)
        #expect(
            hooks[1].text == """
                # Written by kldload: what boots follows kernel, OpenZFS, shim and boot loader.
                [Trigger]
                Operation = Install
                Operation = Upgrade
                Operation = Remove
                Type = Package
                Target = linux
                Target = linux-lts
                Target = zfs-*
                Target = shim-signed
                Target = grub2-efi-x64

                [Trigger]
                Operation = Install
                Operation = Upgrade
                Operation = Remove
                Type = Path
                Target = usr/lib/modules/*/vmlinuz
                Target = usr/share/shim/shimx64.efi
                Target = usr/share/shim/mmx64.efi
                Target = usr/share/shim/fbx64.efi
                Target = usr/lib/systemd/boot/efi/systemd-bootx64.efi
                Target = usr/lib/systemd/boot/efi/linuxx64.efi.stub

                [Action]
                Description = Staging what boots
                When = PostTransaction
                Exec = /usr/lib/kldload/kldload boot refresh --hook

                """)
    }

    @Test("zypper tells kernel-install; apk tells nobody")
    func others() {
        #expect(Self.spec(.zypper(release: "16.0", repositories: []), held: ["kernel-default"]).bootHooks == [.kernelInstall])
        #expect(Self.spec(.apk(repositories: []), held: ["linux-lts"], initramfs: .mkinitfs).bootHooks.isEmpty)
    }

    // MARK: the real tools

    private static func has(_ programs: String...) -> Bool {
        programs.allSatisfy { (try? LocalFiles().exists(FilePath("/usr/bin/\($0)"))) == true }
    }

    @Test(
        "kernel-install runs the plugin with both verbs, and learns of a failure, never as 77, which it takes for success",
        .enabled(if: has("kernel-install"), "there is no kernel-install"))
    func kernelInstall() async throws {
        try await Scratch.with { folder in
            let (plugin, tool, log) = (folder.appending("95-kldload.install"), folder.appending("kldload"), folder.appending("log"))
            let (other, image) = (folder.appending("96-other.install"), folder.appending("vmlinuz"))
            let files = LocalFiles()
            try files.write(
                BootHook.kernelInstall.text.replacing("/usr/lib/kldload/kldload", with: tool.string), to: plugin, mode: .script)
            try files.write("#!/bin/sh\necho other $1 >>\(log)\n", to: other, mode: .script)
            try files.write("kernel\n", to: image)
            try files.makeDirectory(folder.appending("boot"), mode: .directory)
            try files.makeDirectory(folder.appending("conf"), mode: .directory)
            func run(_ words: [String], toolEnds status: Int) async throws -> Bool {
                try files.write("#!/bin/sh\necho \"kldload $*\" >>\(log)\nexit \(status)\n", to: tool, mode: .script)
                let command = Command(
                    "kernel-install", words, effect: .changes, accepting: [0, 1],
                    environment: [
                        "BOOT_ROOT": folder.appending("boot").string, "MACHINE_ID": "0123456789abcdef0123456789abcdef",
                        "KERNEL_INSTALL_CONF_ROOT": folder.appending("conf").string, "KERNEL_INSTALL_PLUGINS": "\(plugin) \(other)",
                    ])
                return try await SubprocessRunner().run(command).status == 0
            }
            #expect(try await run(["add", "7.2.12", image.string], toolEnds: 0))
            #expect(try await run(["remove", "7.2.12"], toolEnds: 0))
            #expect(
                try files.readText(log) == "kldload boot refresh --hook\nother add\nkldload boot refresh --hook\nother remove\n")
            #expect(try await !run(["add", "7.2.12", image.string], toolEnds: 77))
        }
    }

    @Test(
        "pacman takes the hook, and runs it for a kernel that comes and one that goes, and for nothing else",
        .enabled(if: has("pacman", "fakeroot"), "there is no pacman, or no fakeroot"))
    func pacmanRuns() async throws {
        try await Scratch.with { folder in
            let files = LocalFiles()
            let root = folder.appending("root")
            for place in ["root/var/lib/pacman", "hooks", "cache", "keys"] {
                try files.makeDirectory(folder.appending(place), mode: .directory)
            }
            let hook = try #require(Self.arch.bootHooks.last)
            try files.write(hook.text, to: folder.appending("hooks/zz-kldload.hook"))
            try files.write("[options]\nSigLevel = Never\n", to: folder.appending("pacman.conf"))
            /// A package with one file.
            func package(_ name: String, _ file: String) async throws -> String {
                let tree = folder.appending("tree-\(name)")
                try files.write(
                    "pkgname = \(name)\npkgbase = \(name)\npkgver = 7.2.12-1\npkgdesc = test\nbuilddate = 1\nsize = 1\narch = any\n",
                    to: tree.appending(".PKGINFO"))
                try files.write("content\n", to: tree.appending(file))
                let archive = folder.appending("\(name).pkg.tar.gz").string
                let top = String(file.prefix { $0 != "/" })
                try await SubprocessRunner().run(
                    Command(
                        "tar", ["--create", "--gzip", "--file", archive, "--directory", tree.string, ".PKGINFO", top], effect: .changes))
                return archive
            }
            /// What pacman says. The command itself is not there: the hook is announced, and fails.
            func pacman(_ words: [String]) async throws -> String {
                let command = Command(
                    "fakeroot",
                    ["pacman"] + words + [
                        "--noconfirm", "--root", root.string, "--dbpath", root.appending("var/lib/pacman").string, "--cachedir",
                        folder.appending("cache").string, "--hookdir", folder.appending("hooks").string, "--gpgdir",
                        folder.appending("keys").string, "--config", folder.appending("pacman.conf").string, "--logfile",
                        folder.appending("log").string,
                    ], effect: .changes)
                return try await SubprocessRunner().run(command).output
            }
            let announced = "(1/1) Staging what boots"
            #expect(try await pacman(["-U", package("some-kernel", "usr/lib/modules/7.2.12-1/vmlinuz")]).contains(announced))
            #expect(try await pacman(["-R", "some-kernel"]).contains(announced))
            #expect(try await pacman(["-U", package("zfs-utils", "usr/bin/zpool")]).contains(announced))
            #expect(try await !pacman(["-U", package("hello", "usr/bin/hello")]).contains(announced))
        }
    }
}

import FoundationEssentials
import KldAnswers
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Parts of the recipe that read the tree")
struct PayloadPerformerTests {
    let spec = PayloadRecipeTests.spec()

    func perform(
        _ name: String, _ parameters: [String: String] = [:], _ runner: any CommandRunner, _ files: any FileSystem = MemoryFiles(),
        _ spec: PayloadSpec? = nil
    ) async throws {
        let spec = spec ?? self.spec
        let performer = try #require(PayloadRecipe.performers(spec)[name])
        // What the recipe itself passes.
        var given: [String: String] = [:]
        for case .perform(name, let recorded, _) in try PayloadRecipe.plan(spec).steps.flatMap(\.actions) { given = recorded }
        try await performer(given.merging(parameters) { $1 }, runner, files)
    }

    // MARK: SSH

    func exchange(_ offered: String) async throws -> String? {
        let files = MemoryFiles()
        try await perform(PayloadRecipe.Performer.sshKeyExchange, ["path": "/f"], ScriptedRunner(["ssh -Q kex": offered]), files)
        return files.texts["/f"]
    }

    @Test("post-quantum key exchanges come first where OpenSSH offers them")
    func modern() async throws {
        // `ssh -Q kex`, OpenSSH 10.0.
        let offered = """
            diffie-hellman-group14-sha256
            ecdh-sha2-nistp256
            ecdh-sha2-nistp384
            curve25519-sha256
            curve25519-sha256@libssh.org
            sntrup761x25519-sha512
            sntrup761x25519-sha512@openssh.com
            mlkem768x25519-sha256

            """
        #expect(
            try await exchange(offered) == """
                # Written by kldload from what this OpenSSH offers (ssh -Q kex).
                KexAlgorithms mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,\
                curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384

                """)
    }

    @Test("only what is offered is written: sshd refuses to start over an unknown name")
    func older() async throws {
        let text = try #require(await exchange("curve25519-sha256\nsntrup761x25519-sha512@openssh.com\n"))
        #expect(text.lines.last == "KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256")
    }

    @Test("without any of them the policy is OpenSSH's own")
    func old() async throws { #expect(try await exchange("curve25519-sha256\necdh-sha2-nistp256\n") == nil) }

    // MARK: holds

    @Test("installed packages that match are held, in order; others and removed ones are not")
    func holds() async throws {
        let listing = """
            install\tinstalled\tzfs-dkms\t2.3.2-2
            install\tinstalled\tlinux-image-6.12.48+deb13-amd64\t6.12.48-1
            install\tinstalled\tlinux-image-amd64\t6.12.48-1
            deinstall\tconfig-files\tlinux-image-6.1.0-1-amd64\t6.1.4-1
            install\tinstalled\tshim-signed-common\t1.47
            install\tinstalled\tzfs-dkms-extra\t1
            install\tinstalled\tsystemd\t257.9-1

            """
        let runner = ScriptedRunner([{ $0.tool.name == "dpkg-query" ? CommandOutput(output: listing) : CommandOutput() }])
        try await perform(PayloadRecipe.Performer.holds, ["patterns": "linux-image-* zfs-dkms shim-signed* mokutil"], runner)
        #expect(
            runner.commands.last?.description
                == "apt-mark hold linux-image-6.12.48+deb13-amd64 linux-image-amd64 shim-signed-common zfs-dkms")
    }

    @Test("a tree in which nothing is held is a defect, not a success")
    func noHolds() async {
        let listing = "install\tinstalled\tsystemd\t257.9-1\n"
        let runner = ScriptedRunner([{ $0.tool.name == "dpkg-query" ? CommandOutput(output: listing) : CommandOutput() }])
        await #expect(throws: Diagnosis.self) { try await perform(PayloadRecipe.Performer.holds, ["patterns": "zfs-dkms"], runner) }
        #expect(!runner.commands.contains { $0.tool.name == "apt-mark" })
    }

    // MARK: the kernel

    /// A tree with kernels, each with the parts that are named.
    static func tree(_ kernels: [String: Set<String>], size: Int = 60 << 20) throws -> MemoryFiles {
        var texts = ["/usr/lib/kldload/build-inputs.txt": "inputs"]
        for (release, parts) in kernels {
            texts["/usr/lib/modules/\(release)/modules.dep"] = ""
            if parts.contains("image") { texts["/boot/vmlinuz-\(release)"] = "" }
            if parts.contains("zfs") { texts["/usr/lib/modules/\(release)/updates/dkms/zfs.ko.xz"] = "" }
            if parts.contains("spl") { texts["/usr/lib/modules/\(release)/updates/dkms/spl.ko.xz"] = "" }
        }
        let files = MemoryFiles(texts)
        for (release, parts) in kernels where parts.contains("initramfs") {
            try files.write([UInt8](repeating: 0, count: size), to: FilePath("/boot/initrd.img-\(release)"), mode: .file)
        }
        return files
    }

    static let whole: Set = ["image", "zfs", "spl", "initramfs"]
    static let digest = String(repeating: "ab", count: 32)

    /// As lsinitrd prints what the live environment's initramfs needs.
    static let liveList =
        (InitramfsCheck.of(.live).modules.map { "usr/lib/modules/x/kernel/\($0).ko.xz" } + ["usr/sbin/dmsquash-live-root"]).map {
            "-rw-r--r--   1 root     root        12345 Jan  1 00:00 \($0)\n"
        }.joined()

    static func tools(_ initramfs: String = liveList) -> ScriptedRunner {
        ScriptedRunner([
            { ["lsinitrd", "lsinitramfs"].contains($0.tool.name) ? CommandOutput(output: initramfs) : nil },
            { $0.tool.name == "modinfo" ? CommandOutput(output: "2.3.2-2\n") : nil },
            { $0.tool.name == "dpkg-query" ? CommandOutput(output: "a\t1\tamd64\ta\t1\tM\nb\t2\tall\tb\t2\tM\n") : nil },
            { $0.tool.name == "sha256sum" ? CommandOutput(output: "\(digest)  /usr/lib/kldload/build-inputs.txt\0") : nil },
        ])
    }

    /// The kernel that is chosen in a live tree, as long as its initramfs is whole.
    func chosen(_ kernels: [String: Set<String>]) async throws -> String {
        let files = try Self.tree(kernels)
        try await perform(PayloadRecipe.Performer.info, [:], Self.tools(), files, PayloadRecipeTests.spec(kind: .live))
        let text = try files.read(FilePath(PayloadInfo.path))
        return try JSONDecoder().decode(PayloadInfo.self, from: Data(text)).kernel
    }

    @Test(
        "the highest version is chosen, by numbers and not by letters",
        arguments: [
            (["6.12.9-amd64", "6.12.117+deb13-amd64"], "6.12.117+deb13-amd64"), (["6.9.0", "6.10.0"], "6.10.0"),
            (["6.12.48", "6.12.48-1"], "6.12.48-1"),
            (["7.2.1+deb13-amd64", "6.99.99-amd64"], "7.2.1+deb13-amd64"), (["5.10.0-21-amd64", "5.10.0-3-amd64"], "5.10.0-21-amd64"),
            (["6.1.0-\(String(repeating: "9", count: 40))", "6.2.0"], "6.2.0"),
        ])
    func highest(_ releases: [String], _ expected: String) async throws {
        #expect(try await chosen(Dictionary(uniqueKeysWithValues: releases.map { ($0, Self.whole) })) == expected)
        #expect(try await chosen(Dictionary(uniqueKeysWithValues: releases.reversed().map { ($0, Self.whole) })) == expected)
    }

    @Test("a higher kernel that lacks anything is passed over", arguments: ["image", "zfs", "spl", "initramfs"])
    func incomplete(_ part: String) async throws {
        #expect(try await chosen(["7.0.0": Self.whole.subtracting([part]), "6.12.0": Self.whole]) == "6.12.0")
    }

    @Test("when no kernel is whole, that is an error that tells what each of them lacks")
    func none() async {
        let problem = await problem { _ = try await chosen(["7.0.0": Self.whole.subtracting(["zfs"])]) }
        #expect(problem?.code == "payload.no-kernel")
        #expect(problem?.causes == ["7.0.0: image true, OpenZFS false, initramfs true"])
    }

    static let targetList =
        InitramfsCheck.of(.target).modules.map { "usr/lib/modules/x/\($0).ko.xz\n" }.joined()
        + "usr/sbin/zpool\nusr/sbin/zfs\nusr/sbin/mount.zfs\n"
        + SystemFiles.initramfsScripts.map { "scripts/\($0.folder)/\($0.name)\n" }.joined()

    /// What is said about a target's only kernel; `nil` when it is chosen.
    func complaint(_ listing: String, size: Int = 60 << 20) async throws -> [String]? {
        let problem = await problem {
            try await perform(
                PayloadRecipe.Performer.info, [:], Self.tools(listing), try Self.tree(["6.12.0": Self.whole], size: size))
        }
        #expect(problem == nil || problem?.code == "payload.no-kernel")
        return problem?.causes
    }

    @Test("in an installed system the initramfs must hold OpenZFS, its programs and the drivers of disks; what it lacks is named")
    func initramfs() async throws {
        #expect(try await complaint(Self.targetList) == nil)
        for (name, told) in [("zfs.ko.xz", "zfs.ko"), ("sbin/zpool", "zpool"), ("nvme.ko.xz", "nvme.ko")] {
            let list = Self.targetList.lines.filter { !$0.hasSuffix("/\(name)") }.map { $0 + "\n" }.joined()
            #expect(try await complaint(list) == ["6.12.0: image true, OpenZFS true, initramfs lacks \(told)"])
        }
        #expect(try await complaint(Self.targetList.replacing("/zfs.ko", with: "/notzfs.ko"))?.first?.hasSuffix("lacks zfs.ko") == true)
        #expect(try await complaint("") != nil)
        #expect(
            try await complaint(Self.targetList + "etc/hostid\n") == ["6.12.0: image true, OpenZFS true, initramfs holds etc/hostid"])
    }

    @Test("an initramfs of a few bytes is none")
    func tinyInitramfs() async throws {
        #expect(try await complaint(Self.targetList, size: 900)?.first?.contains("less than 8 MiB") == true)
    }

    @Test("the payload is described: kernel, OpenZFS, packages, and what it was built from")
    func described() async throws {
        let files = try Self.tree(["6.12.0": Self.whole])
        var live = PayloadRecipeTests.spec(kind: .live)
        live.buildMirror = ""
        try await perform(PayloadRecipe.Performer.info, [:], Self.tools(), files, live)
        let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(FilePath(PayloadInfo.path))))
        #expect(info == PayloadInfo(spec: live, kernel: "6.12.0", openZFS: "2.3.2-2", packageCount: 2))
        #expect(files.texts["/usr/lib/kldload/packages.tsv"] == "a\t1\tamd64\ta\t1\tM\nb\t2\tall\tb\t2\tM\n")
        let list = try JSONDecoder().decode(SPDXDocument.self, from: Data(files.read("/usr/lib/kldload/sbom.spdx.json")))
        #expect(list.packages.map(\.name) == ["kldload-debian-trixie-live", "a", "b", "linux", "openzfs"])
        #expect(list.documentNamespace.hasSuffix(Self.digest) && list.creationInfo.creators == ["Tool: kldload-payload-2"])
        #expect(PayloadManifest.tree.allSatisfy { files.texts["/usr/lib/kldload/\($0)"] != nil })
    }

    // MARK: purge

    @Test("identities, caches and logs go; what only looks like them stays")
    func purge() async throws {
        let gone = [
            "/etc/hostid", "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key.pub", "/var/lib/apt/lists/deb_dists_InRelease",
            "/var/lib/apt/lists/partial/x", "/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/journal/abc/system.journal",
            "/var/lib/dpkg/status-old", "/etc/shadow-", "/var/tmp/.hidden", "/var/lib/dkms/mok.key",
            "/var/lib/dkms/zfs/2.3.2/6.12/x86_64/log/make.log",
            "/etc/apt/apt.conf.d/99mmdebstrap", "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
            "/usr/share/doc/zfs/changelog.Debian.gz", "/etc/resolv.conf.dpkg-new", "/var/cache/debconf/config.dat-old",
        ]
        let kept = [
            "/etc/hostname.d/x", "/etc/ssh/sshd_config", "/etc/shadow", "/var/log/lastlog", "/var/lib/dpkg/status", "/etc/passwd",
            "/tmp/mmdebstrap.conf",
            "/var/lib/dkms/zfs/2.3.2/6.12/x86_64/module/zfs.ko", "/usr/share/doc/zfs/copyright", "/etc/resolv.conf",
            "/var/cache/debconf/config.dat", "/etc/apt/apt.conf.d/70debconf", "/etc/dpkg/dpkg.cfg.d/kldload",
            "/home/x/.bash_history", "/etc/xssh_host_", "/usr/share/doc/changelog",
        ]
        let files = MemoryFiles(Dictionary(uniqueKeysWithValues: (gone + kept).map { ($0, "x") }))
        try await perform(PayloadRecipe.Performer.purge, [:], ScriptedRunner([:]), files)
        #expect(files.texts.keys.sorted() == kept.sorted())
    }

    @Test("a tree without any of them is purged too")
    func purgeEmpty() async throws { try await perform(PayloadRecipe.Performer.purge, [:], ScriptedRunner([:]), MemoryFiles()) }
}

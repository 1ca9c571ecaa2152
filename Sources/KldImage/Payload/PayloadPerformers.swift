import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPackages
public import KldPlan
import KldSSH
import SystemPackage

extension PayloadRecipe {
    /// The recipe's parts that read the tree before they write.
    public static func performers(_ payload: PayloadSpec) -> [String: KldPlan.Performer] {
        [
            Performer.sshKeyExchange: { parameters, runner, files in
                let offered = try await runner.run(SSH.keyExchanges).output.lines
                guard let path = parameters["path"] else { return }
                func names(_ key: String) -> [String] { (parameters[key] ?? "").words }
                if let text = sshKeyExchange(names("wanted"), names("classic"), offered: offered) {
                    try files.write(text, to: FilePath(path))
                }
            },
            Performer.holds: { parameters, runner, files in
                let installed = DpkgPackage.parse(try await runner.run(Dpkg.states).output)
                    .filter { $0.want == "install" && $0.status == "installed" }.map(\.name)
                let held = PackageName.matching((parameters["patterns"] ?? "").words, in: installed)
                guard !held.isEmpty else { throw Diagnosis("payload.holds", "none of the packages to hold is installed", exit: .bug) }
                try await runner.run(Command(Tool("apt-mark", package: "apt"), ["hold"] + held, effect: .changes))
            },
            // The modules were unpacked, not installed: nothing has indexed them yet.
            Performer.modules: { _, runner, files in
                for release in try files.list("/usr/lib/modules") {
                    try await runner.run(Command(Tool("depmod", package: "kmod"), ["-a", release], effect: .changes))
                }
            },
            Performer.info: { parameters, runner, files in
                guard let check = InitramfsCheck(parameters), let kind = parameters["initramfs"].flatMap(InitramfsKind.init(rawValue:))
                else {
                    throw Diagnosis("payload.parameters", "the check of the initramfs lacks parameters", exit: .bug)
                }
                try await describe(payload, check, kind, runner, files)
            },
            Performer.purge: { parameters, _, files in
                for path in try expand((parameters["paths"] ?? "").words, files) { try files.remove(path) }
            },
        ]
    }

    static let postQuantum = ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"]
    static let classic = [
        "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
    ]

    /// Post-quantum key exchanges first, and only those that this OpenSSH offers: sshd refuses to start over an unknown name.
    ///
    /// - Returns: `nil` when it offers none of those wanted.
    static func sshKeyExchange(_ wanted: [String], _ classic: [String], offered: [String]) -> String? {
        let wanted = wanted.filter(offered.contains)
        guard !wanted.isEmpty else { return nil }
        let names = wanted + classic.filter(offered.contains)
        return "# Written by kldload from what this OpenSSH offers (ssh -Q kex).\nKexAlgorithms \(names.joined(separator: ","))\n"
    }

    /// A kernel that could boot, and what is there for it.
    struct Kernel: Sendable, Hashable {
        var release: String
        var image: Bool
        var openZFS: Bool
        /// What is wrong with its initramfs, in words; empty when nothing is.
        var initramfs: [String]

        var text: String {
            "\(release): image \(image), OpenZFS \(openZFS), initramfs "
                + (initramfs.isEmpty ? "true" : initramfs.joined(separator: ", "))
        }
    }

    /// The highest kernel that has image, OpenZFS module and initramfs. A higher one that lacks any of them is passed over.
    static func choose(_ kernels: [Kernel]) -> String? {
        kernels.filter { $0.image && $0.openZFS && $0.initramfs.isEmpty }.map(\.release).max(by: KernelRelease.precedes)
    }

    private static func describe(
        _ payload: PayloadSpec, _ check: InitramfsCheck, _ kind: InitramfsKind, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws {
        var kernels: [Kernel] = []
        for release in try files.list("/usr/lib/modules") {
            let folder = FilePath("/usr/lib/modules/\(release)")
            let found = (try? files.list(folder.appending("updates/dkms"))) ?? []
            let initrd = FilePath("/boot/initrd.img-\(release)")
            var problems = ["is not there"]
            if let status = try files.status(initrd) {
                let list = try await runner.run(InitramfsBuilder.list(kind, initrd)).output
                problems = check.problems(
                    InitramfsBuilder.names(kind, list), size: status.size,
                    builtin: (try? files.readText(folder.appending("modules.builtin")).lines) ?? [])
            }
            kernels.append(
                Kernel(
                    release: release, image: try files.exists(FilePath("/boot/vmlinuz-\(release)")),
                    openZFS: found.contains { $0.hasPrefix("zfs.ko") } && found.contains { $0.hasPrefix("spl.ko") }, initramfs: problems))
        }
        guard let kernel = choose(kernels) else {
            throw Diagnosis(
                "payload.no-kernel", "no kernel has image, OpenZFS module and an initramfs that boots any machine",
                remedies: ["look at the build's log: the module may not build for this kernel"], exit: .unavailable,
                causes: kernels.map(\.text))
        }
        let version = try await runner.run(
            Command(Tool("modinfo", package: "kmod"), ["-k", kernel, "-F", "version", "zfs"], effect: .reads)
        ).output.trimmed
        let packages = try await runner.run(Dpkg.details(states: false)).output
        let place: FilePath = "/usr/lib/kldload"
        try files.write(packages, to: place.appending(PayloadManifest.packages))
        let info = PayloadInfo(spec: payload, kernel: kernel, openZFS: version, packageCount: packages.lines.count)
        try files.write(SortedJSON.pretty(info), to: FilePath(PayloadInfo.path))
        let inputs = try await runner.run(FileCommand.digest(of: place.appending(PayloadManifest.inputs))).output.prefix(64)
        try files.write(
            PayloadManifest.billOfMaterials(info, packages: packages, inputs: String(inputs)),
            to: place.appending(PayloadManifest.sbom))
    }

    /// Not `/tmp`: mmdebstrap keeps apt's configuration for this tree there, and without it apt would work on the host. It empties `/tmp` itself.
    ///
    /// What a build leaves behind that must not be on two machines, or differs between two builds. A `*` stands for one name.
    static let purged =
        [
            "/etc/hostid", "/etc/zfs/zpool.cache", "/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/ssh/ssh_host_*",
            "/etc/nvme/hostid", "/etc/nvme/hostnqn", "/etc/iscsi/initiatorname.iscsi",
            "/etc/ssl/private/ssl-cert-snakeoil.key", "/etc/ssl/certs/ssl-cert-snakeoil.pem",
            "/var/lib/dkms/mok.key",
            "/var/lib/dkms/mok.pub", "/var/lib/dkms/mok.der", "/var/lib/systemd/random-seed", "/var/lib/systemd/catalog/database",
            "/etc/hostname", "/var/lib/apt/lists/*", "/var/cache/apt/*", "/var/cache/debconf/*-old", "/var/cache/ldconfig/*",
            "/var/cache/man/*",
            "/var/log/*.log", "/var/log/apt", "/var/log/journal/*", "/var/lib/dpkg/*-old", "/etc/passwd-", "/etc/group-", "/etc/shadow-",
            "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock", "/var/tmp/*", "/root/.bash_history",
            "/etc/resolv.conf.*",
            "/var/lib/dkms/zfs/*/*/*/log", "/var/lib/cloud/*", "/usr/share/doc/*/changelog*",
        ] + Mmdebstrap.settings

    static func expand(_ patterns: [String], _ files: any FileSystem) throws -> [FilePath] {
        try patterns.flatMap { pattern -> [FilePath] in
            var found: [FilePath] = ["/"]
            for part in pattern.split(separator: "/") {
                guard part.contains("*") else {
                    found = try found.map { $0.appending(String(part)) }.filter { try files.exists($0) }
                    continue
                }
                let pieces = part.split(separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
                found = try found.flatMap { folder -> [FilePath] in
                    guard try files.status(folder)?.kind == .directory else { return [] }
                    return try files.list(folder)
                        .filter { $0.count >= pieces[0].count + pieces[1].count && $0.hasPrefix(pieces[0]) && $0.hasSuffix(pieces[1]) }
                        .map { folder.appending($0) }
                }
            }
            return found
        }
    }
}

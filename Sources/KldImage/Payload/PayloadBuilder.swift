import FoundationEssentials
public import KldCore
import KldDistro
public import KldExec
public import KldFiles
import KldPackages
import KldPlan
import Synchronization
public import SystemPackage

/// Builds root file systems from signed packages, without root where the user has none, and keeps them by content.
public struct PayloadBuilder: Sendable {
    public struct Payload: Sendable {
        /// `rootfs.tar` of a target, `live.tar` of the live environment.
        public var archive: FilePath
        public var digest: String
        public var info: PayloadInfo
        /// The state of the archive that it was made from.
        public var mirrors: [ImageDescription.Mirror]
        /// What dpkg installed, one package a line: see `SBOM`.
        public var packages: FilePath
        /// `vmlinuz` and `initrd` of the live environment.
        public var kernel: FilePath?
        public var initrd: FilePath?
    }

    private let cache: ArtifactCache
    private let runner: any CommandRunner
    private let files: any FileSystem
    /// The statically linked tool that configures the tree from inside.
    private let executable: FilePath
    private let root: Bool
    private let say: @Sendable (String) -> Void
    private let asked = Asked()

    /// The archives whose lists this builder has fetched.
    private final class Asked: Sendable {
        private let keys = Mutex<Set<String>>([])
        /// - Returns: whether it is new.
        func insert(_ key: String) -> Bool { keys.withLock { $0.insert(key).inserted } }
    }

    public init(
        cache: ArtifactCache, runner: any CommandRunner, files: any FileSystem = LocalFiles(), executable: FilePath, root: Bool,
        say: @escaping @Sendable (String) -> Void
    ) {
        self.cache = cache
        self.runner = runner
        self.files = files
        self.executable = executable
        self.root = root
        self.say = say
    }

    /// Times in the tree; also what `SOURCE_DATE_EPOCH` says when it is set.
    static let defaultEpoch = 1_767_225_600

    private func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// The payload of a spec, from the cache or built now.
    public func payload(_ wanted: PayloadSpec) async throws -> Payload {
        let (payload, offer) = try await offer(wanted)
        let spec = try payload.spec
        let modules = try await modules(payload, spec, versions: offer.moduleVersions)
        // The recipe's own text is part of the key: a changed recipe is another payload. So is another version of any package.
        let inputs = try [
            "payload/1", text(payload), offer.packages.joined(separator: " "), payload.packages.joined(separator: " "),
            PayloadRecipe.plan(payload).text(contents: true),
            SystemFiles.initramfsTools(level: 1), SystemFiles.liveDracut, Self.excluded(payload).joined(separator: " "),
            modules.lastComponent?.string ?? "",
        ].joined(separator: "\n")
        let folder = try await cache.artifact(payload.kind.rawValue, inputs: inputs) { partial in
            say(
                "building the root file system of \(spec.title), \(payload.kind == .live ? "live environment" : "profile \(payload.profile)")"
            )
            try await build(payload, spec, modules: modules, into: partial)
            try files.write(try text(offer.mirrors), to: partial.appending("mirrors.json"))
        }
        let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(folder.appending("payload.json"))))
        let archive = payload.kind == .live ? "live.tar" : "rootfs.tar"
        return Payload(
            archive: folder.appending(archive), digest: try cache.digest(of: archive, in: folder) ?? "", info: info,
            mirrors: try JSONDecoder().decode(
                [ImageDescription.Mirror].self, from: Data(files.read(folder.appending("mirrors.json")))),
            packages: folder.appending("packages.tsv"), kernel: payload.kind == .live ? folder.appending("vmlinuz") : nil,
            initrd: payload.kind == .live ? folder.appending("initrd") : nil)
    }

    /// What the archive offers for a payload now.
    private struct Offer {
        /// Name and version of every package in it.
        var packages: [String]
        /// Versions of what OpenZFS' modules are made from.
        var moduleVersions: [String]
        var mirrors: [ImageDescription.Mirror]
    }

    /// Asks the archive, and settles on a kernel that OpenZFS supports.
    private func offer(_ wanted: PayloadSpec) async throws -> (PayloadSpec, Offer) {
        var (payload, spec) = (wanted, try wanted.spec)
        guard case .apt(_, let pins, _) = spec.packaging else { throw Diagnosis("payload.packaging", "no such packages", exit: .bug) }
        let sources = spec.sources(mirror: payload.buildMirror)
        let key = try await cache.key((sources.map(\.line) + pins.map(\.stanza)).joined(separator: "\n"))
        let lock = try await FileLock.acquire(cache.root.appending("locks/apt-\(key)")) { say("another build asks the archive; waiting") }
        defer { withExtendedLifetime(lock) {} }
        let indexes = AptIndexes(folder: cache.root.appending("apt/\(key)"), runner: runner, files: files)
        // Payload and live environment of one build mostly come from one archive: it is asked once.
        if asked.insert(key), let note = try await indexes.refresh(sources, pins: pins) { say(note) }

        let wellKnown = try await indexes.candidates(spec.kernelPackages + spec.moduleSourcePackages)
        if let source = spec.moduleSourcePackages.first, let version = wellKnown[source],
            let standard = spec.kernelPackages.first.flatMap({ wellKnown[$0] }),
            let supported = KernelChoice.supported(meta: try await indexes.file("./usr/src/zfs-*/META", of: source, version: version))
        {
            let choice = try KernelChoice(
                spec.kernel, standard: standard, images: try await indexes.names(prefix: spec.kernel.image),
                headers: try await indexes.names(prefix: spec.kernel.headers), supported: supported)
            if let note = choice.note { say(note) }
            payload.kernel = choice.release
            spec = try payload.spec
        }
        let versions = try await indexes.candidates(spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages)
        let headers = payload.kind == .target ? spec.headerPackages : []
        let mirrors = try await indexes.state().map {
            ImageDescription.Mirror(
                url: payload.installedMirror, suite: $0.suite, index: FileDigest(hex: $0.sha256), date: Timestamp(aptDate: $0.date))
        }
        return (
            payload,
            Offer(
                packages: try await indexes.closure(try payload.packages + headers),
                moduleVersions: versions.map { "\($0.key) \($0.value)" }.sorted(), mirrors: mirrors)
        )
    }

    private func build(_ payload: PayloadSpec, _ spec: DistroSpec, modules: FilePath, into folder: FilePath) async throws {
        let staged = folder.appending("staged")
        try files.makeDirectory(staged, mode: .directory)
        let request = staged.appending("payload-spec.json")
        try files.write(try text(payload), to: request)
        let early = try await earlyFiles(spec, in: staged)
        let tar = folder.appending("rootfs.tar")
        let taken = staged.appending("taken.tar")
        let boot = staged.appending("boot.tar")
        var customize: [Mmdebstrap.Hook] = [.unpack(modules.appending("modules.tar"))]
        if payload.kind == .target {
            // Debian 12's systemd-resolved has made it a link to what runs only in a booted system. The recipe makes that link again.
            customize += [.run("rm", ["-f", "/etc/resolv.conf"]), .upload("/etc/resolv.conf", to: "/etc/resolv.conf")]
            customize.append(.run("apt-get", ["--yes", "-o", "Dpkg::Use-Pty=0", "install"] + spec.headerPackages))
        }
        customize += [
            .run("mkdir", ["-p", "/usr/lib/kldload"]), .upload(executable, to: "/usr/lib/kldload/kldload"),
            .upload(request, to: "/usr/lib/kldload/payload-spec.json"), .run("chmod", ["755", "/usr/lib/kldload/kldload"]),
            .run("/usr/lib/kldload/kldload", ["payload-configure", "/usr/lib/kldload/payload-spec.json"]),
            // The tool comes with the installer, at the installer's version; it is not part of the payload.
            .run("rm", ["/usr/lib/kldload/kldload", "/usr/lib/kldload/payload-spec.json"]), .pack("/usr/lib/kldload", to: taken),
        ]
        if payload.kind == .live { customize.append(.pack("/boot", to: boot)) }
        let job = Mmdebstrap(
            suite: spec.suite, sources: spec.sources(mirror: payload.buildMirror), packages: try payload.packages,
            essentialHooks: [.unpack(early)], customizeHooks: customize, excludedPaths: Self.excluded(payload), output: tar)
        do { try await runner.run(job.command(root: root, epoch: Self.defaultEpoch)) } catch { throw MmdebstrapError.explain(error) }

        try await extract(["kldload/payload.json", "kldload/packages.tsv"], from: taken, into: folder)
        switch payload.kind {
        // Not compressed: a guest reads it from a virtual disk, and decompressing is what an emulated processor is slowest at.
        case .target: break
        case .live:
            let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(folder.appending("payload.json"))))
            try await extract(["boot/vmlinuz-\(info.kernel)", "boot/initrd.img-\(info.kernel)"], from: boot, into: folder)
            try files.rename(folder.appending("vmlinuz-\(info.kernel)"), to: folder.appending("vmlinuz"))
            try files.rename(folder.appending("initrd.img-\(info.kernel)"), to: folder.appending("initrd"))
            try files.rename(tar, to: folder.appending("live.tar"))
        }
        try files.remove(staged)
    }

    /// dpkg leaves these out: a server keeps its manuals.
    private static func excluded(_ payload: PayloadSpec) -> [String] {
        // Link-time optimisation: no kernel module is built with it, and its two programs are 60 MB.
        let locales = ["/usr/share/locale/*/LC_MESSAGES/*.mo", "/usr/bin/*lto-dump*", "/usr/libexec/gcc/*/*/lto1"]
        if payload.kind == .target, payload.profile != "core" { return locales }
        return locales + ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/lintian/*"]
    }

    private func extract(_ names: [String], from tar: FilePath, into folder: FilePath) async throws {
        try await runner.run(
            Command(
                "tar",
                [
                    "--extract", "--file", tar.string, "--directory", folder.string, "--no-same-owner", "--transform", "s,.*/,,",
                    "--wildcards",
                ] + names.map { "*\($0)" }, effect: .changes))
    }

    /// What must lie in the tree before the packages are installed: pins, and the settings of the initramfs builders.
    private func earlyFiles(_ spec: DistroSpec, in staged: FilePath) async throws -> FilePath {
        let tree = staged.appending("early")
        if case .apt(_, let pins, _) = spec.packaging, !pins.isEmpty {
            try files.write(pins.map(\.stanza).joined(separator: "\n"), to: tree.appending("etc/apt/preferences.d/kldload"))
        }
        // The packages' own triggers build an initramfs that is built again when the modules are there: the first one may be large.
        try files.write(SystemFiles.initramfsTools(level: 1), to: tree.appending("etc/initramfs-tools/conf.d/kldload"))
        try files.write(SystemFiles.liveDracut, to: tree.appending("etc/dracut.conf.d/kldload.conf"))
        let tar = staged.appending("early.tar")
        try await runner.run(
            Command(
                "tar",
                [
                    "--create", "--file", tar.string, "--directory", tree.string, "--owner=root:0", "--group=root:0", "--mode=u=rwX,go=rX",
                    "--mtime=@\(Self.defaultEpoch)", "--sort=name", ".",
                ], effect: .changes))
        return tar
    }

    /// OpenZFS' modules for the kernel of a release, built once by the distribution's own DKMS package.
    private func modules(_ payload: PayloadSpec, _ spec: DistroSpec, versions: [String]) async throws -> FilePath {
        // Named, or apt would choose among the builders of initramfs by itself.
        let packages =
            spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages + ["initramfs-tools", "kmod", "zstd", "xz-utils"]
        let sources = spec.sources(mirror: payload.buildMirror)
        let inputs = (["modules/2"] + versions + packages).joined(separator: "\n")
        return try await cache.artifact("modules", inputs: inputs) { partial in
            say("building OpenZFS' modules for \(spec.title), once")
            let staged = partial.appending("staged")
            let early = try await earlyFiles(spec, in: staged)
            let dkms = staged.appending("dkms.tar")
            let loadable = staged.appending("loadable.tar")
            let job = Mmdebstrap(
                suite: spec.suite, sources: sources, packages: packages, essentialHooks: [.unpack(early)],
                customizeHooks: [.pack("/var/lib/dkms", to: dkms), .pack("/usr/lib/modules", to: loadable)],
                excludedPaths: ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*/LC_MESSAGES/*.mo"], output: "/dev/null")
            do { try await runner.run(job.command(root: root, epoch: Self.defaultEpoch)) } catch { throw MmdebstrapError.explain(error) }
            try await pack(dkms: dkms, loadable: loadable, staged: staged, into: partial.appending("modules.tar"))
            try files.remove(staged)
        }
    }

    /// DKMS' record of the build and the modules themselves; nothing of its keys.
    private func pack(dkms: FilePath, loadable: FilePath, staged: FilePath, into tar: FilePath) async throws {
        let tree = staged.appending("tree")
        // mmdebstrap packs a folder under its own last name.
        for (tar, parent, pattern) in [(dkms, "var/lib", "dkms/zfs/*"), (loadable, "usr/lib", "modules/*/updates/dkms/*.ko*")] {
            try files.makeDirectory(tree.appending(parent), mode: .directory)
            try await runner.run(
                Command(
                    "tar",
                    [
                        "--extract", "--file", tar.string, "--directory", tree.appending(parent).string, "--no-same-owner", "--wildcards",
                        pattern,
                    ], effect: .changes))
        }
        let found = try await runner.run(Command(Tool("find", package: "findutils"), [tree.string, "-name", "zfs.ko*"], effect: .reads))
            .output
        guard !found.lines.isEmpty else {
            throw Diagnosis("payload.no-module", "OpenZFS' module was not built", remedies: ["see DKMS' log in the build's log"])
        }
        try await runner.run(
            Command(
                "tar",
                [
                    "--create", "--file", tar.string, "--directory", tree.string, "--owner=root:0", "--group=root:0", "--sort=name",
                    "--mtime=@\(Self.defaultEpoch)", "var", "usr",
                ], effect: .changes))
    }
}

import FoundationEssentials
import KldBoot
import KldCore
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
        /// Where all of ``PayloadManifest/files`` lie.
        public var folder: FilePath { archive.removingLastComponent() }
        /// `vmlinuz` and `initrd` of the live environment.
        public var kernel: FilePath?
        public var initrd: FilePath?

        /// Takes files out of the archive. Runs: `tar --extract --file ARCHIVE --directory FOLDER --no-same-owner MEMBER…`, changes.
        func extract(_ members: [String], into folder: FilePath, _ runner: any CommandRunner) async throws {
            try await runner.run(
                Command(
                    "tar", ["--extract", "--file", archive.string, "--directory", folder.string, "--no-same-owner"] + members,
                    effect: .changes))
        }
    }

    let cache: ArtifactCache
    let runner: any CommandRunner
    let files: any FileSystem
    /// The statically linked tool that configures the tree from inside.
    private let executable: FilePath
    private let root: Bool
    let say: @Sendable (String) -> Void
    private let asked = Asked()
    let sharedModules = SharedWork()

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

    /// A payload that is settled: what the archive offers for it, and the modules that it needs. Two of them may be built at once: most of
    /// that is one processor's work.
    struct Settled: Sendable {
        fileprivate var wanted: PayloadSpec
        fileprivate var payload: PayloadSpec
        fileprivate var offer: Offer
        /// The state of the archive.
        fileprivate var mirrors: [ImageDescription.Mirror]
        fileprivate var modules: Modules
        fileprivate var mmdebstrap: String
    }

    /// Asks the archive about a payload.
    func settle(_ wanted: PayloadSpec, refreshing: Bool = false) async throws -> Settled {
        let (payload, offer, mirrors) = try await offer(wanted, refreshing: refreshing)
        let mmdebstrap = try await runner.run(Mmdebstrap.version).output.trimmed
        let modules = try await modules(payload, versions: offer.moduleVersions + [mmdebstrap])
        return Settled(wanted: wanted, payload: payload, offer: offer, mirrors: mirrors, modules: modules, mmdebstrap: mmdebstrap)
    }

    /// The payload of a spec, from the cache or built now.
    ///
    /// - Throws: ``Diagnosis`` `payload.archive-moved` when the archive changed during the build, and again during the second one.
    func payload(_ settled: Settled) async throws -> Payload {
        do { return try await make(settled) } catch let moved as Diagnosis where moved.code == "payload.archive-moved" {
            say("the archive has changed while packages were fetched from it; once more")
            return try await make(try await settle(settled.wanted, refreshing: true))
        }
    }

    private func make(_ settled: Settled) async throws -> Payload {
        let (payload, offer, modules, mmdebstrap) = (settled.payload, settled.offer, settled.modules, settled.mmdebstrap)
        let spec = try payload.spec
        let inputs = try inputs(payload, offer.packages + [mmdebstrap, modules.key])
        let folder = try await cache.artifact(payload.kind.rawValue, inputs: inputs) { partial in
            say(
                "building the root file system of \(spec.title), \(payload.kind == .live ? "live environment" : "profile \(payload.profile)")"
            )
            try files.write(inputs, to: partial.appending(PayloadManifest.inputs))
            try files.write(SortedJSON.line(settled.mirrors), to: partial.appending(PayloadManifest.mirrors))
            try await build(payload, spec, modules: modules, into: partial)
            try check(offer.packages, partial)
        }
        let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(folder.appending(PayloadManifest.info))))
        let archive = payload.kind == .live ? "live.tar" : "rootfs.tar"
        return Payload(
            archive: folder.appending(archive), digest: try cache.digest(of: archive, in: folder) ?? "", info: info,
            mirrors: try JSONDecoder().decode(
                [ImageDescription.Mirror].self, from: Data(files.read(folder.appending(PayloadManifest.mirrors)))),
            packages: folder.appending(PayloadManifest.packages), kernel: payload.kind == .live ? folder.appending("vmlinuz") : nil,
            initrd: payload.kind == .live ? folder.appending("initrd") : nil)
    }

    /// Everything that a payload is made from, as text: the cache's key. No path and no mirror's address but the installed system's.
    ///
    /// The recipe's own text is part of it, with what the recipe's performers are given, and so are the words that mmdebstrap gets: a changed
    /// recipe is another payload. So is another version of any package.
    func inputs(_ payload: PayloadSpec, _ versions: [String]) throws -> String {
        var symbolic = payload
        symbolic.buildMirror = BuildArchive(payload.installedMirror)
        let spec = try payload.spec
        let job = try job(symbolic, spec, executable: "kldload", into: "folder")
        let early = try InitramfsBuilder.of(spec, payload.kind).early.map { "\($0.path)\n\($0.text)" }
        return
            (["payload/3", try SortedJSON.line(payload)] + versions + [try PayloadRecipe.plan(payload).text(contents: true)] + early
            + job.command(root: true, epoch: Self.defaultEpoch).arguments).joined(separator: "\n") + "\n"
    }

    /// - Throws: ``Diagnosis`` `payload.archive-moved`: the key would name other versions than the tree holds.
    private func check(_ offered: [String], _ folder: FilePath) throws {
        let found = try PayloadManifest.Difference(
            offered: offered, installed: files.readText(folder.appending(PayloadManifest.packages)))
        guard found.versions.isEmpty else {
            throw Diagnosis(
                "payload.archive-moved", "the package archive changed while the root file system was built",
                remedies: ["try again when the mirror has finished its update", "name another mirror: KLDLOAD_DEBIAN_MIRROR"],
                exit: .tryAgain, causes: Array(found.versions.prefix(12)))
        }
        if !found.names.isEmpty { say("chosen otherwise than simulated: \(found.names.joined(separator: ", "))") }
    }

    /// What the archive offers for a payload now.
    fileprivate struct Offer: Sendable, Codable {
        /// The kernel that OpenZFS supports, where it is not the newest.
        var kernel: String?
        /// What a person should know about that choice.
        var note: String?
        /// Name and version of every package in it.
        var packages: [String]
        /// Versions of what OpenZFS' modules are made from.
        var moduleVersions: [String]
    }

    /// The lists of a payload's archive, fetched once; nobody else changes them meanwhile.
    /// - Parameter body: gets the sources that they came from, too.
    func withIndexes<Result: Sendable>(
        _ wanted: PayloadSpec, refreshing: Bool = false, _ body: (AptIndexes, [AptSource]) async throws -> Result
    ) async throws -> Result {
        let spec = try wanted.spec
        guard case .apt(_, let pins, _) = spec.packaging else {
            throw spec.unsupported("packages by \(spec.packaging.family.rawValue)")
        }
        let sources = try wanted.buildSources
        let key = try await cache.key((sources.map(\.line) + pins.map(\.stanza)).joined(separator: "\n"))
        let lock = try await FileLock.acquire(cache.root.appending("locks/apt-\(key)")) { say("another build asks the archive; waiting") }
        defer { withExtendedLifetime(lock) {} }
        let indexes = AptIndexes(folder: cache.root.appending("apt/\(key)"), runner: runner, files: files)
        // Payload and live environment of one build mostly come from one archive: it is asked once.
        if asked.insert(key) || refreshing, let note = try await indexes.refresh(sources, pins: pins) { say(note) }
        return try await body(indexes, sources)
    }

    /// Asks the archive, and settles on a kernel that OpenZFS supports.
    private func offer(_ wanted: PayloadSpec, refreshing: Bool) async throws -> (PayloadSpec, Offer, [ImageDescription.Mirror]) {
        try await withIndexes(wanted, refreshing: refreshing) { indexes, _ in try await offer(wanted, indexes) }
    }

    private func offer(_ wanted: PayloadSpec, _ indexes: AptIndexes) async throws -> (PayloadSpec, Offer, [ImageDescription.Mirror]) {
        let spec = try wanted.spec
        let state = try await indexes.state()
        // An index is the same on every mirror of an archive: that of the build is told by the address of the installed system's, and the mirror
        // that was really asked stays unsaid.
        let told = try spec.sources(mirror: wanted.installedMirror)
        let mirrors = state.map { index in
            ImageDescription.Mirror(
                url: told.first { $0.suite == index.suite }?.uri ?? wanted.installedMirror, suite: index.suite,
                index: FileDigest(hex: index.sha256), date: Timestamp(aptDate: index.date))
        }.sorted { $0.suite < $1.suite }
        let offer = try await remembered(wanted, spec, lists: state.map(\.sha256).sorted(), in: indexes.folder) {
            try await simulate(wanted, indexes)
        }
        if let note = offer.note { say(note) }
        var payload = wanted
        payload.kernel = offer.kernel
        return (payload, offer, mirrors)
    }

    /// What DKMS makes for the kernel of a payload, and its record of that: `modules.tar`, from the cache or built now.
    func modules(of wanted: PayloadSpec) async throws -> FilePath {
        try await modules(settle(wanted).modules).appending("modules.tar")
    }

    /// Simulating an installation takes half a minute of apt's time, and the same lists give the same answer.
    private func remembered(
        _ wanted: PayloadSpec, _ spec: DistroSpec, lists: [String], in folder: FilePath, ask: () async throws -> Offer
    ) async throws -> Offer {
        var symbolic = wanted
        symbolic.buildMirror = ""
        let packages = try wanted.packages + spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages
        let key = try await cache.key((["offer/2", SortedJSON.line(symbolic)] + lists + packages).joined(separator: "\n"))
        let file = folder.appending("offers/\(key).json")
        // One that cannot be read is worth no word: asking again is all it costs.
        if !lists.isEmpty, let known = try? JSONDecoder().decode(Offer.self, from: Data(files.read(file))) { return known }
        let offer = try await ask()
        try files.write(SortedJSON.line(offer), to: file)
        return offer
    }

    private func simulate(_ wanted: PayloadSpec, _ indexes: AptIndexes) async throws -> Offer {
        var (payload, spec) = (wanted, try wanted.spec)
        var note: String?
        let wellKnown = try await indexes.candidates(spec.kernelPackages + spec.moduleSourcePackages)
        // One that was asked for by name is not chosen again.
        if wanted.kernel == nil, let source = spec.moduleSourcePackages.first, let version = wellKnown[source],
            let standard = spec.kernelPackages.first.flatMap({ wellKnown[$0] }),
            let supported = KernelSeries.supported(meta: try await indexes.file("./usr/src/zfs-*/META", of: source, version: version))
        {
            let choice = try KernelChoice(
                spec.kernel, standard: standard, images: try await indexes.names(prefix: spec.kernel.image),
                headers: try await indexes.names(prefix: spec.kernel.headers), supported: supported)
            note = choice.note
            payload.kernel = choice.release
            spec = try payload.spec
        }
        let versions = try await indexes.candidates(spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages)
        let headers = payload.kind == .target ? spec.headerPackages : []
        return Offer(
            kernel: payload.kernel, note: note, packages: try await indexes.closure(try payload.packages + headers),
            moduleVersions: versions.map { "\($0.key) \($0.value)" }.sorted())
    }

    /// Where a build keeps what is only on its way.
    struct Staged {
        var folder: FilePath
        var request: FilePath { folder.appending("payload-spec.json") }
        var early: FilePath { folder.appending("early.tar") }
        var taken: FilePath { folder.appending("taken.tar") }
        var boot: FilePath { folder.appending("boot.tar") }
        /// A pipe: packages are installed while the modules are still being built.
        var modules: FilePath { folder.appending("modules.tar") }
    }

    private func job(
        _ payload: PayloadSpec, _ spec: DistroSpec, executable: FilePath, into folder: FilePath
    ) throws -> Mmdebstrap {
        let staged = Staged(folder: folder.appending("staged"))
        let initramfs = try InitramfsBuilder.of(spec, payload.kind)
        var customize: [Mmdebstrap.Hook] = [.unpack(staged.modules)]
        if payload.kind == .target {
            // Debian 12's systemd-resolved has made it a link to what runs only in a booted system. The recipe makes that link again.
            customize += [.run("rm", ["-f", "/etc/resolv.conf"]), .upload("/etc/resolv.conf", to: "/etc/resolv.conf")]
            customize.append(.run("apt-get", ["--yes", "-o", "Dpkg::Use-Pty=0", "install"] + spec.headerPackages))
        }
        let place = "/usr/lib/kldload"
        customize += [
            .run("mkdir", ["-p", place]), .upload(executable, to: "\(place)/kldload"),
            .upload(staged.request, to: "\(place)/payload-spec.json"), .run("chmod", ["755", "\(place)/kldload"]),
        ]
        customize += initramfs.resuming
        customize += [
            .upload(folder.appending(PayloadManifest.inputs), to: "\(place)/\(PayloadManifest.inputs)"),
            .run("\(place)/kldload", ["payload-configure", "\(place)/payload-spec.json"]),
            // The tool comes with the installer, at the installer's version; it is not part of the payload.
            .run("rm", ["\(place)/kldload", "\(place)/payload-spec.json"]), .pack(place, to: staged.taken),
        ]
        if payload.kind == .live { customize.append(.pack("/boot", to: staged.boot)) }
        let (excluded, included) = Self.paths(payload)
        return Mmdebstrap(
            suite: spec.suite, sources: try payload.buildSources, packages: try payload.packages,
            essentialHooks: [.unpack(staged.early)] + initramfs.postponing, customizeHooks: customize, excludedPaths: excluded,
            includedPaths: included, output: folder.appending("rootfs.tar"))
    }

    private func build(_ payload: PayloadSpec, _ spec: DistroSpec, modules: Modules, into folder: FilePath) async throws {
        let staged = Staged(folder: folder.appending("staged"))
        try files.makeDirectory(staged.folder, mode: .directory)
        try files.write(SortedJSON.line(payload), to: staged.request)
        try await earlyFiles(spec, payload.kind, in: staged.folder)
        let job = try job(payload, spec, executable: executable, into: folder)
        try await runner.run(Command("mkfifo", ["--mode=0600", staged.modules.string], effect: .changes))
        try await withThrowingTaskGroup(of: Void.self) { group in
            // It waits for the modules in the end, so they come first.
            group.addTask { try await run(job, yielding: true) }
            group.addTask {
                let tar = try await self.modules(modules).appending("modules.tar")
                // Waits until mmdebstrap opens the pipe's other end. Who fails first ends the other.
                try await runner.run(
                    Command("dd", ["if=\(tar)", "of=\(staged.modules)", "bs=1M", "status=none"], effect: .changes))
            }
            while try await group.next() != nil {}
        }

        let made = [PayloadManifest.info, PayloadManifest.packages, PayloadManifest.sbom]
        try await extract(made.map { "kldload/\($0)" }, from: staged.taken, into: folder)
        switch payload.kind {
        // Not compressed: a guest reads it from a virtual disk, and decompressing is what an emulated processor is slowest at.
        case .target: break
        case .live:
            let info = try JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(folder.appending(PayloadManifest.info))))
            try await extract(["boot/vmlinuz-\(info.kernel)", "boot/initrd.img-\(info.kernel)"], from: staged.boot, into: folder)
            try files.rename(folder.appending("vmlinuz-\(info.kernel)"), to: folder.appending("vmlinuz"))
            try files.rename(folder.appending("initrd.img-\(info.kernel)"), to: folder.appending("initrd"))
            try files.rename(job.output, to: folder.appending("live.tar"))
        }
        try files.remove(staged.folder)
    }

    /// - Throws: what ``MmdebstrapError`` makes of a failure.
    func run(_ job: Mmdebstrap, yielding: Bool = false) async throws {
        let mounts = try? files.mounts().map(\.place)
        let command = job.command(
            root: root, epoch: Self.defaultEpoch, mountedRoot: mounts?.contains("/") ?? true, yielding: yielding)
        do { try await runner.run(command) } catch { throw MmdebstrapError.explain(error) }
    }

    /// What dpkg leaves out while a tree is built, and what it keeps of that. Later upgrades bring everything: see ``Mmdebstrap/settings``.
    ///
    /// Translations into other languages than the locale's: some 100 MB. A server keeps its manuals, and everything its copyright notices.
    static func paths(_ payload: PayloadSpec) -> (excluded: [String], included: [String]) {
        let messages = translations(payload.locale).map { "/usr/share/locale/\($0)/LC_MESSAGES/*.mo" }
        var (excluded, included) = (["/usr/share/locale/*/LC_MESSAGES/*.mo"], messages)
        if payload.kind == .live || payload.profile == "core" {
            // lto-dump shows what is in an object file: 30 MB that only gcc's developers use.
            excluded += [
                "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/lintian/*", "/usr/bin/*lto-dump*",
            ]
            included.append("/usr/share/doc/*/copyright")
        }
        return (excluded, included)
    }

    /// The folders of translations that a locale reads: `pt_BR.UTF-8` those of `pt` and of `pt_BR`; `sr_RS.UTF-8@latin` also `sr@latin`.
    /// Source: gettext manual 0.22, "Locating Message Catalog Files".
    private static func translations(_ locale: String) -> [String] {
        let parts = locale.split(separator: "@", maxSplits: 1).map(String.init)
        let territory = String((parts.first ?? "").prefix { $0 != "." })
        let language = String(territory.prefix { $0 != "_" })
        guard !language.isEmpty, !["C", "POSIX"].contains(language) else { return [] }
        let plain = language == territory ? [language] : [language, territory]
        return plain + (parts.count > 1 ? plain.map { "\($0)@\(parts[1])" } : [])
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

    /// What must lie in the tree before the packages are installed: pins, and the settings of the initramfs builder. In `early.tar`.
    func earlyFiles(_ spec: DistroSpec, _ kind: PayloadSpec.Kind, in staged: FilePath) async throws {
        let tree = staged.appending("early")
        try files.makeDirectory(tree, mode: .directory)
        if case .apt(_, let pins, _) = spec.packaging, !pins.isEmpty {
            try files.write(pins.map(\.stanza).joined(separator: "\n"), to: tree.appending("etc/apt/preferences.d/kldload"))
        }
        for (path, text) in try InitramfsBuilder.of(spec, kind).early {
            try files.write(text, to: tree.pushing(FilePath(String(path.string.dropFirst()))))
        }
        try await runner.run(
            Command(
                "tar",
                [
                    "--create", "--file", Staged(folder: staged).early.string, "--directory", tree.string, "--owner=root:0",
                    "--group=root:0", "--mode=u=rwX,go=rX",
                    "--mtime=@\(Self.defaultEpoch)", "--sort=name", ".",
                ], effect: .changes))
    }
}

public import KldBoot
public import KldCore
public import KldInstall
public import KldZFS
public import SystemPackage

/// What is known of a machine's boot environments, its ESPs, and what they will boot: facts, from which every verb plans.
public struct BootSystem: Sendable, Hashable {
    /// One ESP of the root pool's disks.
    public struct ESP: Sendable, Hashable {
        public var device: String
        /// Where it is mounted; `nil`: the plan mounts it for as long as it works.
        public var mount: FilePath?
        public var free: ByteCount
        public var entries: [BootEntry]
        /// Environments' images, kernels and what they unpack, by their names below the ESP's root, with or without an entry.
        public var images: [String: ByteCount]
        /// `nil`: it has none, or one that the loader does not show.
        public var recovery: Recovery?
        /// What cut writes left of such files, by their hidden names below the ESP's root.
        public var leftovers: [String: ByteCount]
        /// Those of ``images`` and ``leftovers`` that an entry may lead to which is not among ``entries``: another menu's, one that cannot be
        /// read; or that somebody is writing who holds another lock.
        public var claimed: Set<String>
        /// The disk that it lies on: `/dev/vda`; `nil`: not known.
        var disk: String?

        /// The recovery image.
        public struct Recovery: Sendable, Hashable {
            /// Of what it was made of.
            public var fingerprint: String
            public var size: ByteCount

            public init(fingerprint: String, size: ByteCount) {
                self.fingerprint = fingerprint
                self.size = size
            }
        }

        public init(
            device: String, mount: FilePath? = nil, free: ByteCount, entries: [BootEntry] = [], images: [String: ByteCount] = [:],
            recovery: Recovery? = nil, leftovers: [String: ByteCount] = [:], claimed: Set<String> = []
        ) {
            self.device = device
            self.mount = mount
            self.free = free
            self.entries = entries
            self.images = images
            self.recovery = recovery
            self.leftovers = leftovers
            self.claimed = claimed
        }
    }

    /// An ESP of the root pool's disks that cannot be mounted or read, or took no write: verbs go on without it, and say so.
    public struct Damaged: Sendable, Hashable {
        public var device: String
        /// The disk that it lies on: `/dev/vdb`; `nil`: not known.
        public var disk: String?
        public var problem: Diagnosis
        /// The machine does not run: see ``BootSystem/isVisited``.
        var isVisited: Bool

        public init(device: String, disk: String? = nil, problem: Diagnosis, isVisited: Bool = false) {
            self.device = device
            self.disk = disk
            self.problem = problem
            self.isVisited = isVisited
        }

        public var remedies: [String] {
            let later = isVisited ? " when the machine runs" : ""
            return problem.remedies + [
                disk.map { "or, if the disk fails, replace it\(later): kldload kdisk replace \($0) NEW --wait" }
                    ?? "or, if its disk fails, replace that\(later): kldload kdisk list names it"
            ]
        }

        /// In the form of ``Diagnosis/rendered``.
        public var warning: String {
            let lines = ["\(problem.message): it is passed over, and this machine does not start from its disk as it should"]
            return (lines + problem.causes.map { "  because: \($0)" } + remedies.map { "  remedy: \($0)" }).joined(separator: "\n")
        }
    }

    /// Whether what boots is signed, and by whom.
    public enum Signing: Sendable, Hashable {
        case off
        /// It should be, and the key is not there.
        case keyless
        case by(CertificateIdentity)

        var signer: CertificateIdentity? {
            if case .by(let identity) = self { identity } else { nil }
        }
    }

    public var chain: BootChain
    public var pool: PoolName
    /// The dataset that is mounted at `/`.
    public var running: DatasetName
    public var release: String
    public var hostID: HostID?
    public var commandLine: KernelCommandLine
    public var bootfs: String?
    public var environments: [BootEnvironment]
    public var esps: [ESP]
    public var builder: BootImageBuilder?
    public var signing: Signing
    /// Whether the firmware starts only what is signed, and shim does too.
    public var secureBoot: Bool
    /// Whether the firmware knows the key that signs here.
    public var enrolment: KeyEnrolment.State
    /// Whom the firmware trusts; older keys of this machine may be among them.
    public var trusted: [TrustedKey]
    /// What the loader says it started: an entry's id in lower case; `nil` where it does not say so.
    public var selected: String?
    /// Whether the initramfs started the environment that the loader had chosen: see ``EnvironmentChoice``.
    public var followed: Bool
    /// ESPs that are not among ``esps``: what lies on them nobody knows.
    public var damaged: [Damaged]
    /// Whether the loader took a try from what it started: see ``BootCount``. `nil`: it does not say.
    public var wasCounted: Bool?
    /// What somebody chose in the loader's own menu, against the order: see ``LoaderChoice``.
    public var told = LoaderChoice()
    /// Somebody is in it with chroot(8), from a system that helps it: what has to be typed inside of it says so.
    public var isVisited = false
    /// Every new entry's order is above this.
    public var floor = 0
    /// Datasets of environments that a run which was killed has left half made: nothing lists them, and nothing boots them.
    public var unfinished: [DatasetName] = []
    /// Releases of kernels whose lines stay in the boot menu, however old they are: see ``PinnedKernels``.
    public var pinned: Set<String> = []

    public init(
        chain: BootChain = .systemdBoot, pool: PoolName, running: DatasetName, release: String, hostID: HostID?,
        commandLine: KernelCommandLine, bootfs: String? = nil,
        environments: [BootEnvironment], esps: [ESP], builder: BootImageBuilder? = .ukify, signing: Signing = .off,
        secureBoot: Bool = false, enrolment: KeyEnrolment.State = .enrolled, trusted: [TrustedKey] = [], selected: String? = nil,
        followed: Bool = false, damaged: [Damaged] = [], wasCounted: Bool? = nil
    ) {
        self.chain = chain
        self.pool = pool
        self.running = running
        self.release = release
        self.hostID = hostID
        self.commandLine = commandLine
        self.bootfs = bootfs
        self.environments = environments
        self.esps = esps
        self.builder = builder
        self.signing = signing
        self.secureBoot = secureBoot
        self.enrolment = enrolment
        self.trusted = trusted
        self.selected = selected
        self.followed = followed
        self.damaged = damaged
        self.wasCounted = wasCounted
    }

    /// What holds the environments: `rpool/ROOT`.
    public var top: DatasetName { running.parent ?? pool.dataset }

    /// Every entry, once: of the copies on several ESPs the one that was tried most often.
    public var entries: [BootEntry] {
        var known: [String: BootEntry] = [:]
        for entry in esps.flatMap(\.entries) {
            guard let other = known[entry.id] else {
                known[entry.id] = entry
                continue
            }
            // A copy that has proved itself was blessed; the others follow at the next refresh.
            let newer = entry.order != other.order ? entry.order > other.order : Self.left(entry) < Self.left(other)
            if newer { known[entry.id] = entry }
        }
        return known.values.sorted(by: BootEntry.precedes)
    }

    private static func left(_ entry: BootEntry) -> Int { entry.counter?.left ?? -1 }

    /// Files that entries need, of whatever ESP, when these are gone. Copies of one entry may differ in it.
    func needed(without gone: [BootEntry] = []) -> Set<String> {
        Set(esps.flatMap(\.entries).filter { entry in !gone.contains { $0.id == entry.id } }.flatMap(\.files))
    }

    /// Files of kldload's on an ESP to which nothing leads: what cut writes left, and images and kernels that no entry of any ESP names. Only for
    /// whoever holds the lock of boot environments: nothing leads yet to what somebody is just writing.
    ///
    /// - Parameters:
    ///   - gone: entries that go together with them.
    ///   - kept: files that an entry is about to lead to.
    /// - Returns: by their names below the ESP's root.
    func orphans(on esp: ESP, without gone: [BootEntry] = [], keeping kept: [String] = []) -> [String: ByteCount] {
        // FAT tells no capital letters.
        let led = Set(needed(without: gone).union(kept).union(esps.flatMap(\.claimed)).map { $0.lowercased() })
        // What the entries are of an ESP that cannot be read, nobody knows.
        let images = damaged.isEmpty ? esp.images : [:]
        return images.merging(esp.leftovers) { $1 }.filter { !led.contains($0.key.lowercased()) }
    }

    /// What the loader starts at the next boot, unless it was told another one for that alone.
    public var next: BootEntry? { choice(among: entries) }

    /// What it starts at the very next boot: what somebody chose in its menu, or told it, for that one.
    public var starting: BootEntry? { chosenOnce ?? next }
    var chosenOnce: BootEntry? { told.once.flatMap { name in entries.first { LoaderChoice.fits($0, name) } } }

    /// What it starts from this ESP, where no other is there to ask. systemd-boot passes over an entry whose image is missing.
    func choice(on esp: ESP) -> BootEntry? {
        let found = esp.entries.filter { entry in chain == .grub || entry.files.allSatisfy { esp.images[$0] != nil } }
        return choice(among: found.sorted(by: BootEntry.precedes))
    }

    /// - Parameter entries: in the loader's order.
    private func choice(among entries: [BootEntry]) -> BootEntry? {
        told.always.flatMap { name in entries.first { LoaderChoice.fits($0, name) } } ?? entries.first { !$0.isExhausted }
    }

    /// The entry that this machine was started from: the one that the loader names, else the first that fits the root and the kernel.
    public var current: BootEntry? {
        // Whoever was let in by the recovery image has not shown that he starts by himself.
        if selected == RecoveryImage.entryID { return nil }
        // The loader counts before it starts an entry: one that it never touched is not what runs, but was staged since.
        let fitting = entries.filter {
            $0.dataset == running.text && $0.release == release && ($0.counter?.done != 0 || wasCountedElsewhere($0))
        }
        return fitting.first(where: isSelected) ?? fitting.first
    }

    /// The loader says that it started this very entry.
    func isSelected(_ entry: BootEntry) -> Bool { entry.id.lowercased() == selected }

    /// The try was taken on an ESP that cannot be read now; the others still have the entry as it was.
    private func wasCountedElsewhere(_ entry: BootEntry) -> Bool { !damaged.isEmpty && wasCounted == true && isSelected(entry) }

    /// The image that runs, where it can start other environments too: what its initramfs is has been seen. Below an ESP's root.
    var shareable: String? { followed && chain == .systemdBoot ? current?.imagePath : nil }

    /// - Throws: ``Diagnosis`` `be.unknown`.
    public func environment(_ name: String) throws(Diagnosis) -> BootEnvironment {
        if let found = environments.first(where: { $0.name == name || $0.dataset.text == name }) { return found }
        throw Diagnosis(
            "be.unknown", "there is no boot environment \(name)",
            remedies: didYouMean(name, environments.map(\.name), most: 3) + ["see what there is: kldload kbe list"],
            exit: .inputMissing)
    }
}

/// The tree of one environment, seen while the facts were read, and the images that would boot it.
public struct BootTarget: Sendable, Hashable {
    /// A kernel with everything that it needs: `/boot/vmlinuz-R`, `/boot/initrd.img-R`, `/usr/lib/modules/R`.
    public struct Kernel: Sendable, Hashable {
        public var release: String
        /// Of kernel and initramfs together, in bytes: what its image takes on an ESP, roughly.
        public var size: ByteCount
        /// What GRUB starts, where that is the chain, under the names that it has on the ESPs or will get there.
        public var parts: Parts?
        /// The devices of ESPs → ids of entries whose image was built from exactly these files.
        public var matching: [String: Set<String>]
        /// The devices of ESPs → images there that start it as they are, its own or another environment's; below the ESP's root.
        public var images: [String: Set<String>]
        /// An image, on the ESP of a device, of the same kernel and initramfs: only its command line boots another environment.
        public var donor: Donor?
        /// Modules of OpenZFS that nobody has signed whom the firmware knows; looked for where it enforces signatures.
        public var unsigned: [String]
        /// Whether the initramfs holds OpenZFS; `nil`: nobody looked, for an image of it boots already, or the tool for it is missing.
        public var hasModule: Bool?

        public struct Parts: Sendable, Hashable {
            public var parts: KernelParts
            public var sizes: [String: ByteCount]
            /// The devices of ESPs → which of them lie there, and hold what they should.
            public var present: [String: Set<String>]

            /// What is to be copied to an ESP.
            func lacking(on device: String) -> [String] { parts.files.filter { !(present[device] ?? []).contains($0) } }
        }

        /// An ESP has its initramfs already, alone or in an image.
        var isStaged: Bool {
            guard let parts else { return !images.isEmpty || donor != nil }
            return parts.present.values.contains { $0.contains(parts.parts.initrds[0]) }
        }

        public struct Donor: Sendable, Hashable {
            public var device: String
            /// Below the ESP's root.
            public var path: String

            public init(device: String, path: String) {
                self.device = device
                self.path = path
            }
        }

        public init(
            release: String, size: ByteCount, matching: [String: Set<String>] = [:], images: [String: Set<String>] = [:],
            donor: Donor? = nil, unsigned: [String] = []
        ) {
            self.release = release
            self.size = size
            self.matching = matching
            self.images = images
            self.donor = donor
            self.unsigned = unsigned
        }
    }

    public var environment: DatasetName
    /// Where its root is visible; it is mounted there, read-only, while a plan works.
    public var root: FilePath
    /// The best one first.
    public var kernels: [Kernel]
    public var facts: BootGate.Facts

    public init(environment: DatasetName, root: FilePath, kernels: [Kernel], facts: BootGate.Facts = BootGate.Facts()) {
        self.environment = environment
        self.facts = facts
        self.root = root
        self.kernels = kernels
    }

    func inside(_ path: String) -> FilePath { root == "/" ? FilePath(path) : FilePath(root.string + path) }

    func linux(_ release: String) -> FilePath { inside("/boot/vmlinuz-\(release)") }
    func initramfs(_ release: String) -> FilePath { inside("/boot/initrd.img-\(release)") }

    /// What it is started with, whatever starts it.
    func commandLine(_ system: BootSystem) -> KernelCommandLine {
        system.commandLine.rooted(at: environment.text).forcingImport(false).restartingAfterPanic(seconds: BootEntry.panicSeconds)
            .choosing(system.chain == .systemdBoot)
    }

    /// The image of a kernel of this environment, for one machine.
    public func image(_ release: String, _ system: BootSystem, supplement: FilePath, output: FilePath) -> UnifiedKernelImage {
        UnifiedKernelImage(
            linux: linux(release), initrds: [initramfs(release), supplement], commandLine: commandLine(system), release: release,
            osRelease: inside("/usr/lib/os-release"), stub: "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", output: output)
    }
}

public import KldBoot
public import KldCore
import KldExec
import KldFiles
import KldInstall
import KldZFS
import SystemPackage

/// What can be known before a boot about an environment that would not start, or not go on: the same for who stages it, and for who asks.
public struct BootGate: Sendable, Hashable {
    /// What was found out about an environment beside its kernels.
    public struct Facts: Sendable, Hashable {
        /// As its own `/etc/hostid` says; `nil`: it has none, and takes what the initramfs brings.
        public var hostID: HostID?
        /// Features that the pool uses, and that its OpenZFS does not know.
        public var unknownFeatures: [String] = []
        /// Newer kernels of it that were passed over: their initramfs does not hold OpenZFS.
        public var unusable: [String] = []
        /// The highest Linux that its OpenZFS supports; `nil`: its source is not there.
        public var supported: KernelSeries?

        public init(hostID: HostID? = nil, unknownFeatures: [String] = [], supported: KernelSeries? = nil) {
            self.hostID = hostID
            self.unknownFeatures = unknownFeatures
            self.supported = supported
        }
    }

    var system: BootSystem
    var target: BootTarget

    /// What keeps it from starting.
    var problems: [Diagnosis] {
        var problems: [Diagnosis] = []
        let (name, facts) = (target.environment.leaf, target.facts)
        // Whatever else it lacks, and wherever this runs: inside of it, it is somebody's who repairs the machine.
        if system.environments.contains(where: { $0.dataset == target.environment && $0.isForeign }) {
            problems.append(.foreign(environment: name))
        }
        if let environment = system.environments.first(where: { $0.dataset == target.environment }), system.isHalfMade(environment) {
            problems.append(.halfMade(environment))
        }
        if !facts.unknownFeatures.isEmpty {
            problems.append(
                Diagnosis(
                    "boot.features",
                    "the pool \(system.pool) uses features that OpenZFS in \(name) does not know, and would not be imported: \(facts.unknownFeatures.joined(separator: ", "))",
                    remedies: [
                        "upgrade OpenZFS in it: kldload kbe mount \(name), and chroot there",
                        "choose a newer environment: kldload kbe list",
                    ],
                    exit: .unavailable))
        }
        if let own = facts.hostID, let id = system.hostID, own != id {
            problems.append(
                Diagnosis(
                    "boot.host-id", "\(name) has the host id \(own), and the pool knows \(id): it would boot once, and not again",
                    remedies: ["kldload kbe adopt \(name)"], exit: .unavailable))
        }
        if let kernel = target.kernels.first, kernel.hasModule == false {
            problems.append(
                Diagnosis(
                    "boot.initramfs", "the initramfs of Linux \(kernel.release) in \(name) does not hold OpenZFS: it finds no root",
                    remedies: [
                        "dkms status in it (kldload kbe mount \(name), and chroot there), then update-initramfs -u -k \(kernel.release)"
                    ], exit: .unavailable))
        }
        return problems
    }

    /// What may go wrong.
    public var doubts: [(text: String, remedy: String)] {
        let unusable = target.facts.unusable.map { release in
            (
                "the initramfs of Linux \(release) in \(target.environment.leaf) does not hold OpenZFS: that kernel is passed over",
                "dkms status, then update-initramfs -u -k \(release)"
            )
        }
        guard let kernel = target.kernels.first, let supported = target.facts.supported, KernelSeries(kernel.release) > supported else {
            return unusable
        }
        return unusable + [
            (
                "Linux \(kernel.release) in \(target.environment.leaf) is newer than its OpenZFS supports, which reaches to \(supported)",
                "hold the kernel back, or upgrade OpenZFS first"
            )
        ]
    }

    public init(_ system: BootSystem, _ target: BootTarget) {
        self.system = system
        self.target = target
    }
}

extension BootSystem {
    /// One that may be booted without further questions.
    ///
    /// - Throws: ``Diagnosis`` `be.unknown`, `boot.foreign`, `be.half-made`.
    public func bootable(_ name: String) throws(Diagnosis) -> BootEnvironment {
        let environment = try environment(name)
        if environment.isForeign { throw .foreign(environment: name) }
        if isHalfMade(environment) { throw .halfMade(environment) }
        return environment
    }

    /// What runs, or has proved itself, has shown what it is, whatever it is marked as, and must take what its packages bring. Who is inside of
    /// one that does not run knows no release of its kernel.
    func isHalfMade(_ environment: BootEnvironment) -> Bool {
        guard environment.isHalfMade, environment.dataset != running || release.isEmpty else { return false }
        return !entries.contains { $0.dataset == environment.dataset.text && $0.order > 0 && $0.isProven }
    }
}

extension Diagnosis {
    /// Its packages may be unpacked and not configured, no service may be started in it, and the next upgrade destroys it.
    static func halfMade(_ environment: BootEnvironment) -> Diagnosis {
        Diagnosis(
            "be.half-made", "\(environment.name) is half made: changing its packages has not ended well",
            remedies: [
                "kldload kbe destroy \(environment.name), and kldload kupgrade again",
                "where you have mended it: zfs inherit \(KldProperty.upkeep) \(environment.dataset)",
            ], exit: .unavailable)
    }

    /// Its shadow file, its host keys, its machine id and its network are another machine's.
    static func foreign(environment name: String) -> Diagnosis {
        foreign(
            name,
            remedies: [
                "kldload kbe adopt \(name)",
                "of a stream that this machine exported itself: kldload kbe destroy \(name), and kldload kbe import \(name) --own",
            ])
    }

    /// - Parameter what: an environment, or a snapshot of one.
    static func foreign(_ what: String, remedies: [String]) -> Diagnosis {
        Diagnosis(
            "boot.foreign", "\(what) came from another machine, and is not this one's own yet: it would start as that machine",
            remedies: remedies, exit: .unavailable)
    }
}

extension BootGate.Facts {
    /// Where OpenZFS says which features each of its releases knows: taken together, those that this one knows.
    /// Source: `cmd/zpool/compatibility.d`, OpenZFS 2.1 to 2.4.
    private static let featureLists = "usr/share/zfs/compatibility.d"
    private static let sources = "usr/src"

    /// Lists of OpenZFS on Linux: other systems' name features that this one has never known.
    private static func isOwn(_ list: String) -> Bool {
        (list.hasPrefix("openzfs-2") || list.hasPrefix("zol-")) && !list.hasSuffix("-freebsd")
    }

    /// Reads a tree. Runs: `zpool get all POOL`, reads.
    static func gather(
        in root: FilePath, pool: PoolName, runner: any CommandRunner, files: any FileSystem
    ) async throws -> BootGate.Facts {
        func names(_ folder: FilePath) -> [String] { (try? files.list(folder)) ?? [] }
        var facts = BootGate.Facts(hostID: (try? files.read(root.appending("etc/hostid"))).flatMap { HostID(fileContent: $0) })
        facts.supported = names(root.appending(sources)).filter { $0.hasPrefix("zfs-") }.compactMap { name in
            (try? files.readText(root.appending("\(sources)/\(name)/META"))).flatMap { KernelSeries.supported(meta: $0) }
        }.max()
        let lists = root.appending(featureLists)
        let known = Set(
            names(lists).filter(isOwn).flatMap { name in
                ((try? files.readText(lists.appending(name))) ?? "").lines.flatMap { line in
                    line.prefix { $0 != "#" }.split { $0 == "," || $0 == " " || $0 == "\t" }.map(String.init)
                }
            })
        guard !known.isEmpty else { return facts }
        let prefix = "feature@"
        let rows = try PropertyRow.parse(await runner.run(ZPool.get(pool, ["all"])).output)
        let active = rows.filter { $0.property.hasPrefix(prefix) && $0.value == "active" }.map {
            String($0.property.dropFirst(prefix.count))
        }
        facts.unknownFeatures = active.filter { !known.contains($0) }.sorted()
        return facts
    }
}

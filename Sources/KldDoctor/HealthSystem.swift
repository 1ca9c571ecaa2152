import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPackages
import KldTrust
import KldSystemd
import KldZFS
import SystemPackage

extension Check {
    static let healthOfServices: [Check] = [
        Check("services.timers", "what keeps the machine tidy runs by itself", .medium, timers),
        Check("services.zed", "somebody listens to OpenZFS' events", .medium, zed),
        Check("network.dns", "there is a name server behind the resolver", .medium, upstreamResolver),
        Check("packages.openzfs", "OpenZFS' packages are of one version", .high, openZFSPackages),
        Check("tls.certificates", "certificates verify, and have some of their life left", .high, certificates),
    ]

    static let healthOfSystem: [Check] = [
        Check("system.memory", "there is memory left", .high, memory),
        Check("system.swap", "nothing swaps to a volume of a pool", .high, swap),
        Check("system.arc", "OpenZFS' cache leaves memory to others", .medium, cache),
        Check("system.run", "there is room in /run", .medium, runtime),
        Check("time.plausible", "the clock is not before the installation", .high, plausibleTime),
    ]

    @Sendable private static func timers(_ context: CheckContext) async throws -> CheckOutcome {
        let profile = try context.manifest.map { try ProfileSpec.find($0.profile) }
        var problems: [String] = []
        var names: [String] = []
        for name in CheckContext.watchedTimers {
            guard let unit = try await context.unit(name), unit.load != "not-found" else { continue }
            // What the profile does not use may lie there, switched off.
            if profile?.tools != true, unit.file == "disabled" { continue }
            names.append(name)
            if let problem = unit.problem { problems.append("\(name) \(problem)") }
        }
        guard problems.isEmpty else {
            return .warn(
                expected: names.joined(separator: ", "), actual: problems.joined(separator: "; "),
                remedy: "systemctl enable --now the timer")
        }
        return names.isEmpty ? .skip("none of them is installed") : .ok(names.joined(separator: ", "))
    }

    @Sendable private static func zed(_ context: CheckContext) async throws -> CheckOutcome {
        guard let unit = try await context.unit("zfs-zed.service"), unit.load != "not-found" else {
            return .skip("zfs-zed is not installed")
        }
        if let problem = unit.problem {
            return .warn(
                expected: "zfs-zed.service", actual: "it \(problem): spares do not come in, and nobody hears of errors",
                remedy: "systemctl enable --now zfs-zed")
        }
        return .ok("zfs-zed.service")
    }

    @Sendable private static func upstreamResolver(_ context: CheckContext) async throws -> CheckOutcome {
        if context.manifest?.network.method == InstallManifest.NetworkMethod.none { return .skip("no network was asked for") }
        guard let servers = try context.upstreamServers() else { return .skip("systemd-resolved does not run") }
        guard !servers.isEmpty else {
            return .fail(
                expected: "a name server", actual: "systemd-resolved knows none",
                remedy: "resolvectl status; networkctl status: no server came by DHCP, and none is configured")
        }
        return .ok(servers.joined(separator: ", "))
    }

    /// Packages made from the source `zfs-linux`: tools and libraries of two versions do not speak with each other.
    @Sendable private static func openZFSPackages(_ context: CheckContext) async throws -> CheckOutcome {
        guard try context.exists("/var/lib/dpkg/status") else { return .skip("packages are not managed by dpkg here") }
        let names = ["zfsutils-linux", "zfs-initramfs", "zfs-dracut", "zfs-zed", "zfs-dkms"]
        let libraries = ["libzfs", "libzpool", "libnvpair", "libuutil"]
        let found = try await context.packages().filter { package in
            package.status == "installed"
                && (names.contains(package.name) || package.name.hasSuffix("linux") && libraries.contains { package.name.hasPrefix($0) })
        }
        let versions = Dictionary(grouping: found, by: \.version)
        guard versions.count <= 1 else {
            return .fail(
                expected: "one version", actual: found.map { "\($0.name) \($0.version)" }.joined(separator: ", "),
                remedy: "bring them to one version together; held packages move with kldload kupgrade only")
        }
        return .ok(found.first.map { "\(found.count) packages, \($0.version)" } ?? "OpenZFS did not come as packages")
    }

    @Sendable private static func certificates(_ context: CheckContext) async throws -> CheckOutcome {
        guard let now = context.now else { return .skip("the time is not known") }
        let authority = CertificateAuthority()
        guard try context.exists(authority.rootCertificate.string) else { return .skip("this machine has no certificate authority") }
        let report = try await AuthorityReport.gather(authority, now: now, runner: context.runner, files: context.files)
        let entries = [report.root] + report.leaves
        let bad = entries.filter { !$0.verifies }
        guard bad.isEmpty else {
            return .fail(
                expected: "certificates that verify", actual: bad.map { "\($0.name): \($0.problem ?? "")" }.joined(separator: "; "),
                remedy: bad.contains { $0.name == "root" } ? "kldload ca info" : "kldload ca renew --all")
        }
        let due = entries.filter(\.isDue)
        guard due.isEmpty else {
            return .warn(
                expected: "a third of their life left",
                actual: due.map { "\($0.name): \($0.daysLeft.map { "\($0) days left" } ?? "unknown")" }.joined(separator: "; "),
                remedy: "kldload ca renew --all")
        }
        return .ok("\(entries.count) certificates")
    }

    /// Source: proc_meminfo(5), Linux man-pages 6.9: `MemTotal:        2030184 kB`.
    private static func meminfo(_ context: CheckContext) throws -> [String: UInt64] {
        var values: [String: UInt64] = [:]
        for line in (try context.text("/proc/meminfo") ?? "").lines {
            let words = line.words
            if words.count >= 2, let kibibytes = UInt64(words[1]) { values[String(words[0].dropLast())] = kibibytes << 10 }
        }
        return values
    }

    private static func arc(_ context: CheckContext) throws -> ARCStats? { try context.text(ARCStats.path).flatMap(ARCStats.parse) }

    /// What OpenZFS' cache gives back when others ask for it counts as free: the kernel does not count it.
    @Sendable private static func memory(_ context: CheckContext) async throws -> CheckOutcome {
        let values = try meminfo(context)
        guard let total = values["MemTotal"], total > 0, let available = values["MemAvailable"] else {
            return .skip("the kernel does not tell")
        }
        let free = available + (try arc(context)?.evictable ?? 0)
        let actual = "\(ByteCount(free)) of \(ByteCount(total)) left"
        let remedy = "ps aux --sort=-rss | head; more memory, or fewer services"
        if free * 100 < total * 3 { return .fail(expected: "3 % left", actual: actual, remedy: remedy) }
        if free * 100 < total * 8 { return .warn(expected: "8 % left", actual: actual, remedy: remedy) }
        return .ok(actual)
    }

    /// When memory is short, writing to the volume needs more of it: the machine stops. Source: OpenZFS issue 7734; `/proc/swaps`, proc(5).
    @Sendable private static func swap(_ context: CheckContext) async throws -> CheckOutcome {
        let devices = (try context.text("/proc/swaps") ?? "").lines.dropFirst().compactMap { $0.words.first }
        let volumes = devices.filter { $0.hasPrefix("/dev/zd") || $0.hasPrefix("/dev/zvol/") }
        guard volumes.isEmpty else {
            return .fail(
                expected: "swap on a partition, in memory, or none", actual: volumes.joined(separator: ", "),
                remedy: volumes.map { "swapoff \($0)" }.joined(separator: "; ") + ", and take it out of /etc/fstab")
        }
        return .ok(devices.isEmpty ? "no swap" : devices.joined(separator: ", "))
    }

    /// Source: zfs(4), `zfs_arc_max`, OpenZFS 2.4: 0 leaves it to OpenZFS, which leaves a gibibyte to others.
    @Sendable private static func cache(_ context: CheckContext) async throws -> CheckOutcome {
        guard let stats = try arc(context), let total = try meminfo(context)["MemTotal"], total > 0 else {
            return .skip("the kernel does not tell")
        }
        let wanted = (try context.text("/sys/module/zfs/parameters/zfs_arc_max")?.trimmed).flatMap { UInt64($0) } ?? 0
        let actual = "\(ByteCount(stats.size)), at most \(ByteCount(stats.most)), of \(ByteCount(total))"
        if wanted * 10 > total * 9 {
            return .warn(
                expected: "zfs_arc_max below 90 % of memory", actual: "zfs_arc_max is \(ByteCount(wanted)) of \(ByteCount(total))",
                remedy: "correct it in /etc/modprobe.d, and in /sys/module/zfs/parameters/zfs_arc_max")
        }
        if stats.size > stats.most + stats.most / 4 {
            return .warn(
                expected: "no more than it may have", actual: actual,
                remedy: "something holds it: arc_summary; zfs_arc_max takes effect as the cache gives back")
        }
        return .ok(actual)
    }

    @Sendable private static func runtime(_ context: CheckContext) async throws -> CheckOutcome {
        let free = try context.files.freeSpace("/run")
        guard free >= .mebibytes(8) else {
            return .warn(
                expected: "8 MiB free", actual: "\(free) free: services cannot start any more",
                remedy: "du --one-file-system --max-depth=2 /run | sort -n")
        }
        return .ok("\(free) free")
    }

    @Sendable private static func plausibleTime(_ context: CheckContext) async throws -> CheckOutcome {
        guard let now = context.now else { return .skip("the time is not known") }
        guard let pool = try await context.pool(), let root = try await context.rootDataset() else { return noPool }
        guard let made = try await context.datasets(pool).first(where: { $0.name == root })?["creation"].flatMap({ Int64($0) }) else {
            return .skip("the root file system does not say when it was made")
        }
        // Zones and leap seconds are no reason; a clock without a battery is off by years.
        guard now.seconds > made - 86_400 else {
            return .fail(
                expected: "after \(Timestamp(seconds: made))", actual: now.description,
                remedy: "timedatectl set-ntp true; or set it: timedatectl set-time …; a new battery, if it comes back")
        }
        return .ok("after \(Timestamp(seconds: made))")
    }
}

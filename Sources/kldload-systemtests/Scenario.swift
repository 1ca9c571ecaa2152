/// One thing that must be true of a real machine.
struct Scenario: Sendable {
    enum Tier: String, Sendable, CaseIterable, Comparable {
        case ci, all
        /// Only by its name.
        case bench

        static func < (a: Tier, b: Tier) -> Bool { (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0) }
    }

    /// Stable, as in `--filter` and in `docs/promises.md`.
    var name: String
    var title: String
    var tier: Tier
    /// The longest it may take on a slow machine. Steps of it have deadlines of their own; this one is for what nobody thought of.
    var limit: Duration
    /// Whether its machines enforce Secure Boot.
    var isSecure: Bool
    /// Answers that all of its machines have beside their own.
    var overrides: [String] = []
    var run: @Sendable (Laboratory) async throws -> Void

    init(
        _ name: String, _ title: String, tier: Tier = .all, limit: Duration = .seconds(5400), isSecure: Bool = false,
        run: @escaping @Sendable (Laboratory) async throws -> Void
    ) {
        self.name = name
        self.title = title
        self.tier = tier
        self.limit = limit
        self.isSecure = isSecure
        self.run = run
    }

    /// The same on machines of another kind.
    private func again(_ kind: String, _ words: String, secure: Bool = false, _ overrides: [String] = []) -> Scenario {
        var other = self
        other.name = "\(kind).\(name.hasPrefix("boot.") ? String(name.dropFirst("boot.".count)) : name)"
        (other.title, other.tier, other.limit) = ("\(words): \(title)", .all, limit * 2)
        (other.isSecure, other.overrides) = (secure, overrides)
        return other
    }

    /// What runs again with Secure Boot enforcing, on machines whose owner has enrolled their keys.
    private static let enforcing = [
        "boot.refresh", "boot.once", "boot.kernel-update", "boot.full-upgrade", "boot.power-cuts-booted", "recovery.image", "recovery.grub",
        "recovery.disaster", "install.mirror-degraded", "install.mirror-replaced",
    ]
    /// What runs again on machines that GRUB starts; see also `boot.grub`.
    private static let behindGrub = [
        "boot.full-upgrade", "boot.power-cuts-booted", "recovery.disaster", "install.mirror-degraded", "install.mirror-replaced",
    ]

    static let all: [Scenario] =
        once
        + once.filter { enforcing.contains($0.name) }.map { $0.again("secure-boot", "with Secure Boot enforcing", secure: true) }
        + once.filter { behindGrub.contains($0.name) }.map { $0.again("grub", "behind GRUB", ["KLDLOAD_BOOTLOADER=grub"]) }

    private static let once: [Scenario] =
        installs + boots + environments + bootNumbers + updates + powerCuts + isos + networkBoots + recoveries + recoveryImages
        + secureBoots + images
        + clones + firstBoots + troubles + dailies + doctors + disks + tools + replications + fleets + peers
}

/// A check that did not hold.
struct CheckFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// This machine lacks what the scenario needs: nothing was found out, in either direction.
struct ScenarioSkipped: Error {
    var reason: String
    init(_ reason: String) { self.reason = reason }
}

func check(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    if !condition { throw CheckFailure(what()) }
}

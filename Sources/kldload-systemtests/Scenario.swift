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

    /// The same on machines that enforce Secure Boot, and whose owner has enrolled their keys.
    var enforcing: Scenario {
        let short = name.hasPrefix("boot.") ? String(name.dropFirst("boot.".count)) : name
        return Scenario(
            "secure-boot.\(short)", "with Secure Boot enforcing: \(title)", tier: .all, limit: limit * 2, isSecure: true, run: run)
    }

    /// Of what runs without Secure Boot too.
    private static let again = [
        "boot.refresh", "boot.once", "boot.kernel-update", "boot.full-upgrade", "boot.power-cuts-booted", "recovery.image", "recovery.grub",
        "recovery.disaster", "install.mirror-degraded", "install.mirror-replaced",
    ]

    static let all: [Scenario] = once + once.filter { again.contains($0.name) }.map(\.enforcing)

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

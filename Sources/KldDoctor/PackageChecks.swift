import KldCore
import KldExec
import KldFiles
import KldPackages
import SystemPackage

extension Check {
    static let packages: [Check] = [
        Check("packages.audit", "every package is completely installed", .high, audit),
        Check("packages.holds", "kernel, OpenZFS and boot loader are held", .high, holds),
        Check("packages.sources", "packages are accepted only with a signature", .critical, sources),
    ]

    private static let dpkg = "/var/lib/dpkg/status"
    private static let otherFamily = CheckOutcome.skip("packages are not managed by dpkg here")

    @Sendable private static func audit(_ context: CheckContext) async throws -> CheckOutcome {
        guard try context.exists(dpkg) else { return otherFamily }
        let found = try await context.read(Dpkg.audit).output.lines
        guard found.isEmpty else {
            return .fail(
                expected: "nothing to report", actual: found.prefix(4).map(\.trimmed).joined(separator: " "),
                remedy: "dpkg --configure -a; apt-get --fix-broken install")
        }
        return .ok("nothing to report")
    }

    /// Installed packages that must be held.
    static func heldPackages(_ context: CheckContext, _ manifest: InstallManifest) async throws -> [DpkgPackage] {
        try await context.packages().filter { package in
            package.status == "installed" && manifest.heldPackages.contains { matches(package.name, $0) }
        }
    }

    /// Of the patterns in the manifest, every package that is installed must be held: those that are not cannot move.
    @Sendable private static func holds(_ context: CheckContext) async throws -> CheckOutcome {
        guard try context.exists(dpkg) else { return otherFamily }
        guard let manifest = context.manifest else { return context.withoutManifest }
        let wanted = try await heldPackages(context, manifest)
        let free = wanted.filter { !$0.isHeld }.map(\.name)
        guard free.isEmpty else {
            return .fail(
                expected: "\(wanted.count) packages held", actual: "free to move: \(free.joined(separator: ", "))",
                remedy: "apt-mark hold \(free.joined(separator: " "))")
        }
        guard !wanted.isEmpty || manifest.heldPackages.isEmpty else {
            return .fail(
                expected: "installed packages named \(manifest.heldPackages.joined(separator: ", "))", actual: "none of them is installed",
                remedy: "install kernel and OpenZFS through the package manager")
        }
        return .ok("\(wanted.count) packages held")
    }

    /// A name, or the beginning of one before `*`.
    static func matches(_ name: String, _ pattern: String) -> Bool {
        pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
    }

    @Sendable private static func sources(_ context: CheckContext) async throws -> CheckOutcome {
        guard try context.exists(dpkg) else { return otherFamily }
        var files = ["/etc/apt/sources.list"]
        files += try context.names(in: "/etc/apt/sources.list.d").filter { $0.hasSuffix(".list") || $0.hasSuffix(".sources") }
            .map { "/etc/apt/sources.list.d/\($0)" }
        var unsafe: [String] = []
        var count = 0
        for file in files {
            guard let text = try context.text(file) else { continue }
            count += 1
            for line in text.lines where !line.trimmed.hasPrefix("#") && AptTrust.disablesSignatures(source: line) {
                unsafe.append("\(file): \(line.trimmed)")
            }
        }
        let settings = ["/etc/apt/apt.conf"] + (try context.names(in: "/etc/apt/apt.conf.d").map { "/etc/apt/apt.conf.d/\($0)" })
        for file in settings {
            for line in (try context.text(file) ?? "").lines where AptTrust.disablesSignatures(setting: line) {
                unsafe.append("\(file): \(line.trimmed)")
            }
        }
        guard unsafe.isEmpty else {
            return .fail(
                expected: "signatures checked everywhere", actual: unsafe.joined(separator: "; "),
                remedy: "remove these words, and name the repository's key with Signed-By")
        }
        guard count > 0 else {
            return .warn(expected: "a package source", actual: "there is none", remedy: "write /etc/apt/sources.list.d/kldload.sources")
        }
        return .ok("\(count) source files")
    }
}

/// The words with which apt is told not to check signatures. Source: sources.list(5), apt.conf(5), apt-secure(8), apt 3.0.
enum AptTrust {
    /// In `deb [trusted=yes] …` and in `Trusted: yes`.
    static func disablesSignatures(source line: String) -> Bool {
        let text = line.lowercased().filter { !$0.isWhitespace }
        return ["trusted", "allow-insecure", "allow-weak"].contains { word in
            ["=", ":"].contains { mark in
                text.contains("\(word)\(mark)yes") || text.contains("\(word)\(mark)true") || text.contains("\(word)\(mark)1")
            }
        }
    }

    /// `APT::Get::AllowUnauthenticated "true";` and its like.
    static func disablesSignatures(setting line: String) -> Bool {
        let text = line.trimmed.lowercased()
        guard !text.hasPrefix("//"), !text.hasPrefix("#") else { return false }
        let names = ["allowunauthenticated", "allowinsecurerepositories", "allowdowngradetoinsecurerepositories", "allowweakrepositories"]
        guard names.contains(where: text.contains) else { return false }
        return ["\"true\"", "\"1\"", "\"yes\"", " true;", " 1;", " yes;"].contains(where: text.contains)
    }
}

import KldCore
import KldExec
import KldFiles
import SystemPackage

extension Check {
    static let region: [Check] = [
        Check("time.zone", "the time zone is the one that was asked for", .low, timeZone),
        Check("time.sync", "the clock is kept right", .medium, timeSync),
        Check("region.locale", "the locale is the one that was asked for, and exists", .low, locale),
        Check("region.keyboard", "the keyboard is the one that was asked for", .low, keyboard),
    ]

    @Sendable private static func timeZone(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let remedy = "timedatectl set-timezone \(manifest.timezone)"
        guard try context.files.status("/etc/localtime")?.kind == .symlink else {
            return .fail(expected: manifest.timezone, actual: "/etc/localtime is no link", remedy: remedy)
        }
        let link = try context.files.readLink("/etc/localtime")
        guard link.hasSuffix("zoneinfo/\(manifest.timezone)") else {
            return .fail(expected: manifest.timezone, actual: link, remedy: remedy)
        }
        return .ok(manifest.timezone)
    }

    /// Runs: `timedatectl show --property=NTP --property=NTPSynchronized`, reads; `NTP=yes`, `NTPSynchronized=no` (systemd 257).
    static func timeProperties(_ context: CheckContext) async throws -> [String] {
        try await context.read(Tool("timedatectl", package: "systemd"), ["show", "--property=NTP", "--property=NTPSynchronized"])
            .output.lines
    }

    @Sendable private static func timeSync(_ context: CheckContext) async throws -> CheckOutcome {
        let lines = try await timeProperties(context)
        guard lines.contains("NTP=yes") else {
            return .fail(expected: "NTP=yes", actual: lines.joined(separator: ", "), remedy: "timedatectl set-ntp true")
        }
        guard lines.contains("NTPSynchronized=yes") else {
            return .warn(
                expected: "a synchronised clock", actual: "no time server has answered yet",
                remedy: "timedatectl timesync-status; check the network")
        }
        return .ok("synchronised")
    }

    private static func value(_ name: String, in text: String) -> String? {
        for line in text.lines where line.trimmed.hasPrefix("\(name)=") {
            return line.trimmed.dropFirst(name.count + 1).filter { $0 != "\"" && $0 != "'" }
        }
        return nil
    }

    /// Runs: `locale -a`, reads. It prints `de_DE.utf8` for `de_DE.UTF-8` (glibc 2.41). Then `locale charmap` in that locale, reads.
    @Sendable private static func locale(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let wanted = manifest.locale
        let text = try context.text("/etc/default/locale") ?? context.text("/etc/locale.conf") ?? ""
        let found = value("LANG", in: text) ?? "not set"
        guard found == wanted else {
            return .fail(expected: "LANG=\(wanted)", actual: "LANG \(found)", remedy: "localectl set-locale LANG=\(wanted)")
        }
        let known = try await context.read(Tool("locale", package: "libc-bin"), ["-a"]).output.lines
        guard known.contains(where: { plain($0) == plain(wanted) }) else {
            return .fail(
                expected: "\(wanted) in locale -a", actual: "it was not generated", remedy: "add it to /etc/locale.gen, then locale-gen")
        }
        // `hi_IN` may have been made of any character set.
        let charmap = try await context.read(
            Command(Tool("locale", package: "libc-bin"), ["charmap"], effect: .reads, environment: ["LC_ALL": wanted])
        ).output.trimmed
        guard charmap == "UTF-8" else {
            return .fail(
                expected: "\(wanted) in UTF-8", actual: "it is in \(charmap)",
                remedy: "make it `\(wanted) UTF-8` in /etc/locale.gen, then locale-gen")
        }
        return .ok(wanted)
    }

    private static func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" } }

    @Sendable private static func keyboard(_ context: CheckContext) async throws -> CheckOutcome {
        guard let manifest = context.manifest else { return context.withoutManifest }
        let found =
            try context.text("/etc/default/keyboard").flatMap { value("XKBLAYOUT", in: $0) }
            ?? context.text("/etc/vconsole.conf").flatMap { value("KEYMAP", in: $0) }
        guard let found else { return .skip("no keyboard is configured on this system") }
        guard found == manifest.keyboard || found.split(separator: "-").first.map(String.init) == manifest.keyboard else {
            return .fail(expected: manifest.keyboard, actual: found, remedy: "localectl set-x11-keymap \(manifest.keyboard)")
        }
        return .ok(found)
    }
}

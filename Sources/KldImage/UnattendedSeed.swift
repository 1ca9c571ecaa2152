import FoundationEssentials
import KldAnswers
public import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// What the kernel's command line says about an installation without a person: where the answers are, and what replaces some of them.
public struct UnattendedSeed: Sendable, Hashable {
    /// Answers that the live environment or its medium carries; the last places that are asked, in this order.
    public static let bakedIn: [FilePath] = [
        "/etc/kldload/autoinstall.env", LiveMedium.mountPoint.pushing(FilePath(LiveMedium.answers)),
    ]
    /// Of an answers file, in bytes.
    private static let largest = 1 << 20
    /// Where they are fetched to; root's alone.
    private static let fetched: FilePath = "/run/kldload/seed-fetched"

    /// `http` or `https`. `{mac}`, `{serial}` and `{host}` in it are this machine's; one that ends with `/` is a folder with a file for each
    /// machine: `MAC.env` (as `52-54-00-12-34-56`), else `SERIAL.env`, else `HOST.env`.
    public var url: String?
    /// SHA-256 of the answers, in hexadecimal digits.
    public var digest: FileDigest?
    /// `KLDLOAD_…=value`, as ``Answers`` takes them.
    public var overrides: [String] = []

    /// As menus for a network have said `kldload.answers=` before there was that word.
    private static let spelling = "KLDLOAD_ANSWERS_URL="
    /// Words of kldload's own that are no answers.
    private static let own: Set = ["autoinstall", "answers", "seed", "answers-sha256", "live-sha256", "medium-sha256"]

    /// - Parameter commandLine: `/proc/cmdline`. Words of others are left alone.
    /// - Throws: ``Diagnosis`` `autoinstall.several-seeds`, `autoinstall.bad-url`, `autoinstall.bad-digest`, `autoinstall.unknown-word`,
    ///   `autoinstall.secret-word`.
    public init(commandLine: String) throws(Diagnosis) {
        for given in Self.split(commandLine) {
            let word = given.hasPrefix(Self.spelling) ? "kldload.answers=" + given.dropFirst(Self.spelling.count) : given
            guard word.hasPrefix("kldload.") else { continue }
            let parts = word.dropFirst("kldload.".count).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let (name, value) = (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
            switch name {
            case "answers", "seed":
                guard url == nil || url == value else {
                    throw Diagnosis(
                        "autoinstall.several-seeds", "the command line names more than one place for the answers; nothing was installed",
                        remedies: ["leave one of kldload.answers= and kldload.seed="], exit: .badAnswers, causes: [url ?? "", value])
                }
                try Self.check(value)
                url = value
            case "answers-sha256":
                guard let given = FileDigest(hex: value.lowercased()) else {
                    throw Diagnosis(
                        "autoinstall.bad-digest", "kldload.answers-sha256 is no SHA-256: '\(value)'",
                        remedies: ["sha256sum answers.env prints it: 64 hexadecimal digits"], exit: .badAnswers)
                }
                digest = given
            case _ where Self.own.contains(name): break
            default: overrides.append("\(try Self.key(name).name)=\(value)")
            }
        }
    }

    /// Words as the kernel takes them: blanks between double quotes are part of one. Source: Linux `lib/cmdline.c`, `next_arg`, 6.12.
    static func split(_ line: String) -> [String] {
        var (words, isQuoted) = ([""], false)
        for character in line {
            if character == "\"" {
                isQuoted.toggle()
            } else if character.isWhitespace, !isQuoted {
                words.append("")
            } else {
                words[words.count - 1].append(character)
            }
        }
        return words.filter { !$0.isEmpty }
    }

    private static func check(_ url: String) throws(Diagnosis) {
        let authority = url.split(separator: "/", omittingEmptySubsequences: true).dropFirst().first ?? ""
        guard url.hasPrefix("http://") || url.hasPrefix("https://"), !authority.isEmpty, !authority.contains("@") else {
            throw Diagnosis(
                "autoinstall.bad-url", "kldload.answers is no address that answers could be fetched from",
                remedies: [
                    "kldload.answers=https://HOST/answers/: http or https",
                    "no user name and no password: whoever can read /proc/cmdline reads them",
                ], exit: .badAnswers)
        }
    }

    private static func key(_ name: String) throws(Diagnosis) -> AnswerKey {
        guard let key = answer(name) else {
            let known = AnswerKey.all.filter { !$0.isSecret }.map { $0.name.dropFirst("KLDLOAD_".count).lowercased() } + own
            throw Diagnosis(
                "autoinstall.unknown-word", "the command line says kldload.\(name), which is no answer",
                remedies: [nearest(to: name, known).map { "did you mean kldload.\($0)?" } ?? "kldload answers keys prints them all"],
                exit: .badAnswers)
        }
        guard !key.isSecret else {
            throw Diagnosis(
                "autoinstall.secret-word", "kldload.\(name) is a secret, and everybody on the machine can read the command line",
                remedies: ["put it into the answers file, or a file that \(key.name)_FILE names"], exit: .badAnswers)
        }
        return key
    }

    /// The answer of a word: by its own name, or by a part of it, as the seeds have them (`encrypt`, `secureboot`, `keyboard`).
    private static func answer(_ name: String) -> AnswerKey? {
        func plain(_ name: some StringProtocol) -> String { String(name.lowercased().filter { $0.isLetter || $0.isNumber }) }
        let wish = plain(name)
        if let key = AnswerKey.named("KLDLOAD_" + name.uppercased().replacing("-", with: "_")) { return key }
        return AnswerKey.all.first { key in
            let stem = plain(key.name.dropFirst("KLDLOAD_".count))
            return [wish, "enable\(wish)", "zfs\(wish)", "\(wish)layout"].contains(stem)
        }
    }

    // MARK: Fetching

    /// The addresses that are tried, in this order. - Throws: ``Diagnosis`` `autoinstall.unknown-machine`.
    public func addresses(for machine: Machine) throws(Diagnosis) -> [String] {
        guard let url else { return [] }
        let names = [
            ("mac", Machine.plain(machine.mac?.lowercased().replacing(":", with: "-"))), ("serial", Machine.plain(machine.serial)),
            ("host", Machine.plain(machine.host)),
        ]
        let unknown = Diagnosis(
            "autoinstall.unknown-machine", "this machine has no name that the address of the answers could hold",
            remedies: [
                "is the network up: networkctl status", "{host} is the name that the DHCP server gives this machine",
                "name the file itself: kldload.answers=https://HOST/FILE.env",
            ],
            exit: .unavailable)
        var filled = url
        for (name, value) in names where url.contains("{\(name)}") {
            guard let value else { throw unknown }
            filled = filled.replacing("{\(name)}", with: value)
        }
        guard filled.hasSuffix("/") else { return [filled] }
        let addresses = names.compactMap { $0.1 }.map { "\(filled)\($0).env" }
        if addresses.isEmpty { throw unknown }
        return addresses
    }

    /// The answers, from the first address that has any.
    ///
    /// - Returns: `nil` when no address has any (404): then this machine is not meant.
    /// - Throws: ``Diagnosis`` `autoinstall.unreachable`, `autoinstall.unknown-machine`.
    ///
    /// Runs: `curl --fail … --globoff … --output FILE --write-out %{http_code} ADDRESS`, changes, again while the network or the server is not up.
    public func fetch(
        for machine: Machine, every pause: Duration = .seconds(3), runner: any CommandRunner, files: any FileSystem
    ) async throws -> (from: String, bytes: [UInt8])? {
        defer { try? files.remove(Self.fetched) }
        for address in try addresses(for: machine) {
            guard try await get(address, pause, runner: runner, files: files) else { continue }
            return (address, try files.read(Self.fetched))
        }
        return nil
    }

    /// Whatever they came from, answers are those that the command line means. - Throws: ``Diagnosis`` `autoinstall.wrong-digest`.
    public func check(_ answers: FilePath, runner: any CommandRunner) async throws {
        guard let digest else { return }
        let found = try await SHA256Sum.digest(of: answers, runner)
        guard found == digest else {
            throw Diagnosis(
                "autoinstall.wrong-digest", "these answers are others than the command line says; nothing was installed",
                remedies: ["kldload.answers-sha256=\(found.hex), if they are meant"], exit: .badAnswers)
        }
    }

    /// Tries until the network is up and the server answers, or says no. - Returns: whether it has the file.
    private func get(_ address: String, _ pause: Duration, runner: any CommandRunner, files: any FileSystem) async throws -> Bool {
        let fetch = Fetch(
            address,
            [
                "--globoff", "--max-time", "60", "--max-filesize", String(Self.largest), "--output", Self.fetched.string, "--write-out",
                "%{http_code}",
            ])
        func code(_ answer: CommandOutput) -> Int { Int(answer.output.trimmed) ?? 0 }
        try files.write("", to: Self.fetched, mode: .secret)
        let answer = try await fetch.run(every: pause, runner) { answer in
            try files.write("", to: Self.fetched, mode: .secret)
            return code(answer) != 404 && (answer.status != Fetch.refused || code(answer) >= 500)
        }
        if answer.status == 0 { return true }
        if code(answer) == 404 { return false }
        throw Diagnosis(
            "autoinstall.unreachable", "the answers cannot be fetched from \(address)",
            remedies: ["check the network: networkctl status", "check the server: curl -v \(address)"], exit: .unavailable,
            causes: answer.errors.lines)
    }
}

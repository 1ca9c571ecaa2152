import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// What `kldload pxe export` made: a tree for a TFTP server, one for a web server, examples for both, and the mark by which kldload knows its own.
public struct PXETree: Sendable, Hashable {
    public let folder: FilePath
    public var http: FilePath { folder.appending("http") }
    public var tftp: FilePath { folder.appending("tftp") }
    var answers: FilePath { http.appending(PXEArming.folder) }

    static let mark = "kldload-pxe"
    private static let head = "kldload pxe 1"

    /// Where machines reach it.
    public let address: PXEAddress

    /// The text of the mark.
    static func mark(_ address: PXEAddress, version: String) -> String { "\(head)\nurl \(address)\nversion \(version)\n" }

    /// - Throws: ``Diagnosis`` `pxe.no-tree`.
    public init(_ folder: FilePath, files: any FileSystem) throws {
        self.folder = folder
        guard let address = try Self.address(folder, files) else {
            throw Diagnosis(
                "pxe.no-tree", "\(folder) is no tree of kldload for starting machines over the network",
                remedies: ["make one: kldload pxe export --iso kldload.iso --url http://… -o \(folder)"], exit: .inputMissing)
        }
        self.address = address
    }

    /// - Returns: `nil` for a folder without the mark.
    static func address(_ folder: FilePath, _ files: any FileSystem) throws -> PXEAddress? {
        guard try files.exists(folder.appending(mark)) else { return nil }
        let lines = try files.readText(folder.appending(mark)).lines
        guard lines.first == head, let url = lines.first(where: { $0.hasPrefix("url ") }) else { return nil }
        return try? PXEAddress(String(url.dropFirst("url ".count)))
    }

    // MARK: Machines

    /// A machine that finds answers here.
    public struct Armed: Sendable, Hashable {
        public var machine: PXEMachine
        /// With its answers, below ``PXETree/http``.
        var token: String
    }

    /// In the order of their names; one twice when arming it was cut off.
    public func armed(_ files: any FileSystem) throws -> [Armed] {
        try files.folders(in: answers).flatMap { token in
            try files.list(answers.appending(token)).compactMap { name in
                guard name.hasSuffix(".env"), let machine = PXEMachine(name: String(name.dropLast(".env".count))) else { return nil }
                return Armed(machine: machine, token: token)
            }
        }.sorted { ($0.machine, $0.token) < ($1.machine, $1.token) }
    }

    /// Makes answers findable for one machine. At every moment its files are the old ones or the new ones, whole.
    ///
    /// - Parameters:
    ///   - answers: the text that the digest is of.
    ///   - old: what is armed already.
    func arming(_ arming: PXEArming, _ answers: Secret, replacing old: [Armed]) -> Plan {
        let place = http.appending(arming.path)
        return Plan(
            "arm \(arming.machine)",
            [
                Phase(
                    "pxe", "Answers for \(arming.machine)",
                    [
                        Step(
                            "pxe.answers", "Put its answers where nobody else looks", Self.publishing(arming, answers, below: http),
                            undo: [.remove(place.removingLastComponent())]),
                        Step("pxe.lead", "Lead the machine there", Self.leading(arming, address, below: tftp)),
                        Step(
                            "pxe.forget", "Remove what it found before",
                            old.filter { $0.machine == arming.machine && $0.token != arming.token }.map {
                                .remove(self.answers.appending($0.token))
                            }),
                    ])
            ])
    }

    /// From then on no machine of these finds anything.
    public func disarming(_ machines: [Armed]) -> Plan {
        let names = Set(machines.map(\.machine)).sorted()
        return Plan(
            "disarm \(names.map(\.description).joined(separator: ", "))",
            [
                Phase(
                    "pxe", "Answers",
                    [
                        Step(
                            "pxe.disarm", "Lead no machine to its answers, and remove them",
                            names.flatMap { machine in
                                PXEArming.menuEndings.map { .remove(tftp.appending(PXEMenus.machines).appending(machine.name + $0)) }
                            } + machines.map { .remove(answers.appending($0.token)) })
                    ])
            ])
    }

    /// Its folder belongs to the group that may read answers, and gives that on.
    static func publishing(_ arming: PXEArming, _ answers: Secret, below http: FilePath) -> [Action] {
        let place = http.appending(arming.path)
        return [
            .makeDirectory(place.removingLastComponent(), mode: 0o2750), .write(place, content: .secret(answers), mode: 0o640),
        ]
    }

    static func leading(_ arming: PXEArming, _ address: PXEAddress, below tftp: FilePath) -> [Action] {
        arming.menus(address).map { .write(tftp.appending($0.path), content: .text($0.text)) }
    }
}

/// Answers as they are published for one machine.
public struct PXEAnswers: Sendable, Hashable {
    public let machine: PXEMachine
    let text: Secret
    let arming: PXEArming

    /// Runs: `sha256sum --binary` on its standard input, reads.
    /// - Parameters:
    ///   - text: `KLDLOAD_KEY=value` lines.
    ///   - allowingSecrets: though a machine on that network that takes this one's name can read them.
    ///   - token: 32 hexadecimal digits that nobody guesses.
    /// - Throws: ``Diagnosis`` `pxe.secret-answers`.
    public init(
        _ text: String, for machine: PXEMachine, allowingSecrets: Bool, token: String = PXEAnswers.randomToken(), runner: any CommandRunner
    ) async throws {
        let open = Self.secrets(in: text)
        guard open.isEmpty || allowingSecrets else {
            throw Diagnosis(
                "pxe.secret-answers", "the answers for \(machine) hold secrets that whoever takes its place on the network could read",
                remedies: [
                    "give passwords as hashes: KLDLOAD_PASSWORD_HASH, from openssl passwd -6",
                    "or take that risk, on a network that is yours, for as long as the machine is armed: --with-secrets",
                ], exit: .badAnswers, causes: open)
        }
        let command = FileCommand.digest(of: Secret(text))
        self.machine = machine
        self.text = Secret(text)
        arming = PXEArming(machine: machine, token: token, digest: try SHA256Sum.parse(await runner.run(command).output))
    }

    /// From the kernel's generator. Source: getrandom(2).
    public static func randomToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<32).map { _ in String(Int.random(in: 0..<16, using: &generator), radix: 16) }.joined()
    }
}

import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldInstall
import KldTerminal

/// The guided installation: six screens that make the same answers as a file does. A value, without a terminal.
struct GuidedInstall: Sendable {
    /// What can be installed from here: `debian`, `trixie`, `core`.
    struct Payload: Sendable, Hashable {
        var distro: String
        var release: String
        var profile: String

        /// - Parameter folder: its name on a medium, `debian-trixie-core`.
        init?(folder: String) {
            let parts = folder.split(separator: "-", maxSplits: 2).map(String.init)
            guard parts.count == 3 else { return nil }
            (distro, release, profile) = (parts[0], parts[1], parts[2])
        }

        var name: String { "\(distro)-\(release)-\(profile)" }
    }

    enum Screen: Int, CaseIterable, Sendable { case disks, system, region, account, network, plan }

    static let titles = ["Disks", "System", "Region", "Account", "Network and security", "What will be done"]

    let facts: MachineFacts
    let payloads: [Payload]
    private(set) var forms: [Form]
    private(set) var screen = Screen.disks

    /// - Throws: ``Diagnosis`` `guided.no-payload`, `guided.no-disk`; where no disk will do, what ``DiskSelection`` has against the largest.
    init(facts: MachineFacts, payloads: [Payload]) throws(Diagnosis) {
        guard let first = payloads.first else {
            throw Diagnosis(
                "guided.no-payload", "there is nothing here that could be installed",
                remedies: ["start from a medium that carries systems: kldload iso build --profile server,core"], exit: .inputMissing)
        }
        self.facts = facts
        self.payloads = payloads
        let smallest = payloads.compactMap { try? ProfileSpec.find($0.profile) }.min { $0.leastDisk < $1.leastDisk } ?? ProfileSpec.core
        let others = facts.disks.filter { !facts.liveDisks.contains($0.path) }
        let disks = others.filter { !$0.readOnly && $0.size >= smallest.leastDisk }
        guard !disks.isEmpty else {
            do {
                try DiskSelection.refuseLargest(of: others, facts, smallest.leastDisk, for: "the profile \(smallest.id)")
            } catch { throw Diagnosis(of: error) }
            throw Diagnosis(
                "guided.no-disk", "this machine has no disk that could be installed on",
                remedies: ["see what there is: lsblk", "a controller that needs a driver: dmesg"], exit: .inputMissing)
        }
        func keys(_ name: String) -> String { AnswerKey.named(name)?.defaultValue ?? "" }
        let topologies: [Form.Option] = [
            .init("single", "one disk"), .init("mirror", "mirror: two disks or more, each with everything"),
            .init("raidz1", "raidz1: three disks or more, one may fail"), .init("mirror-stripe", "striped mirrors: four disks or more"),
        ]
        // On one machine with several cards, one address is for one of them.
        let interfaces =
            facts.cabled.count > 1
            ? [
                Form.Field(
                    "KLDLOAD_NET_IFACE", "Card", .choice(facts.cabled.map { .init($0, $0) }), value: facts.cabled[0],
                    help: "With a fixed address: which card has it.")
            ] : []
        forms = [
            Form(
                Self.titles[0],
                disks.map { disk in
                    Form.Field(
                        facts.stableName(disk), Self.describe(disk, facts), .toggle, value: disks.count == 1 ? "1" : "",
                        help: "\(facts.stableName(disk)). Space or Left/Right chooses it. Nothing is written before the last screen.")
                } + [
                    Form.Field(
                        "KLDLOAD_ZFS_TOPOLOGY", "Layout", .choice(topologies), value: "single", help: "How the disks are used together.")
                ]),
            Form(
                Self.titles[1],
                [
                    Form.Field("KLDLOAD_HOSTNAME", "Host name", .text, help: "The machine's name: letters, digits and hyphens."),
                    Form.Field(
                        "payload", "What to install", .choice(payloads.map { .init($0.name, "\($0.distro) \($0.release), \($0.profile)") }),
                        value: first.name, help: "What this medium carries."),
                ]),
            Form(
                Self.titles[2],
                [
                    Form.Field(
                        "KLDLOAD_TIMEZONE", "Time zone", .text, value: keys("KLDLOAD_TIMEZONE"),
                        help: "UTC, Europe/Vienna, America/New_York…"),
                    Form.Field("KLDLOAD_LOCALE", "Language", .text, value: keys("KLDLOAD_LOCALE"), help: "en_US.UTF-8, de_AT.UTF-8…"),
                    Form.Field(
                        "KLDLOAD_KEYBOARD_LAYOUT", "Keyboard", .text, value: keys("KLDLOAD_KEYBOARD_LAYOUT"),
                        help: "us, de, fr…: the machine's. This console keeps a US one, so what you type next is shown unless it is us."),
                ]),
            Form(
                Self.titles[3],
                [
                    Form.Field(
                        "KLDLOAD_USERNAME", "User", .text, value: keys("KLDLOAD_USERNAME"), help: "May use sudo. root has no password."),
                    Form.Field("KLDLOAD_PASSWORD", "Password", .secret, help: "Empty: 'admin', which must be changed at the first login."),
                    Form.Field("repeat-password", "Password again", .secret, help: "The same once more."),
                    Form.Field(
                        "KLDLOAD_SSH_PUBKEY", "SSH key", .text,
                        help: "A public key, as ssh-keygen writes it: ssh-ed25519 AAAA…; may be empty."),
                ]),
            Form(
                Self.titles[4],
                [
                    Form.Field(
                        "KLDLOAD_NET_METHOD", "Network", .choice([.init("dhcp", "DHCP"), .init("static", "a fixed address")]), value: "dhcp"
                    )
                ] + interfaces + [
                    Form.Field("KLDLOAD_NET_IP", "Address", .text, help: "With a fixed address: 192.0.2.10"),
                    Form.Field("KLDLOAD_NET_PREFIX", "Prefix", .text, help: "With a fixed address: 24"),
                    Form.Field("KLDLOAD_NET_GATEWAY", "Gateway", .text, help: "With a fixed address: 192.0.2.1"),
                    Form.Field("KLDLOAD_NET_DNS", "Name servers", .text, help: "With a fixed address; separated by spaces."),
                    Form.Field(
                        "KLDLOAD_ZFS_PASSPHRASE", "Passphrase", .secret,
                        help: "Encrypts the disks: it is asked for at each start. 8 characters or more; empty: no encryption."),
                    Form.Field("repeat-passphrase", "Passphrase again", .secret, help: "The same once more."),
                    Form.Field(
                        "KLDLOAD_ENABLE_SECURE_BOOT", "Sign for Secure Boot", .toggle, value: "1",
                        help: "A key of the machine's own signs what it boots."),
                ]),
            Form(Self.titles[5], []),
        ]
    }

    static func describe(_ disk: BlockDevice, _ facts: MachineFacts) -> String {
        let holds =
            facts.importedPools[disk.path].map { "in use by the pool \($0)" } ?? disk.allMountpoints.first.map { "in use at \($0)" }
            ?? (disk.isEmpty ? "empty" : "holds " + (disk.tree.compactMap { $0.label ?? $0.filesystem }.first ?? "partitions"))
        return ([disk.path, disk.size.description] + [disk.model].compactMap { $0 } + [holds]).joined(separator: " ")
    }

    // MARK: Answers

    private func form(_ screen: Screen) -> Form { forms[screen.rawValue] }

    /// The chosen disks, by their stable names.
    var disks: [String] { form(.disks).fields.filter { $0.kind == .toggle && $0.value == "1" }.map(\.id) }

    /// As ``Answers`` takes them: what was left empty has its default.
    var overrides: [String] {
        var values: [(String, String)] = []
        if let payload = payloads.first(where: { $0.name == form(.system).value("payload") }) {
            values += [("KLDLOAD_DISTRO", payload.distro), ("KLDLOAD_SUITE", payload.release), ("KLDLOAD_PROFILE", payload.profile)]
        }
        values += [("KLDLOAD_DISK", disks.first ?? ""), ("KLDLOAD_ZFS_DATA_DISKS", disks.dropFirst().joined(separator: " "))]
        let isFixed = form(.network).value("KLDLOAD_NET_METHOD") == "static"
        for form in forms {
            for field in form.fields where field.id.hasPrefix("KLDLOAD_") {
                let value = field.kind == .toggle && field.value.isEmpty ? "0" : field.value
                if field.id.hasPrefix("KLDLOAD_NET_"), field.id != "KLDLOAD_NET_METHOD", !isFixed { continue }
                values.append((field.id, value))
            }
        }
        if !form(.network).value("KLDLOAD_ZFS_PASSPHRASE").isEmpty { values.append(("KLDLOAD_ZFS_ENCRYPT", "1")) }
        return values.filter { !$0.1.isEmpty }.map { "\($0.0)=\($0.1)" }
    }

    func answers() throws(AnswersError) -> Answers { try Answers("", source: "the screens", overrides: overrides) }

    /// What is wrong with what stands on a screen, and at which field where that is known; `nil`: nothing is.
    private func problem(_ screen: Screen) -> (field: String?, text: String)? {
        switch screen {
        case .disks where disks.isEmpty: return (nil, "no disk is chosen")
        case .system where form(.system).value("KLDLOAD_HOSTNAME").isEmpty: return ("KLDLOAD_HOSTNAME", "the machine needs a name")
        case .account where form(.account).value("KLDLOAD_PASSWORD") != form(.account).value("repeat-password"):
            return ("repeat-password", "the two passwords differ")
        case .network where form(.network).value("KLDLOAD_ZFS_PASSPHRASE") != form(.network).value("repeat-passphrase"):
            return ("repeat-passphrase", "the two passphrases differ")
        default: break
        }
        do throws(AnswersError) {
            let answers = try answers()
            if screen == .disks || screen == .system {
                do { _ = try DiskSelection(answers, facts) } catch {
                    let found = Diagnosis(of: error)
                    // Whether a disk is large enough depends on what the second screen chooses.
                    if screen == .system || found.code != "disk.too-small" { return (nil, found.message) }
                }
            }
            return nil
        } catch {
            // What later screens will say is not missing yet. The last one of them hears the rest.
            let keys = Set(form(screen).fields.map(\.id) + (screen == .disks ? ["KLDLOAD_DISK", "KLDLOAD_ZFS_DATA_DISKS"] : []))
            let own = error.problems.first { problem in problem.key.map(keys.contains) ?? false }
            return (own ?? (screen == .network ? error.problems.first : nil)).map { ($0.key, "\($0.message); \($0.remedy)") }
        }
    }

    // MARK: Keys

    enum Outcome: Sendable, Equatable { case stays, quits, plans, installs }

    /// - Returns: `plans`: the last screen is to be filled with ``show(_:wipes:losses:)``; `installs`: every disk's name was typed.
    mutating func handle(_ key: TerminalKey) -> Outcome {
        switch forms[screen.rawValue].handle(key) {
        case .stays: return .stays
        case .quit: return .quits
        case .back:
            guard let before = Screen(rawValue: screen.rawValue - 1) else { return .quits }
            screen = before
            return .stays
        case .next:
            if let found = problem(screen) {
                forms[screen.rawValue].complain(found.text, at: found.field)
                return .stays
            }
            if screen == .plan {
                guard let wrong = forms[screen.rawValue].fields.first(where: { $0.value != $0.id }) else { return .installs }
                forms[screen.rawValue].complain("type \(wrong.id) exactly, or Esc to go back: nothing has been written", at: wrong.id)
                return .stays
            }
            guard let next = Screen(rawValue: screen.rawValue + 1) else { return .stays }
            if screen == .region { showSecrets(form(.region).value("KLDLOAD_KEYBOARD_LAYOUT") != "us") }
            screen = next
            return next == .plan ? .plans : .stays
        }
    }

    /// This console has a US keyboard, whatever the machine will have: who types a secret for another one must see what it became.
    private mutating func showSecrets(_ shown: Bool) {
        for place in [Screen.account, .network] {
            for index in forms[place.rawValue].fields.indices where forms[place.rawValue].fields[index].isSecret {
                forms[place.rawValue].fields[index].kind = shown ? .text : .secret
            }
        }
    }

    /// Puts a plan onto the last screen, with a question for each disk that it wipes.
    ///
    /// - Parameter losses: what other disks lose with one, by its name: told where its name is asked for.
    mutating func show(_ plan: [String], wipes disks: [String], losses: [String: [String]]) {
        forms[Screen.plan.rawValue] = Form(
            Self.titles[5],
            disks.map { disk in
                let lost = (["Everything on \(disk) will be lost"] + (losses[disk] ?? [])).joined(separator: "; ")
                return Form.Field(disk, "Type \(disk)", .text, help: "\(lost). Its name, typed, starts the installation.")
            },
            text: plan)
    }

    /// Why there is no plan: the screens before are to be changed.
    mutating func refuse(_ message: String) {
        screen = .network
        forms[screen.rawValue].complain(message)
    }

    mutating func lines(columns: Int, rows: Int) -> [String] {
        forms[screen.rawValue].lines(step: "\(screen.rawValue + 1) of \(Screen.allCases.count)", columns: columns, rows: rows)
    }
}

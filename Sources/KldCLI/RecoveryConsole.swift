import KldBootEnv
import KldCore
import KldTerminal

/// What the recovery image's console shows of a machine's pool.
struct RecoveryView: Sendable, Hashable {
    struct Environment: Sendable, Hashable {
        var name: String
        /// `2026-11-21`.
        var created: String
        var used: String
        /// The pool says that it boots.
        var boots: Bool
        /// The newest first.
        var snapshots: [Snapshot]
    }

    struct Snapshot: Sendable, Hashable {
        var label: String
        /// `2026-11-21 02:33`.
        var created: String
        var used: String
    }

    var pool: String
    /// Of the kernel that runs.
    var release: String
    var environments: [Environment]
}

/// The console of the recovery image, as a value: a key changes what is shown, or says what is to be done. It knows no pool and no terminal.
///
/// Nothing is changed by looking around: whatever writes is a line of its own that says so, and going back to a snapshot asks for its name.
struct RecoveryConsole: Sendable {
    enum Action: Sendable, Hashable {
        case stays
        /// Look for the pool again.
        case look
        /// Open this pool; force: whoever used it last does so no more.
        case open(UInt64, force: Bool)
        case unlock(Secret)
        case boot(String)
        case activate(String, once: Bool)
        case clone(of: String, name: String)
        case rollback(to: String, name: String)
        case compare(String, with: String)
        case enter(String)
        case ssh(RecoveryNetwork)
        case endSSH
        case shell, restart, powerOff
    }

    enum Page: Sendable, Hashable {
        /// No pool is open.
        case none
        case pools
        case foreign(UInt64, name: String)
        case home
        case environment(String)
        /// It has no modules for the kernel that runs.
        case kernel(String)
        case snapshots(String)
        case snapshot(String)
        case clone(String)
        case rollback(String)
        case compare(String)
        case network
        /// Somebody may log in.
        case serving
        case passphrase
        case text
    }

    private(set) var view = RecoveryView(pool: "", release: "", environments: [])
    private var stack: [(page: Page, form: Form)] = []

    var page: Page { stack.last?.page ?? .none }
    private static let listKeys = "Up/Down: choose   Enter: go   Esc: back"
    private static let fieldKeys = "Up/Down: field   Enter: on   Esc: back"
    private static let textKeys = "Up/Down, Page Up/Down: scroll   Enter: back"

    init() {}

    // MARK: What is shown

    mutating func lines(columns: Int = 80, rows: Int = 24) -> [String] {
        let last = stack.count - 1
        guard last >= 0 else { return [] }
        return stack[last].form.lines(step: view.pool.isEmpty ? "" : "\(view.pool), Linux \(view.release)", columns: columns, rows: rows)
    }

    /// The first screen of an open pool.
    mutating func show(_ view: RecoveryView) {
        self.view = view
        // Who comes back finds what he had chosen before.
        let chosen = stack.first { $0.page == .home }?.form.chosen?.id
        stack = []
        let environments = view.environments.map { environment in
            Self.line(
                "be:\(environment.name)",
                Self.columns(environment.name, environment.created, environment.used, environment.boots ? "default" : ""),
                "Enter: start it, look into it, or go back to one of its snapshots.")
        }
        push(
            .home, "recovery", environments + Self.commands,
            text: environments.isEmpty ? ["The pool \(view.pool) holds no boot environments."] : [])
        focus(chosen ?? view.environments.first(where: \.boots).map { "be:\($0.name)" })
    }

    private static let commands = [
        line("ssh", "Let an administrator in over the network", "With ssh, by a key that an environment knows. Nothing listens before."),
        line("shell", "A shell of the recovery image", "zpool and zfs are there; the pool is open to be read, below /recovery."),
        line("restart", "Restart", "The boot menu comes again."), line("off", "Power off", ""),
    ]

    /// No pool could be opened.
    mutating func showNone(_ reason: [String]) {
        view = RecoveryView(pool: "", release: "", environments: [])
        stack = []
        push(
            .none, "recovery: no pool",
            [Self.line("look", "Look again", "A slow disk may have come meanwhile.")] + Self.commands.filter { $0.id != "ssh" },
            text: reason)
    }

    /// Several pools could be meant. - Parameter pools: names and numbers.
    mutating func choose(_ pools: [(name: String, guid: UInt64, state: String)]) {
        stack = []
        push(
            .pools, "recovery: which pool?",
            pools.map { Self.line(String($0.guid), Self.columns($0.name, "", $0.state, String($0.guid)), "Enter: open it to be read.") }
                + Self.commands.filter { $0.id != "ssh" })
    }

    /// Another system used the pool last, and did not close it.
    mutating func doubt(_ name: String, _ guid: UInt64) {
        push(
            .foreign(guid, name: name), "a pool in use?",
            [Form.Field("name", "Pool", .text, help: "Type \(name) if no other machine uses it now.")],
            text: [
                "The pool \(name) was last used by another system, and was not closed there.", "",
                "Two machines that use it at once destroy it. If it was this machine under",
                "another system, or a live medium, it is safe.",
            ], keys: Self.fieldKeys)
    }

    /// Asks for the passphrase of a dataset. - Parameter problem: what became of the one before.
    mutating func ask(_ dataset: String, problem: String? = nil) {
        if page == .passphrase { stack.removeLast() }
        push(
            .passphrase, "locked",
            [Form.Field("passphrase", "Passphrase", .secret, help: "Of \(dataset). It is forgotten when the machine restarts.")],
            keys: Self.fieldKeys)
        if let problem { refuse(problem) }
    }

    /// The environment's modules are for other kernels: it has to be started by its own.
    mutating func offerRestart(_ name: String) {
        push(
            .kernel(name), "another kernel",
            [
                Self.line("default", "Boot it from now on: restart into it", "Its own kernel is put onto the ESP where it is not there."),
                Self.line("once", "Boot it once: restart into it", "The boot after is as before."),
            ],
            text: ["\(name) has no modules for Linux \(view.release), which runs here.", "It starts with a kernel of its own."])
    }

    /// A text to be read; then what was there before comes again.
    mutating func tell(_ title: String, _ text: [String]) { push(.text, title, [], text: text, keys: Self.textKeys) }

    /// Somebody may log in, until this screen is left.
    mutating func serve(_ text: [String]) {
        unlocked()
        if page == .network { stack.removeLast() }
        push(.serving, "an administrator may log in", [], text: text, keys: "Enter: end it, and everything that is done there")
    }

    /// What went wrong, on the screen where it was asked for.
    mutating func refuse(_ problem: String) {
        guard !stack.isEmpty else { return showNone([problem]) }
        stack[stack.count - 1].form.complain(problem)
    }

    /// Back to where the passphrase was needed.
    mutating func unlocked() { if page == .passphrase { stack.removeLast() } }

    private mutating func push(_ page: Page, _ title: String, _ fields: [Form.Field], text: [String] = [], keys: String = listKeys) {
        stack.append((page, Form(title, fields, text: text, keys: keys)))
    }

    private mutating func focus(_ id: String?) {
        let last = stack.count - 1
        guard let id, let place = stack[last].form.fields.firstIndex(where: { $0.id == id }) else { return }
        stack[last].form.focus = place
    }

    private static func line(_ id: String, _ label: String, _ help: String) -> Form.Field { Form.Field(id, label, .line, help: help) }

    private static func columns(_ name: String, _ created: String, _ used: String, _ note: String) -> String {
        func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
        let size = String(repeating: " ", count: max(0, 9 - used.count)) + used
        let line = "\(pad(name, 34)) \(pad(created, 16)) \(size)  \(note)"
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    // MARK: What keys do

    mutating func handle(_ key: TerminalKey) -> Action {
        let last = stack.count - 1
        guard last >= 0 else { return .look }
        switch stack[last].form.handle(key) {
        case .stays: return .stays
        case .back, .quit:
            // Only Enter ends what others are in the middle of.
            if page != .serving, stack.count > 1 { stack.removeLast() }
            return .stays
        case .next: return enter(stack[last].page, stack[last].form)
        }
    }

    private mutating func enter(_ page: Page, _ form: Form) -> Action {
        let id = form.chosen?.id ?? ""
        switch id {
        case "shell": return .shell
        case "restart": return .restart
        case "off": return .powerOff
        case "look": return .look
        default: break
        }
        switch page {
        case .none: break
        case .pools: if let guid = UInt64(id) { return .open(guid, force: false) }
        case .foreign(let guid, let name):
            if form.value("name") == name { return .open(guid, force: true) }
            refuse("type \(name) exactly, or go back")
        case .home: if id == "ssh" { pushNetwork() } else { pushEnvironment(String(id.dropFirst(3))) }
        case .environment(let name): return enter(name, id)
        case .kernel(let name): return .activate(name, once: id == "once")
        case .snapshots(let name): pushSnapshot("\(name)@\(id)")
        case .snapshot(let source): pushNaming(source, back: id == "rollback")
        case .clone(let source): return .clone(of: source, name: form.value("name"))
        case .rollback(let source):
            if form.value("confirm") == source { return .rollback(to: source, name: form.value("name")) }
            stack[stack.count - 1].form.complain("type \(source) exactly, or go back", at: "confirm")
        case .compare(let name): return .compare(name, with: id)
        case .network:
            do { return .ssh(try RecoveryNetwork(form.value)) } catch { refuse(error.message) }
        case .serving: return .endSSH
        case .passphrase:
            let typed = form.value("passphrase")
            if !typed.isEmpty { return .unlock(Secret(typed)) }
            refuse("a passphrase has 8 characters or more")
        case .text: if stack.count > 1 { stack.removeLast() }
        }
        return .stays
    }

    private mutating func enter(_ name: String, _ id: String) -> Action {
        switch id {
        case "boot": return .boot(name)
        case "default", "once": return .activate(name, once: id == "once")
        case "enter": return .enter(name)
        case "snapshots":
            let snapshots = view.environments.first { $0.name == name }?.snapshots ?? []
            push(
                .snapshots(name), "snapshots of \(name)",
                snapshots.map { Self.line($0.label, Self.columns($0.label, $0.created, $0.used, ""), "Enter: make an environment of it.") },
                text: snapshots.isEmpty ? ["\(name) has no snapshots."] : [])
        default:
            push(
                .compare(name), "compare \(name) with",
                view.environments.filter { $0.name != name }.map {
                    Self.line($0.name, Self.columns($0.name, $0.created, $0.used, ""), "Packages, kernels and files of /etc.")
                })
        }
        return .stays
    }

    private mutating func pushEnvironment(_ name: String) {
        guard let environment = view.environments.first(where: { $0.name == name }) else { return }
        var fields = [
            Self.line("boot", "Boot it now", "With the kernel that runs here. What boots by default stays what it is."),
            Self.line(
                "default", "Boot it from now on: restart into it", "It is on trial, as always: if it fails, what boots now comes back."),
            Self.line("once", "Boot it once: restart into it", "The boot after is as before."),
            Self.line(
                "snapshots", "Its snapshots: \(environment.snapshots.count)",
                "Make an environment of one, or go back to it. Nothing is lost."
            ),
            Self.line("compare", "Compare it with another environment", "Packages, kernels and files of /etc."),
            Self.line("enter", "A shell in it, which may change it", "The pool is opened for writing until you leave the shell."),
        ]
        if view.environments.count < 2 { fields.removeAll { $0.id == "compare" } }
        push(.environment(name), name, fields)
    }

    private mutating func pushSnapshot(_ source: String) {
        push(
            .snapshot(source), source,
            [
                Self.line("clone", "Make an environment of it", "What boots stays what it is."),
                Self.line("rollback", "Go back to it", "A new environment of it boots next; the one of now is kept."),
            ])
    }

    private mutating func pushNaming(_ source: String, back: Bool) {
        let label = source.split(separator: "@").last.map(String.init) ?? source
        let free = BootEnvironments.free("\(label.prefix(40))-\(back ? "back" : "copy")", view.environments.map(\.name))
        let name = Form.Field("name", "New environment", .text, value: free, help: "Letters, digits and . _ -")
        let confirm = Form.Field("confirm", "Go back to", .text, help: "Type \(source): a new environment of it will boot next.")
        push(
            back ? .rollback(source) : .clone(source), back ? "go back to \(source)" : "an environment of \(source)",
            back ? [name, confirm] : [name], keys: Self.fieldKeys)
    }

    private mutating func pushNetwork() {
        push(
            .network, "let an administrator in",
            [
                Form.Field("method", "Network", .choice([.init("dhcp", "DHCP"), .init("static", "a fixed address")]), value: "dhcp"),
                Form.Field("address", "Address", .text, help: "With a fixed address: 192.0.2.10/24"),
                Form.Field("gateway", "Gateway", .text, help: "With a fixed address; may be empty."),
            ],
            text: [
                "Root may log in with ssh, by a key that stands in the authorized_keys of",
                "root or a user of the machine; by no password. The shell is one in the",
                "environment that boots by default, which it may change until you end it.",
            ], keys: "Up/Down: field   Left/Right: choice   Enter: on   Esc: back")
    }
}

/// How the network comes up for a rescue.
struct RecoveryNetwork: Sendable, Hashable {
    /// What ipconfig is told of a card: see ``words(for:)``; `nil`: DHCP.
    private var fixed: (address: String, mask: String, gateway: String)?

    static func == (a: RecoveryNetwork, b: RecoveryNetwork) -> Bool { a.words(for: "") == b.words(for: "") }
    func hash(into hasher: inout Hasher) { hasher.combine(words(for: "")) }

    /// - Parameter value: of a field. - Throws: ``Diagnosis`` `recovery.network`.
    init(_ value: (String) -> String) throws(Diagnosis) {
        guard value("method") == "static" else { return }
        func refused(_ text: String) -> Diagnosis { Diagnosis("recovery.network", text, remedies: ["or use DHCP"], exit: .badAnswers) }
        let parts = value("address").split(separator: "/").map(String.init)
        guard parts.count == 2, Self.isAddress(parts[0]), let prefix = Int(parts[1]), (1...31).contains(prefix) else {
            throw refused("an address looks like 192.0.2.10/24")
        }
        guard value("gateway").isEmpty || Self.isAddress(value("gateway")) else { throw refused("a gateway looks like 192.0.2.1") }
        let bits = UInt32.max << (32 - UInt32(prefix))
        let mask = [24, 16, 8, 0].map { String(bits >> UInt32($0) & 255) }.joined(separator: ".")
        fixed = (parts[0], mask, value("gateway"))
    }

    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { part in (1...3).contains(part.count) && UInt8(part) != nil }
    }

    /// Arguments of klibc's ipconfig. Source: klibc 2.0, `README.ipconfig`; initramfs-tools(7), `configure_networking`.
    func words(for card: String) -> [String] {
        guard let fixed else { return ["-t", "20", "-c", "dhcp", "-d", card] }
        return ["-t", "20", "-d", "\(fixed.address)::\(fixed.gateway):\(fixed.mask)::\(card):none"]
    }
}

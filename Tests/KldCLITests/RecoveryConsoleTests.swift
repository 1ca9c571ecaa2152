import KldCore
import KldTerminal
import KldTestSupport
import Testing

@testable import KldCLI

@Suite("The console of the recovery image")
struct RecoveryConsoleTests {
    static let view = RecoveryView(
        pool: "rpool", release: "6.12.48+deb13-amd64",
        environments: [
            .init(name: "before-upgrade", created: "2026-11-21", used: "12.5 MiB", boots: false, snapshots: []),
            .init(
                name: "debian", created: "2026-01-01", used: "1.2 GiB", boots: true,
                snapshots: [
                    .init(label: "kbe-before-upgrade-20261121", created: "2026-11-21 02:33", used: "0 B"),
                    .init(label: "install", created: "2026-01-01 10:00", used: "3 MiB"),
                ]),
        ])

    static func console() -> RecoveryConsole {
        var console = RecoveryConsole()
        console.show(view)
        return console
    }

    @discardableResult
    static func press(_ console: inout RecoveryConsole, _ keys: [TerminalKey]) -> RecoveryConsole.Action {
        keys.reduce(.stays) { console.handle($1) }
    }

    static func type(_ text: String) -> [TerminalKey] { text.map { .character($0) } }

    /// Every screen, after the keys that lead to it.
    static var screens: String {
        var text = ""
        func add(_ title: String, _ console: RecoveryConsole) {
            var console = console
            let lines = console.lines().map { line in String(line.reversed().drop { $0 == " " }.reversed()) }
            text += "-- \(title)\n" + lines.joined(separator: "\n") + "\n"
        }
        var console = console()
        add("home", console)
        press(&console, [.enter])
        add("environment", console)
        press(&console, [.down, .down, .down, .down, .enter])
        add("compare", console)
        press(&console, [.escape, .up, .enter])
        add("snapshots", console)
        press(&console, [.down, .enter])
        add("snapshot", console)
        press(&console, [.enter])
        add("clone", console)
        press(&console, [.escape, .down, .enter, .enter, .enter])
        add("rollback, not confirmed", console)
        console = Self.console()
        press(&console, [.down, .enter])
        add("network", console)
        console.serve(["ssh root@ADDRESS opens a shell in debian, which may be changed."])
        add("serving", console)
        console = Self.console()
        console.ask("rpool", problem: "the passphrase is wrong")
        add("passphrase", console)
        console = Self.console()
        console.offerRestart("debian")
        add("another kernel", console)
        console.tell("debian and before-upgrade", (1...40).map { "line \($0)" })
        add("a long text", console)
        console.showNone(["No disk here belongs to a pool."])
        add("no pool", console)
        console.doubt("rpool", 42)
        add("a pool in use", console)
        console.choose([("rpool", 42, "ONLINE"), ("tank", 43, "DEGRADED")])
        add("several pools", console)
        return text
    }

    @Test("every screen has 24 lines of 80 characters, and is as recorded")
    func golden() throws {
        if let difference = try Golden.difference(Self.screens, "recovery-console.txt") { Issue.record(Comment(rawValue: difference)) }
        var console = Self.console()
        #expect(console.lines().count == 24 && console.lines().allSatisfy { $0.count == 80 })
    }

    @Test("what boots by default is chosen first; looking around does nothing")
    func looking() {
        var console = Self.console()
        #expect(Self.press(&console, [.enter]) == .stays && console.page == .environment("debian"))
        #expect(Self.press(&console, [.down, .down, .down, .enter]) == .stays && console.page == .snapshots("debian"))
        #expect(Self.press(&console, [.escape, .escape, .escape, .escape, .interrupt]) == .stays && console.page == .home)
    }

    @Test("each verb is what its line says")
    func verbs() {
        var console = Self.console()
        Self.press(&console, [.enter])
        #expect(console.handle(.enter) == .boot("debian"))
        #expect(Self.press(&console, [.down, .enter]) == .activate("debian", once: false))
        #expect(Self.press(&console, [.down, .enter]) == .activate("debian", once: true))
        #expect(Self.press(&console, [.down, .down, .enter, .enter]) == .compare("debian", with: "before-upgrade"))
        #expect(Self.press(&console, [.escape, .down, .enter]) == .enter("debian"))
        Self.press(&console, [.up, .up, .enter, .down, .enter])
        #expect(console.page == .snapshot("debian@install"))
        #expect(Self.press(&console, [.enter, .enter]) == .clone(of: "debian@install", name: "install-copy"))
        console = Self.console()
        #expect(Self.press(&console, [.down, .down, .enter]) == .shell)
        #expect(Self.press(&console, [.down, .enter]) == .restart)
        #expect(Self.press(&console, [.down, .enter]) == .powerOff)
    }

    @Test("going back asks for the snapshot's name, exactly")
    func confirmed() {
        var console = Self.console()
        Self.press(&console, [.enter, .down, .down, .down, .enter, .down, .enter, .down, .enter])
        #expect(console.page == .rollback("debian@install"))
        #expect(Self.press(&console, [.enter, .enter]) == .stays)
        #expect(Self.press(&console, Self.type("debian@instal") + [.enter]) == .stays)
        #expect(Self.press(&console, Self.type("l") + [.enter]) == .rollback(to: "debian@install", name: "install-back"))
    }

    @Test("a suggested name is one that nobody has, in whatever case")
    func names() {
        var view = Self.view
        view.environments.append(.init(name: "Install-Copy", created: "", used: "", boots: false, snapshots: []))
        var console = RecoveryConsole()
        console.show(view)
        Self.press(&console, [.enter, .down, .down, .down, .enter, .down, .enter, .enter])
        #expect(console.handle(.enter) == .clone(of: "debian@install", name: "install-copy-2"))
    }

    @Test("a suggested name is one that can be taken, whatever the snapshot is called")
    func mapped() {
        let label = "autosnap_2026-11-21_02:30:00_hourly"
        var view = Self.view
        view.environments[1].snapshots = [.init(label: label, created: "", used: "")]
        let source = "debian@\(label)"
        var console = RecoveryConsole()
        console.show(view)
        Self.press(&console, [.enter, .down, .down, .down, .enter, .enter])
        #expect(console.page == .snapshot(source))
        #expect(Self.press(&console, [.enter, .enter]) == .clone(of: source, name: "autosnap_2026-11-21_02-30-00_hourly-copy"))
        Self.press(&console, [.escape, .down, .enter, .enter])
        let action = Self.press(&console, Self.type(source) + [.enter])
        #expect(action == .rollback(to: source, name: "autosnap_2026-11-21_02-30-00_hourly-back"))
    }

    @Test("a pool in use is opened when its name is typed; one of several when it is chosen")
    func pools() {
        var console = RecoveryConsole()
        console.showNone(["in use"])
        console.doubt("rpool", 42)
        #expect(Self.press(&console, Self.type("rpoo") + [.enter]) == .stays)
        #expect(Self.press(&console, Self.type("l") + [.enter]) == .open(42, force: true))
        #expect(Self.press(&console, [.escape, .enter]) == .look)
        console.choose([("rpool", 42, "ONLINE"), ("tank", 43, "ONLINE")])
        #expect(Self.press(&console, [.down, .enter]) == .open(43, force: false))
    }

    @Test("a passphrase is not shown, an empty one is not tried, and afterwards the screen before is there")
    func passphrase() {
        var console = Self.console()
        Self.press(&console, [.enter])
        console.ask("rpool")
        #expect(console.handle(.enter) == .stays)
        Self.press(&console, Self.type("horse"))
        #expect(!console.lines().joined().contains("horse"))
        #expect(console.handle(.enter) == .unlock(Secret("horse")))
        console.unlocked()
        #expect(console.page == .environment("debian"))
    }

    @Test("ssh is asked for with DHCP or an address; only Enter ends it")
    func network() throws {
        var console = Self.console()
        Self.press(&console, [.down, .enter])
        #expect(Self.press(&console, [.enter, .enter, .enter]) == .ssh(try RecoveryNetwork { _ in "" }))
        Self.press(&console, [.up, .up, .right, .down] + Self.type("10.0.2.300/24") + [.enter])
        #expect(console.handle(.enter) == .stays && console.lines().joined().contains("! an address looks like"))
        Self.press(&console, [.up] + [TerminalKey](repeating: .backspace, count: 6) + Self.type("15/22") + [.enter] + Self.type("10.0.2.2"))
        guard case .ssh(let network) = console.handle(.enter) else {
            Issue.record("nothing was asked for")
            return
        }
        #expect(network.words(for: "ens3") == ["-t", "20", "-d", "10.0.2.15::10.0.2.2:255.255.252.0::ens3:none"])
        console.serve([])
        #expect(Self.press(&console, [.escape, .interrupt, .character("q")]) == .stays && console.page == .serving)
        #expect(console.handle(.enter) == .endSSH)
    }
}

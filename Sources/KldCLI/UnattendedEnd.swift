import Glibc
import KldAnswers
import KldCore
import KldTerminal
import SystemPackage

/// How a machine is left that was installed without a person.
struct UnattendedEnd: Equatable {
    var action: Answers.AfterInstall
    /// Why that is not what the answers say.
    var reason: String?
    /// A password stands at the consoles and nowhere else: somebody there has to have read it first.
    var holds: Bool

    /// - Parameters:
    ///   - asked: what the answers say.
    ///   - remembered: whether the seed volume took the result, with the password; `nil` where the answers came from elsewhere.
    ///   - wipes: whether the answers let a disk be wiped that is not empty: else nothing is installed again.
    ///   - asksPassword: the machine does not start without one that was made for it.
    init(_ asked: Answers.AfterInstall, remembered: Bool?, wipes: Bool, asksPassword: Bool) {
        // Started again, it would find the volume again.
        let isForgotten = asked == .reboot && remembered == false && wipes
        action = isForgotten ? .powerOff : asked
        reason =
            isForgotten
            ? "the machine powers off, and does not restart as KLDLOAD_AFTER_INSTALL=reboot says: the seed volume could not be told that it "
                + "has installed this machine, and would do it again; take it out first" : nil
        holds = asksPassword && remembered != true && asked != .stay
    }

    /// What stands at the consoles meanwhile.
    func notice(_ instruction: String) -> String {
        var lines = [instruction.trimmed, "This stands nowhere else, and without it the machine does not start."]
        if let reason { lines.append(reason) }
        let then = action == .reboot ? "restarts" : "powers off"
        lines.append("kldload: installed; the machine stays on until P is pressed here, and \(then) then")
        return lines.joined(separator: "\n")
    }
}

/// Keeps a machine on until somebody at one of its consoles says that it may go on.
enum ConsoleHold {
    /// Shows something at every console, and again after every key but P: who comes later presses one to see anything, and a line that is
    /// plugged in may send some itself. P lies at the same place on the keyboards of most countries.
    ///
    /// - Parameters:
    ///   - consoles: their devices.
    ///   - show: writes to all of them.
    /// - Returns: `false` where none of them is a terminal.
    static func wait(on consoles: [FilePath], every pause: Duration = .seconds(1), show: () -> Void) async throws -> Bool {
        while var screen = try? Screen(consoles.compactMap { Screen.Terminal(path: $0.string) }) {
            let files = screen.terminals.map(\.input)
            defer { for file in files { _ = Glibc.close(file) } }
            show()
            while let pressed = try await screen.key()?.key {
                if case .character(let character) = pressed, character.lowercased() == "p" {
                    screen.close()
                    return true
                }
                show()
            }
            // A login that begins there hangs up whoever has it open.
            try await Task.sleep(for: pause)
        }
        return false
    }
}

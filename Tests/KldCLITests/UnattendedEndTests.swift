import Glibc
import KldAnswers
import SystemPackage
import Testing

@testable import KldCLI

@Suite("How a machine is left that was installed without a person")
struct UnattendedEndTests {
    @Test("as the answers say, where nothing is to be read and the seed volume knows of it", arguments: Answers.AfterInstall.allCases)
    func plain(_ asked: Answers.AfterInstall) {
        for remembered in [true, nil] as [Bool?] {
            let end = UnattendedEnd(asked, remembered: remembered, wipes: true, asksPassword: false)
            #expect(end.action == asked && end.reason == nil && !end.holds)
        }
        #expect(UnattendedEnd(asked, remembered: true, wipes: true, asksPassword: true).holds == false)
    }

    @Test("a seed volume that could not be told would install the machine again: it powers off instead of restarting, and says why")
    func forgotten() throws {
        let end = UnattendedEnd(.reboot, remembered: false, wipes: true, asksPassword: false)
        #expect(end.action == .powerOff && !end.holds)
        let reason = try #require(end.reason)
        #expect(reason.contains("KLDLOAD_AFTER_INSTALL=reboot") && reason.contains("seed volume"))
        // What is installed refuses to be wiped.
        #expect(UnattendedEnd(.reboot, remembered: false, wipes: false, asksPassword: false).action == .reboot)
        for asked in [Answers.AfterInstall.powerOff, .stay] {
            let end = UnattendedEnd(asked, remembered: false, wipes: true, asksPassword: false)
            #expect(end.action == asked && end.reason == nil)
        }
    }

    @Test("a password that stands at the consoles alone keeps the machine on", arguments: [false, nil] as [Bool?])
    func password(_ remembered: Bool?) {
        for asked in [Answers.AfterInstall.powerOff, .reboot] {
            let end = UnattendedEnd(asked, remembered: remembered, wipes: true, asksPassword: true)
            #expect(end.holds)
            let notice = end.notice("\n  type the password: sesame\n")
            #expect(notice.hasPrefix("type the password: sesame\nThis stands nowhere else"))
            #expect(notice.hasSuffix(end.action == .reboot ? "and restarts then" : "and powers off then"))
            #expect((end.reason == nil) == !notice.contains("KLDLOAD_AFTER_INSTALL"))
        }
        #expect(!UnattendedEnd(.stay, remembered: remembered, wipes: true, asksPassword: true).holds)
    }
}

@Suite("A machine that waits for a person at a console")
struct ConsoleHoldTests {
    /// A terminal without a person; what is written to its master is typed. Source: pts(4), ioctl_tty(2), Linux man-pages 6.9: Swift sees
    /// neither posix_openpt(3) nor the names of `TIOCSPTLCK` and `TIOCGPTN`.
    private final class Line: Sendable {
        let master: Int32
        let path: String

        init() throws {
            var (locked, number) = (Int32(0), UInt32(0))
            let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
            guard master >= 0, ioctl(master, 0x4004_5431, &locked) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
                throw Errno(rawValue: errno)
            }
            self.master = master
            path = "/dev/pts/\(number)"
        }

        func type(_ text: String) { _ = try? FileDescriptor(rawValue: master).writeAll(text.utf8) }
        deinit { close(master) }
    }

    @Test("it goes on when P is pressed at one of them, and shows the same again after any other key", .timeLimit(.minutes(10)))
    func pressed() async throws {
        let (first, second) = (try Line(), try Line())
        let consoles = [first.path, "/dev/none", second.path].map { FilePath($0) }
        let shown = Locked(0)
        let held = Task { try await ConsoleHold.wait(on: consoles, every: .milliseconds(1)) { shown.withLock { $0 += 1 } } }
        func wait(for count: Int) async throws {
            while shown.withLock({ $0 }) < count { try await Task.sleep(for: .milliseconds(5)) }
        }
        try await wait(for: 1)
        first.type("\r")
        try await wait(for: 2)
        second.type("x")
        try await wait(for: 3)
        second.type("P")
        #expect(try await held.value)
        #expect(shown.withLock { $0 } == 3)
    }

    @Test("where no console is a terminal, nobody is waited for")
    func none() async throws {
        #expect(try await !ConsoleHold.wait(on: []) {})
        #expect(try await !ConsoleHold.wait(on: ["/dev/null", "/dev/none"]) {})
    }
}

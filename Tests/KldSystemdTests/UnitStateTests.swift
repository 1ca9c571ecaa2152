import KldExec
import KldSystemd
import Testing

struct UnitStateTests {
    /// Recorded with systemd 257: no error for a unit that does not exist.
    static let shown = """
        Type=notify
        Id=ssh.service
        Names=ssh.service sshd.service
        LoadState=loaded
        ActiveState=active
        SubState=running
        UnitFileState=enabled

        Type=oneshot
        Id=sanoid.service
        Names=sanoid.service
        LoadState=loaded
        ActiveState=inactive
        SubState=dead
        UnitFileState=static

        Id=gone.timer
        Names=gone.timer
        LoadState=not-found
        ActiveState=inactive
        SubState=dead
        UnitFileState=

        """

    @Test func `units are read with all their names`() {
        let units = UnitState.parse(Self.shown)
        #expect(units.map(\.names) == [["ssh.service", "sshd.service"], ["sanoid.service"], ["gone.timer"]])
        #expect(units.map(\.told) == ["active", "waiting", "not installed"])
        #expect(units.map(\.problem) == [nil, nil, "is not-found"])
        #expect(UnitState.parse("").isEmpty)
    }

    @Test(arguments: [
        ("active", "failed", "is failed (running)", "failed"), ("active", "reloading", nil, "active"),
        ("enabled", "disabled", "is disabled", "active"), ("loaded", "masked", "is masked", "masked"),
        ("active", "inactive", "is inactive (running)", "inactive"),
    ])
    func `what is wrong with a service is said`(_ change: (was: String, now: String, problem: String?, told: String)) {
        let text = Self.shown.replacing("=\(change.was)\n", with: "=\(change.now)\n", maxReplacements: 1)
        let unit = UnitState.parse(text)[0]
        #expect(unit.problem == change.problem && unit.told == change.told)
    }

    @Test func `only jobs under way are counted, and failed units by their names`() {
        let jobs = "145 cloud-final.service start running\n146 multi-user.target start waiting\n\n"
        #expect(Systemctl.running(jobs) == ["cloud-final.service"])
        #expect(Systemctl.names("nginx.service loaded failed failed A server\n") == ["nginx.service"])
        #expect(Systemctl.reboot(waiting: false).description == "systemctl --no-block reboot")
    }
}

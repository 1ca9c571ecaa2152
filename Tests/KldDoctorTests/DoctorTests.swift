import FoundationEssentials
import KldCore
@testable import KldDoctor
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite struct `kldload-doctor` {
    static func machine() -> HealthyMachine { `kldload verify`.healthy() }

    @Test func `is content with a healthy machine`() async throws {
        let report = try await Doctor.run(Self.machine().context(), checks: Check.everything)
        #expect(
            report.results.filter { $0.status != .ok }.map { "\($0.name) \($0.status): \($0.actual)" }
                == ["disks.smart skip: no disk here could tell"])
        #expect(report.exitStatus == .done && report.summary.warn == 0)
    }

    @Test(arguments: HealthFault.all) func `sees`(fault: Fault) async throws {
        var machine = Self.machine()
        fault.inject(&machine)
        let result = try #require(try await machine.result(fault.check))
        #expect(result.status == fault.status, "\(result.actual)")
        #expect(result.remediation?.isEmpty == false || fault.status == .skip || fault.status == .ok)
    }

    @Test func `has a fault for every check of health`() {
        #expect(Set(Check.health.map(\.id)) == Set(HealthFault.all.filter { $0.status == .fail || $0.status == .warn }.map(\.check)))
        #expect(Set(Check.everything.map(\.id)).count == Check.everything.count)
    }

    /// Core has no policy of snapshots, no authority, no efibootmgr: nothing is wrong with that.
    @Test func `is content with a small machine`() async throws {
        var machine = Self.machine()
        machine.manifest?.profile = "core"
        for path in ["/etc/sanoid/sanoid.conf", "/etc/kldload/ca/root/ca.crt", "/etc/kldload/ca/issued/web/current"] {
            machine.files[path] = nil
        }
        machine.units["sanoid.timer"] = nil
        machine.units["kldload-snapshot.timer"] = HealthyMachine.unit(
            "kldload-snapshot.timer", ["ActiveState": "inactive", "UnitFileState": "disabled"])
        machine.commands[HealthyMachine.snapshots]?.output = ""
        machine.change("zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs", "tank\t", "other\t")
        let report = try await Doctor.run(machine.context(), checks: Check.everything)
        #expect(report.results.filter { $0.status == .fail || $0.status == .warn }.map { "\($0.name): \($0.actual)" } == [])
    }

    @Test func `does not run what it cannot find`() async throws {
        var machine = Self.machine()
        machine.commands[HealthyMachine.firmware] = nil
        let missing = try machine.context()
        let context = CheckContext(
            runner: ToolMissing(inner: missing.runner, tools: ["efibootmgr"]), files: missing.files, manifest: missing.manifest,
            now: missing.now)
        let result = try #require(
            try await Doctor.run(context, checks: Check.everything, only: ["boot.firmware"]).results.first)
        #expect(result.status == .skip && result.actual == "efibootmgr is not installed")
    }

    @Test func `prints the document of version 1.0, with sums by subsystem`() async throws {
        var machine = Self.machine()
        machine.free = .mebibytes(1)
        let report = try await Doctor.run(
            machine.context(), checks: Check.everything, only: ["system.run", "system.swap", "time.plausible"])
        #expect(
            try DoctorDocument(report).json == """
                {
                  "results" : [
                    {
                      "actual" : "/dev/zram0",
                      "name" : "system.swap",
                      "severity" : "high",
                      "status" : "ok",
                      "subsystem" : "system",
                      "title" : "nothing swaps to a volume of a pool"
                    },
                    {
                      "actual" : "1 MiB free: services cannot start any more",
                      "expected" : "8 MiB free",
                      "name" : "system.run",
                      "remediation" : "du --one-file-system --max-depth=2 /run | sort -n",
                      "severity" : "medium",
                      "status" : "warn",
                      "subsystem" : "system",
                      "title" : "there is room in /run"
                    },
                    {
                      "actual" : "after 2025-11-24T16:00:00Z",
                      "name" : "time.plausible",
                      "severity" : "high",
                      "status" : "ok",
                      "subsystem" : "time",
                      "title" : "the clock is not before the installation"
                    }
                  ],
                  "subsystems" : {
                    "system" : {
                      "fail" : 0,
                      "ok" : 1,
                      "skip" : 0,
                      "warn" : 1
                    },
                    "time" : {
                      "fail" : 0,
                      "ok" : 1,
                      "skip" : 0,
                      "warn" : 0
                    }
                  },
                  "summary" : {
                    "fail" : 0,
                    "ok" : 2,
                    "skip" : 0,
                    "warn" : 1
                  },
                  "version" : "1.0"
                }

                """)
    }

    @Test func `shows a person the worst first, and not what is well`() async throws {
        var machine = Self.machine()
        machine.free = .mebibytes(1)
        machine.edit("/proc/swaps", "/dev/zram0", "/dev/zd0")
        let report = try await Doctor.run(machine.context(), checks: Check.everything, only: ["boot.esp.space", "system"])
        let lines = report.problems.lines
        #expect(
            lines.filter { $0.hasPrefix("FAIL") || $0.hasPrefix("WARN") }.map { $0.words[1] } == [
                "system.swap:", "boot.esp.space:", "system.run:",
            ])
        #expect(lines.last == "4 ok, 1 failed, 2 warnings, 0 skipped")
    }

    @Test func `says that a command did not end, and goes on`() async throws {
        let inner = try Self.machine().context()
        let context = CheckContext(
            runner: TimeLimitRunner(Stuck(inner: inner.runner, tool: "zdb"), limit: .milliseconds(50)), files: inner.files,
            manifest: inner.manifest, now: inner.now)
        let report = try await Doctor.run(context, checks: Check.everything, only: ["zfs.hostid", "zfs.versions"])
        #expect(report.results.map(\.status) == [.ok, .fail])
        #expect(report.results[1].actual.hasPrefix("zdb did not end within"))
    }
}

@Suite struct `kldload-doctor --fix` {
    private func plan(_ change: (inout HealthyMachine) -> Void) async throws -> [String] {
        var machine = `kldload-doctor`.machine()
        change(&machine)
        let context = try machine.context()
        let report = try await Doctor.run(context, checks: Check.everything)
        return try await Doctor.fixes(report, context).steps.flatMap { step in step.actions.map { "\(step.id): \($0.text)" } }
    }

    @Test func `has nothing to do on a healthy machine`() async throws { #expect(try await plan { _ in } == []) }

    @Test func `holds, enables, closes and mounts again, and nothing else`() async throws {
        let steps = try await plan {
            $0.change(Fault.packages, "hold\tinstalled\tzfsutils-linux", "install\tinstalled\tzfsutils-linux")
            $0.unit("ssh.service", "UnitFileState", "disabled")
            $0.unit("sanoid.timer", "ActiveState", "inactive")
            $0.unit("zfs-zed.service", "ActiveState", "inactive")
            $0.modes["/etc/ssh/ssh_host_ed25519_key"] = 0o644
            $0.modes["/var/lib/dkms/mok.key"] = 0o644
            $0.change("timedatectl show --property=NTP --property=NTPSynchronized", "NTP=yes", "NTP=no")
            $0.set(
                "systemctl list-units --failed --plain --no-legend --no-pager",
                "zfs-import-cache.service loaded failed failed x\nours.service loaded failed failed y\n")
            $0.change(Fault.datasets, "/opt\ton\tyes", "/opt\ton\tno")
        }
        #expect(
            steps == [
                "fix.zfs.layout: zfs mount rpool/opt",
                "fix.packages.holds: apt-mark hold zfsutils-linux",
                "fix.services.units: systemctl enable --now ssh.service",
                "fix.services.timers: systemctl enable --now sanoid.timer",
                "fix.services.zed: systemctl enable --now zfs-zed.service",
                "fix.services.failed: systemctl reset-failed zfs-import-cache.service",
                "fix.services.failed: systemctl start zfs-import-cache.service",
                "fix.time.sync: timedatectl set-ntp true",
                "fix.ssh.host-keys: chmod 0600 /etc/ssh/ssh_host_ed25519_key",
                "fix.secrets.permissions: chmod 0600 /var/lib/dkms/mok.key",
            ])
    }

    @Test func `does not mount over files, and leaves masked and failed units alone`() async throws {
        let steps = try await plan {
            $0.change(Fault.datasets, "/opt\ton\tyes", "/opt\ton\tno")
            $0.files["/opt/lost"] = ""
            $0.unit("ssh.service", "ActiveState", "failed")
            $0.unit("zfs-zed.service", "LoadState", "masked")
        }
        #expect(steps == [])
    }

    @Test func `stages what boots again where an ESP lacks it`() async throws {
        #expect(
            try await plan { $0.files["/boot/efi/EFI/BOOT/BOOTX64.EFI"] = nil }.contains(
                "fix.boot.esp: /usr/lib/kldload/kldload boot refresh"))
    }

    @Test func `never destroys, and names only checks that there are`() async throws {
        #expect(Fix.all.allSatisfy { fix in Check.everything.contains { $0.id == fix.check } })
        #expect(Set(Fix.all.map(\.check)).count == Fix.all.count)
    }

    @Test func `is listed in the page about it`() throws {
        let page = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent().appending("docs/doctor.md")
        let text = try LocalFiles().readText(page)
        for fix in Fix.all { #expect(text.contains("| `\(fix.check)` |"), "\(fix.check): \(fix.title)") }
        for check in Check.health { #expect(text.contains("`\(check.id)`"), "\(check.id)") }
    }
}

/// Pretends that some tools are not installed.
private struct ToolMissing: CommandRunner {
    var inner: any CommandRunner
    var tools: Set<String>
    func run(_ command: Command) async throws -> CommandOutput {
        if tools.contains(command.tool.name) { throw CommandError.toolMissing(command.tool) }
        return try await inner.run(command)
    }
    func run(pipeline: [Command]) async throws -> CommandOutput { try await inner.run(pipeline: pipeline) }
}

/// One tool never ends, whatever is asked of it.
private struct Stuck: CommandRunner {
    var inner: any CommandRunner
    var tool: String
    func run(_ command: Command) async throws -> CommandOutput {
        guard command.tool.name == tool else { return try await inner.run(command) }
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
        return CommandOutput()
    }
    func run(pipeline: [Command]) async throws -> CommandOutput { try await inner.run(pipeline: pipeline) }
}

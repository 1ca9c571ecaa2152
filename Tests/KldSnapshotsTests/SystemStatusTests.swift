import KldBoot
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldSnapshots

@Suite struct SystemStatusTests {
    static let usage = "rpool\t7516192768\t1288490188\t6227702580\t3\t17\t1.00\tONLINE\toff\trpool/ROOT/debian\n"
    static let healthy = #"""
        {"pools":{"rpool":{"name":"rpool","state":"ONLINE","error_count":0,
        "scan_stats":{"function":"SCRUB","state":"FINISHED","errors":0,"end_time":1785800000}}}}
        """#
    static let datasets = """
        rpool\tfilesystem\t9\t0\t1.00\t1\t-\t-\tnone
        rpool/ROOT\tfilesystem\t9\t0\t1.00\t1\t-\t-\tnone
        rpool/ROOT/debian\tfilesystem\t900\t100\t1.85\t1\t-\t-\t/
        rpool/ROOT/debian@a\tsnapshot\t1\t-\t1.00\t1785999400\t1\t-\t-
        rpool/ROOT/next\tfilesystem\t1\t0\t1.00\t1\t-\t-\t/
        rpool/vol\tvolume\t1\t50\t1.00\t1\t-\t-\t-
        rpool/secret\tfilesystem\t1\t0\t1.00\t1\t-\tunavailable\t/secret

        """
    static let units = """
        Id=zfs-zed.service
        Names=zfs-zed.service
        LoadState=loaded
        ActiveState=active
        SubState=running
        Type=simple

        Id=ssh.service
        Names=ssh.service sshd.service
        LoadState=loaded
        ActiveState=inactive
        SubState=dead
        Type=notify

        Id=sanoid.timer
        Names=sanoid.timer
        LoadState=not-found
        ActiveState=inactive
        SubState=dead

        """
    static let entry = BootEntry(dataset: "rpool/ROOT/debian", release: "6.12.9", order: 100)

    static func files(_ more: [String: String] = [:]) -> MemoryFiles {
        var texts = [
            "/proc/sys/kernel/hostname": "web-1\n", "/proc/sys/kernel/osrelease": "6.12.9\n", "/sys/module/zfs/version": "2.4.4-1\n",
            "/boot/vmlinuz-6.12.9": "x", "/boot/efi/\(entry.path)": entry.text, "/proc/loadavg": "0.10 0.20 0.30 1/100 5\n",
            "/proc/uptime": "200000.1 1\n", "/proc/meminfo": "MemTotal:  2000000 kB\nMemAvailable:  1000000 kB\n",
            "/proc/spl/kstat/zfs/arcstats":
                "9 1 0x01\nname type data\nhits 4 98\nmisses 4 2\nsize 4 1000\nc_max 4 1021313024\nc_min 4 100\n",
        ]
        texts.merge(more) { $1 }
        return Machine.files(texts)
    }

    /// - Parameter answers: by how a command begins.
    static func gather(_ answers: [(String, CommandOutput)] = [], _ files: MemoryFiles = files()) async throws -> (SystemStatus, [Command])
    {
        let standard: [(String, CommandOutput)] = [
            ("zpool list", CommandOutput(output: usage)), ("zpool status", CommandOutput(output: healthy)),
            ("zfs list", CommandOutput(output: datasets)), ("zfs --version", CommandOutput(output: "zfs-2.4.4-1\nzfs-kmod-2.4.4-1\n")),
            ("systemctl list-units", CommandOutput(output: "")), ("systemctl show", CommandOutput(output: units)),
        ]
        let runner = ScriptedRunner([
            { command in (answers + standard).first { command.description.hasPrefix($0.0) }?.1 }
        ])
        let status = try await SystemStatus.gather(runner: runner, files: files, now: Machine.now)
        return (status, runner.commands)
    }

    func line(_ status: SystemStatus, _ id: String) -> SystemStatus.Line? { status.all.first { $0.id == id } }

    @Test func `a healthy machine has no problem, and each tool is asked once`() async throws {
        let (status, commands) = try await Self.gather()
        #expect(status.problems.isEmpty && status.exitStatus == .done)
        #expect(commands.count == 6)
        for start in ["zfs list", "zpool list", "zpool status"] { #expect(commands.count { $0.description.hasPrefix(start) } == 1) }
        #expect(commands.allSatisfy { $0.effect == .reads })
        #expect(status.next == "rpool/ROOT/debian" && line(status, "boot")?.level == .ok && line(status, "restart")?.level == .ok)
        #expect(line(status, "pool.scrub")?.text == "rpool: scrub 2 days ago, no errors")
        #expect(status.datasets?.environments == 2 && status.datasets?.snapshotBytes == 150 && status.datasets?.held == 1)
        #expect(status.datasets?.locked == ["rpool/secret"] && status.datasets?.volumes == 1 && status.datasets?.rootRatio == "1.85")
        #expect(line(status, "snapshots")?.text == "1, 150 B held by them alone, 1 held; the newest 10 min ago: rpool/ROOT/debian@a")
        #expect(line(status, "arc")?.text.contains("98 % hits") == true)
    }

    @Test func `ten thousand snapshots are one call`() async throws {
        let many = Self.datasets + (0..<10_000).map { "rpool/d@s\($0)\tsnapshot\t1\t-\t1.00\t\($0)\t0\t-\t-\n" }.joined()
        let (status, commands) = try await Self.gather([("zfs list", CommandOutput(output: many))])
        #expect(status.datasets?.snapshots == 10_001 && commands.count == 6)
    }

    @Test func `services that are not there are never well`() async throws {
        let (status, _) = try await Self.gather()
        let text = try #require(line(status, "services")?.text)
        #expect(text.hasPrefix("zfs-zed active, ssh inactive, sanoid.timer not installed, kldload-snapshot.timer unknown"))
        let without = Self.units.replacing("ActiveState=active", with: "ActiveState=failed")
        #expect(line(try await Self.gather([("systemctl show", CommandOutput(output: without))]).0, "service")?.level == .notice)
    }

    @Test func `a failed unit is a problem`() async throws {
        let failed = CommandOutput(output: "nginx.service loaded failed failed A web server\n")
        let (status, _) = try await Self.gather([("systemctl list-units", failed)])
        #expect(line(status, "units")?.text == "failed: nginx.service" && status.exitStatus == .problemsFound)
    }

    @Test func `what fails makes a line, and hides nothing else`() async throws {
        let broken = CommandOutput(status: 1, errors: "internal error: out of memory\n")
        for start in ["zpool list", "zpool status", "zfs list", "systemctl list-units", "systemctl show"] {
            let (status, _) = try await Self.gather([(start, broken)])
            #expect(status.all.contains { $0.level == .unknown }, "\(start)")
            #expect(line(status, "memory") != nil && line(status, "restart") != nil, "\(start)")
        }
        let (status, _) = try await Self.gather([("zpool status", broken)])
        #expect(status.pools.map(\.name) == ["rpool"] && line(status, "pool.status")?.level == .unknown)
    }

    @Test func `a degraded pool names its disk, and what to do`() async throws {
        let usage = Self.usage.replacing("ONLINE", with: "DEGRADED")
        let status = """
            {"pools":{"rpool":{"name":"rpool","state":"DEGRADED","status":"One or more devices.","action":"Replace the device.","error_count":2,
            "vdevs":{"rpool":{"name":"rpool","state":"DEGRADED","vdevs":{"m":{"name":"m","state":"DEGRADED","vdevs":{
            "b":{"name":"b","path":"/dev/b","state":"CANT_OPEN","read_errors":5}}}}}}}}}
            """
        let (found, _) = try await Self.gather([
            ("zpool list", CommandOutput(output: usage)), ("zpool status", CommandOutput(output: status)),
        ])
        let problems = found.problems.map(\.text)
        #expect(problems.contains("rpool: is DEGRADED: One or more devices."))
        #expect(
            problems.contains("rpool: /dev/b is UNAVAIL, errors: read 5, write 0, checksum 0") && problems.contains("rpool: 2 data errors"))
        #expect(found.exitStatus == .problemsFound)
    }

    @Test func `of a suspended pool nothing is listed, of the others everything`() async throws {
        let usage = Self.usage + "tank\t-\t-\t-\t-\t-\t-\tSUSPENDED\toff\t-\n"
        let status = Self.healthy.trimmed.dropLast(2) + #","tank":{"name":"tank","state":"SUSPENDED","error_count":0}}}"#
        let (found, commands) = try await Self.gather([
            ("zpool list", CommandOutput(output: usage)), ("zpool status", CommandOutput(output: String(status))),
        ])
        let list = try #require(commands.first { $0.description.hasPrefix("zfs list") })
        #expect(list.arguments.contains("-r") && list.arguments.last == "rpool")
        #expect(found.problems.contains { $0.text == "tank: is SUSPENDED" })
        #expect(found.all.contains { $0.id == "pool.space" && $0.level == .unknown })
    }

    @Test(arguments: [(84, SystemStatus.Level.ok), (85, .notice), (94, .notice), (95, .problem)])
    func `a pool that fills is told in time`(percent: Int, level: SystemStatus.Level) async throws {
        let usage = Self.usage.replacing("\t17\t", with: "\t\(percent)\t")
        #expect(line(try await Self.gather([("zpool list", CommandOutput(output: usage))]).0, "pool.space")?.level == level)
    }

    @Test(arguments: [
        (#"{"function":"SCRUB","state":"FINISHED","errors":0,"end_time":1782000000}"#, SystemStatus.Level.notice),
        (#"{"function":"SCRUB","state":"FINISHED","errors":3,"end_time":1785800000}"#, .problem),
        (#"{"function":"SCRUB","state":"CANCELED","errors":0,"end_time":1785800000}"#, .notice),
        (#"{"function":"SCRUB","state":"SCANNING","errors":0,"to_examine":10,"issued":5}"#, .info),
        (#"{"function":"RESILVER","state":"SCANNING","errors":0,"to_examine":10,"issued":5}"#, .notice),
        (#"{"function":"NONE"}"#, .notice),
    ])
    func `scrubs are judged by their end, their age and their errors`(scan: String, level: SystemStatus.Level) async throws {
        let status = #"{"pools":{"rpool":{"name":"rpool","state":"ONLINE","error_count":0,"scan_stats":\#(scan)}}}"#
        #expect(line(try await Self.gather([("zpool status", CommandOutput(output: status))]).0, "pool.scrub")?.level == level)
    }

    @Test func `OpenZFS before 2.3 is read as text`() async throws {
        let text =
            "  pool: rpool\n state: ONLINE\n  scan: none requested\nconfig:\n\n\tNAME STATE READ WRITE CKSUM\n\trpool ONLINE 0 0 0\n\nerrors: No known data errors\n"
        let (status, commands) = try await Self.gather(
            [("zpool status", CommandOutput(output: text)), ("zfs --version", CommandOutput(output: "zfs-2.1.11-1\n"))],
            Self.files(["/sys/module/zfs/version": "2.1.11-1\n"]))
        #expect(commands.contains { $0.arguments == ["status", "-p", "-P"] } && status.problems.isEmpty)
    }

    @Test func `without the module, and without a pool, it says so`() async throws {
        let (without, commands) = try await Self.gather([], MemoryFiles(["/proc/self/mountinfo": "22 1 0:1 / / rw - overlay overlay rw\n"]))
        #expect(without.problems.map(\.id) == ["zfs"] && !commands.contains { $0.tool.name == "zfs" || $0.tool.name == "zpool" })
        let (empty, _) = try await Self.gather([
            ("zpool", CommandOutput(output: "")), ("zpool status", CommandOutput(output: #"{"pools":{}}"#)),
        ])
        #expect(empty.all.contains { $0.id == "pools" })
    }

    @Test func `a restart is due for a newer kernel, another OpenZFS, another environment, and packages that ask`() async throws {
        let other = BootEntry(dataset: "rpool/ROOT/next", release: "6.12.10", order: 200, counter: .init(left: 3))
        let (status, _) = try await Self.gather(
            [("zfs --version", CommandOutput(output: "zfs-2.4.5-1\nzfs-kmod-2.4.4-1\n"))],
            Self.files([
                "/boot/vmlinuz-6.12.10": "x", "/boot/efi/\(other.path)": other.text, "/run/reboot-required": "",
                "/run/reboot-required.pkgs": "libc6\n",
            ]))
        let text = try #require(line(status, "restart")?.text)
        for part in ["Linux 6.12.10 is installed", "OpenZFS 2.4.5-1 is installed", "rpool/ROOT/next boots next", "libc6"] {
            #expect(text.contains(part))
        }
        #expect(line(status, "boot")?.text == "debian runs, next boots next, on trial; 2 environments")
    }

    @Test func `who may not read the ESP is not told that all is well`() async throws {
        let mounts = Machine.mounts.split(separator: "\n").filter { !$0.contains("/boot/efi") }.joined(separator: "\n") + "\n"
        let (status, _) = try await Self.gather([], Self.files(["/proc/self/mountinfo": mounts]))
        #expect(line(status, "boot")?.level == .unknown && status.next == nil)
    }

    @Test func `ages are told in the unit that fits`() {
        #expect(
            Elapsed.text(3) == "3 s" && Elapsed.text(7000) == "116 min" && Elapsed.text(7200) == "2 h" && Elapsed.text(400_000) == "4 days"
                && Elapsed.text(-5) == "0 s")
    }
}

@Suite struct OverviewTests {
    @Test func `what is not installed says so, and what is there is counted`() async throws {
        let files = SystemStatusTests.files(["/sys/class/net/eth0/operstate": "up\n", "/sys/class/net/lo/operstate": "unknown\n"])
        let runner = ScriptedRunner([
            { command in
                switch command.tool.name {
                case "virsh": CommandOutput(output: " 1    web one    running\n -    db    shut off\n")
                case "wg": CommandOutput(output: "wg0\tAAA=\t1786000000\nwg0\tBBB=\t0\n")
                case "bpftool": CommandOutput(output: "6: cgroup_device  tag 1\n\tloaded_at x\n7: kprobe  tag 2\n")
                case "podman", "nvidia-smi", "kubectl": throw CommandError.toolMissing(command.tool)
                default: CommandOutput(status: 1)
                }
            }
        ])
        let overview = try await Overview.gather(runner: runner, files: files, now: Machine.now)
        let texts = Dictionary(uniqueKeysWithValues: overview.sections.map { ($0.title, $0.lines.map(\.text)) })
        #expect(
            overview.sections.map(\.title) == ["ZFS", "Virtual machines", "Containers", "Kubernetes", "GPU", "Network", "eBPF", "Services"])
        #expect(texts["Virtual machines"] == ["1 of 2 run"] && texts["Containers"] == ["podman is not installed"])
        #expect(
            texts["Kubernetes"] == ["this machine has no configuration of a cluster"] && texts["GPU"] == ["nvidia-smi is not installed"])
        #expect(texts["Network"] == ["eth0 up", "WireGuard wg0: 1 of 2 peers were heard"] && texts["eBPF"] == ["2 programs are loaded"])
        #expect(!runner.commands.contains { $0.tool.name == "kubectl" } && runner.commands.allSatisfy { $0.effect == .reads })
    }
}

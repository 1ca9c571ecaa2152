import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldPackages
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@testable import KldUpkeep

private final class AptMachine: Sendable {
    struct State {
        var installed: [String: String]
        var held: Set<String>
    }
    let state: Mutex<State>
    init(installed: [String: String], held: Set<String>) { state = Mutex(State(installed: installed, held: held)) }
}

@Suite("Changing packages")
struct PackageWorkTests {
    static let now = Timestamp(seconds: 1_700_000_000)

    static func upkeep(_ runner: any CommandRunner, _ files: MemoryFiles = MemoryFiles(), allows: Bool = false) -> Upkeep {
        Upkeep(runner: runner, files: files, now: now, apply: { _, _ in }, say: { _ in }, allows: { _ in allows })
    }

    @Test("an environment has the name of the running one and the time; the time does not pile up")
    func names() {
        #expect(PackageWork.environmentName("debian", Self.now, taken: []) == "debian-20231114-221320")
        #expect(PackageWork.environmentName("debian-20231101-000000", Self.now, taken: []) == "debian-20231114-221320")
        #expect(PackageWork.environmentName("web-2", Self.now, taken: []) == "web-2-20231114-221320")
        #expect(
            PackageWork.environmentName("debian", Self.now, taken: ["debian-20231114-221320"]) == "debian-20231114-221320-2")
    }

    @Test("modules are signed for every kernel, whatever they bear already; an initramfs follows where there is one")
    func signatures() async throws {
        var files: [String: String] = [:]
        for release in ["6.1", "6.12", "6.13"] { files["/new/boot/vmlinuz-\(release)"] = "kernel" }
        for release in ["6.12", "6.13"] { files["/new/usr/lib/modules/\(release)/updates/dkms/zfs.ko"] = "zfs" }
        files["/new/boot/initrd.img-6.12"] = "initramfs"
        let plans = Mutex<[Plan]>([])
        let upkeep = Upkeep(
            runner: ScriptedRunner([]), files: MemoryFiles(files), now: Self.now, apply: { plan, _ in plans.withLock { $0.append(plan) } },
            say: { _ in }, allows: { _ in false })
        var system = BootSystem(
            pool: try PoolName("rpool"), running: try DatasetName("rpool/ROOT/debian"), release: "6.12", hostID: nil,
            commandLine: KernelCommandLine(running: ""), bootfs: nil, environments: [], esps: [])
        system.signing = .by(
            try CertificateIdentity([0x30, 0x0d, 0x30, 0x0b, 0x02, 0x01, 0x05, 0x30, 0x02, 0x05, 0x00, 0x30, 0x02, 0x31, 0x00]))
        let work = PackageWork(upkeep)
        #expect(try await work.sign("/new", system, changed: false) == "signed by this machine's key")
        #expect(plans.withLock { $0 }.isEmpty)
        _ = try await work.sign("/new", system, changed: true)
        func signing(_ release: String, _ initramfs: FilePath?) -> Action {
            ModuleSigning.signing(root: "/new", release: release, with: MachineOwnerKey(), initramfs: initramfs)
        }
        #expect(
            plans.withLock { $0.flatMap(\.steps).flatMap(\.actions) } == [
                signing("6.12", "/new/boot/initrd.img-6.12"), signing("6.13", nil),
            ])
    }

    // MARK: one change, by apt's own words

    /// An apt whose packages and holds are these. What it is asked to do it does.
    static func apt(
        installed: [String: String], held: Set<String>, upgrades: [String: String], sticky: Bool = false, fails: Bool = false
    ) -> ScriptedRunner {
        let machine = AptMachine(installed: installed, held: held)
        return ScriptedRunner([
            { command in
                try machine.state.withLock { state in
                    let words = command.arguments
                    switch (command.tool.name, words.first ?? "") {
                    case ("dpkg-query", _):
                        return CommandOutput(
                            output: state.installed.sorted { $0.key < $1.key }.map { "ii \t\($0.key)\t\($0.value)\n" }.joined())
                    case ("apt-mark", "showhold"): return CommandOutput(output: state.held.sorted().map { $0 + "\n" }.joined())
                    case ("apt-mark", "unhold"): state.held.subtract(words.dropFirst())
                    case ("apt-mark", "hold"): if !sticky { state.held.formUnion(words.dropFirst()) }
                    case ("apt-get", _) where words.contains("-s"):
                        let moves = upgrades.filter { !state.held.contains($0.key) && state.installed[$0.key] != $0.value }
                        return CommandOutput(
                            output: moves.sorted { $0.key < $1.key }.map { "Inst \($0.key) [1] (\($0.value) test [all])\n" }.joined())
                    case ("apt-get", _) where words.contains("--print-uris"): return CommandOutput(output: "'file:/x' x 1000 \n")
                    case ("apt-get", _) where words.contains("full-upgrade"):
                        if fails {
                            return CommandOutput(status: 100, errors: "dpkg: error processing package nano (--configure):\n it broke\n")
                        }
                        for (name, version) in upgrades where !state.held.contains(name) { state.installed[name] = version }
                    case ("apt-get", _) where words.contains("update"): break
                    default: throw Unscripted(what: command.description)
                    }
                    return CommandOutput()
                }
            }
        ])
    }

    static func root(_ runner: ScriptedRunner) throws -> PackageRoot {
        var root = try PackageRoot("/", name: "debian", upkeep(runner, MemoryFiles(["/usr/bin/apt-get": ""])))
        root.patterns = ["zfs-dkms", "linux-image-*"]
        return root
    }

    static let installed = ["nano": "1", "zfs-dkms": "1", "linux-image-amd64": "1", "mine": "1"]
    static let upgrades = ["nano": "2", "zfs-dkms": "2", "linux-image-amd64": "2", "linux-image-7.2-amd64": "7.2", "mine": "2"]
    static let holds: Set<String> = ["zfs-dkms", "linux-image-amd64", "linux-image-7.2-amd64", "mine"]

    private func change(_ held: HeldChoice, _ runner: ScriptedRunner) async throws -> PackageRoot.Outcome? {
        var request = PackageWork.Request(.upgrade, label: "pre-upgrade")
        request.held = held
        return try await Self.root(runner).change(request, free: .gibibytes(10))
    }

    @Test("what is held stays")
    func stays() async throws {
        let outcome = try #require(
            try await change(.stay, Self.apt(installed: Self.installed, held: Self.holds, upgrades: Self.upgrades)))
        #expect(outcome.changes.map(\.name) == ["nano"])
        #expect(outcome.held == ["linux-image-7.2-amd64", "linux-image-amd64", "mine", "zfs-dkms"])
    }

    @Test("kernel and OpenZFS move when they are meant to, and are held again, the new kernel too")
    func kernel() async throws {
        let runner = Self.apt(installed: Self.installed, held: ["zfs-dkms", "linux-image-amd64", "mine"], upgrades: Self.upgrades)
        let outcome = try #require(try await change(.ours, runner))
        #expect(outcome.changes.map(\.name) == ["linux-image-7.2-amd64", "linux-image-amd64", "nano", "zfs-dkms"])
        #expect(outcome.held == ["linux-image-7.2-amd64", "linux-image-amd64", "mine", "zfs-dkms"])
    }

    @Test("a hold that is not in force afterwards is a failure")
    func readBack() async throws {
        let runner = Self.apt(installed: Self.installed, held: ["zfs-dkms", "linux-image-amd64"], upgrades: Self.upgrades, sticky: true)
        await #expect { _ = try await change(.ours, runner) } throws: { ($0 as? Diagnosis)?.code == "upkeep.holds" }
    }

    @Test("where nothing is to be done nothing is, and what was let go of is held again")
    func nothing() async throws {
        let runner = Self.apt(installed: Self.installed, held: ["zfs-dkms"], upgrades: [:])
        #expect(try await change(.ours, runner) == nil)
        #expect(runner.commands.last?.description == "apt-mark hold zfs-dkms")
    }

    @Test("a failure says which package, and holds are back in the running system")
    func failure() async throws {
        let runner = Self.apt(installed: Self.installed, held: ["zfs-dkms"], upgrades: Self.upgrades, fails: true)
        await #expect { _ = try await change(.ours, runner) } throws: { error in
            let problem = error as? Diagnosis
            return problem?.code == "upkeep.packages" && problem?.causes.first?.contains("package nano") == true
        }
        #expect(runner.commands.last?.description == "apt-mark hold zfs-dkms")
    }

    @Test("a pool that an upgrade would fill is left alone")
    func room() async throws {
        let runner = Self.apt(installed: Self.installed, held: [], upgrades: Self.upgrades)
        let request = PackageWork.Request(.upgrade, label: "pre-upgrade")
        await #expect { _ = try await Self.root(runner).change(request, free: .mebibytes(100)) } throws: {
            ($0 as? Diagnosis)?.code == "upkeep.no-room"
        }
        #expect(!runner.commands.contains { $0.effect == .changes && $0.arguments.contains("full-upgrade") })
    }

    // MARK: other package managers, in their words

    /// A system of dnf 4.14, pacman 6.0.2 or apk 2.14 on which `apply` does one thing.
    static func other(_ program: String, _ answers: @escaping @Sendable (String, Bool) -> CommandOutput?) throws -> (
        PackageRoot, ScriptedRunner
    ) {
        let applied = Mutex(false)
        let runner = ScriptedRunner([
            { command in
                let line = command.description
                let output = applied.withLock { done in
                    let output = answers(line, done)
                    if command.tellsOnBoth { done = true }
                    return output
                }
                return output
            }
        ])
        var root = try PackageRoot("/", name: "fedora", upkeep(runner, MemoryFiles(["/usr/bin/\(program)": ""])))
        root.patterns = ["zfs"]
        return (root, runner)
    }

    static func dnf(late: Bool) throws -> (PackageRoot, ScriptedRunner) {
        try other("dnf") { line, done in
            if line.hasPrefix("rpm ") { return CommandOutput(output: "zfs\t1-1\nnano\t\(done ? "2-1" : "1-1")\n") }
            if line == "dnf versionlock list" { return CommandOutput(output: "zfs-0:1-1.*\n") }
            if line.hasSuffix("makecache --refresh") { return CommandOutput() }
            if line == "dnf --assumeno upgrade" {
                return CommandOutput(status: 1, output: "Upgrading:\n nano noarch 2-1 fedora 2 k\n", errors: "Operation aborted.\n")
            }
            if line == "dnf --assumeyes upgrade" {
                return CommandOutput(errors: late ? "Error in POSTIN scriptlet in rpm package nano\nComplete!\n" : "Complete!\n")
            }
            if line == "dnf --assumeno install nosuch" {
                return CommandOutput(
                    status: 1, output: "No match for argument: nosuch\n", errors: "Error: Unable to find a match: nosuch\n")
            }
            return nil
        }
    }

    @Test("with dnf 4 too what is held stays and is read back, and the report says what was there before")
    func dnfUpgrade() async throws {
        let (root, _) = try Self.dnf(late: false)
        let outcome = try #require(try await root.change(.init(.upgrade, label: "pre-upgrade"), free: .gibibytes(10)))
        #expect(outcome.changes.map { "\($0.name) \($0.old ?? "") \($0.new ?? "")" } == ["nano 1-1 2-1"])
        #expect(outcome.held == ["zfs"])
        #expect(try await root.preview(.upgrade).changes.map(\.old) == ["2-1"], "of what is installed by now")
    }

    @Test("a script that dnf only mentions is a failure, and so is a package that is not there")
    func dnfFailures() async throws {
        let (root, runner) = try Self.dnf(late: true)
        await #expect {
            _ = try await root.change(.init(.upgrade, label: "pre-upgrade"), free: .gibibytes(10))
        } throws: {
            ($0 as? Diagnosis)?.causes == ["Error in POSTIN scriptlet in rpm package nano"]
        }
        await #expect {
            _ = try await root.change(.init(.install(["nosuch"]), label: "kpkg"), free: .gibibytes(10))
        } throws: {
            ($0 as? Diagnosis)?.code == "upkeep.packages"
        }
        #expect(!runner.commands.contains { $0.description == "dnf --assumeyes install nosuch" })
    }

    @Test("a held package that is named is refused before pacman would move it; what goes unsaid is noticed afterwards")
    func pacman() async throws {
        let (root, runner) = try Self.other("pacman") { line, done in
            switch line {
            case "pacman --query": CommandOutput(output: done ? "zfs 1-1\nnew 2-1\n" : "zfs 1-1\nold 1-1\n")
            case "pacman-conf IgnorePkg": CommandOutput(output: "zfs\n")
            case "pacman --sync --refresh --noconfirm": CommandOutput()
            case "pacman --sync --sysupgrade --needed zfs --print --print-format '+ %n %v'": CommandOutput(output: "+ zfs 2-1\n")
            case "pacman --sync --sysupgrade --print --print-format '+ %n %v'": CommandOutput(output: "+ new 2-1\n")
            case "pacman --noconfirm --sync --sysupgrade": CommandOutput(errors: "removing old...\ninstalling new...\n")
            default: nil
            }
        }
        await #expect {
            _ = try await root.change(.init(.install(["zfs"]), label: "kpkg"), free: .gibibytes(10))
        } throws: {
            ($0 as? Diagnosis)?.code == "upkeep.held-moved"
        }
        #expect(!runner.commands.contains { $0.tellsOnBoth })
        await #expect {
            _ = try await root.change(.init(.upgrade, label: "pre-upgrade"), free: .gibibytes(10))
        } throws: {
            ($0 as? Diagnosis)?.code == "upkeep.removals" && String(describing: $0).contains("old")
        }
    }

    @Test("apk that goes on without a repository is no success; what moved before a script failed is held as it is then")
    func apk() async throws {
        func root(lists errors: String) throws -> (PackageRoot, ScriptedRunner) {
            try Self.other("apk") { line, done in
                switch line {
                case "apk list --installed": CommandOutput(output: "zfs-\(done ? 2 : 1)-r0 x86_64 {zfs} (CDDL-1.0) [installed]\n")
                case "cat /etc/apk/world": CommandOutput(output: "zfs=1-r0\n")
                case "apk --update-cache update": CommandOutput(output: "OK: 9 distinct packages available\n", errors: errors)
                case "apk add zfs", "apk add zfs=1-r0", "apk add zfs=2-r0": CommandOutput()
                case "apk --simulate upgrade": CommandOutput(output: "(1/1) Upgrading zfs (1-r0 -> 2-r0)\nOK: 9 MiB in 1 packages\n")
                case "apk upgrade": CommandOutput(status: 1, errors: "ERROR: zfs-2-r0.post-upgrade: script exited with error 1\n")
                default: nil
                }
            }
        }
        var asked = PackageWork.Request(.upgrade, label: "pre-upgrade")
        asked.held = .all
        let request = asked
        let (blind, _) = try root(lists: "WARNING: opening /media/archive: UNTRUSTED signature\n")
        await #expect {
            _ = try await blind.change(request, free: .gibibytes(10))
        } throws: {
            ($0 as? Diagnosis)?.code == "upkeep.archive" && ($0 as? Diagnosis)?.causes.first?.contains("UNTRUSTED") == true
        }
        let (failing, runner) = try root(lists: "")
        await #expect {
            _ = try await failing.change(request, free: .gibibytes(10))
        } throws: {
            ($0 as? Diagnosis)?.causes == ["ERROR: zfs-2-r0.post-upgrade: script exited with error 1"]
        }
        #expect(runner.commands.last?.description == "apk add zfs=2-r0", "as it was it would go back")
    }

    // MARK: what environments share

    @Test("what a package adds below a shared mount point is found whole; what it changes there is refused; logs may differ")
    func shared() throws {
        let root = "/run/kldload/upkeep/new"
        let files = MemoryFiles([
            "/proc/self/mounts":
                "rpool/ROOT/debian / zfs rw 0 0\nrpool/opt /opt zfs rw 0 0\nrpool/var/log /var/log zfs rw 0 0\nrpool/var/cache /var/cache zfs rw 0 0\n"
                + "rpool/ROOT/new \(root) zfs rw 0 0\n",
            "/opt/old/tool": "one", "\(root)/opt/old/tool": "two", "\(root)/opt/new/tool": "x", "/var/log/dpkg.log": "long",
            "\(root)/var/log/dpkg.log": "short", "\(root)/var/log/nginx/access.log": "", "\(root)/var/cache/apt/x": "",
        ])
        var shared = SharedFolders(pool: "rpool", environment: "rpool/ROOT/debian", mounts: try files.mounts())
        #expect(shared.places == ["/opt", "/var/cache", "/var/log"])
        try shared.compare(with: FilePath(root), files)
        #expect(shared.missing == ["/opt/new", "/var/log/nginx"])
        #expect(shared.differing == ["/opt/old/tool"])
        #expect(throws: Diagnosis.self) { try shared.check("new") }
        #expect(
            shared.adding(from: FilePath(root)).commandLines.first
                == "cp --archive --no-target-directory /run/kldload/upkeep/new/opt/new /opt/.new.kldload-new")
    }

    // MARK: a kernel that came with it

    private func target(_ releases: [String]) throws -> BootTarget {
        BootTarget(
            environment: try DatasetName("rpool/ROOT/new"), root: "/x", kernels: releases.map { .init(release: $0, size: .mebibytes(70)) })
    }

    @Test("a new kernel that would not boot is no success, though the old one would")
    func passedOver() throws {
        let rows = DKMS.parse("zfs/2.3.2: added\nzfs/2.3.2, 6.12.48-amd64, x86_64: installed\n")
        #expect(rows.map(\.release) == [nil, "6.12.48-amd64"] && rows.map(\.state) == ["added", "installed"])
        #expect(throws: Diagnosis.self) { try PackageWork.check(target(["6.12.48-amd64"]), fresh: ["6.12.57-amd64"], rows) }
        try PackageWork.check(target(["6.12.57-amd64", "6.12.48-amd64"]), fresh: ["6.12.57-amd64"], rows)
        try PackageWork.check(target(["6.12.48-amd64"]), fresh: [], rows)
    }

    // MARK: what still runs

    @Test("a service is named whose library is gone, and nobody else")
    func restarts() {
        let files = MemoryFiles([
            "/proc/7/maps": "7f5e1a200000-7f5e1a228000 r-xp 00000000 00:1b 34521    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)\n",
            "/proc/7/cgroup": "0::/system.slice/ssh.service\n",
            "/proc/8/maps": "7f5e1a200000-7f5e1a228000 rw-s 00000000 00:01 34521    /memfd:x (deleted)\n",
            "/proc/8/cgroup": "0::/system.slice/other.service\n", "/proc/meminfo": "",
        ])
        #expect(RestartNeeds.units(files) == ["ssh.service"])
    }

    @Test("processes are ended only below the workshop")
    func processes() {
        let files = MemoryFiles(
            ["/proc/7/stat": "", "/proc/8/stat": ""], links: ["/proc/7/root": "/", "/proc/8/root": "/run/kldload/upkeep/new"])
        #expect(UpkeepPerformers.processes(in: "/run/kldload/upkeep/new", files) == [8])
        #expect(UpkeepPerformers.processes(in: "/", files).isEmpty)
    }

    // MARK: where the work is done

    @Test("no service is started, names are resolved, and answers of debconf are a copy")
    func furnish() throws {
        let files = MemoryFiles(
            [
                "/run/systemd/resolve/stub-resolv.conf": "nameserver 127.0.0.53\n", "/var/cache/debconf/config.dat": "answers",
                "/w/usr/sbin/policy-rc.d": "mine",
            ],
            links: [
                "/etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
                "/w/etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf",
            ])
        try Workplace.furnish("/w", files)
        #expect(files.texts["/w/run/systemd/resolve/stub-resolv.conf"] == "nameserver 127.0.0.53\n")
        #expect(files.texts["/w/var/cache/debconf/config.dat"] == "answers")
        #expect(files.texts["/w/usr/sbin/policy-rc.d"]?.hasSuffix("exit 101\n") == true)
        try Workplace.tidy("/w", shared: ["/var/cache"], files)
        #expect(files.texts["/w/usr/sbin/policy-rc.d"] == "mine" && files.texts["/w/var/cache/debconf/config.dat"] == nil)
    }
}

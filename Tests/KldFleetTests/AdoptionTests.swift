import KldBootEnv
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage
import Testing

@testable import KldFleet

@Suite struct AccountTests {
    private let here = AccountTables(
        passwd: "root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/bash\n",
        group: "root:x:0:\nsudo:x:27:ann\nann:x:1000:\n", shadow: "root:!:1:0:99999:7:::\nsshd:!*:1::::::\nann:$y$own:1:0:99999:7:::\n",
        gshadow: "root:*::\nsudo:*::ann\nann:!::\n")

    @Test func `services of the other tree come along, its people and its passwords do not`() throws {
        let there = AccountTables(
            passwd: """
                root:x:0:0:root:/root:/bin/sh
                sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
                redis:x:105:110::/var/lib/redis:/usr/sbin/nologin
                bob:x:1000:1000::/home/bob:/bin/bash

                """,
            group: "root:x:0:\nsudo:x:27:bob\nredis:x:110:bob,redis\nbob:x:1000:\n",
            shadow: "root:$y$theirs:1:0:99999:7:::\nsshd:!*:1::::::\nredis:$y$theirs:20000::::::\nbob:$y$theirs:1:0:99999:7:::\n",
            gshadow: "root:*::\nsudo:*::bob\nredis:!::bob\nbob:!::\n")
        let joined = try here.taking(from: there)
        #expect(joined.passwd == here.passwd + "redis:x:105:110::/var/lib/redis:/usr/sbin/nologin\n")
        #expect(joined.group == here.group + "redis:x:110:redis\n")
        #expect(joined.shadow == here.shadow + "redis:!*:20000::::::\n")
        #expect(joined.gshadow == here.gshadow + "redis:!::\n")
    }

    @Test func `a service with another number is refused: its files would be somebody else's`() {
        var there = here
        there.passwd = "sshd:x:102:65534::/run/sshd:/usr/sbin/nologin\nredis:x:101:110::/:/usr/sbin/nologin\n"
        there.group = "sudo:x:28:\n"
        let problem = problem { _ = try here.taking(from: there) }
        #expect(problem?.code == "fleet.accounts")
        #expect(
            problem?.causes == [
                "the user sshd is 102 there, and 101 here", "the user redis is 101 there, and that is sshd here",
                "the group sudo is 28 there, and 27 here",
            ])
    }

    @Test func `a service of a package that has its number once and for all is none of the people`() throws {
        let there = AccountTables(
            passwd: """
                libvirt-qemu:x:64055:994:Libvirt Qemu,,,:/var/lib/libvirt:/usr/sbin/nologin
                first:x:60000:60000::/:/bin/sh
                last:x:64999:64999::/:/bin/sh
                below:x:59999:59999::/:/bin/sh
                above:x:65000:65000::/:/bin/sh

                """, group: "kvm:x:994:\nlibvirt-qemu:x:64055:libvirt-qemu,bob\n", shadow: "", gshadow: "")
        let joined = try here.taking(from: there)
        #expect(joined.passwd.dropFirst(here.passwd.count).lines.map { $0.prefix { $0 != ":" } } == ["libvirt-qemu", "first", "last"])
        #expect(joined.group == here.group + "kvm:x:994:\nlibvirt-qemu:x:64055:libvirt-qemu\n")
    }

    @Test func `a service that comes along keeps its groups that are here too, unless they rule the machine`() throws {
        var own = here
        own.group += "ssl-cert:x:111:\ntape:x:26:sshd\ndocker:x:120:\nkldload-web:x:121:\n"
        own.gshadow += "ssl-cert:!::\ntape:*:ann:sshd\ndocker:!::\nkldload-web:!::\n"
        let there = AccountTables(
            passwd: "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\npostgres:x:106:113::/var/lib/postgresql:/bin/bash\n",
            group: """
                root:x:0:postgres
                sudo:x:27:postgres
                ssl-cert:x:111:postgres,bob,sshd
                tape:x:26:postgres
                docker:x:120:postgres
                kldload-web:x:121:postgres
                ann:x:1000:postgres
                postgres:x:113:

                """, shadow: "postgres:!:20000:0:99999:7:::\n", gshadow: "ssl-cert:!::postgres\n")
        let joined = try own.taking(from: there)
        // The machine's own services stay in the groups that they are in here.
        let lines = ["ssl-cert:x:111:postgres", "tape:x:26:sshd,postgres", "docker:x:120:", "kldload-web:x:121:", "postgres:x:113:"]
        #expect(joined.group == here.group + lines.map { $0 + "\n" }.joined())
        let shadows = ["ssl-cert:!::postgres", "tape:*:ann:sshd,postgres", "docker:!::", "kldload-web:!::", "postgres:!::"]
        #expect(joined.gshadow == here.gshadow + shadows.map { $0 + "\n" }.joined())
        // The same once more changes nothing.
        #expect(try joined.taking(from: there) == joined)
    }

    @Test func `the same accounts stay as they are`() throws {
        #expect(try here.taking(from: here) == here)
    }
}

@Suite struct OwnFilesTests {
    private func machine(_ more: [String: String] = [:], links: [String: String] = [:]) -> MemoryFiles {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n"
        return MemoryFiles(
            [
                "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\nrpool/srv /srv zfs rw 0 0\nrpool/state /var/lib/kldload zfs rw 0 0\n",
                "/etc/hostid": "mine", "/etc/machine-id": "mine\n", "/etc/hostname": "web-01\n", "/etc/ssh/ssh_host_ed25519_key": "mine",
                "/etc/network/interfaces": "mine\n", "/etc/kldload/install-manifest.env": "mine\n", "/etc/passwd": accounts,
                "/etc/shadow": "root:!:1::::::\n", "/etc/group": "root:x:0:\n", "/var/lib/kldload/secrets/x.key": "shared",
                "/var/lib/dkms/mok.key": "mine", "/etc/dnf/dnf.conf": "proxy=mine\n",
                "/etc/modprobe.d/zfs.conf": "options zfs zfs_arc_max=1\n", "/new/etc/modprobe.d/zfs.conf": "options zfs zfs_arc_max=2\n",
                "/etc/nslcd.conf": "uri ldap://a\n", "/new/etc/nslcd.conf": "uri ldap://b\nbindpw theirs\n",
                "/new/etc/postfix/main.cf": "x = 1\nmyhostname = theirs\n",
                "/new/etc/hostid": "theirs", "/new/etc/machine-id": "theirs\n", "/new/etc/hostname": "golden\n",
                "/new/etc/ssh/ssh_host_ed25519_key": "theirs", "/new/etc/ssh/ssh_host_rsa_key": "theirs",
                "/new/etc/wireguard/wg0.conf": "theirs", "/new/var/lib/dkms/mok.key": "theirs",
                "/new/etc/passwd": accounts + "ci:x:200:200::/var/lib/ci:/bin/sh\n",
                "/new/etc/shadow": "root:$y$theirs:1::::::\n", "/new/etc/group": "root:x:0:\n", "/new/etc/app.conf": "new\n",
                "/new/etc/dnf/dnf.conf": "new\n", "/new/etc/yum.conf": "new\n", "/new/var/log/syslog": "hidden",
                "/new/usr/bin/app": "new", "/new/var/lib/ci/.ssh/id_ed25519": "theirs", "/new/var/lib/ci/work": "new",
            ].merging(more) { $1 }, links: links)
    }

    /// Copies files as cp does.
    private func copying(_ files: MemoryFiles, seeing: @escaping @Sendable (Command) -> Void = { _ in }) -> ScriptedRunner {
        ScriptedRunner([
            { command in
                seeing(command)
                guard command.tool.name == "cp", command.arguments.prefix(2) == ["--archive", "--no-target-directory"] else { return nil }
                let (from, to) = (command.arguments[2], command.arguments[3])
                for (path, text) in files.texts where path == from || path.hasPrefix(from + "/") {
                    try files.write(text, to: FilePath(to + path.dropFirst(from.count)))
                }
                return CommandOutput()
            }
        ])
    }

    @Test func `what makes a machine itself is its own, and everything else is what came`() async throws {
        let files = machine()
        try await OwnFiles(into: "/new", files: files).take(runner: copying(files))
        let texts = files.texts
        for path in [
            "/etc/hostid", "/etc/machine-id", "/etc/hostname", "/etc/ssh/ssh_host_ed25519_key", "/etc/network/interfaces",
            "/etc/kldload/install-manifest.env", "/var/lib/dkms/mok.key", "/etc/dnf/dnf.conf", "/etc/group",
        ] {
            #expect(texts["/new" + path] == texts[path], "\(path)")
        }
        // Settings are the package's, but for lines that are a machine's own.
        #expect(texts["/new/etc/modprobe.d/zfs.conf"] == "options zfs zfs_arc_max=2\n")
        #expect(texts["/new/etc/nslcd.conf"] == "uri ldap://a\n" && texts["/new/etc/postfix/main.cf"] == "x = 1\n")
        // What only the other machine had; the folder is a package's.
        #expect(try files.status("/new/etc/wireguard")?.kind == .directory)
        #expect(texts["/new/etc/ssh/ssh_host_rsa_key"] == nil && texts["/new/etc/wireguard/wg0.conf"] == nil)
        #expect(!texts.contains { $0.key.hasPrefix("/new/") && $0.value.contains("theirs") })
        #expect(texts["/new/etc/passwd"] == "root:x:0:0:root:/root:/bin/bash\nci:x:200:200::/var/lib/ci:/bin/sh\n")
        #expect(texts["/new/etc/shadow"] == "root:!:1::::::\nci:!*:::::::\n" && texts["/new/var/lib/ci/work"] == "new")
        #expect(texts["/new/etc/app.conf"] == "new\n" && texts["/new/etc/yum.conf"] == "new\n" && texts["/new/usr/bin/app"] == "new")
    }

    @Test func `whether it signs what it boots, and what it keeps of its datasets, is the machine's own`() async throws {
        let (signing, policy) = ("/\(MachineOwnerKey.configuration)", "/etc/sanoid/sanoid.conf")
        // It signs, and the other one does not.
        var files = machine([signing: "mok", policy: "[rpool/home]\n", "/new\(policy)": "[tank/home]\n"])
        try await OwnFiles(into: "/new", files: files).take(runner: copying(files))
        #expect(files.texts["/new\(signing)"] == "mok" && files.texts["/new\(policy)"] == "[rpool/home]\n")
        // The reverse. Other settings of DKMS are the package's.
        files = machine(["/new\(signing)": "mok", "/new/etc/dkms/framework.conf": "new", "/new\(policy)": "[tank/home]\n"])
        try await OwnFiles(into: "/new", files: files).take(runner: copying(files))
        #expect(files.texts["/new\(signing)"] == nil && files.texts["/new\(policy)"] == nil)
        #expect(files.texts["/new/etc/dkms/framework.conf"] == "new")
    }

    @Test func `the host id is given after everything else: without it nothing is activated that is half done`() async throws {
        let bob = "root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/bash\n"
        let files = machine(["/new/etc/passwd": bob + "ci:x:200:200::/var/lib/ci:/bin/sh\n"])
        let accounts = Locked("")
        let runner = copying(files) { command in
            if command.arguments.last == "/new/etc/hostid" { accounts.value = files.texts["/new/etc/passwd"] ?? "" }
        }
        try await OwnFiles(into: "/new", files: files).take(runner: runner)
        #expect(runner.commands.count > 5 && runner.commands.last?.arguments.last == "/new/etc/hostid")
        #expect(accounts.value == "root:x:0:0:root:/root:/bin/bash\nci:x:200:200::/var/lib/ci:/bin/sh\n")
    }

    @Test func `what all environments share is not copied into one`() throws {
        let paths = try OwnFiles(into: "/new", files: machine()).choice().own
        #expect(!paths.contains { $0.hasPrefix("var/lib/kldload") || $0.hasPrefix("var/log") || $0.hasPrefix("srv") })
        #expect(paths.contains("etc/ssh") && !paths.contains { $0.hasPrefix("etc/ssh/") } && !paths.contains("etc/passwd"))
    }

    @Test func `nothing is taken through a link into the system that runs`() async throws {
        let files = machine(
            ["/etc/netplan/x.yaml": "mine\n", "/etc/NetworkManager/system-connections/a": "mine\n"],
            links: [
                "/new/etc/NetworkManager": "/srv/network"
            ])
        let before = files.texts
        await #expect { try await OwnFiles(into: "/new", files: files).take(runner: copying(files)) } throws: {
            Diagnosis(of: $0).code == "fleet.link"
        }
        #expect(files.texts == before)
    }

    @Test func `traces and caches of the other machine go, and those of this one are not copied`() async throws {
        let files = machine([
            "/var/lib/ci/.cache/large": "mine", "/new/var/lib/ci/.cache/x/large": "theirs", "/new/var/lib/ci/.bash_history": "theirs",
            "/new/root/.lesshst": "theirs",
        ])
        let own = try OwnFiles(into: "/new", files: files)
        #expect(try own.choice().gone == ["root/.lesshst", "var/lib/ci/.bash_history", "var/lib/ci/.cache"])
        try await own.take(runner: copying(files))
        #expect(!files.texts.contains { $0.key.hasPrefix("/new/") && ($0.value == "theirs" || $0.key.contains("large")) })
    }

    @Test func `every class of the seal that is treated in a way of its own is one`() {
        #expect(OwnFiles.others.union(OwnFiles.traces).subtracting(SealCatalogue.classes.map(\.id)).isEmpty)
    }

    /// With the real cp, in two small trees.
    @Test func `modes, links and times stay as they are here`() async throws {
        try await Scratch.with { folder in
            let (files, runner) = (LocalFiles(), SubprocessRunner())
            let (here, there) = (folder.appending("here"), folder.appending("there"))
            for (root, word) in [(here, "mine"), (there, "theirs")] {
                try files.write("root:x:0:0:root:/root:/bin/bash\n", to: root.appending("etc/passwd"))
                try files.write("root:x:0:\n", to: root.appending("etc/group"))
                try files.write("root:\(word):1::::::\n", to: root.appending("etc/shadow"), mode: 0o640)
                try files.write(word, to: root.appending("etc/machine-id"), mode: 0o444)
                try files.write(word, to: root.appending("etc/ssh/ssh_host_ed25519_key"), mode: .secret)
                try files.write(word, to: root.appending("usr/lib/app"))
            }
            try files.symlink(here.appending("etc/localtime"), to: "../usr/share/zoneinfo/Europe/Berlin")
            try files.symlink(there.appending("etc/localtime"), to: "../usr/share/zoneinfo/UTC")
            try await OwnFiles(into: there, from: here, shared: [], files: files).take(runner: runner)
            #expect(try files.readText(there.appending("etc/machine-id")) == "mine")
            #expect(try files.status(there.appending("etc/machine-id"))?.mode == 0o444)
            #expect(try files.status(there.appending("etc/ssh/ssh_host_ed25519_key"))?.mode == .secret)
            #expect(try files.readLink(there.appending("etc/localtime")) == "../usr/share/zoneinfo/Europe/Berlin")
            #expect(try files.readText(there.appending("etc/shadow")) == "root:mine:1::::::\n")
            #expect(try files.status(there.appending("etc/shadow"))?.mode == 0o640)
            #expect(try files.readText(there.appending("usr/lib/app")) == "theirs")
        }
    }
}

@Suite struct AdoptionTests {
    private func system(
        next: String = "debian", running: String = "debian", children: [DatasetName: BootEnvironment.Child] = [:], isForeign: Bool = false
    ) throws -> BootSystem {
        func name(_ leaf: String) throws -> DatasetName { try DatasetName("rpool/ROOT/\(leaf)") }
        return BootSystem(
            pool: try PoolName("rpool"), running: try name(running), release: "6.12", hostID: HostID(0x0123_4567),
            commandLine: KernelCommandLine(running: "root=ZFS=rpool/ROOT/debian"), bootfs: "rpool/ROOT/\(next)",
            environments: [
                BootEnvironment(dataset: try name("debian"), mountpoint: "/"),
                BootEnvironment(dataset: try name("golden"), children: children, isForeign: isForeign),
            ], esps: [])
    }

    /// Names of marks as zfs keeps them: of one dataset, and of its snapshots, which inherit.
    private final class Marks: CommandRunner {
        struct State: Sendable {
            var identity: String?
            var image: String?
            /// As they are set on themselves.
            var snapshots: [String: String?]
            var lines: [String] = []
            /// What had happened when it was made the machine's own.
            var done: Int?
        }
        private static let name = "rpool/ROOT/golden"
        private let state: Mutex<State>
        let fuse: Fuse
        let unmounting: Int32
        let begun: String?

        init(_ begun: String?, _ fuse: Fuse = Fuse(at: nil), unmounting: Int32 = 0) {
            (self.begun, self.fuse, self.unmounting) = (begun, fuse, unmounting)
            state = Mutex(State(identity: begun, snapshots: ["\(Self.name)@own": "own", "\(Self.name)@sent": nil, "\(Self.name)@x": nil]))
        }

        var now: State { state.withLock { $0 } }
        /// Snapshots that would not be taken for another machine's.
        var trusted: [String] {
            let now = now
            return now.snapshots.filter { ($0.value ?? now.identity) != "foreign" }.keys.sorted()
        }

        func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "\(pipeline)") }

        func run(_ command: Command) async throws -> CommandOutput {
            let (line, words) = (command.description, command.arguments)
            let output = try state.withLock { state -> CommandOutput in
                state.lines.append(line)
                switch (command.tool.name, words[0]) {
                case ("mount", _), ("cp", _): return CommandOutput()
                case ("umount", _): return CommandOutput(status: unmounting)
                case ("zfs", "list"):
                    let rows = state.snapshots.sorted { $0.key < $1.key }.map { "\($0.key)\t\($0.value ?? state.identity ?? "-")\n" }
                    return CommandOutput(output: rows.joined())
                case ("zfs", "set"):
                    let target = words[words.count - 1]
                    for word in words.dropFirst().dropLast() {
                        let pair = word.split(separator: "=", maxSplits: 1).map(String.init)
                        if pair[0] == "com.kldload:image" { state.image = pair[1] }
                        guard pair[0] == "com.kldload:identity" else { continue }
                        if target != Self.name {
                            state.snapshots[target] = pair[1]
                        } else {
                            state.identity = pair[1]
                            if pair[1] == "own" { state.done = fuse.count }
                        }
                    }
                    return CommandOutput()
                default: throw Unscripted(what: line)
                }
            }
            guard command.acceptedExitStatuses.contains(output.status) else { throw CommandError.failed(command, output) }
            return output
        }

        /// Adopts; taking what is the machine's own is two copies.
        func adopt(_ plan: Plan) async throws {
            let take: Performer = { _, runner, _ in
                for file in ["hostid", "shadow"] {
                    try await runner.run(Command(Tool("cp", package: "coreutils"), ["/etc/\(file)"], effect: .changes))
                }
            }
            try await PlanRunner(
                runner: FaultyRunner(self, fuse), files: FaultyFiles(MemoryFiles(), fuse),
                performers: Adoption.performers.merging(["fleet.take": take]) { $1 }
            ).apply(plan)
        }
    }

    private static let list = "zfs list -Hp -d 1 -t snapshot -o name,com.kldload:identity rpool/ROOT/golden"

    @Test(arguments: ["50", nil] as [String?])
    func `it is another machine's from the first to the last, and its snapshots are that for good`(image: String?) async throws {
        let marks = Marks(nil)
        try await marks.adopt(Adoption(system()).plan("golden", image: image))
        #expect(
            marks.now.lines == [
                "zfs set canmount=noauto rpool/ROOT/golden",
                "zfs set mountpoint=/ com.kldload:owner=kldload com.kldload:identity=foreign rpool/ROOT/golden",
                "mount -t zfs -o zfsutil rpool/ROOT/golden /run/kldload/adopt/golden", "cp /etc/hostid", "cp /etc/shadow",
                // Nothing is written to it after its snapshots were listed.
                "umount --recursive /run/kldload/adopt/golden", Self.list, "zfs set com.kldload:identity=foreign rpool/ROOT/golden@sent",
                "zfs set com.kldload:identity=foreign rpool/ROOT/golden@x",
                "zfs set com.kldload:identity=own \(image.map { "com.kldload:image=\($0) " } ?? "")rpool/ROOT/golden",
                "umount --recursive /run/kldload/adopt/golden",
            ])
        #expect(marks.now.identity == "own" && marks.now.image == image && marks.trusted == ["rpool/ROOT/golden@own"])
    }

    @Test func `a fault at whatever action leaves it another machine's, and the same again finishes it`() async throws {
        let whole = Marks("foreign")
        let plan = try Adoption(system()).plan("golden", image: "50")
        try await whole.adopt(plan)
        let last = try #require(whole.now.done)
        #expect(last == 11)
        var copied = 0
        for begun in ["foreign", nil] as [String?] {
            for (position, forever) in (0..<last).flatMap({ [($0, false), ($0, true)] }) {
                let marks = Marks(begun, Fuse(at: position, forever: forever))
                await #expect(throws: Diagnosis.self) { try await marks.adopt(plan) }
                let isCopied = marks.now.lines.contains { $0.hasPrefix("cp") }
                // One that bore no mark bears it before anything is copied into it.
                if begun != nil || isCopied {
                    #expect(marks.now.identity == "foreign" && marks.now.image == nil, "\(position)")
                    #expect(marks.trusted == ["rpool/ROOT/golden@own"], "\(position)")
                }
                if isCopied { copied += 1 }
            }
        }
        #expect(copied > 0)
    }

    @Test func `where it cannot be unmounted it is not this machine's own`() async throws {
        let marks = Marks("foreign", unmounting: 32)
        await #expect(throws: Diagnosis.self) { try await marks.adopt(Adoption(system()).plan("golden", image: nil)) }
        #expect(marks.now.identity == "foreign" && !marks.now.lines.contains(Self.list))
    }

    @Test func `one that runs, and is another machine's, is not called this one's own`() throws {
        for (isForeign, remedy) in [(false, "nothing is to do"), (true, "boot another one, and then: kldload kbe adopt golden")] {
            let problem = problem { _ = try Adoption(system(running: "golden", isForeign: isForeign)).plan("golden", image: nil) }
            #expect(problem?.code == "be.running" && problem?.remedies == [remedy])
        }
    }

    @Test func `it is closed to everybody, mounted apart, made this machine's own, and marked last`() throws {
        let plan = try Adoption(system()).plan("golden", image: "50")
        #expect(plan.steps.map(\.id) == ["fleet.properties", "be.mount", "fleet.take", "fleet.mark"])
        #expect(
            plan.commandLines == [
                "zfs set canmount=noauto rpool/ROOT/golden",
                "zfs set mountpoint=/ com.kldload:owner=kldload com.kldload:identity=foreign rpool/ROOT/golden",
                "mount -t zfs -o zfsutil rpool/ROOT/golden /run/kldload/adopt/golden", "umount --recursive /run/kldload/adopt/golden",
                "zfs set com.kldload:identity=own com.kldload:image=50 rpool/ROOT/golden",
            ])
        #expect(try Adoption(system()).plan("golden", image: nil).steps.map(\.id) == plan.steps.map(\.id))
        #expect(plan[step: "be.mount"]?.release.isEmpty == false && plan.destroys.isEmpty)
    }

    @Test func `a machine that signs what it boots signs the modules too`() throws {
        var system = try system()
        system.signing = .by(
            try CertificateIdentity([0x30, 0x0d, 0x30, 0x0b, 0x02, 0x01, 0x05, 0x30, 0x02, 0x05, 0x00, 0x30, 0x02, 0x31, 0x00]))
        let actions = try Adoption(system).plan("golden", image: nil)[step: "fleet.take"]?.actions ?? []
        #expect(actions.last == .perform("fleet.sign", ["root": "/run/kldload/adopt/golden"], effect: .changes))
    }

    @Test func `an initramfs that could not be built anew is built at the next time, though its modules are signed by then`() async throws {
        let module = "/new/usr/lib/modules/6.12/updates/dkms/zfs.ko"
        let files = MemoryFiles([
            module: "zfs", "/new/boot/vmlinuz-6.12": "kernel", "/new/boot/initrd.img-6.12": "of the other machine",
            // Neither is one to sign: without modules of DKMS, without an initramfs.
            "/new/boot/vmlinuz-6.1": "kernel", "/new/boot/initrd.img-6.1": "x", "/new/boot/vmlinuz-6.13": "kernel",
            "/new/usr/lib/modules/6.13/updates/dkms/zfs.ko": "zfs",
        ])
        let isFull = Locked(true)
        let runner = ScriptedRunner([
            { command in
                switch command.tool.name {
                case "openssl":
                    guard let out = command.arguments.last else { return nil }
                    try files.write("signature", to: FilePath(out))
                    return CommandOutput()
                case "chroot": return CommandOutput(status: isFull.value ? 1 : 0)
                default: return nil
                }
            }
        ])
        func builds() -> [String] { runner.commands.filter { $0.tool.name == "chroot" }.map(\.description) }
        let build = "chroot /new update-initramfs -u -k 6.12"
        await #expect(throws: CommandError.self) { try await Adoption.signModules(in: "/new", runner: runner, files: files) }
        let signed = files.texts[module]
        #expect(builds() == [build] && signed?.contains("signature") == true)
        isFull.value = false
        try await Adoption.signModules(in: "/new", runner: runner, files: files)
        #expect(builds() == [build, build] && files.texts[module] == signed)
        #expect(files.texts["/new/usr/lib/modules/6.13/updates/dkms/zfs.ko"] == "zfs")
    }

    @Test func `what runs, or boots next, or holds more, is left alone`() throws {
        for (plan, code) in [
            ({ try Adoption(self.system()).plan("debian", image: nil) }, "be.running"),
            ({ try Adoption(self.system(next: "golden")).plan("golden", image: nil) }, "be.active"),
            (
                {
                    try Adoption(self.system(children: [try DatasetName("rpool/ROOT/golden/var"): .init("/var")]))
                        .plan("golden", image: nil)
                },
                "be.deep"
            ),
            ({ try Adoption(self.system()).plan("nothing", image: nil) }, "be.unknown"),
        ] as [(() throws -> Plan, String)] {
            #expect { try plan() } throws: { Diagnosis(of: $0).code == code }
        }
    }
}

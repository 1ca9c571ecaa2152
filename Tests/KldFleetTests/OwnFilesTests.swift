import KldBootEnv
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldFleet

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

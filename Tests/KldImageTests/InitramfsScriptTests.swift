import KldBoot
import KldCore
import KldExec
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

/// The scripts themselves, run by a POSIX shell, among programs that stand for those of an initramfs.
@Suite("Scripts of the initramfs")
struct InitramfsScriptTests {
    static let release = "6.12.48+deb13-amd64"

    /// Runs a script below a folder that stands for `/`.
    private func run(
        _ name: String, commandLine: String, programs: [String: String] = [:], prepare: (FilePath) throws -> Void = { _ in },
        _ check: (FilePath, _ output: String) throws -> Void
    ) async throws {
        let script = try #require(SystemFiles.initramfsScripts.first { $0.name == name })
        try await Scratch.with { root in
            let files = LocalFiles()
            func place(_ path: String) -> String { root.string + path }
            var text = script.text
            for path in ["/proc/cmdline", "/run/kldload", "/conf/param.conf", "/sbin/zpool"] {
                text = text.replacing(path, with: place(path))
            }
            try files.write(text, to: FilePath(place("/script")))
            for folder in ["/proc", "/run/kldload", "/conf", "/sbin"] { try files.makeDirectory(FilePath(place(folder)), mode: 0o755) }
            try files.write("BOOT_IMAGE=x \(commandLine)\n", to: FilePath(place("/proc/cmdline")))
            let all = ["modprobe": "exit 0", "uname": "echo \(Self.release)", "mount": "exit 0", "umount": "exit 0"].merging(programs) {
                $1
            }
            for (program, body) in all {
                let file = FilePath(place("/sbin/\(program)"))
                try files.write(Array("#!/bin/sh\nroot=\(root)\n\(body)\n".utf8), to: file, mode: 0o755)
            }
            try prepare(root)
            let output = try await SubprocessRunner().run(
                Command(
                    Tool("sh", package: "dash"), [place("/script")], effect: .reads,
                    environment: ["PATH": "\(place("/sbin")):/usr/bin:/bin"]))
            try check(root, output.output)
        }
    }

    private static let root = "root=ZFS=rpool/ROOT/debian boot=zfs rw"

    /// What mount(8) shows is the variable: attributes, then UTF-16.
    private func chosen(_ id: String?, _ line: String = "\(root) \(EnvironmentChoice.word)") async throws -> (
        parameters: String, said: String
    ) {
        var result = ("", "")
        try await run(
            "kldload-environment", commandLine: line,
            prepare: { root in
                guard let id else { return }
                let variables = root.appending("run/kldload/efivars")
                try LocalFiles().makeDirectory(variables, mode: 0o755)
                let name = "LoaderEntrySelected-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
                try LocalFiles().write(
                    [6, 0, 0, 0] + (Array(id.utf8) + [0]).flatMap { [$0, 0] }, to: variables.appending(name), mode: .file)
            }
        ) { root, _ in
            func read(_ path: String) throws -> String {
                let file = root.appending(path)
                return try LocalFiles().exists(file) ? LocalFiles().readText(file).trimmed : ""
            }
            result = (try read("conf/param.conf"), try read("run/kldload/environment"))
        }
        return result
    }

    @Test("the environment that the loader has chosen is the root, and that is written down")
    func follows() async throws {
        for (id, name) in [
            ("kldload-next-\(Self.release).1.conf", "next"), ("kldload-debian-\(Self.release).12", "debian"),
            ("kldload-a-6.12-b.c_d-\(Self.release).3.conf", "a-6.12-b.c_d"), ("kldload-next-\(Self.release).1+3.conf", "next"),
            ("kldload-next-\(Self.release).1+2-1.conf", "next"),
        ] {
            let found = try await chosen(id)
            #expect(found == ("ROOT='ZFS=rpool/ROOT/\(name)'", name), "\(id)")
        }
    }

    @Test("what the loader does not say, or says of another kernel, changes nothing; nor where the image does not allow it")
    func keeps() async throws {
        let none = ("", "")
        #expect(try await chosen(nil) == none)
        #expect(try await chosen("kldload-next-6.12.1.1.conf") == none)
        #expect(try await chosen("auto-windows") == none)
        #expect(try await chosen("kldload-recovery.conf") == none)
        #expect(try await chosen("kldload-next-\(Self.release).1.conf", Self.root) == none)
        #expect(try await chosen("kldload-next-\(Self.release).1.conf", "boot=zfs \(EnvironmentChoice.word)") == none)
    }

    @Test("the word, and the letters that a name may have, are those of the commands")
    func words() throws {
        let text = try #require(SystemFiles.initramfsScripts.first { $0.name == "kldload-environment" }).text
        #expect(text.contains("\(EnvironmentChoice.word))") && text.contains("tr -cd '\(EnvironmentChoice.range)'"))
        #expect(EnvironmentChoice.isPossible("a-6.12_x" + Self.release))
        for name in ["Next", "a b", "a:b", "ä"] { #expect(!EnvironmentChoice.isPossible(name)) }
    }

    /// Seconds that were waited for a pool whose state changes by the second.
    private func waited(_ states: [String], _ line: String = root, before: Bool = false) async throws -> Int {
        var seconds = 0
        let count = "$(cat $root/seconds 2>/dev/null || echo 0)"
        let listing = states.enumerated().map { second, state in
            "[ \(count) -\(second == states.count - 1 ? "ge" : "eq") \(second) ] && [ -n '\(state)' ] && printf '   pool: rpool\\n     id: 7\\n  state: \(state)\\n status: x\\n'"
        }
        let other = "printf '   pool: tank\\n     id: 8\\n  state: ONLINE\\n\\n'"
        try await run(
            "kldload-pool", commandLine: line,
            programs: [
                "zpool": ([other] + listing + ["exit 0"]).joined(separator: "\n"),
                "sleep": "echo $((\(count) + $1)) >$root/seconds.new; mv $root/seconds.new $root/seconds",
            ],
            prepare: { root in if before { try LocalFiles().write("", to: root.appending("run/kldload/waited")) } }
        ) { root, output in
            let file = root.appending("seconds")
            seconds = try LocalFiles().exists(file) ? Int(LocalFiles().readText(file).trimmed) ?? -1 : 0
            #expect(output.contains("waiting for the disks of the pool rpool") == (seconds > 0))
        }
        return seconds
    }

    @Test("a pool whose disks are there is not waited for; one that lacks some has a quarter of a minute, one that is not there a minute")
    func waits() async throws {
        #expect(try await waited(["ONLINE"]) == 0)
        #expect(try await waited(["", "", "ONLINE"]) == 2)
        #expect(try await waited(["DEGRADED", "DEGRADED", "DEGRADED", "ONLINE"]) == 3)
        #expect(try await waited(["DEGRADED"]) == 15)
        #expect(try await waited([""]) == 60)
        #expect(try await waited(["UNAVAIL", "ONLINE"]) == 1)
        #expect(try await waited([""], "root=/dev/sda1") == 0)
        // OpenZFS' script runs the folder a second time; before the recovery console nobody waits.
        #expect(try await waited([""], before: true) == 0)
        #expect(try await waited([""], "root=ZFS=rpool/ROOT/debian boot=kldload") == 0)
    }

    @Test("all of them are shell, and start nothing when initramfs-tools asks what they need")
    func shell() async throws {
        for script in SystemFiles.initramfsScripts {
            try await Scratch.with { folder in
                let file = folder.appending(script.name)
                try LocalFiles().write(script.text, to: file)
                let sh = Tool("sh", package: "dash")
                try await SubprocessRunner().run(Command(sh, ["-n", file.string], effect: .reads))
                #expect(try await SubprocessRunner().run(Command(sh, [file.string, "prereqs"], effect: .reads)).output.isEmpty)
            }
        }
    }
}

import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// Becomes a user who is known only in a mount namespace of this script, with no rights of root, and runs what follows the folder.
    ///
    /// Runs in `unshare --mount`, so that the accounts of this machine stay as they are.
    private static let asOrdinaryUser = """
        set -e
        place=$1; shift
        for file in passwd group subuid subgid; do cp /etc/$file "$place/$file"; done
        echo "builder:x:4242:4242::$place/home:/bin/sh" >> "$place/passwd"; echo "builder:x:4242:" >> "$place/group"
        echo "builder:3000000:65536" >> "$place/subuid"; echo "builder:3000000:65536" >> "$place/subgid"
        for file in passwd group subuid subgid; do mount --bind "$place/$file" /etc/$file; done
        chown -R 4242:4242 "$place/home"
        umask 077
        exec setpriv --reuid=4242 --regid=4242 --clear-groups env -i PATH="$PATH" HOME="$place/home" TZ=Asia/Kathmandu "$@"
        """

    /// Of the two builds. Both are there on every machine; one that is not installed would be C too. It is the tool that meets them: to the
    /// programs that it runs it gives one of its own.
    private static let locales = [["LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"], ["LC_ALL": "C", "LANG": "C"]]

    static func reproducible(_ lab: Laboratory) async throws {
        let runner = lab.workshop.runner
        func run(_ tool: String, _ words: [String]) async throws { try await runner.run(Command(Tool(tool), words, effect: .changes)) }
        var characters: [String] = []
        for locale in locales {
            let said = try await runner.run(
                Command(Tool("locale", package: "libc-bin"), ["charmap"], effect: .reads, environment: locale))
            characters.append(said.output.trimmed)
        }
        lab.log("the builds meet the characters \(characters.joined(separator: " and "))")
        try check(Set(characters).count == 2, "both builds meet the same locale")
        let folder = lab.folder.appending("out")
        let words = coreBuild(lab, into: folder, format: .raw)
        let first = try await runner.run(
            Command(Tool(words[0]), Array(words.dropFirst()), effect: .changes, environment: surroundings.merging(locales[0]) { $1 }))
        lab.log(first.errors.lines.suffix(3).joined(separator: "; "))

        // Not below this user's home, which others may not enter.
        let place = FilePath("/var/tmp/kldload-another place-\(UInt32.random(in: 0 ... .max))")
        let home = place.appending("home")
        let cache = home.appending(".cache/kldload")
        let own = try await OwnFolder.make(place, mode: 0o755, gate: LeftFolders.gate(lab.workshop.cache.root))
        defer { try? own.remove() }
        try lab.files.makeDirectory(cache, mode: 0o755)
        // The modules are an input: built once, packed, used by every build.
        try await run("cp", ["--archive", lab.workshop.cache.root.appending("modules").string, cache.string])
        try await run("cp", [lab.workshop.executable.string, place.appending("kldload").string])
        try lab.files.write(try lab.answers("golden-image", ["KLDLOAD_PROFILE=core"]).environmentText, to: home.appending("my.env"))
        let other = home.appending("out")
        let asOther = ["--mount", "--propagation=private", "--", "sh", "-c", asOrdinaryUser, "sh", place.string]
        let settings = locales[1].map { "\($0.key)=\($0.value)" }
        let second = [
            place.appending("kldload").string, "image", "build", home.appending("my.env").string, "--format", "raw", "--progress", "plain",
            "--output", other.string,
        ]
        let output = try await runner.run(
            Command(Tool("unshare", package: "util-linux"), asOther + settings + second, effect: .changes))
        lab.log(output.errors.lines.suffix(3).joined(separator: "; "))

        func only(_ kind: String, _ name: String) throws -> FilePath {
            let keys = try lab.files.list(cache.appending(kind)).filter { !$0.hasPrefix(".") }
            guard let key = keys.first, keys.count == 1 else { throw CheckFailure("\(kind): \(keys)") }
            return FilePath("\(kind)/\(key)/\(name)")
        }
        for (kind, name) in [
            ("target", "rootfs.tar"), ("live", "live.tar"), ("live", "initrd"), ("live-image", "live.squashfs"),
            ("live-image", "factory.cpio"),
        ] {
            let path = try only(kind, name)
            let one = try await digest(lab.workshop.cache.root.pushing(path), lab)
            let two = try await digest(cache.pushing(path), lab)
            lab.log("\(path): \(one)")
            if one != two { try await run("cp", [cache.pushing(path).string, lab.folder.string]) }
            try check(one == two, "\(path) differs: the other one is in \(lab.folder)")
        }
        let images = try [folder, other].map { folder in
            guard let name = try lab.files.list(folder).first(where: { $0.hasSuffix(".raw") }) else {
                throw CheckFailure("no raw image in \(folder)")
            }
            return folder.appending(name)
        }
        try await sameContent(images[0], images[1], lab)
    }

    /// Compares two sealed disks in a guest: the ESP's bytes; every file of ESP and pool, with mode, owner, extended attributes and digest.
    /// The pool's own blocks hold times and random numbers.
    private static func sameContent(_ one: FilePath, _ two: FilePath, _ lab: Laboratory) async throws {
        let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
        try await lab.live(
            answers, disks: [MachineDisk(one, serial: "one", readOnly: true), MachineDisk(two, serial: "two", readOnly: true)]
        ) { shell in
            for disk in ["one", "two"] {
                try await shell.run(
                    LiveShell.looking(
                        at: disk,
                        """
                        { cd /look && find . -printf '%P %y %m %U %G %l\\n' | sort && \\
                        getfattr -R -h -d -m - . | awk '/^# file: / { file = $0; next } NF { print file, $0 }' | sort && \\
                        find . -type f -print0 | sort -z | xargs -0 sha256sum && cd /esp && find . -printf 'esp %P %y\\n' | sort && \\
                        find . -type f -print0 | sort -z | xargs -0 sha256sum && \\
                        zfs list -H -o name,mountpoint,canmount,compression,recordsize,acltype,xattr,atime -r rpool && \\
                        sha256sum < /dev/disk/by-id/virtio-\(disk)-part1; } > /run/\(disk).list
                        """), within: .seconds(400))
            }
            let found = try await shell.run("wc -l < /run/one.list; diff /run/one.list /run/two.list | head -40", within: .seconds(60))
            lab.log("files, attributes and digests: \(found.lines.first ?? "none")")
            try check(found.lines.count == 1 && (Int(found.trimmed) ?? 0) > 10_000, "they differ:\n\(found)")
        }
    }
}

import FoundationEssentials
import Glibc
import KldAnswers
import KldCore
import KldDoctor
import KldExec
import KldFiles
import KldImage
import KldPackages
import KldVirt
import SystemPackage

extension Scenario {
    static let images: [Scenario] = [
        Scenario("image.golden", "a sealed image boots, becomes somebody and is well", tier: .ci) { lab in
            try await verify(try await golden(lab), lab)
        },
        Scenario("image.debian12", "a sealed image of Debian 12 does the same, without ukify") { lab in
            try await verify(try await golden(lab, profile: "server", ["KLDLOAD_DEBIAN_SUITE=bookworm"]), lab)
        },
        Scenario(
            "image.kexport",
            "an installed machine's disk is exported sealed, from a copy, named by what is on it, and the copy becomes another machine"
        ) { lab in
            // An address that fits the network of the guests, so that the machine itself passes its checks.
            let fixed = [
                "KLDLOAD_PROFILE=core", "KLDLOAD_NET_METHOD=static", "KLDLOAD_NET_IP=10.0.2.77", "KLDLOAD_NET_PREFIX=24",
                "KLDLOAD_NET_GW=10.0.2.2", "KLDLOAD_NET_DNS=10.0.2.3", "KLDLOAD_PASSWORD=Correct-Horse-7",
            ]
            let answers = try lab.answers("three-lines", fixed).forTest()
            let disks = try await lab.disks(1)
            try await lab.install(answers, onto: disks)
            try await lab.verify(disks)
            // As after upgrades: what boots is a clone of a clone of what was installed, which is still there.
            try await lab.withGuest(disks, label: "environments") { guest in
                for name in ["second", "third"] {
                    try await guest.run("kbe create \(name) && kbe activate \(name)")
                    try await guest.restart()
                }
                try await guest.told("kbe create aside && kbe list && zfs list -r -o name,origin rpool/ROOT")
                try await guest.powerOff()
            }
            let before = try await digest(disks[0].file, lab)
            let folder = lab.folder.appending("out")
            try await withDevice(of: disks[0].file, lab) { source in
                // As it has been printed since the first release.
                let kexport = Command(
                    Tool(lab.workshop.executable.string), ["kexport", source, "qcow2", folder.string + "/"], effect: .changes,
                    environment: surroundings)
                lab.log(try await lab.workshop.runner.run(kexport).errors.lines.suffix(3).joined(separator: "; "))
            }
            let manifest = try JSONDecoder().decode(
                ImageManifest.self, from: Data(lab.files.read(folder.appending("kldload-debian-core.manifest.json"))))
            guard let output = manifest.outputs.first else { throw CheckFailure("nothing was exported") }
            try check(try await digest(disks[0].file, lab) == before, "the source was changed")
            let image = manifest.image
            let versions = "Linux \(image.kernel ?? "?"), OpenZFS \(image.openzfs ?? "?")"
            lab.log("\(output.file): \(image.distro) \(image.suite), \(image.profile), \(versions)")
            try check(output.file == "kldload-debian-core.qcow2", "its name is \(output.file)")
            try check(image.kernel != nil && image.openzfs != nil && manifest.sbom != nil, "the manifest does not say what is installed")
            try await verify(folder.appending(output.file), lab)
            let facts = try await boot(
                folder.appending(output.file), as: "copied", mac: "52:54:00:00:00:04",
                [
                    ("fixed", "ls /etc/systemd/network | grep -c ^10-kldload"), ("address", "ip -4 -o address | grep -c 10.0.2.77/"),
                    ("environments", "zfs list -H -r -o name,origin rpool/ROOT | tr '\\t\\n' =,"),
                ], lab)
            try check(
                facts["environments"] == "rpool/ROOT=-,rpool/ROOT/third=-,", "the image holds more than what it boots: \(facts)")
            try check(facts["fixed"] == "0" && facts["address"] == "0", "the copy took the address of its source along: \(facts)")
        },
        Scenario(
            "image.canaries",
            "a mark in the place of every secret, and every identity of the disk: none is left in the raw export, free blocks included"
        ) { lab in
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let disks = try await lab.disks(1)
            try await lab.install(answers, onto: disks)
            let canaries = SealCanaries(seed: UInt64.random(in: 0 ... .max))
            let tree = lab.folder.appending("canaries")
            try lab.files.makeDirectory(tree.appending("root"), mode: 0o700)
            try canaries.plant(in: tree.appending("root"), lab.files)
            try canaries.plantElsewhere(in: tree, lab.files)
            let tar = lab.folder.appending("canaries.tar")
            try await lab.workshop.runner.run(
                Command("tar", ["--create", "--file=\(tar)", "--directory=\(tree)", "."], effect: .changes))
            let more = [MachineDisk(disks[0].file, serial: disks[0].serial), MachineDisk(tar, serial: "canaries", readOnly: true)]
            try await lab.live(answers, disks: more) { _ = try await $0.run(planting, within: .seconds(120)) }
            let scanner = try ByteScanner(canaries.markers)
            let planted = Set(canaries.markers.map(\.name))
            let before = Set(try scanner.scan(disks[0].file).hits.map(\.name))
            lab.log("\(before.count) of \(planted.count) marks lie on the disk as they are")
            try check(before == planted, "not on the disk: \(planted.subtracting(before).sorted())")
            let source = try DiskFingerprint(of: disks[0].file)
            try check(
                source.kinds == Set(DiskFingerprint.Kind.allCases),
                "the disk has no \(Set(DiskFingerprint.Kind.allCases).subtracting(source.kinds).sorted())")
            let folder = lab.folder.appending("out")
            let request = KexportRequest(source: .path(disks[0].file), formats: [.raw], destination: .folder(folder))
            let manifest = try await DiskExport(workshop: lab.workshop, report: lab.report)
                .run(request, version: "systemtest", created: Timestamp(seconds: 1_767_225_600))
            guard let output = manifest?.outputs.first else { throw CheckFailure("nothing was exported") }
            let found = try scanner.scan(folder.appending(output.file))
            lab.log("\(found.hits.count) marks in \(found.bytesRead >> 20) MiB of the raw export")
            try check(found.hits.isEmpty && !found.isTruncated, "still there: \(Set(found.hits.map(\.name)).sorted())")
            let shared = source.shared(with: try DiskFingerprint(of: folder.appending(output.file)))
            lab.log("\(source.marks.count) identities of the disk; the export has of them: \(shared)")
            // OpenZFS cannot change GUIDs of vdevs.
            let left = shared.filter { $0.kind != .vdev }
            try check(left.isEmpty, "the export still has \(left)")
        },
        Scenario("image.secrets", "no secret of the answers is in the image that the factory makes, in the disk's bytes or in a file") {
            lab in
            let marks = ["Canary-Password-7f3a", "Canary-Mok-7f3a", "CanarySalt7f3a", "Canary-Scp-7f3a"]
            let hash = try await lab.workshop.runner.run(
                Command("openssl", ["passwd", "-6", "-salt", marks[2], "-stdin"], effect: .reads, input: .text("anything\n"))
            ).output.trimmed
            let secrets = [
                "KLDLOAD_PASSWORD=\(marks[0])", "KLDLOAD_ROOT_PASSWORD_HASH=\(hash)", "KLDLOAD_MOK_PASSWORD=\(marks[1])",
                // It needs a machine to copy to. No network has this one. Source: RFC 6761.
                "KLDLOAD_EXPORT_SCP_HOST=nowhere.invalid", "KLDLOAD_EXPORT_SCP_PASS=\(marks[3])",
            ]
            do {
                _ = try await build(lab, formats: [.raw], secrets, runner: TriedUploads(runner: lab.workshop.runner))
                throw CheckFailure("the image was copied to a machine that no network has")
            } catch let error as Diagnosis {
                try check(error.code == "ssh.unreachable" && error.message.contains("nowhere.invalid"), error.rendered)
                lab.log("copied nowhere: \(error.causes.last ?? "")")
            }
            let folder = lab.folder.appending("out")
            let names = try lab.files.list(folder)
            guard let raw = names.first(where: { $0.hasSuffix(".raw") }) else { throw CheckFailure("nothing was built: \(names)") }
            for name in names {
                let found = try ByteScanner(marks.map { .init(name: $0, text: $0) }).scan(folder.appending(name))
                try check(found.hits.isEmpty && !found.isTruncated, "\(name) holds \(Set(found.hits.map(\.name)))")
            }
            lab.log("none of \(marks.count) secrets in the bytes of \(names.joined(separator: ", "))")
            // Blocks of the pool are compressed: every file as it is read, too.
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let disk = MachineDisk(folder.appending(raw), serial: "one", readOnly: true)
            try await lab.live(answers, disks: [disk]) { shell in
                let patterns = marks.map { "-e \($0)" }.joined(separator: " ")
                let found = try await shell.told(
                    LiveShell.looking(
                        at: "one",
                        """
                        echo read $(find /look /esp -xdev -type f | wc -l) files && \
                        echo open passwords: $(cut -d: -f2 /look/etc/shadow | grep -vc '^[!*]') && \
                        { grep -rlF \(patterns) /look /esp; echo searched; }
                        """), within: .seconds(300))
                try check(found.lines.last == "searched" && found.lines.count == 3, "found: \(found)")
                try check(found.contains("open passwords: 0"), found)
            }
        },
        Scenario("image.formats", "a server in every export format: each converted back is the raw disk; virt-v2v reads the OVA") { lab in
            let (manifest, folder) = try await build(lab, profile: "server", formats: ExportFormat.allCases)
            try check(manifest.outputs.count == ExportFormat.allCases.count, "\(manifest.outputs.map(\.file))")
            let runner = lab.workshop.runner
            guard let raw = manifest.outputs.first(where: { $0.format == .raw }) else { throw CheckFailure("no raw image") }
            guard let qcow2 = manifest.outputs.first(where: { $0.format == .qcow2 }) else { throw CheckFailure("no qcow2 image") }
            try check(qcow2.size.bytes <= 900_000_000, "\(qcow2.file) has \(qcow2.size)")
            let blocks = try await runner.run(
                Command(Tool("stat", package: "coreutils"), ["--format=%b %B", folder.appending(raw.file).string], effect: .reads)
            ).output.words.compactMap { UInt64($0) }
            try check(blocks.count == 2, "stat said: \(blocks)")
            let taken = ByteCount(blocks[0] * blocks[1])
            lab.log("\(raw.file) (\(raw.size)) takes \(taken)")
            try check(taken < raw.size, "the raw image is not sparse")
            for output in manifest.outputs where output.format != .raw {
                var file = folder.appending(output.file)
                if output.format == .ova {
                    try await readByVirtV2V(file, lab)
                    let inside = lab.folder.appending("ova")
                    try lab.files.makeDirectory(inside, mode: 0o700)
                    try await runner.run(Command("tar", ["--extract", "--file=\(file)", "--directory=\(inside)"], effect: .changes))
                    let names = try lab.files.list(inside)
                    guard let disk = names.first(where: { $0.hasSuffix(".vmdk") }), let list = names.first(where: { $0.hasSuffix(".mf") })
                    else {
                        throw CheckFailure("the OVA holds \(names)")
                    }
                    // Its manifest, line by line, as OVF 1.1 wants it: `SHA256(name)= digest`.
                    var listed: [String] = []
                    for line in try lab.files.readText(inside.appending(list)).lines {
                        let parts = line.split(whereSeparator: { "()= ".contains($0) }).map(String.init)
                        try check(parts.count == 3 && parts[0] == "SHA256", "not a line of a manifest: \(line)")
                        try check(
                            try await digest(inside.appending(parts[1]), lab) == parts[2], "\(parts[1]) is not what the manifest says")
                        listed.append(parts[1])
                    }
                    try check(listed.sorted() == names.filter { $0 != list }.sorted(), "the manifest names \(listed) of \(names)")
                    file = inside.appending(disk)
                }
                let format = ["vhd": "vpc", "ova": "vmdk"][output.format.rawValue] ?? output.format.rawValue
                try await runner.run(
                    Command(
                        Tool("qemu-img", package: "qemu-utils"),
                        ["compare", "-f", "raw", "-F", format, folder.appending(raw.file).string, file.string], effect: .reads))
                lab.log("\(output.file) (\(output.size)) is the raw disk")
                try await runner.run(
                    Command(
                        Tool("sha256sum", package: "coreutils"), ["--check", "--status", "--strict", "\(output.file).sha256"],
                        effect: .reads,
                        workingDirectory: folder))
                if output.format == .ova {
                    lab.log("booting \(output.file)")
                    try await verify(folder.appending(output.file), lab)
                }
            }
        },
        Scenario(
            "image.interrupted",
            "Ctrl-C at moments of a build: status 130, nothing running, nothing left, of mmdebstrap too; a kill: the next build clears up",
            run: interrupted),
        Scenario("image.two-builds", "two builds of one image at once: the second waits, then says that the image is there") { lab in
            let out = lab.folder.appending("twice")
            let words = coreBuild(lab, into: out)
            let command = Command(
                Tool(words[0]), Array(words.dropFirst()), effect: .changes, accepting: [0, 73], environment: surroundings)
            let runner = lab.workshop.runner
            async let one = runner.run(command)
            async let two = runner.run(command)
            let outputs = try await [one, two].sorted { $0.status < $1.status }
            lab.log(outputs[1].errors.lines.suffix(6).joined(separator: "\n"))
            try check(outputs.map(\.status) == [0, 73], "status \(outputs.map(\.status))")
            try check(
                outputs[1].errors.contains("waiting for it") && outputs[1].errors.contains("error[image.exists]"), outputs[1].errors)
        },
        Scenario(
            "image.reproducible",
            "the same inputs built by an ordinary user in another place, time zone, locale and umask: the same artefacts, ESP and pool",
            run: reproducible),
        Scenario("image.offline", "with everything cached, an image is built without a network") { lab in
            _ = try await golden(lab)
            // A network namespace without any card: nothing outside can be reached.
            let output = try await lab.workshop.runner.run(
                Command(
                    Tool("unshare", package: "util-linux"),
                    ["--net", "--map-root-user", "--"] + coreBuild(lab, into: lab.folder.appending("offline")), effect: .changes,
                    environment: surroundings))
            try check(
                output.errors.contains("the package archive cannot be reached; its lists of"), "it did not notice:\n\(output.errors)")
            lab.log(output.errors.lines.first { $0.contains("cannot be reached") } ?? "")
        },
        Scenario(
            "image.upgrade",
            "an image keeps working package management: apt raises what is old, a new package, a new initramfs, then it boots again",
            run: upgraded),
    ]

    /// What virt-v2v, which shares no code with kldload, finds in an OVA: it checks the manifest and reads the descriptor.
    ///
    /// Runs: `virt-v2v --print-source -i ova FILE`, reads. Source: virt-v2v-input-vmware(1), 2.2.
    private static func readByVirtV2V(_ file: FilePath, _ lab: Laboratory) async throws {
        let output = try await lab.workshop.runner.run(
            Command(
                Tool("virt-v2v"), ["--print-source", "-i", "ova", file.string], effect: .reads,
                environment: ["HOME": home, "LIBGUESTFS_BACKEND": "direct", "TMPDIR": lab.folder.string])
        ).output
        lab.log(output.lines.map(\.trimmed).filter { !$0.isEmpty }.joined(separator: "; "))
        try check(
            ["source name: \(file.stem ?? "")", "[scsi]", "uefi"].allSatisfy { output.lowercased().contains($0.lowercased()) }, output)
    }

    /// Boots an image, and asks the system inside; every check must hold.
    private static func verify(_ image: FilePath, _ lab: Laboratory) async throws {
        try lab.require(try await ImageVerification(workshop: lab.workshop, report: lab.report).run(image))
    }

    private static var home: String { getenv("HOME").map { String(cString: $0) } ?? "/root" }

    /// By which the tool finds the cache that the scenarios share with it.
    static var surroundings: [String: String] {
        ["HOME": home].merging(getenv("XDG_CACHE_HOME").map { ["XDG_CACHE_HOME": String(cString: $0)] } ?? [:]) { $1 }
    }

    static func digest(_ file: FilePath, _ lab: Laboratory) async throws -> String {
        try await lab.workshop.runner.run(FileCommand.digest(of: file)).output.words[0]
    }

    /// The example image, as small as it gets.
    static func golden(_ lab: Laboratory, profile: String = "core", _ overrides: [String] = []) async throws -> FilePath {
        let (manifest, folder) = try await build(lab, profile: profile, overrides)
        guard let output = manifest.outputs.first else { throw CheckFailure("the manifest names no image") }
        lab.log("\(output.file): \(output.size)")
        return folder.appending(output.file)
    }

    /// A disk of this machine, as it stands in its list of disks, with the content of a file; the file itself where only root can have one.
    ///
    /// Runs: `losetup --find --show --read-only FILE`, `losetup --detach DEVICE`, change.
    private static func withDevice(of file: FilePath, _ lab: Laboratory, _ body: (String) async throws -> Void) async throws {
        let losetup = Tool("losetup", package: "mount")
        guard geteuid() == 0 else { return try await body(file.string) }
        let device = try await lab.workshop.runner.run(
            Command(losetup, ["--find", "--show", "--read-only", file.string], effect: .changes)
        ).output.trimmed
        let result: Result<Void, any Error>
        do { result = .success(try await body(device)) } catch { result = .failure(error) }
        // why: a task of its own does not inherit the cancellation, which would end it before the device is free.
        let detached = await Task.detached {
            try await lab.workshop.runner.run(Command(losetup, ["--detach", device], effect: .changes))
        }.result
        try result.get()
        _ = try detached.get()
    }

    /// The command that a user types for the example's image, as small as it gets.
    static func coreBuild(
        _ lab: Laboratory, into out: FilePath, format: ExportFormat = .qcow2, progress: String = "plain"
    ) -> [String] {
        [
            lab.workshop.executable.string, "image", "build", lab.examples.appending("golden-image.env").string, "--set",
            "KLDLOAD_PROFILE=core", "--format", format.rawValue, "--progress", progress, "--output", out.string,
        ]
    }

    /// Builds the example image into the folder it returns.
    static func build(
        _ lab: Laboratory, profile: String = "core", formats: [ExportFormat] = [.qcow2], version: String = "systemtest",
        _ overrides: [String] = [], runner: (any CommandRunner)? = nil
    ) async throws -> (ImageManifest, FilePath) {
        let folder = lab.folder.appending("out")
        let workshop =
            runner.map { Workshop(cache: lab.workshop.cache, runner: $0, executable: lab.workshop.executable, root: geteuid() == 0) }
            ?? lab.workshop
        let request = ImageBuild.Request(
            answers: try lab.answers("golden-image", ["KLDLOAD_PROFILE=\(profile)"] + overrides), formats: formats, folder: folder,
            name: try ExportName(distro: "debian", profile: profile), overwrite: true, version: version,
            created: Timestamp(seconds: 1_767_225_600))
        return (try await ImageBuild(workshop: workshop, report: lab.report).run(request), folder)
    }

    /// Puts the marks where they belong, in a shell of the live environment: into the root's files, at the end of initramfs and boot image,
    /// onto the ESP, into a snapshot, and into blocks and clusters that are free afterwards. A subshell, so that its end is not the shell's.
    private static let planting = """
        ( set -e
        mkdir tree; tar -xf /dev/disk/by-id/virtio-canaries -C tree
        # Labels say who used the pool last: here a machine with a name and a host id.
        hostname builder; printf '\\202\\000\\177\\000' > /etc/hostid
        zpool import -f -N -R /target rpool; zfs mount rpool/ROOT/debian; zfs mount -a
        cp tree/snapshot /target/usr/canary-snapshot; zfs snapshot rpool/ROOT/debian@canary; rm /target/usr/canary-snapshot
        # Appended: lines of some files are sealed, and other lines of them are needed.
        cd tree/root
        find . -type f | while read -r file; do
            mkdir -p "/target/${file%/*}"; if test -L "/target/$file"; then rm "/target/$file"; fi; cat "$file" >> "/target/$file"
        done
        cd ../..
        cat tree/trust-bundle >> /target/etc/ssl/certs/ca-certificates.crt
        for image in /target/boot/initrd.img-*; do cat tree/initramfs >> "$image"; done
        mkdir -p esp; mount -t vfat /dev/disk/by-id/virtio-disk0-part1 esp
        cp -r tree/esp/. esp
        for image in esp/EFI/kldload/kldload-*.efi; do cat tree/boot-image >> "$image"; done
        cp tree/esp-deleted esp/deleted; sync; rm esp/deleted; umount esp
        # Many, for the pool may use some of the blocks again before it is exported; and nothing that trims them meanwhile.
        zpool set autotrim=off rpool
        for copy in $(seq 50); do cp tree/freed /target/usr/canary-freed-$copy; done; zpool sync rpool; rm /target/usr/canary-freed-*
        zpool export rpool )
        """
}

extension Answers {
    /// The disks of the scenario are ours: approve them by name.
    func forTest() throws -> Answers { try replacing(["KLDLOAD_FORCE_WIPE=1"]) }
}

/// Whoever tries an upload before the build is answered; who copies the image afterwards finds nobody.
private struct TriedUploads: CommandRunner {
    let runner: any CommandRunner

    func run(_ command: Command) async throws -> CommandOutput {
        guard ["scp", "sftp"].contains(command.tool.name) else { return try await runner.run(command) }
        var words = command.description
        if case .text(let text) = command.input { words += text }
        return words.contains(".trial.partial") ? CommandOutput() : try await runner.run(command)
    }

    func run(pipeline: [Command]) async throws -> CommandOutput { try await runner.run(pipeline: pipeline) }
}

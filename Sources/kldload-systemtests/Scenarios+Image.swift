import KldAnswers
import KldCore
import KldDoctor
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    static let images: [Scenario] = [
        Scenario("image.golden", "a sealed image boots, becomes somebody and is well", tier: .ci) { lab in
            let image = try await golden(lab)
            let report = try await ImageVerification(workshop: lab.workshop, report: lab.report).run(image)
            lab.log("verify: \(report.summary.ok) ok, \(report.summary.fail) failed, \(report.summary.warn) warnings")
            let bad = report.results.filter { $0.status == .fail }
            try check(
                bad.isEmpty, bad.map { "\($0.name): \($0.title): \($0.actual) (expected \($0.expected ?? "-"))" }.joined(separator: "\n"))
        },
        Scenario("image.kexport", "an installed machine's disk is exported sealed, from a copy, and the copy becomes another machine") {
            lab in
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let disks = try await lab.disks(1)
            try await lab.install(answers, onto: disks)
            try await lab.verify(disks)
            let before = try await digest(disks[0].file, lab)
            let folder = lab.folder.appending("out")
            let request = KexportRequest(source: .path(disks[0].file), formats: [.qcow2], destination: .folder(folder))
            let manifest = try await DiskExport(workshop: lab.workshop, report: lab.report)
                .run(request, version: "systemtest", created: Timestamp(seconds: 1_767_225_600))
            guard let output = manifest?.outputs.first else { throw CheckFailure("nothing was exported") }
            try check(try await digest(disks[0].file, lab) == before, "the source was changed")
            let report = try await ImageVerification(workshop: lab.workshop, report: lab.report).run(folder.appending(output.file))
            let bad = report.results.filter { $0.status == .fail }
            try check(bad.isEmpty, bad.map { "\($0.name): \($0.title): \($0.actual)" }.joined(separator: "\n"))
        },
        Scenario("image.clones", "two clones with two NoCloud seeds are two machines") { lab in
            let image = try await golden(lab)
            var seen: [String: Set<String>] = [:]
            for (name, mac) in [("clone-one", "52:54:00:00:00:01"), ("clone-two", "52:54:00:00:00:02")] {
                let facts = try await boot(image, as: name, mac: mac, lab)
                lab.log("\(facts)")
                try check(facts["hostname"] == name, "the clone \(name) calls itself \(facts["hostname"] ?? "nothing")")
                for (key, value) in facts where key != "hostname" { seen[key, default: []].insert(value) }
            }
            for key in ["machine-id", "host-key", "host-id", "pool-guid", "disk-guid", "esp-guid", "dhcp-identity"] {
                try check(seen[key]?.count == 2, "both clones have the same \(key), or none: \(seen[key] ?? [])")
            }
        },
    ]

    private static func digest(_ file: FilePath, _ lab: Laboratory) async throws -> String {
        try await lab.workshop.runner.run(Command(Tool("sha256sum", package: "coreutils"), [file.string], effect: .reads)).output.words[0]
    }

    /// The example image, as small as it gets.
    private static func golden(_ lab: Laboratory) async throws -> FilePath {
        let answers = try lab.answers("golden-image", ["KLDLOAD_PROFILE=core"])
        let folder = lab.folder.appending("out")
        let request = ImageBuild.Request(
            answers: answers, formats: [.qcow2], folder: folder, name: try ExportName(distro: "debian", profile: "core"), overwrite: true,
            version: "systemtest", created: Timestamp(seconds: 1_767_225_600))
        let manifest = try await ImageBuild(workshop: lab.workshop, report: lab.report).run(request)
        guard let output = manifest.outputs.first else { throw CheckFailure("the manifest names no image") }
        lab.log("\(output.file): \(output.size)")
        return folder.appending(output.file)
    }

    /// Boots a throw-away overlay with a NoCloud seed whose commands print what makes this machine itself.
    private static func boot(_ image: FilePath, as name: String, mac: String, _ lab: Laboratory) async throws -> [String: String] {
        let place = lab.folder.appending(name)
        try lab.files.makeDirectory(place, mode: 0o700)
        let overlay = place.appending("overlay.qcow2")
        try await lab.workshop.runner.run(
            Command(
                Tool("qemu-img", package: "qemu-utils"),
                ["create", "-q", "-f", "qcow2", "-b", image.string, "-F", "qcow2", overlay.string],
                effect: .changes))
        let seed = try await noCloudSeed(name, in: place, lab)
        let host = try await FactoryHost.find(runner: lab.workshop.runner, files: lab.files, cache: lab.workshop.cache.root)
        let firmware = try Firmware.find(.uefi, files: lab.files)
        let spec = MachineSpec(
            name: name, accelerator: host.accelerator, memory: .gibibytes(2), processors: 2,
            boot: .uefi(code: firmware.code, variables: try firmware.copyVariables(to: place.appending("vars.fd"), files: lab.files)),
            disks: [MachineDisk(overlay, format: .qcow2, serial: "disk0"), MachineDisk(seed, serial: "seed", readOnly: true)],
            networks: [MachineNetwork(mac: mac)])
        return try await VirtualMachine.with(spec, qemu: host.qemu, folder: place) { machine in
            let text = try await machine.console.expect("KLDLOAD-END", within: host.deadline(.seconds(150)))
            var facts: [String: String] = [:]
            for line in text.lines where line.contains("KLDLOAD-FACT") {
                let words = line.words
                guard let index = words.firstIndex(of: "KLDLOAD-FACT"), words.count > index + 2 else { continue }
                facts[words[index + 1]] = words[index + 2]
            }
            return facts
        }
    }

    private static func noCloudSeed(_ name: String, in place: FilePath, _ lab: Laboratory) async throws -> FilePath {
        let commands = [
            ("hostname", "hostname"), ("machine-id", "cat /etc/machine-id"),
            ("host-key", "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub"),
            ("host-id", "od -An -tx4 /etc/hostid | tr -d ' '"), ("pool-guid", "zpool get -H -o value guid rpool"),
            ("disk-guid", "lsblk -dno PTUUID /dev/vda"), ("esp-guid", "blkid -p -o value -s PART_ENTRY_UUID /dev/vda1"),
            ("dhcp-identity", "grep -h ^CLIENTID= /run/systemd/netif/leases/*"),
        ]
        let lines = commands.map { "  - [sh, -c, \"echo KLDLOAD-FACT \($0.0) $(\($0.1)) > /dev/ttyS0\"]\n" }.joined()
        let user = place.appending("user-data")
        let meta = place.appending("meta-data")
        try lab.files.write("#cloud-config\nruncmd:\n\(lines)  - [sh, -c, \"echo KLDLOAD-END > /dev/ttyS0\"]\n", to: user)
        try lab.files.write("instance-id: \(name)\nlocal-hostname: \(name)\n", to: meta)
        let seed = place.appending("seed.img")
        let runner = lab.workshop.runner
        try await runner.run(Command(Tool("truncate", package: "coreutils"), ["--size=4M", seed.string], effect: .changes))
        try await runner.run(Command(Tool("mkfs.vfat", package: "dosfstools"), ["-n", "CIDATA", seed.string], effect: .changes))
        try await runner.run(
            Command(Tool("mcopy", package: "mtools"), ["-i", seed.string, user.string, meta.string, "::"], effect: .changes))
        return seed
    }
}

extension Answers {
    /// The disks of the scenario are ours: approve them by name.
    func forTest() throws -> Answers { try Answers(environmentText, overrides: ["KLDLOAD_FORCE_WIPE=1"]) }
}

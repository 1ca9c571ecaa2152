import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldVirt
import SystemPackage

/// A root shell on the serial console of the live environment: for what a person does by hand, and for what kills an installer.
struct LiveShell: Sendable {
    let lab: Laboratory
    let machine: VirtualMachine
    let host: FactoryHost
    /// Distinguishes the marker from the echo of the line that asks for it.
    private static let end = "KLDLOAD-END"

    /// Runs lines of shell, and returns what they printed.
    /// - Throws: ``CheckFailure`` when they end with another status than 0.
    @discardableResult
    func run(_ script: String, within limit: Duration = .seconds(30), accepting: Set<Int> = [0]) async throws -> String {
        try await machine.console.send("{ \(script)\n}; echo KLDLOAD''-END $?\n")
        let text = try await machine.console.expect(Self.end + " ", within: host.deadline(limit))
        let status = Int((try await machine.console.nextLine(within: .seconds(10)) ?? "").filter(\.isNumber)) ?? -1
        let printed = text.lines.filter { !$0.contains("KLDLOAD''-END") && !$0.contains(Self.end) }.joined(separator: "\n")
        try check(accepting.contains(status), "status \(status) of: \(script)\n\(printed)")
        return printed
    }

    /// The same, and the log has it too.
    @discardableResult
    func told(_ script: String, within limit: Duration = .seconds(30), accepting: Set<Int> = [0]) async throws -> String {
        let said = try await run(script, within: limit, accepting: accepting)
        lab.log(said)
        return said
    }

    /// Powers the machine off, and waits until it is.
    func powerOff() async throws {
        try await machine.console.send("systemctl poweroff\n")
        try await machine.waitForPowerOff(within: host.deadline(.seconds(120)))
    }

    /// A script for the live environment that does something with a sealed disk: its pool below `/look`, its ESP at `/esp`, both read-only.
    static func looking(at serial: String, _ script: String) -> String {
        """
        zpool import -f -N -o readonly=on -R /look -d /dev/disk/by-id/virtio-\(serial)-part2 rpool && \
        zfs mount "$(zpool get -H -o value bootfs rpool)" && zfs mount -a && mkdir -p /esp && \
        mount -o ro /dev/disk/by-id/virtio-\(serial)-part1 /esp && \
        \(script) && cd / && umount /esp && umount --recursive /look && \
        for try in 1 2 3 4 5 6 7 8 9; do zpool export rpool 2>/dev/null && break; sleep 1; done && ! zpool list rpool 2>/dev/null
        """
    }
}

extension Laboratory {
    /// What the live environment finds below `/run/test`: answers, and the payload as `kldload install --payload /run/test` wants it.
    private static let preparing = """
        stty -echo 2>/dev/null; export PS1= PS2= TERM=dumb; set +m; dmesg -n 1; mkdir -p /run/test; cd /run/test
        modprobe -a qemu_fw_cfg zfs; udevadm settle
        for name in answers.env payload.json; do cp /sys/firmware/qemu_fw_cfg/by_name/opt/com.kldload.test/$name/raw $name; done
        ln -s /dev/disk/by-id/virtio-test-stream root.zfs; ln -s /dev/disk/by-id/virtio-test-rest rest.tar
        ln -sf /usr/lib/kldload/kldload /usr/local/bin/kldload
        """

    /// Boots the live environment with disks and a payload, and hands over a shell in it. Powered off at the end.
    ///
    /// - Parameter variables: where UEFI firmware keeps its variables; `nil`: a machine without firmware.
    func live<Result: Sendable>(
        _ answers: Answers, disks: [MachineDisk], variables: FilePath? = nil, _ body: (LiveShell) async throws -> Result
    ) async throws -> Result {
        let bench = try await workshop.prepare(answers, mirror: nil, report: report)
        let stream = try await workshop.stream(bench, report: report)
        let place = folder.appending("live")
        try files.makeDirectory(place, mode: 0o700)
        let answersFile = place.appending("answers.env")
        try files.write(answers.environmentText, to: answersFile, mode: .secret)
        let spec = MachineSpec(
            name: name, accelerator: bench.host.accelerator, memory: .gibibytes(2), processors: 2,
            boot: bench.live.boot(
                "systemd.unit=sysinit.target systemd.debug_shell=ttyS0 console=ttyS0 panic=-1 quiet loglevel=3 \(LiveImage.guestParameters)"
            ),
            disks: [
                bench.live.disk,
                MachineDisk(stream.root, serial: "test-stream", readOnly: true),
                MachineDisk(stream.rest, serial: "test-rest", readOnly: true),
            ] + disks,
            endsOnReboot: true,
            firmwareFiles: [
                "opt/com.kldload.test/answers.env": answersFile,
                "opt/com.kldload.test/payload.json": bench.payload.folder.appending("payload.json"),
            ],
            // OVMF starts a kernel that QEMU was given, and keeps its services there for it.
            extraArguments: try variables.map { file in
                let code = try Firmware.find(.uefi, files: files).code
                return [
                    "-drive", "if=pflash,unit=0,format=raw,readonly=on,file=\(code)", "-drive", "if=pflash,unit=1,format=raw,file=\(file)",
                ]
            } ?? [])
        let start = ContinuousClock.now
        return try await VirtualMachine.with(spec, qemu: bench.host.qemu, folder: place) { machine in
            _ = try await machine.console.expect("# ", within: bench.host.deadline(.seconds(60)))
            let shell = LiveShell(lab: self, machine: machine, host: bench.host)
            try await shell.run(Self.preparing)
            let result = try await body(shell)
            try await machine.console.send("sync; systemctl poweroff --force --force\n")
            try await machine.waitForPowerOff(within: bench.host.deadline(.seconds(20)))
            log("the guest was on for \(start.duration(to: .now).components.seconds) s")
            return result
        }
    }

    /// Where answers are: on a FAT, on a disc, on an ext4, or on a server.
    enum SeedKind: String { case volume, disc, ext4, address }

    /// A volume with answers, under the name that its kind of file system has room for.
    private func seedVolume(_ kind: SeedKind, _ content: FilePath, at image: FilePath) async throws -> FilePath {
        let label = "KLDLOAD-SEED"
        let command: Command
        switch kind {
        case .volume, .address: return try await volume("KLDLOADSEED", [content.appending(SeedVolume.answersName)], at: image)
        case .disc:
            command = Command(
                "xorriso", ["-as", "mkisofs", "-quiet", "-V", label, "-R", "-o", image.string, content.string], effect: .changes)
        case .ext4:
            command = Command(
                Tool("mkfs.ext4", package: "e2fsprogs"), ["-q", "-L", label, "-d", content.string, image.string, "16M"], effect: .changes)
        }
        try await workshop.runner.run(command)
        return image
    }

    /// What `kldload seed create` makes of answers.
    func seed(_ answers: Answers) async throws -> FilePath {
        let (file, seed) = (folder.appending(SeedVolume.answersName), folder.appending("seed.img"))
        try files.write(answers.environmentText, to: file, mode: .secret)
        try await PlanRunner(runner: workshop.runner, files: files).apply(SeedVolume.creating(seed, answers: file))
        return seed
    }

    /// Serves a folder on this host's loopback address, which a guest reaches as 10.0.2.2, for as long as `body` runs.
    func serving<Result>(_ folder: FilePath, _ body: (String) async throws -> Result) async throws -> Result {
        let port = Int.random(in: 20_000...60_000)
        let command = Command(
            "python3", ["-m", "http.server", String(port), "--bind", "127.0.0.1", "--directory", folder.string], effect: .reads)
        let runner = workshop.runner
        let server = Task { _ = try await runner.run(command) }
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body("http://10.0.2.2:\(port)")) } catch { result = .failure(error) }
        // Whoever waits for it sees it end; after this process nobody ends it.
        server.cancel()
        _ = try? await server.value
        return try result.get()
    }

    /// Boots a medium of the live environment and its payload, as an ISO holds them, beside a seed volume with answers, or with an address of
    /// theirs on its command line; returns when the machine has powered itself off.
    /// - Returns: the seed volume.
    @discardableResult
    func autoinstall(_ answers: Answers, disks: [MachineDisk], seed kind: SeedKind = .volume) async throws -> FilePath {
        let bench = try await workshop.prepare(answers, mirror: nil, report: report)
        let stream = try await workshop.stream(bench, report: report)
        let place = folder.appending("autoinstall-\(kind.rawValue)")
        try files.makeDirectory(place, mode: 0o700)
        let content = place.appending("content")
        let answersFile = content.appending(SeedVolume.answersName)
        try files.write(answers.environmentText, to: answersFile, mode: .secret)
        let seed = try await seedVolume(kind, content, at: place.appending("seed.img"))
        let medium = place.appending("medium.iso")
        let payload = LiveMedium.payload(answers)
        try await workshop.runner.run(
            Command(
                "xorriso",
                [
                    "-as", "mkisofs", "-quiet", "-V", "KLDLOAD", "-iso-level", "3", "-R", "-o", medium.string, "-graft-points",
                    "\(LiveMedium.squashfs)=\(bench.live.squashfs)",
                    "\(payload)/payload.json=\(bench.payload.folder.appending("payload.json"))",
                    "\(payload)/root.zfs=\(stream.root)", "\(payload)/rest.tar=\(stream.rest)",
                ], effect: .changes))
        let live = MachineDisk(medium, serial: "medium", readOnly: true)
        func install(_ words: String, _ media: [MachineDisk], from: String) async throws {
            let spec = MachineSpec(
                name: name, accelerator: bench.host.accelerator, memory: .gibibytes(2), processors: 2,
                boot: bench.live.boot(from: "LABEL=KLDLOAD", "console=ttyS0 panic=-1 \(words)\(LiveImage.guestParameters)"),
                disks: media + disks, networks: [MachineNetwork(hostName: "Web-7.example.org")])
            try await VirtualMachine.with(spec, qemu: bench.host.qemu, folder: place) { machine in
                _ = try await machine.console.expect(
                    "kldload: installing as answers.env on \(from)", within: bench.host.deadline(.seconds(120)))
                log("the answers were found")
                try await machine.waitForPowerOff(within: bench.host.deadline(.seconds(180)))
            }
        }
        switch kind {
        case .volume, .disc, .ext4:
            try await install("", [live, MachineDisk(seed, serial: "seed", readOnly: kind == .disc)], from: "/dev/")
        case .address:
            // Neither the card's address nor the serial number has a file there.
            let answers = place.appending("www/answers")
            try files.write(files.read(answersFile), to: answers.appending("web-7.env"), mode: .file)
            let digest = try await SHA256Sum.digest(of: answersFile, workshop.runner).hex
            try await serving(place.appending("www")) { address in
                try await install(
                    "kldload.answers=\(address)/answers/ kldload.answers-sha256=\(digest) kldload.hostname=by-address ", [live],
                    from: "\(address)/answers/web-7.env")
            }
        }
        return seed
    }
}

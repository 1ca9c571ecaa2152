import KldAnswers
import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// The power goes at any instant of what changes the boot menu.
    static let powerCuts: [Scenario] = [
        Scenario(
            "boot.power-cuts",
            "at each of a thousand instants of create, activate, refresh, rename and destroy the boot menu's first entry is whole"
        ) { lab in
            let (cuts, log) = try await recorded(lab)
            var chance = try seeded(lab)
            try await cuts.replay(log, instants: 1000, &chance)
        },
        Scenario(
            "boot.power-cuts-booted",
            "the power goes at forty instants of create, activate, update and destroy, twenty of them of writes to the ESP: the machine starts",
            limit: .seconds(10800)
        ) { lab in
            let (cuts, log) = try await recorded(lab, verbs: changing)
            var chance = try seeded(lab)
            try await cuts.boot(log, instants: 40, &chance)
        },
    ]

    private static func seeded(_ lab: Laboratory) throws -> SplitMix {
        let seed = UInt64.random(in: 1 ... .max)
        lab.log("the seed of chance is \(seed)")
        return SplitMix(state: seed)
    }

    /// What changes the boot menu, and leaves every kernel and initramfs as it is. A name with a capital letter has an image of its own.
    private static let choosing = """
        kbe create one && kbe activate one && kbe create Two --from one && kbe activate --once Two && kbe activate debian &&
        kbe rename Two Three && kbe activate Three && kbe activate debian && kbe destroy one --yes && kbe destroy Three --yes &&
        rm /boot/efi/EFI/BOOT/mmx64.efi && /usr/lib/kldload/kldload boot refresh
        """

    /// The same with an initramfs that is made anew, as a package does, through the hook that packages call.
    private static let changing = """
        kbe create one && kbe activate one && kbe activate debian && update-initramfs -u 2>&1 && kbe create two --from one &&
        kbe activate --once two && kbe activate debian && kbe destroy one --yes && kbe destroy two --yes && kbe list
        """

    /// A machine whose writes are recorded while verbs change its boot menu.
    private static func recorded(_ lab: Laboratory, verbs: String = choosing) async throws -> (PowerCuts, WriteLog) {
        let disk = try await lab.machine()[0]
        let cuts = try await PowerCuts(lab, disk)
        try await lab.withGuest([disk], label: "machine", writeLog: cuts.log) { guest in
            try await guest.told(verbs, within: .seconds(900))
            try await guest.powerOff()
        }
        let log = try WriteLog(cuts.log)
        lab.log("\(log.entries.count) entries in the log of writes")
        return (cuts, log)
    }
}

/// One disk before a guest wrote to it, and what the guest wrote.
private struct PowerCuts {
    let lab: Laboratory
    let disk: Factory.Disk
    let log: FilePath
    let base: FilePath
    /// The ESP, on the disk.
    let esp: Range<UInt64>

    private var files: LocalFiles { lab.files }

    init(_ lab: Laboratory, _ disk: Factory.Disk) async throws {
        self.lab = lab
        self.disk = disk
        (log, base) = (lab.folder.appending("writes.log"), lab.folder.appending("base.raw"))
        try lab.files.write("", to: log)
        try await lab.workshop.runner.run(Self.copy(disk.file, to: base))
        guard let esp = try await lab.esp(of: disk.file) else { throw CheckFailure("\(disk.file) has no ESP") }
        self.esp = esp
    }

    /// What is empty stays a hole. Runs: `cp --sparse=always SOURCE TARGET`, changes.
    private static func copy(_ source: FilePath, to target: FilePath) -> Command {
        Command("cp", ["--sparse=always", source.string, target.string], effect: .changes)
    }

    /// Of a file that holds an ESP. Runs: `mdir`; mtools 4.0.
    private func list(_ folder: String, _ image: FilePath) async throws -> [String] {
        let command = Command("mdir", ["-b", "-i", image.string, "::/\(folder)"], effect: .reads, environment: ["MTOOLS_SKIP_CHECK": "1"])
        return try await lab.workshop.runner.run(command).output.lines.compactMap { $0.split(separator: "/").last.map(String.init) }
    }

    /// Where the parts of an image lie that no verb may change.
    private func parts(_ image: FilePath) throws -> [Range<UInt64>] {
        let program = try PortableExecutable(files.read(image, 0..<8192))
        return try [".linux", ".initrd"].map { name in
            guard let place = program.sections[name] else { throw CheckFailure("there is no \(name)") }
            return place
        }
    }

    /// Runs: `cmp --silent --bytes N --ignore-initial A:B FILE OTHER`, reads.
    private func isEqual(_ file: FilePath, _ range: Range<UInt64>, _ other: FilePath, _ wanted: Range<UInt64>) async throws -> Bool {
        let command = Command(
            Tool("cmp", package: "diffutils"),
            [
                "--silent", "--bytes=\(wanted.count)", "--ignore-initial=\(range.lowerBound):\(wanted.lowerBound)", file.string,
                other.string,
            ], effect: .reads, accepting: [0, 1])
        guard range.count == wanted.count else { return false }
        return try await lab.workshop.runner.run(command).status == 0
    }

    /// As the loader sees it: the first entry that may be tried.
    private func first(_ image: FilePath) async throws -> BootEntry {
        var entries: [BootEntry] = []
        for name in try await list(BootEntry.folder, image) where name.hasPrefix("kldload-") && name.hasSuffix(".conf") {
            // FAT replaces a file by freeing the old one first: for an instant it may not be readable, and the loader passes it over.
            // Source: systemd-boot, `boot.c`, systemd 257.
            guard let file = try? await lab.copy("\(BootEntry.folder)/\(name)", fromESP: image.string, as: "read") else { continue }
            let text = try files.readText(file)
            guard let entry = BootEntry(fileName: name, text: text) else { throw CheckFailure("\(name) is no entry: \(text)") }
            entries.append(entry)
        }
        guard let best = entries.sorted(by: BootEntry.precedes).first(where: { !$0.isExhausted }) else {
            throw CheckFailure("no entry is left")
        }
        return best
    }

    /// What was on the disk at an instant is everything up to the flush before, and any of what came since: that is what a disk with a cache
    /// may have kept.
    func replay(_ log: WriteLog, instants: Int, _ chance: inout SplitMix) async throws {
        let (durable, image) = (lab.folder.appending("durable.img"), lab.folder.appending("esp.img"))
        try await lab.workshop.runner.run(
            Command(
                "dd",
                [
                    "if=\(base)", "of=\(durable)", "bs=1M", "iflag=skip_bytes,count_bytes", "skip=\(esp.lowerBound)", "count=\(esp.count)",
                    "conv=sparse", "status=none",
                ],
                effect: .changes))
        let good = try await lab.copy(first(durable).imagePath, fromESP: durable.string, as: "good")
        let goodParts = try parts(good)
        let programs = ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/kldload/shimx64.efi", "EFI/kldload/grubx64.efi"]
        for (index, program) in programs.enumerated() { _ = try await lab.copy(program, fromESP: durable.string, as: "program\(index)") }

        // Between two flushes of the disk, the writes to the ESP.
        var rounds: [[WriteLog.Entry]] = [[]]
        for entry in log.entries {
            if entry.kind == .flush {
                if rounds.last?.isEmpty == false { rounds.append([]) }
            } else if entry.range.overlaps(esp) {
                rounds[rounds.count - 1].append(entry)
            }
        }
        rounds.removeAll(where: \.isEmpty)
        let writes = rounds.reduce(0) { $0 + $1.count }
        lab.log("\(writes) writes to the ESP between \(rounds.count) flushes")
        var seen: [String: Int] = [:]
        var environments: Set<String> = []
        var done = 0
        for (index, round) in rounds.enumerated() {
            // Each round its share of instants, the ends of it among them.
            let share = max(1, (instants - done) / (rounds.count - index))
            for turn in 0..<share {
                // Nothing of it, everything of it, or some of its sectors.
                let kept: [WriteLog.Entry] =
                    switch turn {
                    case 0: []
                    case 1: round
                    default: round.flatMap { $0.sectors.filter { _ in Bool.random(using: &chance) } }
                    }
                try await lab.workshop.runner.run(Self.copy(durable, to: image))
                try log.apply(kept, to: image, part: esp)
                do {
                    let entry = try await first(image)
                    let found = try await lab.copy(entry.imagePath, fromESP: image.string, as: "read")
                    for (range, wanted) in zip(try parts(found), goodParts) {
                        guard try await isEqual(found, range, good, wanted) else { throw CheckFailure("\(entry.imagePath) is not whole") }
                    }
                    let line = try UnifiedKernelImage.commandLine(of: found, files)
                    guard let line, line.starts(line.rooted(at: entry.dataset)) else {
                        throw CheckFailure("\(entry.imagePath) boots \(line?.root ?? "nothing")")
                    }
                    for (index, program) in programs.enumerated() {
                        let (now, before) = (
                            try await lab.copy(program, fromESP: image.string, as: "read"), lab.folder.appending("program\(index)")
                        )
                        guard try files.read(now) == files.read(before) else { throw CheckFailure("\(program) is not whole") }
                    }
                    seen[entry.fileName, default: 0] += 1
                    environments.insert(entry.environment)
                } catch {
                    throw CheckFailure(
                        "after flush \(index), with \(kept.count) pieces of \(round.count) writes kept: \(Diagnosis(of: error).message)")
                }
                done += 1
            }
            try log.apply(round, to: durable, part: esp)
        }
        try check(try await first(durable).environment == "debian", "what was activated last is not first")
        lab.log(
            "\(done) instants, each with a whole first entry: \(seen.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value) times" }.joined(separator: ", "))"
        )
        try check(done >= instants, "only \(done) instants were looked at")
        // Each that was activated was first at some instant.
        try check(environments == ["debian", "one", "Two", "Three"], "first in the menu were only \(environments.sorted())")
    }

    /// The whole disk as it stood at instants of its writes: the first half of them instants of writes to the ESP, which are few among all.
    /// Each is started; every fifth is asked what it holds too.
    func boot(_ log: WriteLog, instants: Int, _ chance: inout SplitMix) async throws {
        let all = log.entries.indices.filter { log.entries[$0].kind != .flush }
        let places = [all.filter { log.entries[$0].range.overlaps(esp) }, all]
        var chosen: [Int] = []
        for number in 0..<instants {
            guard let place = places[number < instants / 2 ? 0 : 1].randomElement(using: &chance) else {
                throw CheckFailure("nothing was written: \(log.entries.count) entries")
            }
            chosen.append(place)
        }
        chosen.sort()
        let size = UInt64(try files.status(base)?.size.bytes ?? 0)
        var applied = 0
        for (number, place) in chosen.enumerated() {
            try log.apply(log.entries[applied..<place], to: base, part: 0..<size)
            applied = max(applied, place)
            try await lab.workshop.runner.run(Self.copy(base, to: disk.file))
            let what = "cut \(number + 1) of \(chosen.count), before write \(place) of \(log.entries.count)"
            do {
                try await lab.boot([disk], label: "cut\(number)") { machine, host in
                    guard number % 5 == 4 else {
                        _ = try await machine.console.expect("login:", within: host.deadline(.seconds(300)))
                        return
                    }
                    let guest = Guest(lab: lab, machine: machine, host: host)
                    try await guest.logIn()
                    let said = try await guest.told("kbe list; zpool status -x; $tool boot refresh 2>&1; $tool doctor boot")
                    try check(said.contains("all pools are healthy"), "the pool is not well: \(said)")
                    try check(said.contains("the next boot is ") && said.contains(": it starts"), "the next boot would not start: \(said)")
                }
            } catch {
                throw CheckFailure("\(what): it does not start: \(Diagnosis(of: error).rendered)")
            }
            lab.log("\(what): it starts")
        }
    }
}

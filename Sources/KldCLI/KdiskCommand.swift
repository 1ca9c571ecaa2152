import ArgumentParser
import KldBlock
import KldBootEnv
import KldCore
import KldDisks
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTerminal
import KldZFS
import SystemPackage

/// Disks: which is which, where each of them is, and how one is replaced.
struct KdiskCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kdisk", abstract: "Disks: list them, label them, find them, replace one.",
        discussion: """
            A disk is named by its path or the last part of it, its serial number, its vdev's GUID, or the slot of its passport. A passport \
            says where a disk is and what helps when it fails; it lies in the pool, and is there when the disk is not.
            """,
        subcommands: [List.self, Label.self, Locate.self, Replace.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the disks of this machine, and those that its pools miss.")
        @OptionGroup var listing: Listing

        func run() async throws {
            let session = StorageSession()
            let inventory = try await DiskInventory.gather(runner: session.runner, files: session.files)
            if listing.quiet {
                for entry in inventory.entries { Output.line(entry.name) }
            } else {
                Output.line(listing.format == .json ? Self.json(inventory).rendered : Self.table(inventory))
            }
        }

        static func table(_ inventory: DiskInventory) -> String {
            var table = TextTable([
                ("DISK", .left), ("NAME", .left), ("SIZE", .right), ("MODEL", .left), ("SERIAL", .left), ("POOL", .left), ("VDEV", .left),
                ("STATE", .left), ("PASSPORT", .left),
            ])
            for entry in inventory.entries {
                let disk = [
                    entry.device?.name ?? "missing", entry.name.leaf,
                    entry.device?.size.description ?? "-", entry.model ?? "-", entry.serial ?? "-",
                ]
                if entry.members.isEmpty { table.add(disk + ["-", "-", "-", "-"]) }
                for member in entry.members {
                    let device = member.device
                    let vdev = (device.vdev == device.name ? "disk" : device.vdev) + (device.kind == "data" ? "" : " (\(device.kind))")
                    let place = device.isReplacing ? ", replacing" : device.place == nil ? "" : ", spared"
                    let state = device.state.description + (device.hasErrors ? ", errors" : "") + place
                    table.add(disk + [device.pool, vdev, state, passport(member.passport, entry)])
                }
            }
            return table.text
        }

        private static func passport(_ passport: DiskPassport, _ entry: DiskInventory.Entry) -> String {
            if passport.isEmpty { return "-" }
            if let other = entry.passportOfAnother { return "of another disk: \(other)" }
            let place = ["rack", "enclosure", "bay", "slot"].compactMap { key in passport[key].map { "\(key) \($0)" } }
            return place.isEmpty ? "yes" : place.joined(separator: ", ")
        }

        static func json(_ inventory: DiskInventory) -> JSONText {
            .object([
                ("schema", .text("disks/1")),
                (
                    "disks",
                    .list(
                        inventory.entries.map { entry in
                            .object([
                                ("name", .text(entry.name)), ("device", .optional(entry.device?.path)),
                                ("size", .bytes(entry.device?.size)),
                                ("model", .optional(entry.model)), ("serial", .optional(entry.serial)), ("state", .text(entry.state)),
                                ("passportOfAnother", .optional(entry.passportOfAnother)), ("vdevs", .list(entry.members.map(member))),
                            ])
                        })
                ),
            ])
        }

        private static func member(_ member: DiskInventory.Member) -> JSONText {
            let device = member.device
            return .object([
                ("pool", .text(device.pool)), ("vdev", .text(device.vdev)), ("class", .text(device.kind)), ("layout", .text(device.layout)),
                ("path", .optional(device.path)), ("guid", .optional(device.guid.map(String.init))),
                ("state", .text(device.state.description)),
                ("errors", .flag(device.hasErrors)), ("replacing", .flag(device.isReplacing)),
                ("passport", .object(member.passport.keys.map { ($0, .optional(member.passport[$0])) })),
            ])
        }
    }

    struct Label: AsyncParsableCommand {
        enum Form: String, ExpressibleByArgument, CaseIterable { case text, json, svg, png, qr }

        static let configuration = CommandConfiguration(
            abstract: "Print the label of a disk, or change its passport.",
            discussion: """
                Fields: region, datacenter, rack, enclosure, bay, slot, owner (of the place), asset, bought, warranty, rma, note (of the disk), \
                and x-NAME of one's own. svg is the whole label, with a QR code; png the code alone; qr the text, and the code for a terminal: \
                these three need the program qrencode.
                """)
        @Argument(help: "The disk.") var disk: String
        @Option(parsing: .upToNextOption, help: ArgumentHelp("Fields to write.", valueName: "key=value")) var set: [String] = []
        @Option(parsing: .upToNextOption, help: ArgumentHelp("Fields to take away.", valueName: "key")) var unset: [String] = []
        @Option(help: "text, json, svg, png or qr.") var format = Form.text
        @Option(name: .shortAndLong, help: ArgumentHelp("Write the label into this file.", valueName: "file")) var out: String?
        @Flag(help: "With --set and --unset: print the plan and change nothing.") var dryRun = false

        func validate() throws {
            _ = try Self.fields(set)
            if set.isEmpty, unset.isEmpty, dryRun { throw ValidationError("--dry-run goes with --set or --unset.") }
            if format == .png, out == nil { throw ValidationError("a picture needs a file: --out FILE") }
        }

        static func fields(_ words: [String]) throws -> [(key: String, value: String)] {
            try words.map { word in
                guard let sign = word.firstIndex(of: "="), sign != word.startIndex else {
                    throw ValidationError("'\(word)' is no KEY=VALUE; the disk is named before --set.")
                }
                return (String(word[..<sign]), String(word[word.index(after: sign)...]))
            }
        }

        func run() async throws {
            let session = StorageSession()
            let inventory = try await DiskInventory.gather(runner: session.runner, files: session.files)
            let (entry, member) = try inventory.member(disk)
            if set.isEmpty, unset.isEmpty {
                return try await show(try DiskSheet(member, of: entry, host: Self.host(session.files)), session)
            }
            let change = try PassportChange(
                member, of: entry, setting: Self.fields(set), unsetting: unset, store: inventory.store)
            if !dryRun { try KdiskCommand.needRoot() }
            try await Host.apply(change.plan, dryRun: dryRun, runner: session.runner, performers: PassportChange.performers)
        }

        private static func host(_ files: any FileSystem) throws -> String { try files.readText("/proc/sys/kernel/hostname").trimmed }

        private func show(_ sheet: DiskSheet, _ session: StorageSession) async throws {
            if let out { try session.files.requireFile(at: Host.absolute(out)) }
            do {
                switch format {
                case .text: try write(sheet.text + "\n", session)
                case .json: try write(Self.json(sheet).rendered + "\n", session)
                case .svg:
                    let code = try QRCode.parse(try await session.runner.run(QRCode.modules(of: sheet.payload)).output)
                    try write(sheet.svg(code), session)
                case .qr:
                    let code = try await session.runner.run(QRCode.terminal(sheet.payload)).output
                    try write(sheet.text + "\n\n" + code, session)
                case .png:
                    guard let out else { return }
                    let file = Host.absolute(out)
                    // Whole or not at all.
                    let aside = FilePath("\(file).new")
                    try await session.runner.run(QRCode.picture(sheet.payload, aside))
                    try session.files.rename(aside, to: file)
                }
            } catch { throw QRCode.explaining(error) }
        }

        private func write(_ text: String, _ session: StorageSession) throws {
            if let out { try session.files.write(text, to: Host.absolute(out)) } else { Output.raw(text) }
        }

        static func json(_ sheet: DiskSheet) -> JSONText {
            .object([
                ("schema", .text("disk-label/1")), ("host", .text(sheet.host)), ("pool", .text(sheet.pool)), ("vdev", .text(sheet.vdev)),
                ("layout", .text(sheet.layout)), ("guid", .text(sheet.guid)), ("serial", .optional(sheet.serial)),
                ("model", .optional(sheet.model)), ("size", .bytes(sheet.size)),
                ("passport", .object(sheet.passport.keys.map { ($0, .optional(sheet.passport[$0])) })), ("payload", .text(sheet.payload)),
            ])
        }
    }

    struct Locate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Turn on the light of a disk's slot.",
            discussion: """
                The enclosure's own light where the kernel knows it, else what ledctl can do. It stays on until --off, or for --seconds. \
                --blink: where there is no light, the disk is read, a second on and a second off, so that its light of activity blinks; \
                nothing is written.
                """)
        @Argument(help: "The disk.") var disk: String
        @Flag(help: "Turn it off.") var off = false
        @Option(help: ArgumentHelp("Turn it off again after so long, or read for so long.", valueName: "seconds")) var seconds: Int?
        @Flag(help: "Where there is no light, read the disk: 30 seconds, unless --seconds says another time.") var blink = false
        @Flag(help: "Print what would be run, and do nothing.") var dryRun = false

        func validate() throws {
            if let seconds, !(1...86_400).contains(seconds) { throw ValidationError("--seconds takes 1 to 86400.") }
            if off, seconds != nil || blink { throw ValidationError("--off goes alone.") }
        }

        func run() async throws {
            let session = StorageSession()
            let inventory = try await DiskInventory.gather(runner: session.runner, files: session.files)
            let beacon = try DiskBeacon(inventory.find(disk), files: session.files)
            Output.line(beacon.whereabouts)
            let light = try beacon.reachable()
            if dryRun { return Output.line(light.turned(on: !off).description) }
            try KdiskCommand.needRoot()
            do {
                try await session.runner.run(light.turned(on: !off))
            } catch let error as CommandError where light.way == .ledctl {
                guard blink else { throw beacon.unlit(error) }
                Output.errorLine("kdisk: it has no light; it is read, so that its light of activity blinks")
                return try await DiskBeacon.blink(light.disk, seconds: seconds ?? 30, runner: session.runner)
            }
            guard let seconds, !off else { return Output.errorLine("kdisk: its light is \(off ? "off" : "on")") }
            Output.errorLine("kdisk: its light is on for \(seconds) s")
            // Off again when somebody presses Ctrl-C, too.
            let pause: Result<Void, any Error>
            do {
                try await Task.sleep(for: .seconds(seconds))
                pause = .success(())
            } catch { pause = .failure(error) }
            _ = try await Task { try await session.runner.run(light.turned(on: false)) }.value
            try pause.get()
        }
    }

    struct Replace: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a new disk in the place of one that failed.",
            discussion: """
                The new disk gets partitions like those of the others, the data, what the machine starts from, and the passport of the place. \
                A disk that is well is refused, unless --healthy names it; so is one whose data nothing else holds. A new disk that holds \
                something is wiped only when --wipe names it, or its name is typed. Interrupted, the same command goes on.
                """)
        @Argument(help: "The disk that goes.") var old: String
        @Argument(help: "The disk that comes: a whole disk.") var new: String
        @Option(parsing: .upToNextOption, help: ArgumentHelp("Fields of the new disk's passport.", valueName: "key=value"))
        var set: [String] = []
        @Option(help: ArgumentHelp("This disk may go though it is well: its name, as kdisk list -q shows it.", valueName: "disk"))
        var healthy: String?
        @Option(help: ArgumentHelp("What this disk holds may be lost: the new disk's name, as kdisk list -q shows it.", valueName: "disk"))
        var wipe: String?
        @Flag(help: "Wait until the new disk has everything, and finish.") var wait = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Flag(name: .shortAndLong, help: "Do not ask; a disk that holds something needs --wipe too.") var yes = false

        func validate() throws { _ = try Label.fields(set) }

        func run() async throws {
            try KdiskCommand.needRoot()
            let session = StorageSession()
            let lock = try await FileLock.acquire("/run/kldload/disks.lock") { Output.errorLine("waiting for another kdisk") }
            defer { withExtendedLifetime(lock) {} }
            let request = DiskReplacement.Request(
                old: old, new: new, healthy: healthy, wipe: wipe, yes: yes, fields: try Label.fields(set))
            var work = try await DiskReplacement.gather(
                request, now: .current, espSerial: .random(in: 1 ... .max), runner: session.runner, files: session.files)
            for line in work.losses { Output.errorLine("kdisk: \(line)") }
            let plan = try work.plan
            if dryRun {
                Output.line(plan.text())
                return Output.line(
                    "then: \(work.esp == nil ? "" : "what the machine starts from, on the new disk; ")wait until the new disk has everything"
                )
            }
            if work.stage == .begin {
                try await session.replace(plan, given: work.approvals)
                work.stage = .filling
            } else if work.stage == .filling {
                try await session.apply(plan, performers: DiskReplacement.performers)
            }
            // The data goes on to the new disk meanwhile. What cannot be staged must not keep it from becoming whole.
            var unstaged = await session.startable(from: work)
            if work.stage == .filling {
                guard wait else {
                    Output.line("\(work.record.new) is being filled: zpool status \(work.record.pool)")
                    Output.errorLine("kdisk: to finish it, when that is done or to wait for it: kldload kdisk replace \(old) \(new) --wait")
                    if let unstaged { throw unstaged }
                    return
                }
                try await work.wait(runner: session.runner, files: session.files) { Output.errorLine("kdisk: \($0) % of it is there") }
                work.stage = .filled
            }
            try await session.finish(work)
            // A dying disk may have been the reason; it is gone now.
            if unstaged != nil { unstaged = await session.startable(from: work) }
            Output.line("\(work.record.new) is in the place of \(work.record.oldNames.first ?? old)")
            if let unstaged { throw unstaged }
        }
    }

    static func needRoot() throws {
        try Host.needRoot(
            Diagnosis("kdisk.not-root", "disks and their passports are changed by root", remedies: ["sudo"], exit: .needsRoot))
    }
}

extension StorageSession {
    fileprivate func apply(_ plan: Plan, approvals: [WipeApproval] = [], performers: [String: Performer]) async throws {
        try await Host.apply(plan, approvals: approvals, dryRun: false, runner: runner, performers: performers)
    }

    fileprivate func replace(_ plan: Plan, given: [WipeApproval]) async throws {
        let approvals = try await Host.approvals(for: plan, given: given)
        if let disk = plan.destroys.first(where: { disk in !approvals.contains { $0.disk == disk } }) {
            throw Diagnosis(
                "kdisk.unapproved", "the plan would wipe \(disk), and nothing approves that",
                remedies: ["look at it first: --dry-run", "an empty disk: --yes", "what it holds may be lost: --yes --wipe \(disk)"],
                exit: .usage)
        }
        try await apply(plan, approvals: approvals, performers: DiskReplacement.performers)
    }

    /// Gives the new disk what the others have for starting the machine, if it is one of the pool that runs it.
    ///
    /// - Returns: what went wrong.
    fileprivate func startable(from work: DiskReplacement) async -> (any Error)? {
        do {
            guard work.esp != nil, try await RunningRoot.gather(runner: runner, files: files)?.pool == work.record.pool else { return nil }
            try await BootSession(dryRun: false).restore(FilePath(work.record.new))
            return nil
        } catch { return error }
    }

    fileprivate func finish(_ work: DiskReplacement) async throws {
        let store = PassportStore(try await OpenZFSVersions.read(runner))
        let old = try await store.passports(of: PoolName(work.record.pool), runner: runner)[work.record.old] ?? DiskPassport()
        try await apply(work.finishing(store, old: old, manifest: InstallManifest.read(files)), performers: DiskReplacement.performers)
    }
}

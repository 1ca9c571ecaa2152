import ArgumentParser
import KldAnswers
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldTerminal
import SystemPackage

struct PXECommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pxe",
        abstract: "Start machines over the network: trees for TFTP and HTTP, and which machines are installed by themselves.",
        subcommands: [Export.self, Arm.self, Disarm.self, List.self])

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make of a live ISO what machines start from, and how dnsmasq and nginx serve it.",
            discussion: """
                Trees of an earlier export are replaced as a whole, and whoever was armed there is not any more. Only machines that are named \
                here, or armed later, find answers; for others the menu starts from the disk.
                """)
        @Option(help: "The live ISO.") var iso: String
        @Option(help: ArgumentHelp("Where machines reach the HTTP tree: http://10.0.1.5, with :PORT and /PATH.", valueName: "address"))
        var url: String
        @Option(name: .shortAndLong, help: ArgumentHelp("The folder to make.", valueName: "folder")) var output: String
        @Option(
            parsing: .upToNextOption,
            help: ArgumentHelp(
                "A machine, by the address of its card or its serial number, and the answers that it is installed by.",
                valueName: "MAC|serial=FILE")) var answersFor: [String] = []
        @OptionGroup var secrets: Secrets
        @Option(help: ArgumentHelp("The group of the web server, which alone may read answers; for root www-data.", valueName: "group"))
        var group: String?
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let (runner, files) = (SubprocessRunner(), LocalFiles())
            let address = try PXEAddress(url)
            let output = try Self.resolved(Host.absolute(output), files)
            var meant: [(answers: Answers, published: PXEAnswers)] = []
            for pair in answersFor { meant.append(try await named(pair, AnswersOptions.parse([]), runner)) }
            let answers = meant.map { $0.published }
            let group = try await group(runner)
            let lock = try dryRun ? nil : FileLock(PXEExport.lock(output))
            defer { withExtendedLifetime(lock) {} }
            let medium = try await PXEExport.read(Host.absolute(iso), folder: Self.temporary(), runner: runner, files: files)
            let request = PXEExport.Request(
                iso: Host.absolute(iso), address: address, output: output, group: group, answers: answers, version: Version.number)
            try PXEExport.check(request, medium, files: files)
            try await PXEExport.check(
                meant.map { $0.answers }, on: Host.absolute(iso), medium, folder: Self.temporary(), runner: runner, files: files)
            let armed = ((try? PXETree(output, files: files).armed(files)) ?? []).map(\.machine).filter {
                !answers.map(\.machine).contains($0)
            }
            try await Host.apply(
                PXEExport.plan(request, medium), dryRun: dryRun, runner: runner, performers: PXEExport.performers)
            if dryRun { return }
            if !armed.isEmpty { Output.errorLine("not armed any more: \(armed.map(\.description).joined(separator: ", "))") }
            if medium.payloads.isEmpty { Output.errorLine("note: this ISO installs nothing; machines get the live environment alone") }
            if address.scheme == "https" {
                Output.errorLine(
                    "note: the live environment and answers come over https; what starts it comes over TFTP, for firmware and GRUB know no https"
                )
            }
            Output.line(output.string)
        }

        /// One for each use: a name that was seen once can be taken by others.
        private static func temporary() -> FilePath { FilePath("/tmp").appending("kldload-pxe-\(UInt32.random(in: 0 ... .max))") }

        /// A link is followed: what it leads to is made anew, not the link.
        private static func resolved(_ output: FilePath, _ files: any FileSystem) throws -> FilePath {
            try files.exists(output) ? files.resolve(output) : output
        }

        private func named(
            _ pair: String, _ options: AnswersOptions, _ runner: any CommandRunner
        ) async throws -> (answers: Answers, published: PXEAnswers) {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw Diagnosis(
                    "pxe.bad-pair", "'\(pair)' does not say which answers are whose",
                    remedies: ["--answers-for 52:54:00:12:34:56=web.env", "--answers-for ABC123=web.env, by the serial number"],
                    exit: .usage)
            }
            let machine = try PXEMachine(parts[0])
            let answers = try options.load(parts[1])
            return (answers, try await PXEAnswers(answers, for: machine, secrets, runner))
        }

        private func group(_ runner: any CommandRunner) async throws -> String? {
            guard let name = group ?? (Host.isRoot ? "www-data" : nil) else {
                Output.errorLine("note: answers can be read by this user's group alone; for a web server's: --group NAME")
                return nil
            }
            // Source: getent(1), glibc 2.36; it ends with 2 when there is none of that name.
            let found = try await runner.run(
                Command(Tool("getent", package: "libc-bin"), ["group", name], effect: .reads, accepting: [0, 2]))
            guard found.status == 0 else {
                throw Diagnosis(
                    "pxe.no-group", "there is no group \(name), which would be the only one to read answers",
                    remedies: ["name the group that the web server runs as: --group nginx", "install the web server first"],
                    exit: .inputMissing)
            }
            return name
        }
    }

    struct Secrets: ParsableArguments {
        @Flag(help: "Though the answers hold passwords as they are, which whoever takes the machine's place on the network can read.")
        var withSecrets = false
    }

    /// A tree that was exported, and one machine.
    struct Target: ParsableArguments {
        @Argument(help: ArgumentHelp("What kldload pxe export made.", valueName: "folder")) var tree: String
        @Option(help: ArgumentHelp("The address of the card that it starts from: 52:54:00:12:34:56.", valueName: "address")) var mac:
            String?
        @Option(help: ArgumentHelp("Its serial number, as its firmware says it.", valueName: "number")) var serial: String?

        /// - Returns: `nil` when none is named.
        var machine: PXEMachine? {
            get throws { try mac.map { try PXEMachine(mac: $0) } ?? serial.map { try PXEMachine(serial: $0) } }
        }

        var folder: FilePath {
            get throws { try LocalFiles().exists(Host.absolute(tree)) ? LocalFiles().resolve(Host.absolute(tree)) : Host.absolute(tree) }
        }
    }

    struct Arm: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let one machine be installed by itself when it starts over the network.",
            discussion: "It stays armed until it is disarmed. What it found before is replaced.")
        @OptionGroup var target: Target
        @Option(help: "The answers file.") var answers: String
        @OptionGroup var options: AnswersOptions
        @OptionGroup var secrets: Secrets
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func validate() throws {
            guard (target.mac == nil) != (target.serial == nil) else { throw ValidationError("name one of --mac and --serial") }
        }

        func run() async throws {
            let (runner, files) = (SubprocessRunner(), LocalFiles())
            guard let machine = try target.machine else { return }
            let asked = try options.load(answers)
            let published = try await PXEAnswers(asked, for: machine, secrets, runner)
            let tree = try PXETree(target.folder, files: files)
            // A machine would find out only when it is there, and nobody with it.
            try PayloadCheck.check(asked, on: tree.http, files)
            let lock = try dryRun ? nil : FileLock(PXEExport.lock(tree.folder))
            defer { withExtendedLifetime(lock) {} }
            try await Host.apply(tree.arming(published, files: files), dryRun: dryRun, runner: runner, performers: [:])
            if !dryRun { Output.errorLine("\(machine) is armed; afterwards: kldload pxe disarm \(target.tree) \(machine.option)") }
        }
    }

    struct Disarm: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a machine find no answers any more.", discussion: "Without --mac and --serial: every one, and that needs --all.")
        @OptionGroup var target: Target
        @Flag(help: "Every machine that is armed.") var all = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func validate() throws {
            guard [target.mac != nil, target.serial != nil, all].count(where: { $0 }) == 1 else {
                throw ValidationError("name one of --mac, --serial and --all")
            }
        }

        func run() async throws {
            let files = LocalFiles()
            let tree = try PXETree(target.folder, files: files)
            let lock = try dryRun ? nil : FileLock(PXEExport.lock(tree.folder))
            defer { withExtendedLifetime(lock) {} }
            let machine = try target.machine
            let armed = try tree.armed(files).filter { machine == nil || $0.machine == machine }
            guard !armed.isEmpty else {
                Output.errorLine("\(machine.map(\.description) ?? "no machine") is \(machine == nil ? "" : "not ")armed")
                return
            }
            try await Host.apply(tree.disarming(armed), dryRun: dryRun, runner: SubprocessRunner(), performers: [:])
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the machines that are armed.")
        @Argument(help: ArgumentHelp("What kldload pxe export made.", valueName: "folder")) var tree: String
        @Option(help: "table or json.") var format = TableFormat.table
        @Flag(name: .shortAndLong, help: "Names alone.") var quiet = false

        private struct Row: Encodable {
            var machine: String
            var kind: String
        }

        func run() async throws {
            let files = LocalFiles()
            let rows = try Set(PXETree(Host.absolute(tree), files: files).armed(files).map(\.machine)).sorted().map { machine in
                switch machine {
                case .mac: Row(machine: machine.description, kind: "mac")
                case .serial(let number): Row(machine: number, kind: "serial")
                }
            }
            if format == .json { return try Output.json(rows) }
            if quiet {
                for row in rows { Output.line(row.machine) }
                return
            }
            var table = TextTable([("MACHINE", .left), ("KNOWN BY", .left)])
            for row in rows { table.add([row.machine, row.kind == "mac" ? "address" : "serial number"]) }
            Output.line(table.text)
        }
    }
}

extension PXEAnswers {
    /// Says what a person should know of them. - Throws: ``Diagnosis`` `pxe.secret-answers`.
    fileprivate init(
        _ answers: Answers, for machine: PXEMachine, _ secrets: PXECommand.Secrets, _ runner: any CommandRunner
    ) async throws {
        if let note = answers.enrolmentNote { Output.errorLine(note) }
        if answers.forceWipe {
            Output.errorLine(
                "note: \(machine) overwrites its disk each time that it starts over the network, until it is disarmed\n"
                    + "  remedy: leave KLDLOAD_FORCE_WIPE=1 out, and let an empty disk be chosen: KLDLOAD_DISK=auto")
        }
        try await self.init(answers.environmentText, for: machine, allowingSecrets: secrets.withSecrets, runner: runner)
    }
}

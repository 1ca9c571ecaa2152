import ArgumentParser
import Glibc
import KldAnswers
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldPlan
import SystemPackage

struct SeedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seed", abstract: "Make the volume from which the live ISO installs by itself.", subcommands: [Create.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write answers onto a seed volume: an image file, or a stick.",
            discussion: "The answers are checked first. A stick is overwritten only when its name is typed, or with --force-wipe beside it."
        )
        @Option(help: "The answers file.") var answers: String
        @OptionGroup var options: AnswersOptions
        @Option(
            name: .customLong("file"),
            help: ArgumentHelp(
                "A file beside them, which the answers name as \(SeedVolume.mountPoint)/NAME; may be repeated.", valueName: "path"))
        var extra: [String] = []
        @Option(name: .shortAndLong, help: "The image file to write.") var output: String?
        @Option(help: "The stick or partition to write.") var device: String?
        @Flag(help: "Overwrite the named device without asking.") var forceWipe = false
        @Flag(help: "Replace an image file of that name.") var overwrite = false
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func validate() throws {
            guard (output == nil) != (device == nil) else { throw ValidationError("name one of --output FILE and --device DEVICE") }
        }

        func run() async throws {
            let answers = try options.load(answers)
            let (runner, files) = (SubprocessRunner(), LocalFiles())
            for note in Self.notes(answers) { Output.errorLine(note) }
            try SeedVolume.check(extra.map { Host.absolute($0) }, files)
            // A link is approved as what it leads to.
            let device = device.map { name in (try? files.resolve(FilePath(name)).string) ?? name }
            let staged = FilePath("/tmp").appending("kldload-seed-\(UInt32.random(in: 0 ... .max))").appending(SeedVolume.answersName)
            var held: FileLock?
            if let output, !dryRun {
                do {
                    held = try await Host.cache.hold(Host.absolute(output)) {
                        Output.errorLine("waiting for another run that makes \(output)")
                    }
                } catch is FileError {
                    // Who has no folder for a cache needs none for a seed.
                }
            }
            defer { withExtendedLifetime(held) {} }
            let plan = try await plan(staged, device, runner, files)
            if dryRun {
                Output.line(plan.text())
                return
            }
            defer { try? files.remove(staged.removingLastComponent()) }
            try files.makeDirectory(staged.removingLastComponent(), mode: 0o700)
            try files.write(answers.environmentText, to: staged, mode: .secret)
            let given = device.flatMap { WipeApproval(forceWipe: forceWipe, named: [$0], disk: $0) }.map { [$0] } ?? []
            try await PlanRunner(runner: runner, files: files).apply(plan, approvals: Host.approvals(for: plan, given: given))
            Output.line(output.map { Host.absolute($0).string } ?? device ?? "")
        }

        /// What a person should know before the volume is used.
        static func notes(_ answers: Answers) -> [String] {
            var notes = [answers.enrolmentNote].compactMap { $0 }
            if answers.forceWipe {
                notes.append(
                    "note: a machine that finds this volume again overwrites its disk again, unless the volume could be written and says that it installed that machine\n"
                        + "  remedy: take it out when the machine has powered off")
            } else if !answers.allDisks.isEmpty {
                notes.append(
                    "note: a disk that is named is not overwritten without KLDLOAD_FORCE_WIPE=1, and nobody will be there to be asked\n"
                        + "  remedy: add it, or let an empty disk be chosen: KLDLOAD_DISK=auto")
            }
            return notes
        }

        private func plan(_ answers: FilePath, _ device: String?, _ runner: any CommandRunner, _ files: any FileSystem) async throws -> Plan
        {
            if let device {
                let devices = try ListBlockDevices.parse(await runner.run(ListBlockDevices.command).output)
                return try SeedVolume.creating(on: device, answers: answers, files: extra.map { Host.absolute($0) }, devices: devices)
            }
            let file = Host.absolute(output ?? "")
            try SeedVolume.check(file, overwrite: overwrite, files)
            return SeedVolume.creating(file, answers: answers, files: extra.map { Host.absolute($0) })
        }
    }
}

import ArgumentParser
import KldBoot
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldImage
import KldPlan
import KldTerminal
import SystemPackage

/// `kldload secure-boot`, `kldload-secure-boot`.
struct SecureBootCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secure-boot", abstract: "Sign what this machine boots, and have the firmware trust its key.",
        subcommands: [Status.self, Enable.self, Sign.self, Disable.self, Reenroll.self, Repeat.self], defaultSubcommand: Status.self,
        aliases: [AppletName.secureBoot.rawValue])

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say what is signed, what the firmware demands, and what it will say at the next start.",
            discussion: "Exit status: 0 the machine starts, 2 it does not.")
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let session = SecureBootSession(dryRun: false)
            let medium = FilePath("/" + LiveMedium.certificate)
            if try session.files.exists(medium) {
                let state = KeyEnrolment.state(of: try session.files.read(medium), session.files)
                let found = SecureBootText.Medium(firmware: SecureBoot.firmware(session.files), enrolment: state)
                if format == .json { try Output.json(found) } else { Output.line(SecureBootText.render(found)) }
                if !found.starts { throw ExitCode(ExitStatus.problemsFound.rawValue) }
                return
            }
            let found = try await session.facts()
            if format == .json { try Output.json(found) } else { Output.line(SecureBootText.render(found)) }
            if !found.verdict.starts { throw ExitCode(ExitStatus.problemsFound.rawValue) }
        }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key where there is none, sign what boots, and ask the firmware to trust the key.")
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = SecureBootSession(dryRun: dryRun)
            try await session.boot.locked {
                let system = try await session.boot.system()
                let facts = try await session.facts(system)
                let name = "kldload \((try? session.files.readText("/etc/hostname"))?.trimmed.prefix(40) ?? "") \(session.hostID)"
                let holding = try MachineOwnerKey().holding(session.files)
                try await session.boot.apply(facts.enabling(system, name: name, holding: holding))
                if dryRun { return }
                let after = try await session.boot.system()
                if after.isTrusted {
                    // Its initramfs has changed, and so what boots is built again.
                    try await session.boot.refresh(after)
                } else {
                    Output.errorLine(
                        "Secure Boot is on, and does not know the key yet: what boots stays as it is, and is built with that key at the start after the key was enrolled"
                    )
                }
                try session.tell()
            }
        }
    }

    struct Sign: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign OpenZFS in an environment that does not run, with the key of the one that does.",
            discussion: "For one whose modules were signed by a key that the firmware does not know any more; then: kbe activate.")
        @Argument(help: "The environment's name.") var name: String
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = SecureBootSession(dryRun: dryRun)
            try await session.boot.locked {
                let system = try await session.boot.system()
                let releases = try await session.boot.target(system.environment(name)) { target in
                    target.kernels.map(\.release).filter { !ModuleSigning.modules(in: target.root, $0, session.files).isEmpty }
                }
                try await session.boot.apply(BootEnvironments(system).signing(name, releases: releases))
            }
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Sign nothing any more; refused while Secure Boot is on.")
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = SecureBootSession(dryRun: dryRun)
            try await session.boot.locked {
                try await session.boot.apply(session.facts().disabling())
                if !dryRun {
                    Output.line(
                        "a key that the firmware trusts stays trusted: mokutil --delete \(MachineOwnerKey().certificate) asks to remove it")
                }
            }
        }
    }

    struct Reenroll: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask the firmware again to trust the key, with a new password; on the live medium, the medium's key.")
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = SecureBootSession(dryRun: dryRun)
            try await session.boot.locked {
                let medium = FilePath("/" + LiveMedium.certificate)
                if try session.files.exists(medium) {
                    let step = Step("trust.enrol", "Ask the firmware to trust this medium", KeyEnrolment.requesting(medium))
                    try await session.boot.apply(Plan("enrol the medium's key", [Phase("trust", "Trust", [step])]))
                } else {
                    let facts = try await session.facts()
                    guard facts.keyIsThere else {
                        throw Diagnosis(
                            "trust.nothing-to-enrol", "this machine has no key yet", remedies: ["kldload secure-boot enable"],
                            exit: .inputMissing)
                    }
                    guard facts.enrolment != .enrolled else {
                        Output.line("the firmware trusts this machine's key already")
                        return
                    }
                    try await session.boot.apply(Plan("enrol the key", [Phase("trust", "Trust", facts.asking)]))
                }
                if !dryRun { try session.tell() }
            }
        }
    }

    /// Called at each start by a unit.
    struct Repeat: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a request again that nobody has answered.", shouldDisplay: false)

        func run() async throws {
            let session = SecureBootSession(dryRun: false)
            let facts = try await session.facts()
            if facts.repeats, facts.keyIsThere, facts.enrolment == .enrolled {
                // What was not built while the firmware did not know the key.
                try await session.boot.locked { try await session.boot.refresh(session.boot.system()) }
            }
            try await session.boot.apply(facts.repeating())
        }
    }
}

private struct SecureBootSession {
    let boot: BootSession
    var files: LocalFiles { boot.files }
    var hostID: String { (try? files.read("/etc/hostid")).flatMap { HostID(fileContent: $0) }?.description ?? "" }

    init(dryRun: Bool) { boot = BootSession(dryRun: dryRun) }

    func facts() async throws -> SecureBoot { try await facts(boot.system()) }

    func facts(_ system: BootSystem) async throws -> SecureBoot {
        try await SecureBoot.gather(system, runner: boot.runner, files: files)
    }

    /// What to do at the next start; nothing where no request was made.
    func tell() throws {
        guard try files.exists(KeyEnrolment.passwordFile) else { return }
        Output.error(KeyEnrolment.instruction(try files.readText(KeyEnrolment.passwordFile).trimmed))
    }
}

enum SecureBootText {
    /// The live medium, whose key signs OpenZFS alone.
    struct Medium: Codable {
        var firmware: SecureBoot.Firmware
        var enrolment: KeyEnrolment.State
        /// OpenZFS can be loaded.
        var starts: Bool { firmware != .enforcing || enrolment == .enrolled }
    }

    static func render(_ medium: Medium) -> String {
        var table = TextTable([("PART", .left), ("STATE", .left)])
        table.add(["Secure Boot", text(medium.firmware)])
        table.add(["key of this medium", text(medium.enrolment)])
        let verdict =
            medium.starts
            ? "OpenZFS can be loaded"
            : "OpenZFS is refused until the firmware trusts this medium: kldload secure-boot reenroll, and restart"
        return table.text + "\n\n" + verdict
    }

    private static func text(_ firmware: SecureBoot.Firmware) -> String {
        switch firmware {
        case .enforcing: "on"
        case .off: "off"
        case .setup: "in setup mode: the firmware trusts everything"
        case .unchecked: "on, but shim was told not to check"
        case .none: "this machine was not started by UEFI"
        }
    }

    private static func text(_ state: KeyEnrolment.State) -> String {
        switch state {
        case .enrolled: "trusted by the firmware"
        case .requested: "a request waits for the next start"
        case .absent: "unknown to the firmware"
        }
    }

    private static func text(_ signed: SecureBoot.Signed) -> String {
        switch signed.signature {
        case .good:
            signed.name.contains("/\(KernelParts.Kind.kernel.rawValue)-") ? "signed by its vendor" : "signed by a key of this machine"
        case .missing: "no signature that counts"
        case .broken: "changed since it was signed"
        }
    }

    static func render(_ found: SecureBoot) -> String {
        var table = TextTable([("PART", .left), ("STATE", .left)])
        let rows =
            [
                ["Secure Boot", text(found.firmware)],
                ["key", found.certificate.map { found.keyIsThere ? $0 : "\($0) is missing" } ?? "nothing is signed here"],
            ]
            + (found.certificate == nil
                ? []
                : [
                    [
                        "enrolment",
                        text(found.enrolment)
                            + (found.enrolment == .requested && found.repeats ? "; it is repeated until it is answered" : ""),
                    ]
                ])
            + found.programs.map { program in
                switch program.signature {
                case .good: [program.name, "signed under \(program.issuers.joined(separator: ", "))"]
                case .missing: [program.name, "not signed"]
                case .broken: [program.name, "changed since it was signed"]
                }
            }
            + (found.images + found.modules).map { [$0.name, text($0)] }
        rows.forEach { table.add($0) }
        return table.text + "\n\n" + ([found.verdict.text] + found.warnings.map { "warning: \($0)" }).joined(separator: "\n")
    }
}

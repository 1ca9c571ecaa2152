import ArgumentParser
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTerminal
import KldTrust
import SystemPackage

/// `kldload ca`, `kldload-ca`.
struct CACommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ca", abstract: "This machine's own certificate authority, for TLS.",
        discussion: "Its root signs certificates of servers and of their clients, and nothing else: no code.",
        subcommands: [Init.self, Issue.self, Renew.self, Info.self, TrustInstall.self], aliases: [AppletName.ca.rawValue])

    struct Change: ParsableArguments {
        @Flag(help: "Print the plan and change nothing.") var dryRun = false
        @Option(help: "table or json.") var format = TableFormat.table
    }

    struct Init: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the root, where there is none.",
            discussion: "With --force another one: the old one is kept aside, and every certificate has to be issued again.")
        @Flag(help: "Make another root; the old one's name must be typed, or given with --approve.") var force = false
        @Option(help: ArgumentHelp("The root that is replaced, by its name: see kldload-ca info.", valueName: "name")) var approve: String?
        @OptionGroup var change: Change

        func run() async throws {
            let session = AuthoritySession(dryRun: change.dryRun)
            try await session.locked {
                let old = try await session.authority.rootIfAny(runner: session.runner, files: session.files)
                if let old, !force {
                    Output.errorLine("there is a root already: \(old.name)")
                } else {
                    try await make(session, replacing: old)
                }
                if change.dryRun { return }
                let report = try await session.report()
                try CAText.show([report.root], change.format)
                if !report.trusted { Output.errorLine("this machine does not trust it yet: kldload ca trust-install") }
                if old != nil, force, !report.leaves.isEmpty {
                    Output.errorLine(
                        "to be issued again: \(report.leaves.map(\.name).joined(separator: ", ")); kldload ca renew --all does that")
                }
            }
        }

        private func make(_ session: AuthoritySession, replacing old: Certificate?) async throws {
            let serial = SerialNumber.random()
            let host = (try? session.files.readText("/etc/hostname"))?.trimmed ?? ""
            let plan = session.authority.initialising(
                CertificateAuthority.rootName(host: host, serial: serial, now: .current), replacing: old,
                try session.authority.rootVersions(session.files), serial: serial, now: .current)
            var approvals: [WipeApproval] = []
            if let old, !change.dryRun { approvals.append(try await approval(old)) }
            try await session.apply(plan, approvals: approvals)
        }

        private func approval(_ old: Certificate) async throws -> WipeApproval {
            guard approve != nil || Host.isAttended && change.format == .table else {
                throw Diagnosis(
                    "ca.unasked", "another root makes worthless what \(old.name) has signed", remedies: ["--approve '\(old.name)'"],
                    exit: .usage)
            }
            var typed = approve
            if typed == nil {
                typed = try await Host.ask("All that \(old.name) has signed becomes worthless. Type its name to go on: ")
            }
            guard let approval = WipeApproval(typed: typed ?? "", disk: old.name) else {
                throw Diagnosis(
                    "ca.refused", "\(old.name) was not approved; nothing was changed", remedies: ["type the name exactly as shown"])
            }
            return approval
        }
    }

    struct Issue: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Issue a certificate, with a key of its own; one of that name is replaced.",
            discussion: "It ends with the root at the latest.")
        @Argument(help: "What it is called here: web.") var name: String
        @Option(parsing: .upToNextOption, help: ArgumentHelp("A name that it is good for; *.example.org too.", valueName: "name"))
        var dns: [String] = []
        @Option(parsing: .upToNextOption, help: ArgumentHelp("An address that it is good for, of IPv4 or IPv6.", valueName: "address"))
        var ip: [String] = []
        @Option(help: "How long it lives.") var days = LeafRequest.defaultDays
        @Option(help: ArgumentHelp("What it is for: serverAuth, clientAuth or both.", valueName: "uses")) var eku = "serverAuth,clientAuth"
        @OptionGroup var change: Change

        func run() async throws {
            let request = try LeafRequest(leaf: name, dns: dns, addresses: ip, usages: ExtendedKeyUsage.list(eku), days: days)
            let session = AuthoritySession(dryRun: change.dryRun)
            try await session.locked {
                let entry = try await session.issue(request)
                try CAText.show(entry.map { [$0] } ?? [], change.format)
            }
        }
    }

    struct Renew: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Issue a certificate again, for the same names and uses, with a new key.",
            discussion: """
                --all: those with less than a third of their life left, and those that do not verify. Exit status: 0 done, or none was due; 1 \
                one could not be issued, the others were.
                """)
        @Argument(help: "The certificate's name.") var name: String?
        @Flag(help: "All that are due.") var all = false
        @OptionGroup var change: Change

        func validate() throws {
            guard all == (name == nil) else { throw ValidationError("Give the certificate's name, or --all.") }
        }

        func run() async throws {
            let session = AuthoritySession(dryRun: change.dryRun)
            try await session.locked {
                let due: [String]
                if let name { due = [name] } else { due = try await session.report().leaves.filter(\.isDue).map(\.name) }
                if due.isEmpty { Output.errorLine("no certificate is due") }
                var renewed: [AuthorityReport.Entry] = []
                var problems: [Diagnosis] = []
                for leaf in due {
                    do {
                        let request = try session.authority.request(leaf, session.files)
                        if let entry = try await session.issue(request) { renewed.append(entry) }
                    } catch let error as any Diagnosable {
                        problems.append(error.diagnosis)
                        if due.count > 1 { Output.errorLine("\(leaf): \(error.diagnosis.rendered)") }
                    }
                }
                if !change.dryRun, name == nil || !renewed.isEmpty { try CAText.show(renewed, change.format) }
                if due.count == 1, let problem = problems.first { throw problem }
                if !problems.isEmpty { throw ExitCode(ExitStatus.failed.rawValue) }
            }
        }
    }

    struct Info: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the root and every certificate, and whether they hold.",
            discussion: "Exit status: 0 all of them verify, 2 one does not, 78 there is no root.")
        @Option(help: "table or json.") var format = TableFormat.table

        func run() async throws {
            let report = try await AuthoritySession(dryRun: false).report()
            if format == .json { try Output.json(report) } else { Output.line(CAText.render(report)) }
            if !report.isSound { throw ExitCode(ExitStatus.problemsFound.rawValue) }
        }
    }

    struct TrustInstall: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "trust-install", abstract: "Have this machine trust the root, and no earlier one of its own.")
        @Flag(help: "Print the plan and change nothing.") var dryRun = false

        func run() async throws {
            let session = AuthoritySession(dryRun: dryRun)
            try await session.locked {
                let plan = try await session.authority.trusting(runner: session.runner, files: session.files)
                if plan.steps.isEmpty { Output.errorLine(plan.title) }
                try await session.apply(plan)
            }
        }
    }
}

/// What the verbs have in common: one at a time, plans applied or shown.
private struct AuthoritySession {
    let authority = CertificateAuthority()
    let runner: any CommandRunner = SubprocessRunner()
    let files = LocalFiles()
    var dryRun: Bool

    func locked(_ body: () async throws -> Void) async throws {
        try Host.needRoot(
            Diagnosis(
                "ca.not-root", "the certificate authority is root's", remedies: ["sudo, or look only: kldload ca info"], exit: .needsRoot))
        let lock = try await authority.lock { Output.errorLine("waiting for another kldload-ca") }
        defer { withExtendedLifetime(lock) {} }
        try await body()
    }

    func report() async throws -> AuthorityReport {
        try await AuthorityReport.gather(authority, now: .current, runner: runner, files: files)
    }

    func apply(_ plan: Plan, approvals: [WipeApproval] = []) async throws {
        try await Host.apply(plan, approvals: approvals, dryRun: dryRun, runner: runner, performers: AuthorityPerformers.table)
    }

    /// - Returns: `nil` where the plan was only shown.
    func issue(_ request: LeafRequest) async throws -> AuthorityReport.Entry? {
        let root = try await authority.root(runner: runner, files: files)
        let plan = try authority.issuing(
            request, by: root, authority.leafVersions(request.leaf, files), serial: .random(), now: .current)
        try await apply(plan)
        if dryRun { return nil }
        let entry = try await AuthorityReport.entry(request.leaf, authority, now: .current, runner: runner)
        if let days = entry.daysLeft, days < request.days - 1 {
            Output.errorLine("\(request.leaf) ends with the root, before its \(request.days) days are over")
        }
        return entry
    }
}

enum CAText {
    /// Prints entries; JSON as a list.
    static func show(_ entries: [AuthorityReport.Entry], _ format: TableFormat) throws {
        if format == .json {
            try Output.json(entries)
        } else if !entries.isEmpty {
            Output.line(entries.map(table).joined(separator: "\n\n"))
        }
    }

    static func render(_ report: AuthorityReport) -> String {
        let trust = report.trusted ? "this machine trusts the root" : "this machine does not trust the root: kldload ca trust-install"
        return (([report.root] + report.leaves).map(table) + [trust]).joined(separator: "\n\n")
    }

    private static func table(_ entry: AuthorityReport.Entry) -> String {
        var table = TextTable([(entry.name.uppercased(), .left), ("", .left)])
        if let found = entry.certificate {
            let rows = [
                ["subject", found.subject], ["names", found.names.joined(separator: " ")], ["uses", found.usages.joined(separator: " ")],
                ["serial", found.serial], ["SHA-256", found.fingerprint], ["from", found.notBefore.description],
                ["until", "\(found.notAfter) (\(entry.daysLeft ?? 0) days left\(entry.isDue ? "; due" : ""))"],
            ]
            for row in rows where !row[1].isEmpty { table.add(row) }
        }
        table.add(["chain", entry.problem ?? "verifies"])
        return table.text
    }
}

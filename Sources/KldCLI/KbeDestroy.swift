import ArgumentParser
import KldBootEnv
import KldCore
import KldPlan

/// The verbs that destroy environments.
extension KbeCommand {
    struct Destroy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Destroy an environment; never the running or the chosen one.", aliases: ["delete"])
        @Argument var name: String
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            try session.needRoot()
            guard try await Self.destroy(name, session, yes: change.yes) else {
                throw Diagnosis(
                    "be.refused", "\(name) was not approved; nothing was changed", remedies: ["type the name exactly as shown"])
            }
        }

        /// What was looked at before somebody was asked.
        struct Approved {
            var created: Timestamp
            var plan: Plan

            init(_ name: String, _ system: BootSystem) throws {
                created = try system.environment(name).created
                plan = try BootEnvironments(system).destroy(name)
            }

            /// What somebody has said yes to is still what would be destroyed; how that is done may have changed.
            /// - Throws: ``Diagnosis`` `be.changed`.
            func require(_ now: Approved, _ name: String) throws(Diagnosis) {
                guard now.created == created, now.plan.destroys == plan.destroys else {
                    throw Diagnosis(
                        "be.changed", "\(name) has changed since you were asked; nothing was changed",
                        remedies: ["look at it: kldload kbe list"],
                        exit: .tryAgain)
                }
            }
        }

        /// Asks before it takes the lock: the package manager's hooks wait for that, and for nobody who thinks.
        /// - Returns: whether it was approved.
        static func destroy(_ name: String, _ session: BootSession, yes: Bool) async throws -> Bool {
            var seen: Approved?
            if !yes, !session.dryRun {
                seen = try Approved(name, try await session.system(.owners))
                guard Host.isAttended else {
                    throw Diagnosis(
                        "be.unasked", "destroying \(name) needs a yes", remedies: ["kldload kbe destroy \(name) --yes"], exit: .usage)
                }
                guard try await Host.ask("\(name) and its snapshots will be lost. Type its name to go on: ") == name else { return false }
            }
            try await session.locked {
                let system = try await session.system(.owners)
                try seen?.require(try Approved(name, system), name)
                try await session.alone(with: system.environment(name)) { try await apply(name, system, session) }
            }
            return true
        }

        /// The plan is made for one name only, and refuses what does not bear kldload's mark.
        static func apply(_ name: String, _ system: BootSystem, _ session: BootSession, keepingOrigin: Bool = false) async throws {
            let plan = try BootEnvironments(system).destroy(name, keepingOrigin: keepingOrigin)
            let approvals = plan.destroys.compactMap { WipeApproval(owned: true, dataset: $0) }
            try await session.apply(to: system, approvals: approvals) {
                try BootEnvironments($0).destroy(name, keepingOrigin: keepingOrigin)
            }
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Destroy environments that are old and that nothing needs.",
            discussion: "Running, chosen and mounted environments stay, what a trial can go back to, and those that kldload did not make.")
        @Option(help: ArgumentHelp("Days, hours or weeks: 30d, 12h, 6w.", valueName: "age")) var olderThan: String
        @OptionGroup var change: Change

        func run() async throws {
            let session = BootSession(dryRun: change.dryRun)
            guard let seconds = Age.seconds(olderThan) else {
                throw Age.unreadable(olderThan)
            }
            try session.needRoot()
            let names = BootEnvironments(try await session.system(.owners)).prunable(olderThan: seconds, now: .current)
            if names.isEmpty { Output.errorLine("there is nothing to prune") }
            if change.dryRun { return names.forEach { Output.line($0) } }
            try await Self.each(names) {
                try await Destroy.destroy($0, session, yes: change.yes)
            } staying: {
                Output.errorLine("kldload: \($0) stays: its name was not typed")
            }
        }

        /// One after another; who does not approve of one is asked for the next all the same.
        /// - Parameter destroy: says whether it was approved.
        static func each(
            _ names: [String], _ destroy: (String) async throws -> Bool, staying: (String) -> Void
        ) async throws {
            for name in names {
                let isApproved = try await destroy(name)
                if !isApproved { staying(name) }
            }
        }
    }
}

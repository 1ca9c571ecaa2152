public import KldBoot
import KldCore
import KldExec
import KldFiles
public import KldPlan
import KldZFS
public import SystemPackage

/// What becomes of an environment on trial: it proves itself, or the machine goes back.
///
/// The loader takes one try from an entry's name before it starts it. A boot that reaches `boot-complete.target` gives the entry its plain
/// name back; one that does not ends with the machine started again, until no try is left and the loader takes the next entry.
public struct BootTrial: Sendable, Hashable {
    /// Reasons of boots that failed, of every environment: they lie on a dataset that all of them share.
    public static let reasons: FilePath = "/var/lib/kldload/boot/failed"
    /// Shown at login. Source: pam_motd(8), Linux-PAM 1.5.
    public static let notice: FilePath = "/run/motd.d/50-kldload-boot"
    /// This boot was noted as good.
    public static let goodMarker: FilePath = "/run/kldload/boot-good"
    /// Nobody wrote a reason: the environment never came as far as kldload.
    static let silence =
        "it never reached its health check: look at the console during the boot, or kldload kbe mount it and look at its kernel and /etc"

    public var system: BootSystem
    public init(_ system: BootSystem) { self.system = system }

    /// The running entry, if the loader counts its boots: one that does not get on is left for the one before.
    public var counted: BootEntry? {
        guard let entry = system.current, entry.counter != nil else { return nil }
        // It has proved itself, and this ESP did not take that: the loader has started it from another one.
        return system.wasCounted == false && system.isSelected(entry) ? nil : entry
    }

    /// The running entry, if it still has to prove itself. One that was to be booted once has nothing to prove.
    public var pending: BootEntry? { system.current.flatMap { $0.counter == nil || $0.once ? nil : $0 } }

    /// Datasets of environments that the machine can go back to while what runs has not proved itself: what the loader takes next, and the
    /// first that has proved itself. None otherwise.
    var fallbacks: Set<String> {
        // Activated once more, what runs starts its trial anew.
        let own = system.entries.filter { $0.dataset == system.running.text && $0.order > 0 && !$0.isExhausted }
        let isOnTrial = !own.isEmpty && own.allSatisfy { $0.counter != nil }
        guard counted != nil || isOnTrial else { return [] }
        let known = Set(system.environments.map(\.dataset.text))
        // What boots once is nothing to go back to, nor is one whose dataset is gone.
        let others = system.entries.filter { entry in
            !entry.isExhausted && !entry.once && entry.dataset != system.running.text && known.contains(entry.dataset)
        }
        return Set([others.first, others.first(where: \.isProven)].compactMap { $0?.dataset })
    }

    /// An environment that was left because it did not boot.
    public struct Failure: Sendable, Hashable, Codable {
        public var environment: String
        public var release: String
        public var tries: Int
        public var reason: String
    }

    /// - Parameter reason: what was written down of an entry, by its id.
    public func failures(_ reason: (String) -> String?) -> [Failure] {
        system.entries.filter { $0.isExhausted && !$0.once }.map { entry in
            Failure(
                environment: entry.environment, release: entry.release, tries: entry.counter?.done ?? 0,
                reason: reason(entry.id) ?? Self.silence)
        }
    }

    /// What is shown at login; empty where nothing failed.
    public static func notice(_ failures: [Failure], running: String) -> String {
        failures.map {
            "kldload: the boot environment \($0.environment) (Linux \($0.release)) failed to boot \($0.tries) times, and \(running) was started instead.\n"
                + "         \($0.reason)\n"
        }.joined()
    }

    /// Where the reason of an entry's failure is kept.
    public static func file(_ id: String) -> FilePath { reasons.appending(id) }

    /// A boot that went well: the entry gets its plain name on every ESP, ESPs become equal, what nothing needs any more goes.
    public var proven: Plan {
        var after = self
        let steps = blessings.map { device, good, step in
            after.take(good, on: device)
            return step
        }
        return plan(steps + after.settling(pending))
    }

    /// Does what comes first of ``proven``, on one ESP after another: one that takes no writes must not keep the boot from being good.
    ///
    /// - Parameter apply: a plan.
    /// - Returns: the rest of ``proven``, without ESPs that failed; and those.
    /// - Throws: what `apply` threw first, where no ESP knows that it has proved itself.
    public func bless(_ apply: (Plan) async throws -> Void) async throws -> (rest: Plan, failed: [BootSystem.Damaged]) {
        var after = self
        var (blessed, problems): (Int, [any Error]) = (0, [])
        for (device, good, step) in blessings {
            do {
                try await apply(plan([step]))
                after.take(good, on: device)
                blessed += 1
            } catch {
                try Task.checkCancellation()
                after.system.passOver(device, Diagnosis(of: error))
                problems.append(error)
            }
        }
        if blessed == 0, pending != nil, let first = problems.first { throw first }
        return (after.plan(after.settling(pending)), Array(after.system.damaged.dropFirst(system.damaged.count)))
    }

    private func plan(_ steps: [Step]) -> Plan { Plan("boot of \(system.running.leaf)", [Phase("boot", "Boot", steps)]) }

    /// The running entry's plain name, for each ESP that has it with a counter: also for one that took no writes when it proved itself.
    private var blessings: [(device: String, good: BootEntry, step: Step)] {
        guard var good = system.current, !good.once else { return [] }
        good.counter = nil
        return system.esps.filter { $0.entries.contains { $0.id == good.id && $0.counter != nil } }.map { esp in
            let title = "\(good.environment) has proved itself: \(good.fileName) on \(esp.device)"
            return (esp.device, good, esp.writing(good, "boot.good.\(esp.name)", title))
        }
    }

    private mutating func take(_ entry: BootEntry, on device: String) {
        for index in system.esps.indices where system.esps[index].device == device {
            system.esps[index].entries.removeAll { $0.id == entry.id }
            system.esps[index].entries.append(entry)
        }
    }

    /// What follows when the entry has its plain name. - Parameter proved: that has proved itself just now.
    private func settling(_ proved: BootEntry?) -> [Step] {
        let reason = proved.map { Step("boot.reason", "Forget why it failed before", [.remove(Self.file($0.id))]) }
        // What is chosen for the next boot is not this one's to take back; what failed for good is.
        let chosen = system.next?.dataset == system.running.text ? system.choosing(system.running) : []
        return (reason.map { [$0] } ?? []) + healing + chosen
    }

    /// Only what makes the ESPs equal, for a boot that is not judged now.
    public var equal: Plan { Plan("ESPs", [Phase("boot", "Boot", healing)]) }

    /// Makes every ESP hold what one of them holds, and nothing whose environment is gone, that a newer build has replaced, or that a power cut
    /// left before its entry was written. An entry that starts another root than its own is written anew.
    var healing: [Step] {
        let entries = system.entries.map(\.rooted)
        let known = Set(system.environments.map(\.dataset.text))
        let current = system.current?.id
        var useless = entries.filter { old in
            guard old.id != current else { return false }
            // Its dataset was destroyed by hand.
            if old.dataset.hasPrefix(system.top.text + "/"), !known.contains(old.dataset) { return true }
            // It was booted once, and beside it stands what boots the same from now on.
            if old.once, old.isExhausted, entries.contains(where: { $0.dataset == old.dataset && $0.isProven }) { return true }
            if isOld(old, among: entries) { return true }
            // A newer build has proved itself, or this one never did.
            return entries.contains {
                $0.dataset == old.dataset && $0.release == old.release && $0.generation > old.generation
                    && ($0.counter == nil || old.counter != nil)
            }
        }
        let used = entries.filter { !useless.contains($0) }
        useless += used.filter { $0.id != current && isIdle($0, among: used) }
        var steps: [Step] = []
        let needed = system.needed(without: useless)
        for esp in system.esps {
            let orphans = system.orphans(on: esp, without: useless)
            if let step = esp.clearing(orphans, with: useless, keeping: needed, "boot.tidy.\(esp.name)") { steps.append(step) }
        }
        var copied: [String: Set<String>] = [:]
        for entry in entries where !useless.contains(entry) {
            guard let source = system.esps.first(where: { esp in entry.files.allSatisfy { esp.images[$0] != nil } }) else { continue }
            for esp in system.esps {
                let lacking = entry.files.filter { esp.images[$0] == nil && copied[esp.device]?.contains($0) != true }
                if !lacking.isEmpty {
                    copied[esp.device, default: []].formUnion(lacking)
                    steps.append(
                        Step(
                            "boot.copy.\(esp.name).\(entry.id)", "Copy the boot image of \(entry.environment) to \(esp.device)",
                            source.mounting + esp.mounting
                                + [.makeDirectory(FilePath("\(esp.workplace.string)/\(BootEntry.imageFolder)"))]
                                + lacking.flatMap {
                                    ESPFile.place(FilePath("\(source.workplace.string)/\($0)"), as: $0, on: esp.workplace)
                                },
                            release: esp.unmounting + source.unmounting, weight: 3))
                }
                if !esp.holds(entry) {
                    steps.append(esp.writing(entry, "boot.entry.\(esp.name).\(entry.id)", "Enter \(entry.fileName) on \(esp.device)"))
                }
            }
        }
        if let source = system.esps.first(where: { $0.recovery != nil }), let image = source.recovery {
            for esp in system.esps where esp.recovery == nil && esp.free >= image.size + BootStaging.margin {
                steps.append(esp.recovering(from: source, system.chain))
            }
        }
        return steps
    }
}

extension BootSystem.ESP {
    /// Whether an entry stands here as it does elsewhere. The loader counts on the ESP that it starts from, and tries that are left are
    /// each ESP's own; but what failed for good must not start from another disk when that one is gone.
    fileprivate func holds(_ entry: BootEntry) -> Bool {
        let copies = entries.filter { $0.id == entry.id }
        return copies.contains { $0.order == entry.order && $0.starts(the: entry) }
            && (!entry.isExhausted || copies.allSatisfy(\.isExhausted))
    }
}

import KldBoot
import KldCore
public import KldExec
public import KldFiles
import KldZFS
import SystemPackage

/// What the next boot will do, and why, from what lies on the disks now.
public struct BootPrediction: Sendable, Hashable, Codable {
    public enum Status: String, Sendable, Hashable, Codable { case ok, warn, fail }

    public struct Finding: Sendable, Hashable, Codable {
        public var name: String
        public var status: Status
        public var text: String
        public var remedy: String?
    }

    /// The environment, the kernel, and the entry that the loader takes; `nil`: it finds none.
    public var environment: String?
    public var release: String?
    public var entry: String?
    public var findings: [Finding]
    /// Whether it starts: nothing failed.
    public var starts: Bool { !findings.contains { $0.status == .fail } }

    /// What is known of the entry that boots next, beyond the system itself.
    struct Facts: Sendable, Hashable {
        /// Kernels of its environment with what each needs; `nil`: there is no such environment.
        var target: BootTarget?
        /// Whether the environment has OpenZFS' module for the entry's kernel.
        var module: Bool
        /// Devices of ESPs → what the signature of the image there is worth to a firmware that looks; without one: there is no image.
        var signatures: [String: SecureBoot.Signature]
        var firmware: SecureBoot.Firmware
        var enrolment: KeyEnrolment.State
        /// ESPs whose boot loader is not the system's.
        var loaders: [LoaderStaging.Difference] = []
        /// The recovery image, as it is and as it should be.
        var recovery: RecoveryStaging.Finding = .current
        /// ESPs whose image is not what was put there.
        var damaged: [String] = []
        var initialization = Initialization.known
        /// What the firmware starts instead.
        var instead: FirmwareOnce?
    }

    /// The first program of an environment, which the kernel starts. Without one it panics.
    enum Initialization: Sendable, Hashable {
        case known, missing
        case other(String)

        init(in root: FilePath, _ files: any FileSystem) {
            // Links lead on below the environment's root. Source: Linux, `init/main.c`; the initramfs starts /sbin/init.
            var path: FilePath = "/sbin/init"
            var inside: FilePath { root.appending(path.components) }
            for _ in 0..<8 {
                guard let target = try? files.readLink(inside) else { break }
                let next = FilePath(target)
                path = next.isAbsolute ? next : path.removingLastComponent().appending(next.components).lexicallyNormalized()
            }
            let name = path.lastComponent?.string ?? ""
            guard (try? files.exists(inside)) == true else {
                self = .missing
                return
            }
            self = ["systemd", "busybox"].contains(name) || name.hasSuffix("init") ? .known : .other(path.string)
        }
    }

    /// Reads the machine that runs. Runs: what ``BootTarget/compared(_:runner:files:)`` runs.
    public static func gather(_ system: BootSystem, runner: any CommandRunner, files: any FileSystem) async throws -> BootPrediction {
        var facts = Facts(
            module: false, signatures: [:], firmware: SecureBoot.firmware(files), enrolment: try BootSystem.enrolment(files))
        facts.loaders = try await LoaderStaging.gather(system, runner: runner, files: files)?.differences ?? []
        facts.instead = FirmwareOnce.read(files)
        facts.recovery = try await RecoveryStaging.gather(system, runner: runner, files: files)
        guard let next = system.starting else { return BootPrediction(system, facts) }
        for found in try await system.signatures(by: system.accepted ?? [], runner: runner, files: files, { $0 == next.files[0] }) {
            facts.signatures[found.esp.device] = found.signature
        }
        guard let environment = system.environments.first(where: { $0.dataset.text == next.dataset }) else {
            return BootPrediction(system, facts)
        }
        try await BootTarget.with(environment, runner: runner, files: files) { target in
            facts.module = !ModuleSigning.modules(in: target.root, next.release, files).isEmpty
            facts.target = try await target.compared(system, runner: runner, files: files)
            facts.initialization = Initialization(in: target.root, files)
        }
        let kernels = facts.target?.kernels ?? []
        facts.damaged = try await system.damaged(
            next, unless: { esp in kernels.contains { $0.matching[esp.device]?.contains(next.id) ?? false } }, runner: runner, files: files)
        return BootPrediction(system, facts)
    }

    init(_ system: BootSystem, _ facts: Facts) {
        findings = []
        guard let next = system.starting else {
            add(.fail, "entry", "no ESP has an entry that may still be tried", "kldload kbe activate \(system.running.leaf)")
            check(damaged: system.damaged)
            return
        }
        (environment, release, entry) = (next.environment, next.release, next.id)
        if let instead = facts.instead { add(.warn, "firmware", instead.text, FirmwareOnce.remedy) }
        check(told: system)
        let once = next.once || system.chosenOnce == next
        let tries = next.counter.map { ", on trial: \($0.left) of its tries are left" } ?? ""
        add(.ok, "entry", "\(next.fileName)\(once ? ", once" : tries)")
        check(the: next, system, facts)
        check(on: system.esps, next, system, facts)
        check(damaged: system.damaged)
        check(loaders: facts.loaders, system.esps)
        if system.hostID == nil {
            add(.fail, "host id", "/etc/hostid is missing: the pool is not imported without force", "kldload verify --only zfs.hostid")
        }
        check(signaturesOf: next, system, facts)
        check(recovery: facts.recovery, system.esps)
    }

    private mutating func add(_ status: Status, _ name: String, _ text: String, _ remedy: String? = nil) {
        findings.append(Finding(name: name, status: status, text: text, remedy: remedy))
    }

    /// What the loader was told in its own menu, against the order of the entries.
    private mutating func check(told system: BootSystem) {
        if let once = system.told.once {
            let told = "the loader was told to start"
            if system.chosenOnce != nil {
                let after = system.next.map { "; the one after is \($0.environment), by \($0.fileName)" } ?? ""
                add(.ok, "once", "\(told) \(once) at the next boot, once\(after)")
            } else if RecoveryImage.isMeant(by: once) {
                add(.ok, "once", "\(told) the recovery image at the next boot, once; what follows is about the one after")
            } else {
                add(
                    .warn, "once", "\(told) \(once) at the next boot, once: where it finds that, it starts, and nothing of this",
                    "kldload kbe activate NAME forgets it")
            }
        }
        if let always = system.told.always {
            let known = system.entries.contains { LoaderChoice.fits($0, always) }
            add(
                .warn, "menu choice",
                known
                    ? "somebody has chosen \(always) in the boot menu for every start"
                    : "somebody has chosen \(always) in the boot menu for every start: where the loader finds it, that starts, and nothing of this",
                "kldload kbe activate NAME forgets it")
        }
    }

    private mutating func check(the next: BootEntry, _ system: BootSystem, _ facts: Facts) {
        guard let target = facts.target else {
            add(
                .fail, "environment", "\(next.dataset) does not exist: the initramfs finds no root",
                "kldload kbe activate another one: kldload kbe list")
            return
        }
        add(.ok, "environment", "\(next.dataset) is there")
        if next.rooted != next {
            let root = next.parts?.commandLine.root ?? "another root"
            add(.fail, "root", "the entry of \(next.environment) starts \(root)", "kldload boot refresh writes it anew")
        }
        guard target.kernels.contains(where: { $0.release == next.release }), facts.module else {
            add(
                .fail, "kernel", "\(next.environment) has not all that Linux \(next.release) needs: kernel, initramfs, modules, OpenZFS",
                "dkms status in it (kldload kbe mount \(next.environment)), then kldload boot refresh")
            return
        }
        add(.ok, "kernel", "Linux \(next.release) with OpenZFS")
        check(init: facts.initialization, of: next.environment)
        let gate = BootGate(system, target)
        for problem in gate.problems { add(.fail, "environment", problem.message, problem.remedies.first) }
        for doubt in gate.doubts { add(.warn, "kernel", doubt.text, doubt.remedy) }
        if let kernel = target.kernels.first, kernel.release != next.release {
            add(.warn, "newer kernel", "\(next.environment) has Linux \(kernel.release), which is not staged", "kldload boot refresh")
        } else if let kernel = target.kernels.first, !kernel.matching.values.contains(where: { $0.contains(next.id) }) {
            add(.warn, "image", "what is staged was not built from what \(next.environment) holds now", "kldload boot refresh")
        }
    }

    private mutating func check(init found: Initialization, of environment: String) {
        let remedy = "kldload kbe activate another one, and see why: kldload kbe diff"
        switch found {
        case .known: break
        case .missing: add(.fail, "init", "\(environment) has no /sbin/init: its kernel would panic", remedy)
        case .other(let path): add(.warn, "init", "/sbin/init of \(environment) leads to \(path), which is no init that is known", remedy)
        }
    }

    private mutating func check(on esps: [BootSystem.ESP], _ next: BootEntry, _ system: BootSystem, _ facts: Facts) {
        let lacking = esps.filter { esp in
            next.files.contains { esp.images[$0] == nil } || !esp.entries.contains { $0.starts(the: next) }
        }.map(\.device)
        guard lacking.count < esps.count else {
            add(.fail, "ESP", "no ESP has both the entry and its image", "kldload kbe activate \(system.running.leaf)")
            return
        }
        if !facts.damaged.isEmpty {
            add(
                facts.damaged.count + lacking.count < esps.count ? .warn : .fail, "image",
                "cut off, or changed since it was signed: the image on \(facts.damaged.joined(separator: ", "))",
                "kldload boot refresh makes it anew")
        }
        // The loader counts on the ESP that it starts from: what one disk gave up another may still try. What it was told once it starts from each.
        let others =
            system.chosenOnce == next
            ? []
            : esps.filter { !lacking.contains($0.device) }.compactMap { esp -> String? in
                guard let own = system.choice(on: esp) else { return "\(esp.device) has nothing that may still be tried" }
                return own.starts(the: next) ? nil : "\(esp.device) would start \(own.environment), by \(own.fileName)"
            }
        if !lacking.isEmpty {
            add(.warn, "ESP", "\(lacking.joined(separator: ", ")) would boot something else", "kldload boot refresh")
        }
        if !others.isEmpty { add(.warn, "ESP", others.joined(separator: "; "), "kldload boot refresh") }
        // What is staged anew takes room beside what is there.
        let size = facts.target?.kernels.first.map { $0.size + BootStaging.margin }
        let full = esps.filter { esp in size.map { system.orphans(on: esp).values.reduce(esp.free, +) < $0 } ?? false }
        if let size, !full.isEmpty {
            let rooms = full.map { "\($0.device) has \($0.free) free" }.joined(separator: ", ")
            add(.warn, "room", "\(rooms): the next kernel takes \(size)", "destroy environments that are not needed: kldload kbe list")
        }
        if lacking.isEmpty, others.isEmpty { add(.ok, "ESP", "the same on \(esps.map(\.device).joined(separator: ", "))") }
    }

    /// The others start the machine, as they do for one whose ESP lacks something.
    private mutating func check(damaged: [BootSystem.Damaged]) {
        for esp in damaged {
            let disk = esp.disk.map { ": the machine does not start from \($0)" } ?? ""
            add(.warn, "ESP", esp.problem.message + disk, esp.remedies.joined(separator: "; "))
        }
    }

    private mutating func check(loaders: [LoaderStaging.Difference], _ esps: [BootSystem.ESP]) {
        for difference in loaders {
            let (files, device) = (difference.files, difference.esp.device)
            let alone = esps.count == loaders.count && !loaders.contains { $0.files.starts }
            if !files.missing.isEmpty {
                add(
                    alone ? .fail : .warn, "boot loader", "\(device) lacks \(files.missing.joined(separator: ", ")), or has it damaged",
                    "kldload boot refresh"
                )
            }
            if !files.outdated.isEmpty {
                add(
                    .warn, "boot loader", "\(device) has another version of \(files.outdated.joined(separator: ", "))",
                    "kldload boot refresh")
            }
        }
    }

    /// None of it keeps the machine from starting.
    private mutating func check(recovery: RecoveryStaging.Finding, _ esps: [BootSystem.ESP]) {
        let lacking = esps.filter { $0.recovery == nil }.map(\.device)
        switch recovery {
        case .current: add(.ok, "recovery", "the recovery image is made of what runs")
        case .later(let why) where lacking.isEmpty: add(.ok, "recovery", "the recovery image is an older one: \(why)")
        case .later, .needed:
            add(
                .warn, "recovery",
                lacking.isEmpty ? "the recovery image is an older one" : "\(lacking.joined(separator: ", ")) has no recovery image",
                "kldload boot recovery")
        }
    }

    private mutating func check(signaturesOf next: BootEntry, _ system: BootSystem, _ facts: Facts) {
        guard facts.firmware == .enforcing else {
            add(.ok, "signatures", "the firmware checks none")
            return
        }
        func esps(_ worth: SecureBoot.Signature) -> [String] { facts.signatures.filter { $0.value == worth }.keys.sorted() }
        // Modules that changed since are not those that boot next.
        let kernel = facts.target?.kernels.first { $0.matching.values.contains { $0.contains(next.id) } }
        let (unsigned, broken) = (esps(.missing) + (kernel?.unsigned ?? []), esps(.broken))
        let isKnown = facts.enrolment == .enrolled
        if !broken.isEmpty {
            add(
                .fail, "signatures",
                "changed since it was signed, and refused by the firmware: the image on \(broken.joined(separator: ", "))",
                "find out who wrote there; then kldload boot refresh makes it anew")
        } else if !unsigned.isEmpty, !isKnown, system.signing != .off {
            add(.fail, "signatures", "the firmware does not know this machine's key", "kldload secure-boot reenroll")
        } else if !unsigned.isEmpty {
            add(
                .fail, "signatures", "signed by no key that the firmware knows: \(unsigned.joined(separator: ", "))",
                "kldload secure-boot enable")
        } else {
            add(.ok, "signatures", "signed by a key that the firmware knows")
        }
        guard unsigned.isEmpty, broken.isEmpty else { return }
        if let doubt = BootSystem.doubt(signs: system.signing.signer != nil, facts.enrolment) {
            add(.warn, "signing", doubt.text, doubt.remedy)
        }
    }
}

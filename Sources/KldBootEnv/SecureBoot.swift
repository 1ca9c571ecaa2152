public import KldBoot
public import KldCore
public import KldExec
public import KldFiles
import KldInstall
public import KldPlan
import KldZFS
import SystemPackage

/// What the firmware demands, what this machine signs, and whether the two fit together.
public struct SecureBoot: Sendable, Hashable, Codable {
    /// What the firmware says of itself. Source: UEFI 2.10, 32.3: `SecureBoot`, `SetupMode`; shim 16.1, `MokSBStateRT`.
    public enum Firmware: String, Sendable, Hashable, Codable {
        case enforcing, off
        /// It holds no key of its owner yet, and trusts everything.
        case setup
        /// Secure Boot is on, and shim was told not to check.
        case unchecked = "validation-disabled"
        case none = "no-uefi"
    }

    /// What the signature of a program is worth.
    public enum Signature: String, Sendable, Hashable, Codable {
        case good
        /// There is none, or somebody else's.
        case missing
        /// The program was changed after it had been signed.
        case broken
    }

    /// Something that the firmware or the kernel checks, and whether this machine's key has signed it, or another one that the firmware knows.
    public struct Signed: Sendable, Hashable, Codable {
        public var name: String
        /// And it is still what was signed.
        public var signed: Bool
        public var signature: Signature
        /// The next start depends on it.
        public var bootsNext: Bool

        public init(name: String, signature: Signature, bootsNext: Bool = true) {
            (self.name, signed, self.signature, self.bootsNext) = (name, signature == .good, signature, bootsNext)
        }
    }

    /// A program that its vendor signed.
    public struct Program: Sendable, Hashable, Codable {
        public var name: String
        /// Authorities, one for each signature.
        public var issuers: [String]
        /// Whether that is what it still is.
        public var signature: Signature
    }

    public var firmware: Firmware
    /// `nil`: nothing is signed here.
    public var certificate: String?
    public var keyIsThere: Bool
    public var enrolment: KeyEnrolment.State
    public var modules: [Signed]
    public var images: [Signed]
    /// What comes before them.
    public var programs: [Program] = []
    /// The request for this environment's certificate is made again at every start.
    public var repeats: Bool

    /// Reads the machine that runs.
    ///
    /// Runs: what decompresses modules; `sbverify`; ESPs that are not mounted are mounted read-only for a moment.
    public static func gather(_ system: BootSystem, runner: any CommandRunner, files: any FileSystem) async throws -> SecureBoot {
        let key = MachineOwnerKey()
        let certificate = try key.der(files)
        var found = SecureBoot(
            firmware: firmware(files), certificate: try key.isWanted(files) ? key.certificate.string : nil,
            keyIsThere: try key.exists(files),
            enrolment: try BootSystem.enrolment(files), modules: [], images: [],
            repeats: try certificate.map { try KeyEnrolment.isRepeated(for: $0, files) } ?? false)
        // Where nobody looks yet, its own key counts, enrolled or not.
        let own = try certificate.map { try CertificateIdentity($0) }
        let signers = system.accepted ?? (system.trusted.map(\.identity) + [own].compactMap { $0 })
        let next = system.next
        // What started this machine starts it again, whatever modules lie there by now.
        let isBuilt = next.map { $0.id != system.current?.id && $0.dataset == system.running.text } ?? false
        for release in ((try? files.folders(in: "/usr/lib/modules")) ?? []).sorted() {
            for module in ModuleSigning.modules(in: "/", release, files) {
                let signature = try await ModuleSigning.signature(of: module, runner: runner, files: files) ?? []
                found.modules.append(
                    Signed(
                        name: "\(release)/\(module.lastComponent?.string ?? "")",
                        signature: signers.contains { $0.signed(signature) } ? .good : .missing,
                        bootsNext: isBuilt && next?.release == release))
            }
        }
        found.images = try await system.signatures(by: signers, runner: runner, files: files).map { image in
            Signed(
                name: "\(image.esp.device): \(image.image)", signature: image.signature,
                bootsNext: next.map { $0.files.contains(image.image) } ?? true)
        }
        do { found.programs = try await system.programs(runner: runner, files: files) } catch CommandError.toolMissing {}
        return found
    }

    public static func firmware(_ files: any FileSystem) -> Firmware {
        guard EFIVariable.value("SecureBoot", files) != nil else { return .none }
        if EFIVariable.value("SetupMode", files) == [1] { return .setup }
        guard EFIVariable.isSecureBootOn(files) else { return .off }
        return EFIVariable.value("MokSBStateRT", of: .shim, files)?.first == 1 ? .unchecked : .enforcing
    }

    private var unsigned: [Signed] { (modules + images).filter { !$0.signed } }
    private var refusedPrograms: [Program] { programs.filter { $0.signature != .good } }

    /// Whether an ESP has a way from firmware to its boot loader on which nothing is refused.
    private var reachesLoader: Bool {
        let devices = Set(programs.map(\.device))
        return devices.isEmpty
            || devices.contains { device in
                ESPLoader.Difference(missing: refusedPrograms.filter { $0.device == device }.map(\.path)).starts
            }
    }

    /// What the firmware will say at the next start, in words. - Returns: whether the machine starts.
    public var verdict: (starts: Bool, text: String) {
        let refused = unsigned.filter(\.bootsNext).map(\.name)
        switch firmware {
        case .none: return (true, "this machine was not started by UEFI: nothing checks signatures")
        case .setup, .off, .unchecked:
            let state = firmware == .setup ? "in setup mode" : firmware == .off ? "off" : "on, but shim does not check"
            guard certificate != nil else { return (true, "Secure Boot is \(state): it starts; nothing is signed here") }
            if enrolment != .enrolled {
                return (true, "Secure Boot is \(state): it starts; enrol the key before it is turned on: kldload secure-boot enable")
            }
            return refused.isEmpty
                ? (true, "Secure Boot is \(state): it starts, and would with Secure Boot on")
                : (
                    true,
                    "Secure Boot is \(state): it starts; with Secure Boot on these would be refused: \(refused.joined(separator: ", "))"
                )
        case .enforcing:
            guard refused.isEmpty else {
                let why = certificate != nil && enrolment != .enrolled ? ": it does not know this machine's key" : ""
                return (false, "Secure Boot is on, and would refuse \(refused.joined(separator: ", "))\(why)")
            }
            guard reachesLoader else {
                return (false, "Secure Boot is on, and would refuse \(refusedPrograms.map(\.name).joined(separator: ", "))")
            }
            let what = unsigned.isEmpty && refusedPrograms.isEmpty ? "everything" : "what boots next"
            return (true, "Secure Boot is on: \(what) is signed by a key that the firmware knows")
        }
    }

    /// What does not keep the machine from starting next.
    public var warnings: [String] {
        guard firmware != .none else { return [] }
        let others = unsigned.filter { !$0.bootsNext }.map(\.name) + (reachesLoader ? refusedPrograms.map(\.name) : [])
        var warnings: [String] = []
        if !others.isEmpty, firmware == .enforcing || certificate != nil {
            let way = firmware == .enforcing ? "refused" : "refused with Secure Boot on"
            warnings.append("not needed for the next start, and \(way): \(others.joined(separator: ", "))")
        }
        if firmware == .enforcing, let doubt = BootSystem.doubt(signs: certificate != nil && keyIsThere, enrolment) {
            warnings.append("\(doubt.text): \(doubt.remedy)")
        }
        return warnings
    }

    // MARK: plans

    /// Makes what is missing of a key, signs OpenZFS of every kernel here, and asks the firmware to trust the key.
    ///
    /// - Parameters:
    ///   - name: of the certificate.
    ///   - holding: what of the key is there.
    /// - Throws: ``Diagnosis`` `trust.certificate-lost`.
    public func enabling(_ system: BootSystem, name: String, holding: MachineOwnerKey.Holding) throws(Diagnosis) -> Plan {
        let key = MachineOwnerKey()
        let making = try key.completing(holding, name: name)
        var steps = [
            Step("trust.configuration", "Kernel modules are signed when they are built", [MachineOwnerKey.configuring(root: "/")])
        ]
        if !making.isEmpty { steps.append(Step("trust.key", "A key of its own, to sign with", making)) }
        // What the firmware accepts today keeps its signature until the new key is enrolled: it is refused with another.
        let signsAnew = !keyIsThere && firmware != .enforcing
        let releases = Set(modules.filter { !$0.signed || signsAnew }.compactMap { $0.name.split(separator: "/").first.map(String.init) })
        for release in releases.sorted() {
            steps.append(
                Step(
                    "trust.modules.\(release)", "Sign OpenZFS' modules of \(release)",
                    [ModuleSigning.signing(root: "/", release: release, with: key, initramfs: FilePath("/boot/initrd.img-\(release)"))],
                    weight: 5))
        }
        for esp in system.esps {
            steps.append(
                Step(
                    "trust.esp.\(esp.name)", "Offer the key on \(esp.device)",
                    esp.mounting + KeyEnrolment.offering(key.certificate, on: esp.workplace, system.chain) + [ESPFile.sync(esp.workplace)],
                    release: esp.unmounting))
        }
        return Plan("sign what boots", [Phase("trust", "Trust", steps + (enrolment == .enrolled ? [] : asking))])
    }

    /// Asks the firmware again, with another password, and at every start until somebody answers.
    public var asking: [Step] {
        guard firmware != .none else { return [] }
        return [
            Step(
                "trust.enrol", "Ask the firmware to trust the key",
                KeyEnrolment.requesting(MachineOwnerKey().certificate) + KeyEnrolment.repeating(MachineOwnerKey().certificate))
        ]
    }

    /// Signs no more; the key stays until somebody removes it, and trusted until the firmware is told otherwise.
    ///
    /// - Throws: ``Diagnosis`` `trust.enforcing`.
    public func disabling() throws(Diagnosis) -> Plan {
        guard firmware != .enforcing else {
            throw Diagnosis(
                "trust.enforcing", "Secure Boot is on: what this machine builds without signing it would not start",
                remedies: ["turn Secure Boot off in the firmware's setup first"], exit: .badAnswers)
        }
        var actions: [Action] = [.remove(FilePath("/" + MachineOwnerKey.configuration)), .remove(KeyEnrolment.wanted)]
        if enrolment == .requested { actions.append(.run(Command("mokutil", ["--revoke-import"], effect: .changes))) }
        return Plan("sign no more", [Phase("trust", "Trust", [Step("trust.disable", "Sign nothing any more", actions)])])
    }

    /// At every start: a request that nobody answered is made again; one that was is remembered no longer. An environment without the key for
    /// which it was made leaves it to those that have it.
    public func repeating() -> Plan {
        guard repeats, keyIsThere else { return Plan("nobody waits for a key to be enrolled", []) }
        let steps =
            enrolment == .enrolled ? [Step("trust.done", "The firmware trusts the key", [.remove(KeyEnrolment.wanted)])] : asking
        return Plan("enrol the key", [Phase("trust", "Trust", steps)])
    }
}

import KldAnswers
import KldBoot
import KldCore
import KldDistro
import KldPlan
import SystemPackage

/// What a machine signs: OpenZFS' modules, its boot images, and a boot loader that nobody else has signed.
extension InstallPlanner {
    /// A sealed image has none: each clone makes its own at its first boot.
    var key: MachineOwnerKey? { answers.secureBoot && !request.sealed ? MachineOwnerKey(root: target) : nil }

    var signing: [Step] {
        guard answers.secureBoot else { return [] }
        return [
            Step("trust.configuration", "Kernel modules are signed when they are built", [MachineOwnerKey.configuring(root: target)])
        ]
    }

    var trust: [Step] {
        guard let key else { return [] }
        let release = request.payload.kernel
        // shim forgets a request that nobody answers.
        let asking = requestsEnrolment ? KeyEnrolment.repeating(key.certificate, at: inTarget(KeyEnrolment.wanted.string)) : []
        let making =
            answers.mokFiles.map { key.adopting(key: $0.key, certificate: $0.certificate) }
            ?? key.creating(name: "kldload \(answers.hostname.description.prefix(40)) \(request.identity.hostID)")
        return [
            Step(
                "trust.key",
                answers.mokFiles == nil ? "A key of its own, to sign with" : "The key in \(answers.mokFiles?.key.string ?? "")",
                making + asking, weight: 2),
            Step(
                "trust.modules", "Sign OpenZFS' modules of \(release)",
                [ModuleSigning.signing(root: target, release: release, with: key, initramfs: inTarget("/boot/initrd.img-\(release)"))],
                weight: 5),
        ]
    }

    /// Firmware that enforces asks at the next start; else the machine asks when its owner does: `kldload-secure-boot enable`.
    public var requestsEnrolment: Bool {
        key != nil && facts.firmwareEntries && (facts.secureBoot || answers.mokPassword != nil)
    }

    var enrolment: [Step] {
        guard let key, requestsEnrolment else { return [] }
        return [
            Step(
                "trust.enrol", "Ask the firmware to trust the new key",
                KeyEnrolment.requesting(key.certificate, password: answers.mokPassword))
        ]
    }
}

import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import SystemPackage

/// Who signs, and whether the firmware takes it.
extension BootSystem {
    /// Whether what is built and signed here now would start.
    package var isTrusted: Bool { !secureBoot || (signing.signer != nil && enrolment == .enrolled) }

    /// What a person should know before something is built, where the firmware looks; what helps.
    static func doubt(signs: Bool, _ enrolment: KeyEnrolment.State) -> (text: String, remedy: String)? {
        guard signs else { return ("no key signs here: nothing that is built from now on would start", "kldload secure-boot enable") }
        guard enrolment != .enrolled else { return nil }
        return (
            "the firmware does not know this machine's key: nothing that it signs is staged until then",
            "kldload secure-boot reenroll, and restart"
        )
    }

    /// Whose signature lets a module be loaded, or an image that lies there already be started; `nil`: nobody looks.
    var accepted: [CertificateIdentity]? {
        secureBoot ? trusted.map(\.identity) + [isTrusted ? signing.signer : nil].compactMap { $0 } : nil
    }

    /// Who must have signed an image that needs not be built again: where the firmware does not know this machine's key yet, an older one that it
    /// knows will do.
    var imageSigners: [CertificateIdentity]? { isTrusted ? signing.signer.map { [$0] } : accepted }

    /// Refuses to build what the firmware would not start.
    ///
    /// - Throws: ``Diagnosis`` `boot.signing-off`, `boot.key-not-enrolled`.
    func requireTrust() throws(Diagnosis) {
        guard secureBoot else { return }
        switch signing {
        case .off:
            throw Diagnosis(
                "boot.signing-off", "Secure Boot is on, and this machine signs nothing: what is built now would not start",
                remedies: ["kldload secure-boot enable"], exit: .unavailable)
        case .by where enrolment != .enrolled:
            throw Diagnosis(
                "boot.key-not-enrolled",
                "Secure Boot is on, and the firmware does not know this machine's key: what is signed now would not start",
                remedies: ["kldload secure-boot reenroll, restart, and enrol the key at the blue screen; then again"], exit: .unavailable)
        case .by, .keyless: return
        }
    }

    /// Signs an image that was just made. - Throws: ``Diagnosis`` `trust.no-key`; of ``requireTrust()``.
    func signature(on image: FilePath) throws(Diagnosis) -> [Action] {
        try requireTrust()
        switch signing {
        case .off: return []
        case .by: return MachineOwnerKey().signing(image)
        case .keyless:
            throw Diagnosis(
                "trust.no-key", "this machine signs what it boots, and its key is gone",
                remedies: [
                    "kldload secure-boot enable mends what is left of it, or makes another one",
                    "or stop signing: kldload secure-boot disable",
                ], exit: .unavailable)
        }
    }

    /// What a program on an ESP is worth, whoever signed it: one that is cut off, or was changed after it had been signed, is broken.
    ///
    /// Runs: `sbverify FILE` for one that bears a signature, reads; where that is missing, the signature counts as it stands there.
    static func condition(
        of program: FilePath, _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> SecureBoot.Signature {
        guard let headers = try? PortableExecutable(files.read(program, 0..<PortableExecutable.headers)),
            try headers.isWhole(Int(files.size(program)))
        else { return .broken }
        if headers.signatures.isEmpty { return .missing }
        do {
            let output = try await runner.run(MachineOwnerKey.checking(program))
            return MachineOwnerKey.isChanged(output) ? .broken : .good
        } catch CommandError.toolMissing { return .good }
    }

    /// ESPs on which the image of an entry is cut off, or is not what was signed. Where nothing checks signatures, this does.
    func damaged(
        _ entry: BootEntry, unless isSound: (ESP) -> Bool, runner: any CommandRunner, files: any FileSystem
    ) async throws -> [String] {
        var found: [String] = []
        for (index, esp) in esps.enumerated() where !isSound(esp) {
            guard let image = entry.files.first(where: { BootEntry.isProgram($0) && esp.images[$0] != nil }) else { continue }
            let condition = try await Self.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                try await Self.condition(of: place.appending(image), runner, files)
            }
            if condition == .broken { found.append(esp.device) }
        }
        return found
    }

    /// Whether a program is what one of these has signed. Who of them did, and whether it fits, is what sbverify finds out where the firmware does.
    ///
    /// Runs: where the firmware enforces signatures, `sbverify --cert PEM FILE`, which reads it; reads.
    func signature(
        of program: FilePath, by signers: [CertificateIdentity], _ runner: any CommandRunner, _ files: any FileSystem
    ) async throws -> SecureBoot.Signature {
        guard let signer = signers.first(where: { (try? UnifiedKernelImage.isSigned(program, by: $0, files)) == true }) else {
            return .missing
        }
        guard secureBoot else { return .good }
        // An older key's certificate may lie nowhere but in the firmware's list.
        let other = signer == signing.signer ? nil : trusted.first { $0.identity == signer }
        let file = other.map { _ in FilePath("/run/kldload/trusted-\(UInt64.random(in: 0 ... .max)).pem") }
        defer { if let file { try? files.remove(file) } }
        if let file, let other { try files.write(other.pem, to: file) }
        do {
            let command = MachineOwnerKey().verifying(program, by: file, accepting: [0, 1])
            return try await runner.run(command).status == 0 ? .good : .broken
        } catch CommandError.toolMissing { return .good }
    }
}

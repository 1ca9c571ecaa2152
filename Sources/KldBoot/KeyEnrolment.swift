public import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// How a certificate gets into the firmware's list of trusted keys (MokList): a request that shim's key manager shows at the next start, and
/// that a person at the console confirms with a password which is good for this once.
public enum KeyEnrolment {
    private static let request = "mok.request"
    /// The password of the request that is waiting; root's alone, and gone with the next start.
    public static let passwordFile: FilePath = "/run/kldload/mok-password"
    /// Shown before the login prompt of consoles, which is where a person stands who can answer the key manager.
    static let issue: FilePath = "/run/issue.d/50-kldload-mok.issue"
    /// The certificate for which the request is made again at every start: it is lost when nobody answers. All environments share it; the key
    /// is in the one that asked, and in those that were cloned from it.
    public static let wanted: FilePath = "/var/lib/kldload/secure-boot/wanted"
    /// Where a person finds it who enrols it from a disk, without any password.
    public static let certificateOnESP = "EFI/kldload/mok.der"
    /// Starts the key manager from the boot menu. Its name keeps it from being a default: see ``ESPLayout/loaderConfiguration(timeoutSeconds:)``.
    public static let menuEntry = (
        path: "loader/entries/secure-boot-key.conf",
        text: "title Secure Boot: enrol this machine's key (\(certificateOnESP))\nsort-key zz-kldload\nefi /EFI/BOOT/mmx64.efi\n"
    )

    /// Makes a request for a certificate in DER, in place of one that waits.
    ///
    /// Runs: `openssl passwd -6 -stdin`, reads; `mokutil --import CERTIFICATE --hash-file FILE`, changes. Source: mokutil(1), 0.6.
    /// - Parameter password: `nil`: one is made.
    public static func requesting(_ certificate: FilePath, password: Secret? = nil) -> [Action] {
        (password.map { [.write(passwordFile, content: .secret($0), mode: .secret)] } ?? [.remove(passwordFile)]) + [
            .perform(request, ["certificate": certificate.string], effect: .changes)
        ]
    }

    /// Has the request made again until somebody answers. Runs: `cp CERTIFICATE …`, changes.
    /// - Parameter place: of ``wanted``, below the root of the system that is to ask.
    public static func repeating(_ certificate: FilePath, at place: FilePath = wanted) -> [Action] {
        [.makeDirectory(place.removingLastComponent()), .run(FileCommand.copy(certificate, to: place))]
    }

    /// Whether it is this certificate for which the request is made again. An older kldload did not say which one.
    ///
    /// - Throws: ``FileError``.
    public static func isRepeated(for certificate: [UInt8], _ files: any FileSystem) throws -> Bool {
        guard try files.exists(wanted) else { return false }
        let asked = try files.read(wanted)
        return asked == certificate || (try? CertificateIdentity(asked)) == nil
    }

    /// Lays what that person needs onto an ESP.
    ///
    /// Runs: `cp CERTIFICATE …`; changes. Its folders must be there, and what follows must sync.
    public static func offering(_ certificate: FilePath, on mount: FilePath, _ chain: BootChain = .systemdBoot) -> [Action] {
        func place(_ path: String) -> FilePath { FilePath("\(mount.string)/\(path)") }
        let copy = FileCommand.copy(certificate, to: place(certificateOnESP))
        // GRUB's menu has a line for it by itself.
        return [.run(copy)] + (chain == .grub ? [] : [.write(place(menuEntry.path), content: .text(menuEntry.text))])
    }

    /// Letters that lie at the same place on the keyboards of most countries: the key manager knows only the American one.
    private static let letters = Array("bcdefghijklnoprstuvx")

    /// What they run.
    public static let tools: [String: [Tool]] = [request: [MachineOwnerKey.openssl, "mokutil"]]

    public static var performers: [String: Performer] {
        [
            request: { parameters, runner, files in
                let certificate = FilePath(parameters["certificate"] ?? "")
                let given = try files.exists(passwordFile)
                let text = given ? try files.readText(passwordFile) : String((0..<10).map { _ in letters.randomElement() ?? "k" })
                // Spaces at its ends are typed as well; the end of the line is ours.
                let password = text.hasSuffix("\n") ? String(text.dropLast()) : text
                let hash = FilePath("\(passwordFile.string).hash")
                defer { try? files.remove(hash) }
                let crypt = try await runner.run(
                    Command(
                        MachineOwnerKey.openssl, ["passwd", "-6", "-stdin"], effect: .reads, input: .secret(Secret(password + "\n"))))
                try files.write(crypt.output.trimmed, to: hash, mode: .secret)
                do {
                    try await runner.run(
                        Command("mokutil", ["--import", certificate.string, "--hash-file", hash.string], effect: .changes))
                } catch let error as CommandError {
                    throw Diagnosis(
                        "trust.request", "the firmware takes no request to enrol a key",
                        remedies: [
                            "at the boot menu, start 'Secure Boot: enrol this machine's key', and choose \(certificateOnESP)",
                            "or turn Secure Boot off in the firmware's setup",
                        ], exit: .unavailable, causes: error.failure?.errors.lines ?? [error.diagnosis.message])
                }
                guard !given else { return }
                try files.write(password + "\n", to: passwordFile, mode: .secret)
                try files.write(instruction(password), to: issue, mode: .secret)
            }
        ]
    }

    /// What a person must do. - Parameter password: `nil` where he chose it.
    public static func instruction(_ password: String?) -> String {
        """
        Secure Boot: at the next start a blue screen asks for ten seconds whether to manage keys.
        Press a key, choose Enroll MOK, Continue, Yes, and type the password: \(password ?? "the one in the answers, KLDLOAD_MOK_PASSWORD")

        """
    }

    /// Whether a request waits for the next start. There is none for a key that the firmware knows already. Source: mokutil(1), 0.6.
    public static func isWaiting(_ files: any FileSystem) -> Bool { EFIVariable.value("MokNew", of: .shim, files)?.isEmpty == false }

    /// Where a certificate stands with the firmware.
    public enum State: String, Sendable, Hashable, Codable {
        case enrolled, requested, absent
    }

    /// - Parameter certificate: in DER.
    public static func state(of certificate: [UInt8], _ files: any FileSystem) -> State {
        if lists(files).contains(where: { $0.firstRange(of: certificate) != nil }) { return .enrolled }
        return EFIVariable.value("MokNew", of: .shim, files)?.firstRange(of: certificate) != nil ? .requested : .absent
    }

    /// Shim's lists of whom it trusts, and the firmware's own, which counts for shim too. Shim's is too long for one variable at times: the others
    /// are numbered. Source: shim `mok.c`, `shim.c`, 16.1; UEFI 2.10, 32.6.1.
    static func lists(_ files: any FileSystem) -> [[UInt8]] {
        let shim = (["MokListRT"] + (1...9).map { "MokListRT\($0)" }).compactMap { EFIVariable.value($0, of: .shim, files) }
        return shim + [EFIVariable.value("db", of: .security, files)].compactMap { $0 }
    }
}

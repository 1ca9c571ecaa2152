import KldCore
import KldExec
import KldFiles
public import KldPlan
import SystemPackage

/// What plans of the authority perform by name.
public enum AuthorityPerformers {
    static let link = "ca.link"
    static let discard = "ca.discard"
    static let check = "ca.check"
    static let trusted = "ca.trusted"

    public static let table: [String: Performer] = [
        // Renamed over the old one: somebody who follows the link finds one or the other.
        link: { parameters, _, files in
            let link = FilePath(parameters["link"] ?? "")
            let temporary = FilePath(link.string + ".new")
            try files.symlink(temporary, to: parameters["target"] ?? "")
            try files.rename(temporary, to: link)
        },
        // What is in force already is not taken back, whatever failed after it.
        discard: { parameters, _, files in
            let (version, link) = (FilePath(parameters["version"] ?? ""), FilePath(parameters["link"] ?? ""))
            let inForce = try files.exists(link) ? FilePath(files.readLink(link)).lastComponent : nil
            if inForce != version.lastComponent { try files.remove(version) }
        },
        check: { parameters, runner, _ in try await Check.run(parameters, runner) },
        trusted: { parameters, runner, _ in
            let certificate = FilePath(parameters["certificate"] ?? "")
            if let problem = try await Certificate.problem(OpenSSL.verify(certificate), runner: runner) {
                throw Diagnosis(
                    "ca.not-trusted", "this machine does not trust the root, although it was told to",
                    remedies: ["openssl verify \(certificate) says why"], causes: [problem])
            }
        },
    ]

    /// That a certificate is what was asked for, and its key its own.
    struct Check {
        var certificate: FilePath
        var key: FilePath
        /// The root; its own certificate, where it signs itself.
        var authority: FilePath
        var serial: SerialNumber
        var names: [SubjectName]
        var usages: [ExtendedKeyUsage]

        var action: Action {
            .perform(
                AuthorityPerformers.check,
                [
                    "certificate": certificate.string, "key": key.string, "authority": authority.string, "serial": serial.description,
                    "names": names.map(\.description).joined(separator: ","), "usages": usages.map(\.rawValue).joined(separator: ","),
                ], effect: .reads)
        }

        /// Runs: `openssl x509`, `openssl pkey`, `openssl verify` for each usage; reads.
        /// - Throws: ``Diagnosis`` `ca.check-failed`; ``CommandError``.
        static func run(_ parameters: [String: String], _ runner: any CommandRunner) async throws {
            func path(_ key: String) -> FilePath { FilePath(parameters[key] ?? "") }
            func list(_ key: String) -> [String] { (parameters[key] ?? "").split(separator: ",").map(String.init) }
            let (file, authority) = (path("certificate"), path("authority"))
            let found = try await Certificate.read(file, runner: runner)
            let root = file == authority ? found : try await Certificate.read(authority, runner: runner)
            var problems: [String] = []
            if found.serial != parameters["serial"] { problems.append("serial number \(found.serial)") }
            if Set(found.names) != Set(list("names")) { problems.append("names \(found.names)") }
            if Set(found.usages) != Set(list("usages")) { problems.append("usages \(found.usages)") }
            if found.notAfter > root.notAfter { problems.append("it ends at \(found.notAfter), the root at \(root.notAfter)") }
            let publicKeys = [OpenSSL.publicKey(ofCertificate: file), OpenSSL.publicKey(ofKey: path("key"))]
            if try await runner.run(publicKeys[0]).output != runner.run(publicKeys[1]).output { problems.append("another key's") }
            // An authority serves nobody itself.
            let purposes = file == authority ? [nil] : list("usages").map { ExtendedKeyUsage(rawValue: $0)?.purpose }
            for purpose in purposes {
                let verify = OpenSSL.verify(file, authority: authority, purpose: purpose)
                if let problem = try await Certificate.problem(verify, runner: runner) { problems.append(problem) }
            }
            guard problems.isEmpty else {
                throw Diagnosis(
                    "ca.check-failed", "the new certificate is not what was asked for; nothing was changed",
                    remedies: ["look at the clock: date", "report it, with what openssl version prints"], causes: problems)
            }
        }
    }
}

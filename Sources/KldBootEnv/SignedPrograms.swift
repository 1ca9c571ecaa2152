import KldBoot
import KldCore
import KldExec
import KldFiles
import SystemPackage

/// Programs on an ESP that somebody else signed: shim, the boot loader, the key manager.
public enum SignedPrograms {
    /// The common names of the authorities under which a program was signed, one for each of its signatures; none: it bears no signature.
    ///
    /// Source: `sbverify --list`, sbsigntool 0.9.4:
    /// ```
    /// signature 1
    /// image signature issuers:
    ///  - /C=US/O=Microsoft Corporation/CN=Microsoft UEFI CA 2023
    /// image signature certificates:
    ///  - subject: /CN=…
    ///    issuer:  /CN=…
    /// ```
    public static func issuers(_ output: String) -> [String] {
        var (found, inIssuers): ([String], Bool) = ([], false)
        for line in output.lines {
            guard line.hasPrefix(" - ") else {
                inIssuers = line.trimmed == "image signature issuers:"
                continue
            }
            guard inIssuers else { continue }
            let name = line.dropFirst(3).split(separator: "/").last { $0.hasPrefix("CN=") }?.dropFirst(3)
            found.append(name.map(String.init) ?? String(line.dropFirst(3)))
        }
        return found
    }
}

extension SecureBoot.Program {
    private var parts: [String] { name.split(separator: ": ", maxSplits: 1).map(String.init) }
    var device: String { parts.first ?? "" }
    /// Below the ESP's root.
    var path: String { parts.last ?? "" }
}

extension BootSystem {
    /// Who signed shim, the boot loader and the key manager of each ESP, and whether they are still that.
    ///
    /// Runs: `sbverify --list FILE` and `sbverify FILE` for each, reads; none where it is missing.
    func programs(runner: any CommandRunner, files: any FileSystem) async throws -> [SecureBoot.Program] {
        var found: [SecureBoot.Program] = []
        for (index, esp) in esps.enumerated() {
            found += try await Self.looking(at: esp.device, esp.mount, index, runner: runner, files: files) { place in
                var here: [SecureBoot.Program] = []
                for path in ESPLayout.programs where try files.exists(place.appending(path)) {
                    let program = place.appending(path)
                    let condition = try await Self.condition(of: program, runner, files)
                    // Of what is cut off there is nothing to list.
                    let output = condition == .good ? try await runner.run(MachineOwnerKey.listing(program)).output : ""
                    here.append(
                        SecureBoot.Program(
                            name: "\(esp.device): \(path)", issuers: SignedPrograms.issuers(output), signature: condition))
                }
                return here
            }
        }
        return found
    }
}

import KldCore
import KldExec
import KldFiles
import SystemPackage

extension Check {
    static let secrets: [Check] = [
        Check("secrets.answers", "no answers with secrets were left behind", .critical, leftovers),
        Check("secrets.permissions", "private keys are readable for root only", .critical, permissions),
        Check("secrets.signing-key", "the module-signing key is where it may be", .high, signingKey),
        Check("secrets.machine-id", "the machine has an id of its own", .high, machineID),
    ]

    /// Folders where kldload, its installer and cloud-init put configuration; what lies deeper than three levels is not theirs.
    private static let places = [
        "/etc/kldload", "/var/lib/kldload", "/root", "/var/lib/cloud/seed", "/var/log/kldload", "/var/log/installer",
    ]

    private static func regularFiles(_ context: CheckContext, below folder: FilePath, depth: Int) throws -> [(FilePath, FileStatus)] {
        var found: [(FilePath, FileStatus)] = []
        for name in try context.names(in: folder.string) {
            let path = folder.appending(name)
            guard let status = try context.files.status(path) else { continue }
            switch status.kind {
            case .file: found.append((path, status))
            case .directory where depth > 1: found += try regularFiles(context, below: path, depth: depth - 1)
            default: continue
            }
        }
        return found
    }

    @Sendable private static func leftovers(_ context: CheckContext) async throws -> CheckOutcome {
        var problems: [String] = []
        var looked = 0
        for place in places {
            for (path, status) in try regularFiles(context, below: FilePath(place), depth: 3) where status.size.bytes <= 1 << 20 {
                guard let text = String(validating: try context.files.read(path), as: UTF8.self) else { continue }
                looked += 1
                if let name = SecretText.firstName(in: text) { problems.append("\(path) sets \(name)") }
            }
        }
        guard problems.isEmpty else {
            return .fail(
                expected: "no file with a password, passphrase or private key of the answers", actual: problems.joined(separator: "; "),
                remedy: "remove the file, and change the secret: snapshots still hold it")
        }
        return .ok("none in \(looked) files")
    }

    /// Private keys, and those of them that others than root may read.
    static func privateKeys(_ context: CheckContext) throws -> (all: Int, open: [(FilePath, FileStatus)]) {
        func keys(_ folder: String, _ depth: Int, _ suffixes: [String]) throws -> [(FilePath, FileStatus)] {
            try regularFiles(context, below: FilePath(folder), depth: depth).filter { entry in
                suffixes.isEmpty || suffixes.contains { entry.0.string.hasSuffix($0) }
            }
        }
        let found =
            try keys("/etc/kldload", 4, [".key", ".pem.key", "passphrase"]) + keys("/var/lib/kldload", 4, [".key"])
            + keys("/etc/zfs", 2, [".key"]) + keys("/etc/wireguard", 1, []) + keys("/etc/NetworkManager/system-connections", 1, [])
            + keys("/var/lib/dkms", 1, [".key"]) + keys("/root/.ssh", 1, ["id_ed25519", "id_ecdsa", "id_rsa"])
        return (found.count, found.filter { $0.1.mode.bits & 0o077 != 0 })
    }

    @Sendable private static func permissions(_ context: CheckContext) async throws -> CheckOutcome {
        let (all, open) = try privateKeys(context)
        guard open.isEmpty else {
            return .fail(
                expected: "mode 600", actual: open.map { "\($0.0) \(String($0.1.mode.bits, radix: 8))" }.joined(separator: ", "),
                remedy: "chmod 600 \(open.map { $0.0.string }.joined(separator: " ")), and replace the keys if others could log in")
        }
        return .ok("\(all) keys, none open")
    }

    /// DKMS signs with `/var/lib/dkms/mok.key`. On an installed machine it is that machine's own; an image must have had none.
    ///
    /// Runs on a clone: `find KEY… ! -newer FILE`, reads: keys older than what the seal itself has written. Its first boot makes others.
    @Sendable private static func signingKey(_ context: CheckContext) async throws -> CheckOutcome {
        let keys = ["/var/lib/dkms/mok.key", "/var/lib/shim-signed/mok/MOK.priv"]
        let found = try keys.filter { try context.exists($0) }
        if context.manifest?.sealed == true, !found.isEmpty {
            let old = try await context.read(
                Tool("find", package: "findutils"), found + ["!", "-newer", "/etc/cloud/cloud.cfg.d/98-kldload-zfs.cfg"]
            ).output.lines
            guard old.isEmpty else {
                return .fail(
                    expected: "no private key in an image", actual: old.joined(separator: ", "),
                    remedy: "discard the image, and enrol no key of it; seal another one")
            }
        }
        return .ok(found.isEmpty ? "none here" : "\(found.joined(separator: ", ")), this machine's own")
    }

    @Sendable private static func machineID(_ context: CheckContext) async throws -> CheckOutcome {
        let text = try context.text("/etc/machine-id")?.trimmed ?? ""
        guard text.count == 32, text.allSatisfy(\.isHexDigit), text.contains(where: { $0 != "0" }) else {
            return .fail(
                expected: "32 hexadecimal digits in /etc/machine-id", actual: text.isEmpty ? "empty" : text,
                remedy: "systemd-machine-id-setup, then reboot")
        }
        return .ok("present")
    }
}

/// Recognises answers with secrets in them.
enum SecretText {
    /// Names in `KLDLOAD_…=value` that are secrets. A hash is one too: it can be tried offline.
    private static let words = [
        "PASSWORD", "PASSPHRASE", "PSK", "PRIVATE_KEY", "WIREGUARD_PRIVATE", "PRESHARED", "SECRET", "TOKEN", "ACTIVATION_KEY",
    ]

    /// The first name that is given a value. - Returns: `nil` when there is none.
    static func firstName(in text: String) -> String? {
        for line in text.lines {
            var rest = line.trimmed[...]
            if rest.hasPrefix("export ") { rest = rest.dropFirst(7) }
            guard let mark = rest.firstIndex(where: { $0 == "=" || $0 == ":" }) else { continue }
            let name = rest[..<mark].filter { $0 != "\"" && $0 != " " }
            guard name.hasPrefix("KLDLOAD_"), words.contains(where: name.contains) else { continue }
            let value = rest[rest.index(after: mark)...].filter { !"\"', ".contains($0) }
            if !value.isEmpty, value != "<redacted>", value != "null", value != "REDACTED" { return String(name) }
        }
        return nil
    }
}

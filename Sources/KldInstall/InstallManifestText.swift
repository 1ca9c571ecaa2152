import KldAnswers
package import KldCore

package enum InstallManifestText {
    package static func render(_ manifest: InstallManifest) throws -> String { try SortedJSON.document(manifest) }

    /// The answers that were given, in the order of the documents and without those that are secret, then what kldload decided.
    static func environment(_ answers: Answers, _ manifest: InstallManifest) -> String {
        let given = answers.redactedEnvironmentText.lines.filter { line in
            AnswerKey.named(String(line.prefix { $0 != "=" })).map { !$0.isSecret } ?? false
        }
        let decided = [
            answers.isGiven("KLDLOAD_ZFS_POOL") ? nil : "KLDLOAD_ZFS_POOL=\(manifest.pool)",
            "KLDLOAD_BOOT_ENVIRONMENT=\(manifest.bootEnvironment)", manifest.hostID.map { "KLDLOAD_HOST_ID=\($0)" },
            "KLDLOAD_VERSION=\(manifest.kldloadVersion)",
        ]
        return
            (["# What this machine was installed with; see also install-manifest.json. No secret stands here."] + given
            + decided.compactMap { $0 }).map { $0 + "\n" }.joined()
    }
}

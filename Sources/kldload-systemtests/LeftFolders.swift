import KldFiles
import SystemPackage

/// Folders of scenarios. They lie below the cache; some scenarios have more elsewhere.
enum LeftFolders {
    static func scenarios(_ cache: FilePath) -> FilePath { cache.appending("systemtests") }
    private static let elsewhere: FilePath = "/var/tmp"
    /// What the names of those begin with.
    private static let names = ["kldload-interrupted-", "kldload-another place-"]

    static func gate(_ cache: FilePath) -> FilePath { cache.appending("locks/systemtests") }

    /// Removes what killed runs have left.
    static func sweep(_ cache: FilePath) async throws {
        func folders(_ place: FilePath) -> [FilePath] { ((try? LocalFiles().list(place)) ?? []).map { place.appending($0) } }
        let others = folders(elsewhere).filter { path in names.contains { path.lastComponent?.string.hasPrefix($0) == true } }
        try await OwnFolder.sweep(folders(scenarios(cache)) + others, gate: gate(cache)) {
            say("removed what a run that was killed had left: \($0)")
        }
    }
}

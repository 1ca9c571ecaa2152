import SystemPackage

/// Settings of an apt with a folder of its own that reads none of the machine that it runs on: hooks there are meant for that machine, and where
/// archives without a signature are let in, they would be let in here.
///
/// Source: apt.conf(5), apt 2.6 to 3.0: the file that `APT_CONFIG` names is read first, and says where the others lie.
struct AptSettings {
    /// Holds `sources.list`, `preferences`, `lists`, `cache` and ``file``. As the apt that runs sees it.
    var folder: FilePath
    /// Besides those that every such apt has: name and value.
    var more: [(String, String)]

    static let file = "apt.conf"

    var text: String {
        let values = [
            ("Dir::Etc::parts", "/dev/null"), ("Dir::Etc::main", "/dev/null"), ("Dir::Etc::sourcelist", "\(folder)/sources.list"),
            ("Dir::Etc::sourceparts", "/dev/null"), ("Dir::Etc::preferences", "\(folder)/preferences"),
            ("Dir::Etc::preferencesparts", "/dev/null"), ("Dir::State::lists", "\(folder)/lists"), ("Dir::Cache", "\(folder)/cache"),
            ("APT::Architecture", "amd64"), ("APT::Architectures", "amd64"), ("APT::Install-Recommends", "false"),
            // It could not read what belongs to the builder alone.
            ("APT::Sandbox::User", "root"), ("Acquire::Languages", "none"),
        ]
        return (values + more).map { "\($0.0) \"\($0.1)\";\n" }.joined()
    }

    /// Of every command that is to obey them.
    var environment: [String: String] { ["APT_CONFIG": "\(folder)/\(Self.file)"] }
}

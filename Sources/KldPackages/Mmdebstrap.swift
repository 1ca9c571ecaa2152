import KldCore
public import KldExec
public import SystemPackage

/// Builds a Debian tree, rootless where the user is not root, from signed archives only. Source: mmdebstrap(1) 1.5.
public struct Mmdebstrap: Sendable, Hashable {
    /// What is done to the tree, in the order given, at the stage it names. There is no shell string a user's word could reach.
    public enum Hook: Sendable, Hashable {
        /// Copies a file from outside into the tree under this name.
        case upload(FilePath, to: String)
        /// Unpacks a tar from outside at the tree's root.
        case unpack(FilePath)
        /// Runs a program of the tree inside the tree.
        case run(String, [String])
        /// Packs a folder of the tree into a tar outside.
        case pack(String, to: FilePath)

        /// As mmdebstrap's special hooks want it: words parsed by its own shell-like splitter.
        var text: String {
            switch self {
            case .upload(let file, let target): "upload \(quoted(file.string)) \(quoted(target))"
            case .unpack(let tar): "tar-in \(quoted(tar.string)) /"
            case .run(let program, let words): "chroot \"$1\" " + ([program] + words).map(quoted).joined(separator: " ")
            case .pack(let folder, let tar): "tar-out \(quoted(folder)) \(quoted(tar.string))"
            }
        }

        private func quoted(_ word: String) -> String {
            "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
        }
    }

    public var suite: String
    public var sources: [AptSource]
    public var packages: [String]
    /// After the essential packages, before the others.
    public var essentialHooks: [Hook]
    /// After everything.
    public var customizeHooks: [Hook]
    /// Paths that dpkg leaves out during the build.
    public var excludedPaths: [String]
    /// Paths that it does not leave out although ``excludedPaths`` says so.
    public var includedPaths: [String]
    /// A tar; `/dev/null` when only what the hooks take out matters.
    public var output: FilePath

    public init(
        suite: String, sources: [AptSource], packages: [String], essentialHooks: [Hook] = [], customizeHooks: [Hook] = [],
        excludedPaths: [String] = [], includedPaths: [String] = [], output: FilePath
    ) {
        self.suite = suite
        self.sources = sources
        self.packages = packages
        self.essentialHooks = essentialHooks
        self.customizeHooks = customizeHooks
        self.excludedPaths = excludedPaths
        self.includedPaths = includedPaths
        self.output = output
    }

    public static let tool = Tool("mmdebstrap")

    /// One line, `mmdebstrap 1.5.5`. Runs: `mmdebstrap --version`, reads.
    public static let version = Command(tool, ["--version"], effect: .reads)

    /// Where it keeps the options for apt and dpkg. It leaves them in the tree for good, where they would rule every later upgrade: no
    /// recommended packages, no manuals. It reads them itself only while it unpacks the essential packages, so they may go once the last
    /// package is installed. Source: mmdebstrap(1) 1.5, `--aptopt`, `--dpkgopt`.
    public static let settings = ["/etc/apt/apt.conf.d/99mmdebstrap", "/etc/dpkg/dpkg.cfg.d/99mmdebstrap"]

    /// The command line.
    /// - Parameters:
    ///   - root: whether the user is root; else the tree is built in a user namespace (needs `/etc/subuid`, package `uidmap`).
    ///   - epoch: seconds since 1970 for every time stamp (SOURCE_DATE_EPOCH).
    ///   - mountedRoot: whether `/` is a mount point. That of a plain chroot is none, so mounts below it cannot be made private: those of a
    ///     build that is killed may stay. Source: mount_namespaces(7), util-linux 2.38.
    ///   - yielding: whether other builds come first. Source: nice(1), coreutils 9.1.
    public func command(root: Bool, epoch: Int, mountedRoot: Bool = true, yielding: Bool = false) -> Command {
        var words = [
            "--mode=\(root ? "root" : "unshare")", "--variant=apt", "--format=tar", "--include=\(packages.joined(separator: ","))",
            "--aptopt=APT::Install-Recommends \"false\"", "--aptopt=Acquire::Languages \"none\"", "--aptopt=Acquire::Retries \"3\"",
        ]
        // Of several rules that match, dpkg obeys the last.
        words += excludedPaths.map { "--dpkgopt=path-exclude=\($0)" } + includedPaths.map { "--dpkgopt=path-include=\($0)" }
        words += essentialHooks.map { "--essential-hook=\($0.text)" }
        words += customizeHooks.map { "--customize-hook=\($0.text)" }
        words += [suite, output.string]
        words += sources.map(\.line)
        let environment = ["SOURCE_DATE_EPOCH": String(epoch)]
        let line = (yielding ? ["nice", "--adjustment=10"] : []) + [Self.tool.name] + words
        var command = Command(Tool(line[0]), Array(line.dropFirst()), effect: .changes, environment: environment)
        // It removes a tree of a gigabyte or two.
        command.timeToEnd = .seconds(60)
        guard root else { return command }
        // In mount and process namespaces of its own, so that nothing stays mounted or running on the host when it is killed.
        // As an ordinary user mmdebstrap makes such namespaces itself.
        command.tool = Tool("unshare", package: "util-linux")
        command.arguments =
            [
                "--mount", "--propagation=\(mountedRoot ? "private" : "unchanged")", "--pid", "--fork", "--kill-child", "--mount-proc",
                "--",
            ] + line
        return command
    }
}

/// Names the cause when mmdebstrap fails.
public enum MmdebstrapError {
    /// - Returns: the error as a person needs it; unknown ones as they are.
    public static func explain(_ error: any Error) -> any Error {
        guard let failure = (error as? CommandError)?.failure else { return error }
        let text = failure.errors
        let tail = text.lines.suffix(12)
        if text.contains("NO_PUBKEY") || text.contains("is not signed") || text.contains("BADSIG") || text.contains("EXPKEYSIG")
            || text.contains("could not be verified")
        {
            return Diagnosis(
                "packages.signature", "the archive is not signed by a key that this release trusts; nothing was installed from it",
                remedies: ["check the mirror's address", "update debian-archive-keyring on this machine"], exit: .failed,
                causes: Array(tail))
        }
        if text.contains("Unable to locate package") || text.contains("has no installation candidate") {
            let names = text.lines.filter { $0.contains("Unable to locate package") || $0.contains("has no installation candidate") }
            return Diagnosis(
                "packages.unknown", "the archive does not have every package that was asked for",
                remedies: ["correct KLDLOAD_EXTRA_PACKAGES, or choose another suite"], exit: .badAnswers, causes: names)
        }
        if text.contains("have unmet dependencies") || text.contains("held broken packages") {
            return Diagnosis(
                "packages.unmet", "these packages cannot be installed together from this archive",
                remedies: [
                    "leave out what was added with KLDLOAD_EXTRA_PACKAGES", "try again later: the archive may be in the middle of a change",
                ],
                exit: .unavailable, causes: Array(tail))
        }
        // After a name that is not resolved apt may say this too, and then it is not the cause.
        if let line = text.lines.first(where: { $0.contains("does not have a Release file") }), !text.contains("Could not resolve"),
            !text.contains("Could not connect"), !text.contains("Temporary failure resolving")
        {
            // E: The repository 'http://mirror.example/debian-security trixie-security Release' does not have a Release file.
            let named = line.split(separator: "'", omittingEmptySubsequences: false).dropFirst().first.map(String.init)?.words ?? []
            let (uri, suite) = (named.first ?? "the archive", named.dropFirst().first ?? "what is asked of it")
            return Diagnosis(
                "packages.no-release", "\(uri) does not have \(suite)",
                remedies: [
                    "name a mirror that has debian and debian-security beside each other: KLDLOAD_DEBIAN_MIRROR",
                    "or name none, and the security archive in /etc/apt/sources.list of this machine, as Debian's installer does",
                ], exit: .unavailable, causes: Array(tail))
        }
        if text.contains("Could not resolve") || text.contains("Failed to fetch") || text.contains("Could not connect")
            || text.contains("Temporary failure resolving")
        {
            return Diagnosis(
                "packages.unreachable", "the package archive cannot be reached",
                remedies: [
                    "check the network and the mirror's address (KLDLOAD_DEBIAN_MIRROR)", "a cached payload is used when there is one",
                ],
                exit: .unavailable, causes: Array(tail))
        }
        if text.contains("newuidmap") || text.contains("newgidmap") || text.contains("subuid") || text.contains("user namespace") {
            return Diagnosis(
                "packages.user-namespace", "this user may not make a user namespace with more than one id",
                remedies: [
                    "install the package uidmap",
                    "give the user a range: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
                ],
                exit: .unavailable, causes: Array(tail))
        }
        return error
    }
}

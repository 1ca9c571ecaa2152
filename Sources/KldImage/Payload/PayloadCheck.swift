import FoundationEssentials
package import KldAnswers
import KldCore
import KldDistro
package import KldFiles
package import SystemPackage

/// Whether a root file system is the one that the answers ask for. It was built long before.
package enum PayloadCheck {
    /// - Throws: ``Diagnosis`` `install.payload-unreadable`; ``FileError``.
    package static func read(_ file: FilePath, _ files: any FileSystem) throws -> PayloadInfo {
        try SchemaDocument.read(file, files, schema: PayloadInfo.currentSchema) { unreadable(file, $0) }
    }

    private static func unreadable(_ file: FilePath, _ cause: String) -> Diagnosis {
        Diagnosis(
            "install.payload-unreadable", "\(file) does not describe a root file system that this version can install",
            remedies: ["build it again, or copy it again", "or name another folder: --payload FOLDER"], exit: .inputMissing,
            causes: [cause])
    }

    /// The names of all packages in a payload, with what was brought along by others; none where its folder does not say.
    /// - Throws: ``Diagnosis`` `install.payload-unreadable`; ``FileError``.
    package static func installed(_ folder: FilePath, _ files: any FileSystem) throws -> Set<String> {
        let file = folder.appending(PayloadManifest.packages)
        guard try files.exists(file) else { return [] }
        let text = try files.readText(file)
        do { return Set(try InstalledPackage.parse(text, .dpkg).map(\.name)) } catch {
            throw unreadable(file, Diagnosis(of: error).causes.first ?? "")
        }
    }

    /// What the mirror beside a payload can add to it; `nil` where there is none.
    /// - Throws: ``Diagnosis`` `install.mirror-unreadable`; ``FileError``.
    package static func mirror(_ folder: FilePath, _ files: any FileSystem) throws -> MirrorInfo? {
        let file = folder.appending(LiveMedium.mirrorInfo)
        guard try files.exists(file) else { return nil }
        return try SchemaDocument.read(file, files, schema: MirrorInfo.currentSchema) { cause in
            Diagnosis(
                "install.mirror-unreadable", "\(file) does not describe a mirror that this version can install from",
                remedies: ["make the medium again, with this version: kldload iso build"], exit: .inputMissing, causes: [cause])
        }
    }

    /// - Parameters:
    ///   - installed: what ``installed(_:_:)`` says of it.
    ///   - mirror: what can be added.
    /// - Returns: the packages that are to be added to it.
    /// - Throws: ``Diagnosis`` `install.payload-differs`, with every difference; `install.packages-missing`.
    @discardableResult
    package static func check(
        _ info: PayloadInfo, for answers: Answers, installed: Set<String> = [], mirror: MirrorInfo? = nil
    ) throws -> [String] {
        try check(info.spec, for: answers)
        // A package may be there that nobody asked for by name: another one needs it.
        let lacking = try lacking(info.spec, answers).filter { !installed.contains($0) }
        let missing = Set(lacking).subtracting(mirror?.packages[info.spec.profile] ?? []).sorted()
        guard missing.isEmpty else {
            throw Diagnosis(
                "install.packages-missing",
                "neither the root file system nor the mirror here has what the answers ask for: \(missing.joined(separator: ", "))",
                remedies: [
                    "make a medium that has them: kldload iso build --with-packages \(missing.joined(separator: ","))",
                    "or install without them, and add them on the machine: apt-get install NAME",
                ], exit: .inputMissing)
        }
        return lacking
    }

    /// The same of what it is built from, before it is there: its packages do not count yet.
    /// - Throws: ``Diagnosis`` `install.payload-differs`, with every difference.
    static func check(_ spec: PayloadSpec, for answers: Answers) throws {
        let differences = try differences(spec, answers)
        guard differences.isEmpty else {
            throw Diagnosis(
                "install.payload-differs", "the root file system that is here is not the one that the answers ask for",
                remedies: ["name a folder that holds it: --payload FOLDER", "or change the answers"], exit: .inputMissing,
                causes: differences)
        }
    }

    /// Whether a machine that starts from a medium, or from what was exported of one, can be installed so: asked before it starts.
    ///
    /// - Parameter top: of what the medium holds, or of what describes that: see ``PayloadManifest`` and ``MirrorInfo``.
    /// - Throws: ``Diagnosis`` `install.no-payload`, `install.payload-unreadable`, `install.mirror-unreadable`, `install.payload-differs`,
    ///   `install.packages-missing`; ``FileError``.
    package static func check(_ answers: Answers, on top: FilePath, _ files: any FileSystem) throws {
        let folder = top.pushing(FilePath(LiveMedium.payload(answers)))
        let file = folder.appending(PayloadManifest.info)
        guard try files.exists(file) else {
            let wanted = "\(answers.distro.rawValue) \(answers.release), profile \(answers.profile.rawValue)"
            throw Diagnosis(
                "install.no-payload", "machines find no root file system for \(wanted), there",
                remedies: [
                    "make a medium that carries it: kldload iso build --profile \(answers.profile.rawValue)",
                    "or change KLDLOAD_PROFILE or the release in the answers",
                ], exit: .inputMissing)
        }
        let mirror = try mirror(top.pushing(FilePath(LiveMedium.mirror(answers))), files)
        try check(read(file, files), for: answers, installed: installed(folder, files), mirror: mirror)
    }

    /// Packages of the answers' own list and of what they switch on, for which the root file system was not asked.
    private static func lacking(_ has: PayloadSpec, _ answers: Answers) throws -> [String] {
        let wanted = PayloadSpec(answers, buildMirror: "")
        let spec = try wanted.spec
        let groups = Set(wanted.groups).subtracting(has.groups).sorted()
        return try Set(wanted.extraPackages + groups.flatMap { ProfileSpec.groupPackages($0, for: spec) }).subtracting(has.packages)
            .sorted()
    }

    /// More packages than the answers ask for are no difference, nor is a mirror that nobody named.
    private static func differences(_ has: PayloadSpec, _ answers: Answers) throws -> [String] {
        let wanted = PayloadSpec(answers, buildMirror: "")
        var found: [String] = []
        func compare(_ what: String, _ has: String, _ wanted: String) {
            if has != wanted { found.append("\(what): it has \(has), the answers say \(wanted)") }
        }
        compare("kind", has.kind.rawValue, wanted.kind.rawValue)
        compare("distribution", has.distro, wanted.distro)
        compare("release", has.suite, wanted.suite)
        compare("backports", has.backports ? "1" : "0", wanted.backports ? "1" : "0")
        compare("profile", has.profile, wanted.profile)
        // It is the only one that was generated.
        if try !wanted.spec.generatesLocales { compare("locale", has.locale, wanted.locale) }
        if answers.isGiven("KLDLOAD_CUSTOM_MIRROR_URL") || answers.isGiven("KLDLOAD_DEBIAN_MIRROR") {
            compare("mirror", has.installedMirror, wanted.installedMirror)
        }
        return found
    }
}

import KldCore
import SystemPackage

/// What a payload says of itself: files beside the archive and the stream, and most of them in `/usr/lib/kldload` of its tree too.
public enum PayloadManifest {
    /// ``PayloadInfo``.
    static let info = "payload.json"
    /// What dpkg installed, one package a line: see ``InstalledPackage``.
    package static let packages = "packages.tsv"
    /// SPDX 2.3, of the same packages, the kernel and OpenZFS.
    static let sbom = "sbom.spdx.json"
    /// The signed indexes that the packages were chosen from. Not in the tree: they change several times a day, and mostly the packages of a
    /// payload do not.
    static let mirrors = "mirrors.json"
    /// Everything that the cache's key is made from: spec, versions, recipe.
    static let inputs = "build-inputs.txt"

    static let tree = [info, packages, sbom, inputs]
    /// All of them, by name.
    public static let files = tree + [mirrors]

    /// - Parameter inputs: the SHA-256 of ``inputs``, from which the document's namespace is made.
    /// - Throws: ``Diagnosis`` when the list of packages cannot be read.
    static func billOfMaterials(_ info: PayloadInfo, packages: String, inputs: String) throws -> String {
        let spec = info.spec
        guard let digest = FileDigest(hex: inputs) else {
            throw Diagnosis("payload.inputs", "the digest of the payload's inputs cannot be read", exit: .bug)
        }
        // The payload does not hold the tool, and is the same whichever version of it built it: its schema stands for the tool's version.
        let image = ImageDescription(
            distro: spec.distro, suite: spec.suite, profile: spec.profile, kernel: info.kernel, openzfs: info.openZFS,
            created: Timestamp(seconds: Int64(PayloadBuilder.defaultEpoch)), kldload: info.schema.replacing("/", with: "-"))
        let list = SBOM(packages: try InstalledPackage.parse(packages, .dpkg), components: SBOM.components(of: image))
        let name = try ExportName(sanitising: "kldload-\(spec.distro)-\(spec.suite)-\(spec.kind == .live ? "live" : spec.profile)")
        return try list.document(name: name, image: image, digest: digest).json()
    }

    /// How a tree differs from what the archive offered before it was built, in words for a person.
    struct Difference: Sendable, Hashable {
        /// Other versions than offered: the archive has moved while the tree was built.
        var versions: [String]
        /// In one of the two alone. apt chooses among alternatives one way in one transaction and another way in two.
        var names: [String]

        /// - Parameters:
        ///   - offered: `zstd 1.5.7+dfsg-1`.
        ///   - installed: the text of ``packages``.
        init(offered: [String], installed: String) throws {
            func table(_ pairs: [(String, String)]) -> [String: String] { Dictionary(pairs, uniquingKeysWith: { $1 }) }
            let before = table(
                offered.compactMap { line in
                    let words = line.words
                    return words.count == 2 ? (String(words[0].prefix { $0 != ":" }), words[1]) : nil
                })
            let after = table(try InstalledPackage.parse(installed, .dpkg).map { ($0.name, $0.version) })
            versions = after.compactMap { name, version in
                before[name].flatMap { $0 == version ? nil : "\(name): \($0) was offered, \(version) came" }
            }.sorted()
            names = Set(before.keys).symmetricDifference(after.keys).sorted()
        }
    }
}

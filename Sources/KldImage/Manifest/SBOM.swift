import KldCore

/// The software bill of materials of an image: what `<name>.spdx.json` says.
public struct SBOM: Sendable, Hashable {
    /// Something that no package manager of the image knows: a kernel module built for it, a boot loader of our own.
    public struct Component: Sendable, Hashable, Comparable {
        public var name: String
        public var version: String
        /// `OpenZFS project`; empty when unknown.
        public var supplier: String
        /// What it was built from or for, in words: `built for kernel 6.12.43+deb13-amd64`. Empty when there is nothing to say.
        public var note: String
        public var digest: FileDigest?

        public init(name: String, version: String, supplier: String = "", note: String = "", digest: FileDigest? = nil) {
            self.name = name
            self.version = version
            self.supplier = supplier
            self.note = note
            self.digest = digest
        }
        public static func < (a: Component, b: Component) -> Bool { (a.name, a.version) < (b.name, b.version) }
    }

    public var packages: [InstalledPackage]
    public var components: [Component]

    public init(packages: [InstalledPackage], components: [Component] = []) {
        self.packages = packages
        self.components = components
    }

    /// Components for the kernel and the OpenZFS modules of an image, as far as its description names them.
    public static func components(of image: ImageDescription) -> [Component] {
        var found: [Component] = []
        if let kernel = image.kernel { found.append(Component(name: "linux", version: kernel, note: "the kernel that the image boots")) }
        if let openzfs = image.openzfs {
            found.append(
                Component(
                    name: "openzfs", version: openzfs, supplier: "OpenZFS project",
                    note: image.kernel.map { "kernel modules for \($0)" } ?? "kernel modules"))
        }
        return found
    }

    /// The document, the same for the same input whatever the order of the lists.
    ///
    /// - Parameters:
    ///   - digest: of the payload or of the first image; the document's namespace is made from it, so that it is unique, as SPDX wants,
    ///     without being random.
    package func document(name: ExportName, image: ImageDescription, digest: FileDigest) -> SPDXDocument {
        let root = "SPDXRef-Image"
        var identifiers = SPDXIdentifiers(taken: ["SPDXRef-DOCUMENT", root])
        var whole = SPDXDocument.Package(id: root, name: name.text, version: image.suite, supplier: "NOASSERTION")
        whole.primaryPackagePurpose = "OPERATING_SYSTEM"
        whole.sourceInfo = "built by kldload \(image.kldload) from \(image.distro) \(image.suite), profile \(image.profile)"
        if let payload = image.payload { whole.checksums = [.init(algorithm: "SHA256", checksumValue: payload.hex)] }
        var parts: [SPDXDocument.Package] = []
        for package in Set(packages).sorted() {
            var entry = SPDXDocument.Package(
                id: identifiers.make("Package", package.name, package.architecture), name: package.name, version: package.version,
                supplier: Self.supplier(package.maintainer))
            if !package.source.isEmpty {
                entry.sourceInfo = "built from: \(package.source)" + (package.sourceVersion.isEmpty ? "" : " \(package.sourceVersion)")
            }
            entry.externalRefs = [.init(purl: PackageURL.text(package, namespace: image.distro, suite: image.suite))]
            parts.append(entry)
        }
        for component in Set(components).sorted() {
            var entry = SPDXDocument.Package(
                id: identifiers.make("Component", component.name, ""), name: component.name, version: component.version,
                supplier: component.supplier.isEmpty ? "NOASSERTION" : "Organization: \(component.supplier)")
            if !component.note.isEmpty { entry.sourceInfo = component.note }
            if let digest = component.digest { entry.checksums = [.init(algorithm: "SHA256", checksumValue: digest.hex)] }
            entry.externalRefs = [.init(purl: PackageURL.generic(component.name, version: component.version))]
            parts.append(entry)
        }
        let contains = parts.map {
            SPDXDocument.Relationship(spdxElementId: root, relationshipType: "CONTAINS", relatedSpdxElement: $0.id)
        }
        let describes = SPDXDocument.Relationship(
            spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: root)
        return SPDXDocument(
            name: name.text, namespace: "https://kldload.com/spdx/\(name.text)-\(digest.hex)", created: image.created,
            creators: ["Tool: kldload-\(image.kldload)"], packages: [whole] + parts, relationships: [describes] + contains)
    }

    /// `Debian X Maintainers <a@b>` as SPDX writes it, `Organization: Debian X Maintainers (a@b)`; a name alone without brackets.
    ///
    /// Always "Organization": whether a maintainer is one person cannot be told from the field (SPDX 2.3, 7.5, takes either).
    static func supplier(_ maintainer: String) -> String {
        let text = maintainer.trimmed
        guard !text.isEmpty else { return "NOASSERTION" }
        guard let open = text.lastIndex(of: "<"), text.hasSuffix(">") else { return "Organization: \(text)" }
        let mail = text[text.index(after: open)...].dropLast().trimmed
        var name = text[..<open].trimmed
        if name.hasPrefix("\""), name.hasSuffix("\""), name.count > 1 { name = String(name.dropFirst().dropLast()) }
        if name.isEmpty { return mail.isEmpty ? "NOASSERTION" : "Organization: \(mail)" }
        return "Organization: \(name)" + (mail.isEmpty ? "" : " (\(mail))")
    }
}

/// Makes SPDX identifiers: `SPDXRef-` and letters, digits, `.` and `-` (SPDX 2.3, 7.2), each once.
struct SPDXIdentifiers {
    private var taken: Set<String>

    init(taken: Set<String>) { self.taken = taken }

    mutating func make(_ kind: String, _ name: String, _ architecture: String) -> String {
        let plain = [kind, name, architecture].filter { !$0.isEmpty }.joined(separator: "-").map { character -> Character in
            character.isASCII && (character.isLetter || character.isNumber || character == "." || character == "-") ? character : "-"
        }
        let base = "SPDXRef-" + String(plain)
        var candidate = base
        var number = 2
        // libfoo+ and libfoo- are different packages with one plain form; the input is sorted, so the numbers are stable.
        while !taken.insert(candidate).inserted {
            candidate = "\(base)-\(number)"
            number += 1
        }
        return candidate
    }
}

package import KldCore
/// The part of an SPDX 2.3 document that kldload writes.
///
/// Source: SPDX specification 2.3, chapters 6 (document creation), 7 (packages), 11 (relationships); its JSON schema
/// `schemas/spdx-schema.json`.
package struct SPDXDocument: Sendable, Hashable, Codable {
    package struct CreationInfo: Sendable, Hashable, Codable {
        package var created: Timestamp
        package var creators: [String]
    }

    package struct Checksum: Sendable, Hashable, Codable {
        package var algorithm: String
        package var checksumValue: String
    }

    package struct ExternalReference: Sendable, Hashable, Codable {
        package var referenceCategory = "PACKAGE-MANAGER"
        package var referenceType = "purl"
        package var referenceLocator: String

        package init(purl: String) { referenceLocator = purl }
    }

    package struct Package: Sendable, Hashable, Codable {
        package var id: String
        package var name: String
        package var versionInfo: String?
        package var supplier: String
        package var downloadLocation = "NOASSERTION"
        package var filesAnalyzed = false
        package var licenseConcluded = "NOASSERTION"
        package var licenseDeclared = "NOASSERTION"
        package var copyrightText = "NOASSERTION"
        package var primaryPackagePurpose: String?
        package var sourceInfo: String?
        package var checksums: [Checksum]?
        package var externalRefs: [ExternalReference]?

        package init(id: String, name: String, version: String?, supplier: String) {
            self.id = id
            self.name = name
            self.versionInfo = version
            self.supplier = supplier
        }

        enum CodingKeys: String, CodingKey {
            case id = "SPDXID"
            case name, versionInfo, supplier, downloadLocation, filesAnalyzed, licenseConcluded, licenseDeclared, copyrightText
            case primaryPackagePurpose, sourceInfo, checksums, externalRefs
        }
    }

    package struct Relationship: Sendable, Hashable, Codable {
        package var spdxElementId: String
        package var relationshipType: String
        package var relatedSpdxElement: String
    }

    package var spdxVersion = "SPDX-2.3"
    package var dataLicense = "CC0-1.0"
    package var id = "SPDXRef-DOCUMENT"
    package var name: String
    package var documentNamespace: String
    package var creationInfo: CreationInfo
    package var packages: [Package]
    package var relationships: [Relationship]

    enum CodingKeys: String, CodingKey {
        case spdxVersion, dataLicense, name, documentNamespace, creationInfo, packages, relationships
        case id = "SPDXID"
    }

    package init(
        name: String, namespace: String, created: Timestamp, creators: [String], packages: [Package], relationships: [Relationship]
    ) {
        self.name = name
        self.documentNamespace = namespace
        self.creationInfo = CreationInfo(created: created, creators: creators)
        self.packages = packages
        self.relationships = relationships
    }

    package func json() throws -> String { try SortedJSON.document(self) }
}

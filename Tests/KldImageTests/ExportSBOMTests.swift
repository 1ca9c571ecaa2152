import FoundationEssentials
import KldCore
import KldExec
import KldImage
import Testing

@Suite struct ExportSBOMTests {
    /// dpkg-query 1.21.22 (Debian 12), with the seventh column.
    static let dpkg = """
        libstdc++6:amd64\t12.2.0-14+deb12u1\tamd64\tgcc-12\t12.2.0-14+deb12u1\tDebian GCC Maintainers <debian-gcc@lists.debian.org>\tinstalled
        adduser\t3.134\tall\tadduser\t3.134\tDebian Adduser Developers <adduser@packages.debian.org>\tinstalled
        openssh-server\t1:9.2p1-2+deb12u10\tamd64\topenssh\t1:9.2p1-2+deb12u10\tDebian OpenSSH Maintainers <debian-ssh@lists.debian.org>\tinstalled
        old-kernel\t1.0\tamd64\tlinux\t1.0\tNobody <n@example.org>\tconfig-files

        """

    static func document(_ packages: [InstalledPackage]) throws -> SPDXDocument {
        let image = ExportManifestTests.description()
        let sbom = SBOM(packages: packages, components: SBOM.components(of: image))
        return sbom.document(
            name: try ExportName(sanitising: "kldload-debian-server"), image: image,
            digest: try #require(FileDigest(hex: String(repeating: "0f", count: 32))))
    }

    @Test func dpkgListsAreReadWithoutWhatWasRemoved() throws {
        let packages = try InstalledPackage.parse(Self.dpkg, .dpkg)
        #expect(packages.map(\.name) == ["adduser", "libstdc++6", "openssh-server"])
        #expect(packages[2].version == "1:9.2p1-2+deb12u10")
        #expect(packages[1].source == "gcc-12")
        let six = Self.dpkg.lines.map { $0.split(separator: "\t").prefix(6).joined(separator: "\t") }.joined(separator: "\n")
        #expect(try InstalledPackage.parse(six, .dpkg).count == 4)
    }

    @Test func rpmAndPacmanListsAreRead() throws {
        let rpm = """
            zlib\t0:1.2.11-40.el9\tx86_64\tzlib-1.2.11-40.el9.src.rpm\tRocky Enterprise Software Foundation
            bind-libs\t32:9.16.23-18.el9\tx86_64\tbind-9.16.23-18.el9.src.rpm\tRocky Enterprise Software Foundation
            gpg-pubkey\t0:350d275d-6279464b\t(none)\t(none)\t(none)
            """
        let packages = try InstalledPackage.parse(rpm, .rpm)
        #expect(packages.map(\.version) == ["32:9.16.23-18.el9", "1.2.11-40.el9"])
        #expect(
            PackageURL.text(packages[0], namespace: "rocky", suite: "9")
                == "pkg:rpm/rocky/bind-libs@9.16.23-18.el9?arch=x86_64&distro=9&epoch=32")
        let pacman = try InstalledPackage.parse("zlib 1:1.3.1-2\n", .pacman)
        #expect(PackageURL.text(pacman[0], namespace: "arch", suite: "") == "pkg:alpm/arch/zlib@1:1.3.1-2")
    }

    @Test func aLineThatIsNotUnderstoodIsAnError() throws {
        let problem = try #require(throws: Diagnosis.self) { try InstalledPackage.parse("adduser 3.134\n", .dpkg) }
        #expect(problem.code == "image.packages-unreadable")
        #expect(problem.causes == ["adduser 3.134"])
    }

    @Test func packageURLsAreEncoded() throws {
        let packages = try InstalledPackage.parse(Self.dpkg, .dpkg)
        #expect(
            packages.map { PackageURL.text($0, namespace: "debian", suite: "trixie") } == [
                "pkg:deb/debian/adduser@3.134?arch=all&distro=trixie",
                "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=trixie",
                "pkg:deb/debian/openssh-server@1:9.2p1-2%2Bdeb12u10?arch=amd64&distro=trixie",
            ])
    }

    @Test func theDocumentHasWhatSPDXRequires() throws {
        let document = try Self.document(InstalledPackage.parse(Self.dpkg, .dpkg))
        #expect(document.spdxVersion == "SPDX-2.3")
        #expect(document.dataLicense == "CC0-1.0")
        #expect(document.id == "SPDXRef-DOCUMENT")
        #expect(document.creationInfo.created.description == "2027-01-15T08:00:00Z")
        #expect(document.creationInfo.creators == ["Tool: kldload-2.0.0"])
        #expect(document.documentNamespace.hasSuffix(String(repeating: "0f", count: 32)))
        #expect(document.packages.map(\.name) == ["kldload-debian-server", "adduser", "libstdc++6", "openssh-server", "linux", "openzfs"])
        let ids = document.packages.map(\.id)
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { $0.hasPrefix("SPDXRef-") && $0.allSatisfy { $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" } })
        #expect(document.relationships.count == ids.count)
        #expect(document.relationships[0].relationshipType == "DESCRIBES")
        #expect(Set(document.relationships.dropFirst().map(\.relatedSpdxElement)) == Set(ids.dropFirst()))
        #expect(document.packages[1].supplier == "Organization: Debian Adduser Developers (adduser@packages.debian.org)")
    }

    @Test func theOrderOfTheInputDoesNotMatter() throws {
        let packages = try InstalledPackage.parse(Self.dpkg, .dpkg)
        #expect(try Self.document(packages).json() == Self.document(packages.reversed() + packages).json())
    }

    @Test func namesThatLookAlikeGetDifferentIdentifiers() throws {
        let packages = ["libfoo+", "libfoo-", "libfoo_"].map {
            InstalledPackage(manager: .dpkg, name: $0, version: "1", architecture: "amd64")
        }
        let ids = try Self.document(packages).packages.map(\.id).filter { $0.contains("libfoo") }
        #expect(ids == ["SPDXRef-Package-libfoo--amd64", "SPDXRef-Package-libfoo--amd64-2", "SPDXRef-Package-libfoo--amd64-3"])
    }

    @Test(arguments: [
        ("Debian X <a@b>", "Organization: Debian X (a@b)"), ("", "NOASSERTION"), ("<a@b>", "Organization: a@b"),
        ("\"A, Inc.\" <a@b>", "Organization: A, Inc. (a@b)"), ("Rocky", "Organization: Rocky"),
    ])
    func suppliers(maintainer: String, supplier: String) throws {
        let package = InstalledPackage(manager: .dpkg, name: "a", version: "1", maintainer: maintainer)
        #expect(try Self.document([package]).packages[1].supplier == supplier)
    }

    @Test(.enabled(if: SubprocessRunner.find("dpkg-query", path: "/usr/bin") != nil, "dpkg-query is not installed"))
    func thisMachinesPackagesMakeADocument() async throws {
        let output = try await SubprocessRunner().run(InstalledPackage.list(.dpkg)).output
        let packages = try InstalledPackage.parse(output, .dpkg)
        #expect(packages.contains { $0.name == "dpkg" })
        let document = try Self.document(packages)
        #expect(document.packages.count == packages.count + 3)
        let back = try JSONDecoder().decode(SPDXDocument.self, from: Data(document.json().utf8))
        #expect(back == document)
    }
}

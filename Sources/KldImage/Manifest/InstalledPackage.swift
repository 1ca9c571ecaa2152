package import KldCore
package import KldExec
import KldPackages

/// A package of the image, whatever its package manager.
public struct InstalledPackage: Sendable, Hashable, Comparable {
    /// How a package manager's list reads.
    public enum Manager: String, Sendable, Hashable, Codable { case dpkg, rpm, pacman }

    public var manager: Manager
    public var name: String
    /// With epoch, where there is one: `1:9.2p1-2+deb12u10`.
    public var version: String
    /// In the distribution's words; empty when the list does not say.
    public var architecture: String
    /// What it was built from; empty when the list does not say.
    public var source: String
    public var sourceVersion: String
    /// `Name <mail>`, a vendor, or empty.
    public var maintainer: String

    public init(
        manager: Manager, name: String, version: String, architecture: String = "", source: String = "", sourceVersion: String = "",
        maintainer: String = ""
    ) {
        self.manager = manager
        self.name = name
        self.version = version
        self.architecture = architecture
        self.source = source
        self.sourceVersion = sourceVersion
        self.maintainer = maintainer
    }

    public static func < (a: InstalledPackage, b: InstalledPackage) -> Bool {
        (a.name, a.architecture, a.version, a.manager.rawValue) < (b.name, b.architecture, b.version, b.manager.rawValue)
    }

    /// Lists what is installed, for ``parse(_:_:)``.
    ///
    /// Runs, reads: what ``Dpkg/details(states:)`` runs, with states; `rpm -qa --qf …`; `pacman -Q`. Source: rpm(8) 4.20, pacman(8) 7.0.
    package static func list(_ manager: Manager) -> Command {
        switch manager {
        case .dpkg: Dpkg.details(states: true)
        case .rpm:
            Command(
                Tool("rpm"), ["-qa", "--qf", #"%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{VENDOR}\n"#],
                effect: .reads)
        case .pacman: Command(Tool("pacman"), ["-Q"], effect: .reads)
        }
    }

    /// Reads a list. Lines such as these:
    /// - dpkg 1.21.22: `libc6:amd64⇥2.36-9+deb12u14⇥amd64⇥glibc⇥2.36-9+deb12u14⇥GNU Libc Maintainers <…>`, and perhaps `⇥installed`
    /// - rpm 4.18: `zlib⇥0:1.2.11-40.el9⇥x86_64⇥zlib-1.2.11-40.el9.src.rpm⇥Rocky Enterprise Software Foundation`
    /// - pacman 6.0: `zlib 1:1.3.1-2`
    /// - Returns: sorted, each once.
    /// - Throws: ``Diagnosis`` `image.packages-unreadable` with the line: a bill of materials with gaps would be worse than none.
    package static func parse(_ text: String, _ manager: Manager) throws(Diagnosis) -> [InstalledPackage] {
        var found: Set<InstalledPackage> = []
        for line in text.lines {
            let columns = line.split(separator: manager == .pacman ? " " : "\t", omittingEmptySubsequences: false).map(String.init)
            switch (manager, columns.count) {
            case (.dpkg, 6), (.dpkg, 7):
                if columns.count == 7, columns[6] != "installed" { continue }
                let name = String(columns[0].prefix { $0 != ":" })
                found.insert(
                    InstalledPackage(
                        manager: manager, name: name, version: columns[1], architecture: columns[2], source: columns[3],
                        sourceVersion: columns[4], maintainer: columns[5]))
            case (.rpm, 5):
                // gpg-pubkey entries are the keys that rpm trusts, not packages.
                if columns[0] == "gpg-pubkey" { continue }
                found.insert(
                    InstalledPackage(
                        manager: manager, name: columns[0],
                        version: columns[1].hasPrefix("0:") ? String(columns[1].dropFirst(2)) : columns[1],
                        architecture: columns[2] == "(none)" ? "" : columns[2], source: columns[3] == "(none)" ? "" : columns[3],
                        maintainer: columns[4] == "(none)" ? "" : columns[4]))
            case (.pacman, 2): found.insert(InstalledPackage(manager: manager, name: columns[0], version: columns[1]))
            default:
                throw Diagnosis(
                    "image.packages-unreadable", "a line of the package list is not understood",
                    remedies: ["report this as a defect of kldload, with the log"], causes: [line])
            }
        }
        return found.sorted()
    }
}

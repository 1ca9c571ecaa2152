import FoundationEssentials
import KldCore
package import KldExec
package import KldFiles
package import SystemPackage

/// What is installed on a disk, as the guest that seals its copy reads it and tells the host, on one line.
package struct InstalledSystem: Sendable, Hashable, Codable {
    package static let currentSchema = "installed-system/1"
    package var schema = InstalledSystem.currentSchema
    package var distro: String?
    package var suite: String?
    package var profile: String?
    package var kernel: String?
    package var openZFS: String?
    /// As `dpkg-query` lists it; `nil` where there is no dpkg.
    package var packages: String?

    package init() {}

    /// Reads a line of a guest; `nil` when it is something else.
    init?(line: String) {
        guard let system = try? JSONDecoder().decode(InstalledSystem.self, from: Data(line.utf8)), system.schema == Self.currentSchema
        else {
            return nil
        }
        self = system
    }

    /// Reads a mounted root: what kldload wrote there when it built it, else what the system says of itself.
    ///
    /// Runs: `chroot ROOT dpkg-query -W …`, reads.
    package static func read(_ root: FilePath, runner: any CommandRunner, files: any FileSystem) async throws -> InstalledSystem {
        var system = InstalledSystem()
        let payload = FilePath(root.string + PayloadInfo.path)
        if try files.exists(payload), let info = try? JSONDecoder().decode(PayloadInfo.self, from: Data(files.read(payload))) {
            (system.distro, system.suite, system.profile) = (info.spec.distro, info.spec.suite, info.spec.profile)
            // Upgrades bring other kernels, and modules for them; then neither number is known.
            if try files.exists(root.appending("boot/vmlinuz-\(info.kernel)")) {
                (system.kernel, system.openZFS) = (info.kernel, info.openZFS)
            }
        } else if let text = try? files.readText(root.appending("usr/lib/os-release")) {
            let words = osRelease(text)
            (system.distro, system.suite) = (words["ID"], words["VERSION_CODENAME"] ?? words["VERSION_ID"])
        }
        if try files.exists(root.appending("var/lib/dpkg/status")) {
            system.packages = try await runner.run(InstalledPackage.list(.dpkg).inside(root)).output
        }
        return system
    }

    /// Source: os-release(5).
    private static func osRelease(_ text: String) -> [String: String] {
        text.lines.reduce(into: [:]) { result, line in
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { return }
            result[parts[0].trimmed] = parts[1].trimmed.filter { $0 != "\"" && $0 != "'" }
        }
    }

    /// The image's description with what is known here.
    package func describing(_ image: ImageDescription) -> ImageDescription {
        var image = image
        image.distro = distro ?? image.distro
        image.suite = suite ?? image.suite
        image.profile = profile ?? image.profile
        image.kernel = kernel ?? image.kernel
        image.openzfs = openZFS ?? image.openzfs
        return image
    }

    /// `kldload-<distro>-<profile>`; `nil` for what kldload did not install.
    package var name: ExportName? {
        get throws {
            guard let distro, let profile else { return nil }
            return try ExportName(distro: distro, profile: profile)
        }
    }

    /// - Throws: ``Diagnosis`` `image.packages-unreadable`.
    package func sbom(of image: ImageDescription) throws -> SBOM? {
        try packages.map { SBOM(packages: try InstalledPackage.parse($0, .dpkg), components: SBOM.components(of: image)) }
    }
}

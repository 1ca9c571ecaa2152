import FoundationEssentials
package import KldCore
package import SystemPackage

extension InstallManifest {
    /// What the installation below a root wrote down; `nil` where there is nothing, or nothing that is understood.
    package static func read(_ files: any FileSystem, below root: FilePath = "/") -> InstallManifest? {
        // why a sum of texts: appending an absolute path replaces the root.
        guard let bytes = try? files.read(FilePath(root.string == "/" ? path : root.string + path)) else { return nil }
        return try? JSONDecoder().decode(InstallManifest.self, from: Data(bytes))
    }
}

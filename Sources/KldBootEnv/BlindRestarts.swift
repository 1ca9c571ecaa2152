import KldBoot
import KldCore
public import KldFiles
public import SystemPackage

/// Restarts of a boot that is no good while no ESP can be read.
///
/// If the loader counts it, another environment starts after so many of them; if not, it has proved itself, no restart helps, and the machine
/// stays up. Where the loader does not say, they are counted all the same. They are counted in the environment itself: it is all that can be
/// read.
public enum BlindRestarts {
    public static let file: FilePath = "/etc/kldload/boot-restarts"

    /// Counts one more, on the disk.
    /// - Returns: which one it is, from 1; `nil`: there were as many as an environment has tries, or the loader says that it counts none.
    /// - Throws: ``FileError`` when it cannot be counted and the loader does not say that it counts: nothing would end the restarts.
    public static func count(_ files: any FileSystem) throws -> Int? {
        let counts = BootCount.isCounted(files)
        if counts == false { return nil }
        let done = (try? files.readText(file)).flatMap { Int($0.trimmed) } ?? 0
        guard done < BootEntry.tries else { return nil }
        do { try files.write("\(done + 1)\n", to: file) } catch  where counts == true {
            // A full disk; the loader counts all the same.
        }
        return done + 1
    }

    /// For a boot that was good.
    public static func forget(_ files: any FileSystem) throws { try files.remove(file) }
}

import KldCore
public import KldFiles
import SystemPackage

/// What `uname -r` prints.
public enum KernelRelease {
    /// That of the kernel that runs. - Throws: ``FileError``, where `/proc` is not mounted.
    public static func running(_ files: any FileSystem) throws -> String { try files.readText("/proc/sys/kernel/osrelease").trimmed }

    /// Compares runs of digits as numbers and everything else as text: `6.12.9` < `6.12.117+deb13`.
    public static func precedes(_ a: String, _ b: String) -> Bool {
        func parts(_ text: String) -> [(Int, String)] {
            var result: [(Int, String)] = []
            for character in text {
                if let digit = character.wholeNumberValue {
                    if let last = result.last, last.1.isEmpty {
                        // A number longer than any version's may wrap; it must not end the program.
                        result[result.count - 1].0 = last.0 &* 10 &+ digit
                    } else {
                        result.append((digit, ""))
                    }
                } else {
                    result.append((-1, String(character)))
                }
            }
            return result
        }
        let (x, y) = (parts(a), parts(b))
        for (one, other) in zip(x, y) where one != other { return one.0 != other.0 ? one.0 < other.0 : one.1 < other.1 }
        return x.count < y.count
    }
}

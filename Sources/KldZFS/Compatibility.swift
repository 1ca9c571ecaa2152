/// Values of the pool property `compatibility`: files in `/usr/share/zfs/compatibility.d` that name the features a pool may use.
///
/// Source: `cmd/zpool/compatibility.d` and `zpoolcompatlinks` of OpenZFS 2.1.11, 2.2.9, 2.3.0 and 2.4.4. 2.1 has files named
/// `openzfs-2.0-linux` and `openzfs-2.1-linux`; from 2.2 on the files are `openzfs-2.2`, …, with links `openzfs-2.2-linux`, ….
public enum Compatibility {
    /// The feature set that every OpenZFS from `version`'s series on can import for writing: `openzfs-2.1-linux`.
    ///
    /// The name must be known to the OpenZFS that makes the pool: 2.4 knows all from 2.0 to 2.4, 2.3 does not know 2.4. And it should be
    /// known to the one that later runs `zpool upgrade`; older tools then only warn and treat the pool as having no set.
    /// - Returns: the newest known set for anything newer than 2.4; that of 2.0 for anything older than 2.1, which has no smaller one.
    public static func name(for version: OpenZFSVersion) -> String {
        if version.major > 2 { return "openzfs-2.4-linux" }
        if version.major < 2 { return "openzfs-2.0-linux" }
        return "openzfs-2.\(min(version.minor, 4))-linux"
    }

    /// `name(for:)` limited to what the OpenZFS that makes the pool knows itself.
    public static func name(for target: OpenZFSVersion, madeBy maker: OpenZFSVersion) -> String { name(for: min(target, maker)) }
}

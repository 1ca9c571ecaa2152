/// Names of snapshots that kldload takes by itself.
public enum SnapshotLabel {
    /// On each of them, with its kind: `auto`, `srv`, `pre-upgrade`, `apt-pre`. Only what bears it is pruned.
    public static let mark = "com.kldload:snapshot"

    /// The wish itself, or with the first number that nobody has: two in one second are two snapshots.
    public static func free(_ wish: String, taken: some Sequence<String>) -> String {
        let taken = Set(taken)
        if !taken.contains(wish) { return wish }
        return (2...).lazy.map { "\(wish)-\($0)" }.first { !taken.contains($0) } ?? wish
    }
}

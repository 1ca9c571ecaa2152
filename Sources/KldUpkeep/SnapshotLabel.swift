/// Names of snapshots that kldload takes by itself.
public enum SnapshotLabel {
    /// On each of them, with its kind: `auto`, `srv`, `pre-upgrade`, `apt-pre`. Only what bears it is pruned.
    public static let mark = "com.kldload:snapshot"
}

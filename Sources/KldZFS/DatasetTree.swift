public import KldExec
public import KldFiles
public import SystemPackage

/// The datasets of an installed machine, as data, parents before children.
///
/// What belongs to a boot environment lies in its root dataset: `/usr`, `/etc`, `/boot`, and with `/var/lib` the package database, so that
/// going back to an older environment takes files and package database back together. What must survive such a change has a dataset of
/// its own: logs, home directories, and the state of services.
public struct DatasetTree: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        public var name: DatasetName
        /// Set on this dataset itself; everything else is inherited.
        public var properties: ZFSProperties
        /// Where it is mounted while the machine runs; `nil` for one that only holds others.
        public var mountpoint: String?
        /// The permissions of the mounted folder where they are not 0755: ZFS makes it 0755, owned by root.
        public var mode: ModeBits?
    }

    public var pool: PoolName
    public var root: DatasetName
    public var entries: [Entry]

    /// Properties of the pool's root dataset, for `zpool create -O`. The others inherit them.
    ///
    /// - `acltype`, `xattr`: journald's and libvirt's ACLs; `sa` keeps attributes in the inode.
    /// - `normalization` (fixed at creation) makes names that look alike equal, and refuses names that are not UTF-8.
    /// - `com.kldload:owner` is inherited by what a person makes later. It means "kldload's own" only where it is set locally:
    ///   ask with ``PropertyRow/marksOwnership``.
    public static let poolProperties: ZFSProperties = [
        "acltype": "posixacl", "canmount": "off", "compression": "lz4", "dnodesize": "auto", "normalization": "formD", "relatime": "on",
        "xattr": "sa", "mountpoint": "none", KldProperty.owner: KldProperty.ownerValue,
    ]

    /// Service state that must not go back with a boot environment, below `/var/lib`.
    public static let serviceState = ["containerd", "containers", "docker", "kldload", "libvirt"]

    /// The tree of every installed machine.
    ///
    /// There is no dataset for `/tmp`: Debian 13 and Fedora mount a tmpfs there, which would cover it; elsewhere `/tmp` is a folder of
    /// the root dataset, emptied at boot by systemd-tmpfiles.
    /// - Parameter user: the name of the admin user, for a home directory of its own; `nil` for none (sealed images).
    /// - Throws: ``NameError``.
    public static func standard(pool: PoolName, bootEnvironment: String, user: String?) throws(NameError) -> DatasetTree {
        let top = pool.dataset
        let root = try top.appending("ROOT").appending(bootEnvironment)
        var tree = DatasetTree(pool: pool, root: root, entries: [])
        try tree.add("ROOT", ["canmount": "off", "mountpoint": "none"])
        tree.add(root, ["canmount": "noauto", "mountpoint": "/"], at: "/")

        try tree.add("home", ["mountpoint": "/home"], at: "/home")
        if let user { try tree.add("home/\(user)", [:], at: "/home/\(user)", mode: 0o700) }
        try tree.add("root", ["mountpoint": "/root"], at: "/root", mode: 0o700)
        try tree.add("srv", ["mountpoint": "/srv"], at: "/srv")
        try tree.add("opt", ["mountpoint": "/opt"], at: "/opt")

        try tree.add("usr", ["canmount": "off", "mountpoint": "/usr"])
        try tree.add("usr/local", [:], at: "/usr/local")

        try tree.add("var", ["canmount": "off", "mountpoint": "/var"])
        try tree.add("var/cache", ["com.sun:auto-snapshot": "false"], at: "/var/cache")
        try tree.add("var/log", ["devices": "off", "exec": "off", "setuid": "off"], at: "/var/log")
        try tree.add("var/spool", [:], at: "/var/spool")
        // why exec stays on: mkinitramfs and dracut build, and run programs, in /var/tmp.
        try tree.add("var/tmp", ["com.sun:auto-snapshot": "false", "devices": "off", "setuid": "off"], at: "/var/tmp", mode: 0o1777)
        try tree.add("var/lib", ["canmount": "off", "mountpoint": "/var/lib"])
        for service in serviceState { try tree.add("var/lib/\(service)", [:], at: "/var/lib/\(service)") }
        return tree
    }

    /// The tree of the kvm profile beside the standard one. Volumes of virtual machines are made below `vms` by the machine tools.
    /// - Throws: ``NameError``.
    public mutating func addVirtualMachines() throws(NameError) {
        try add("vms", ["canmount": "off", "mountpoint": "none", "com.sun:auto-snapshot": "false"])
        try add(
            "vms/isos", ["atime": "off", "compression": "zstd", "mountpoint": "/var/lib/libvirt/isos"], at: "/var/lib/libvirt/isos")
    }

    /// Adds one more dataset below the pool's root. Its owner mark comes with it.
    /// - Throws: ``NameError``.
    public mutating func add(_ path: String, _ properties: ZFSProperties, at mountpoint: String? = nil, mode: ModeBits? = nil)
        throws(NameError)
    {
        add(try pool.dataset.appending(path), properties, at: mountpoint, mode: mode)
    }

    private mutating func add(_ name: DatasetName, _ properties: ZFSProperties, at mountpoint: String?, mode: ModeBits? = nil) {
        var own = properties
        own[KldProperty.owner] = KldProperty.ownerValue
        entries.append(Entry(name: name, properties: own, mountpoint: mountpoint, mode: mode))
    }

    /// The boot environment and what holds it, in a pool just created with ``poolProperties``, mounted: it never mounts by itself, and all
    /// others mount into it. All changes.
    ///
    /// Runs: `zfs create -o … NAME` for each, or `zfs receive -u -o … ROOT`; `zfs mount ROOT`.
    /// - Parameter stream: a send stream with the boot environment's content; `nil`: it begins empty.
    public func rootCommands(from stream: FilePath? = nil) -> [Command] { rootDatasets(from: stream) + [ZFS.mount(root)] }

    /// The same, and not mounted yet: an increment is received only onto what nobody has changed.
    public func rootDatasets(from stream: FilePath?) -> [Command] {
        entries.prefix(through + 1).map { entry in
            guard entry.name == root, let stream else { return ZFS.create(entry.name, properties: entry.properties) }
            return ZFS.receive(root, properties: entry.properties, input: .file(stream))
        }
    }

    /// Every other dataset, in order; each mounts itself. Runs: `zfs create -o … NAME` for each, changes.
    public var otherCommands: [Command] {
        entries.dropFirst(through + 1).map { ZFS.create($0.name, properties: $0.properties) }
    }

    /// The boot environment's place in ``entries``.
    private var through: Int { entries.firstIndex { $0.name == root } ?? 0 }

    /// Mount points in the order in which they were made.
    public var mountpoints: [String] { entries.compactMap(\.mountpoint) }
}

import KldCore
import KldExec
import KldZFS
import SystemPackage
import Testing

@Suite struct `the dataset tree` {
    func tree(user: String? = "admin") throws -> DatasetTree {
        try DatasetTree.standard(pool: PoolName("rpool"), bootEnvironment: "debian", user: user)
    }

    @Test func `is made in this order`() throws {
        let expected = """
            zfs create -o canmount=off -o mountpoint=none -o com.kldload:owner=kldload rpool/ROOT
            zfs create -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload rpool/ROOT/debian
            zfs mount rpool/ROOT/debian
            zfs create -o mountpoint=/home -o com.kldload:owner=kldload rpool/home
            zfs create -o com.kldload:owner=kldload rpool/home/admin
            zfs create -o mountpoint=/root -o com.kldload:owner=kldload rpool/root
            zfs create -o mountpoint=/srv -o com.kldload:owner=kldload rpool/srv
            zfs create -o mountpoint=/opt -o com.kldload:owner=kldload rpool/opt
            zfs create -o canmount=off -o mountpoint=/usr -o com.kldload:owner=kldload rpool/usr
            zfs create -o com.kldload:owner=kldload rpool/usr/local
            zfs create -o canmount=off -o mountpoint=/var -o com.kldload:owner=kldload rpool/var
            zfs create -o com.sun:auto-snapshot=false -o com.kldload:owner=kldload rpool/var/cache
            zfs create -o devices=off -o exec=off -o setuid=off -o com.kldload:owner=kldload rpool/var/log
            zfs create -o com.kldload:owner=kldload rpool/var/spool
            zfs create -o com.sun:auto-snapshot=false -o devices=off -o setuid=off -o com.kldload:owner=kldload rpool/var/tmp
            zfs create -o canmount=off -o mountpoint=/var/lib -o com.kldload:owner=kldload rpool/var/lib
            zfs create -o com.kldload:owner=kldload rpool/var/lib/containerd
            zfs create -o com.kldload:owner=kldload rpool/var/lib/containers
            zfs create -o com.kldload:owner=kldload rpool/var/lib/docker
            zfs create -o com.kldload:owner=kldload rpool/var/lib/kldload
            zfs create -o com.kldload:owner=kldload rpool/var/lib/libvirt
            """
        let commands = try tree().rootCommands() + tree().otherCommands
        #expect(commands.map(\.description).joined(separator: "\n") == expected)
        #expect(commands.allSatisfy { $0.effect == .changes })
    }

    @Test func `receives the boot environment where there is a stream of it`() throws {
        #expect(
            try tree().rootCommands(from: "/payload/root.zfs").map(\.description) == [
                "zfs create -o canmount=off -o mountpoint=none -o com.kldload:owner=kldload rpool/ROOT",
                "zfs receive -u -o canmount=noauto -o mountpoint=/ -o com.kldload:owner=kldload rpool/ROOT/debian < /payload/root.zfs",
                "zfs mount rpool/ROOT/debian",
            ])
    }

    @Test func `leaves it unmounted where an increment follows`() throws {
        #expect(try tree().rootDatasets(from: "/payload/root.zfs") == tree().rootCommands(from: "/payload/root.zfs").dropLast())
    }

    @Test func `keeps the package database in the boot environment`() throws {
        for path in ["/var/lib", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/pacman", "/usr", "/etc", "/boot", "/var"] {
            #expect(try !tree().mountpoints.contains(path), "\(path) must go back with the boot environment")
        }
    }

    @Test func `makes parents before children`() throws {
        var seen: Set<String> = ["rpool"]
        for entry in try tree().entries {
            #expect(seen.contains(try #require(entry.name.parent).text))
            seen.insert(entry.name.text)
        }
    }

    @Test func `marks every dataset as kldload's own`() throws {
        #expect(try tree().entries.allSatisfy { $0.properties[KldProperty.owner] == KldProperty.ownerValue })
        #expect(DatasetTree.poolProperties[KldProperty.owner] == KldProperty.ownerValue)
    }

    @Test func `has where ZFS will mount things`() throws {
        // Mount points are inherited with the rest of the name.
        var points: [String: String] = [:]
        for entry in try tree().entries {
            let parent = try #require(entry.name.parent)
            points[entry.name.text] = entry.properties["mountpoint"] ?? points[parent.text].map { "\($0)/\(entry.name.leaf)" }
            if let mountpoint = entry.mountpoint { #expect(points[entry.name.text] == mountpoint) }
        }
    }

    @Test func `mounts nothing where something else is mounted`() throws {
        var tree = try tree()
        try tree.addVirtualMachines()
        #expect(Set(tree.mountpoints).count == tree.mountpoints.count)
    }

    @Test func `works with any pool name and without a user`() throws {
        let other = try DatasetTree.standard(pool: PoolName("tank"), bootEnvironment: "v1.0", user: nil)
        #expect(other.root.text == "tank/ROOT/v1.0")
        #expect(other.entries.allSatisfy { $0.name.pool == "tank" } && !other.entries.contains { $0.name.text.hasPrefix("tank/home/") })
        #expect(throws: NameError.self) { try DatasetTree.standard(pool: PoolName("tank"), bootEnvironment: "a/../b", user: nil) }
    }

    @Test func `knows in which file system a mount point lies, and where there`() {
        let places = CoveredPlace.all(of: ["/", "/home", "/home/admin", "/homes"])
        #expect(places.map(\.holder) == ["/", "/home", "/"] && places.map(\.below) == ["/home", "/admin", "/homes"])
        #expect(
            CoveredPlace.all(of: ["/target", "/target/root"]) == [CoveredPlace(point: "/target/root", holder: "/target", below: "/root")])
        #expect(CoveredPlace.all(of: ["/a", "/b"]).isEmpty)
    }

    @Test func `gives virtual machines a place`() throws {
        var tree = try tree()
        try tree.addVirtualMachines()
        #expect(tree.mountpoints.last == "/var/lib/libvirt/isos")
    }
}

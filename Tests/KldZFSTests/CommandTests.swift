import KldCore
import KldExec
import KldZFS
import SystemPackage
import Testing

@Suite struct `zpool commands` {
    let rpool: PoolName
    init() throws { rpool = try PoolName("rpool") }

    @Test func `create a pool without -f`() throws {
        let command = try ZPool.create(
            rpool, compatibility: "openzfs-2.3-linux", poolOptions: ["autotrim": "on"], filesystemOptions: DatasetTree.poolProperties,
            altroot: "/target", vdevs: VdevLayout(.mirror, disks: ["/dev/disk/by-id/a-part2", "/dev/disk/by-id/b-part2"]))
        #expect(
            command.description
                == "zpool create -o ashift=12 -o compatibility=openzfs-2.3-linux -o autotrim=on -O acltype=posixacl -O canmount=off "
                + "-O compression=lz4 -O dnodesize=auto -O normalization=formD -O relatime=on -O xattr=sa -O mountpoint=none "
                + "-O com.kldload:owner=kldload -R /target rpool mirror /dev/disk/by-id/a-part2 /dev/disk/by-id/b-part2")
        #expect(command.effect == .destroys)
    }

    @Test func `hand the passphrase over on standard input, never as a word`() throws {
        let command = try ZPool.create(
            rpool, vdevs: VdevLayout(.single, disks: ["/dev/vda2"]), passphrase: Secret("correct horse"))
        #expect(command.input == .secret(Secret("correct horse\n")))
        #expect(
            command.description
                == "zpool create -o ashift=12 -O encryption=aes-256-gcm -O keyformat=passphrase -O keylocation=prompt rpool /dev/vda2"
                + " < <redacted>")
    }

    @Test(arguments: ["short", "", "two\nlines of it", String(repeating: "x", count: 513)])
    func `refuse passphrases that ZFS refuses or cuts`(text: String) throws {
        let layout = try VdevLayout(.single, disks: ["/dev/vda2"])
        #expect { try ZPool.create(rpool, vdevs: layout, passphrase: Secret(text)) } throws: {
            Diagnosis(of: $0).code == "zfs.passphrase"
        }
        #expect { try ZFS.loadKey(rpool.dataset, passphrase: Secret(text)) } throws: { Diagnosis(of: $0).code == "zfs.passphrase" }
    }

    @Test func `force only for a reason`() throws {
        let layout = try VdevLayout(.single, disks: ["/dev/vda2"], special: ["/dev/vdb1", "/dev/vdc1"])
        #expect(try ZPool.create(rpool, vdevs: layout, force: layout.mismatch).arguments.prefix(2) == ["create", "-f"])
        #expect(ZPool.export(rpool).description == "zpool export rpool")
        #expect(ZPool.labelClear("/dev/vda", force: Force(because: "approved")).description == "zpool labelclear -f /dev/vda")
        #expect(ZPool.labelClear("/dev/vda").effect == .destroys)
    }

    @Test func `import quietly unless told otherwise`() throws {
        #expect(ZPool.import(PoolImport(rpool)).description == "zpool import -N rpool")
        var request = PoolImport(.guid(14_227_345_870_128_411_364))
        request.noMount = false
        request.readOnly = true
        request.noCacheFile = true
        request.altroot = "/target"
        request.devices = ["/dev/disk/by-id", "/dev/vda2"]
        request.newName = try PoolName("old")
        request.force = Force(because: "typed by a person")
        #expect(
            ZPool.import(request).description
                == "zpool import -f -o readonly=on -o cachefile=none -R /target -d /dev/disk/by-id -d /dev/vda2 14227345870128411364 old")
    }

    @Test func `look at pools`() {
        #expect(ZPool.get(rpool, ["bootfs", "guid"]).description == "zpool get -Hp -o name,property,value,source bootfs,guid rpool")
        #expect(ZPool.list().description == "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs")
        #expect(ZPool.vdevs().description == "zpool list -vHPp -o name,bootfs,altroot")
        #expect(ZPool.vdevs(of: rpool).arguments.last == "rpool")
        #expect(ZPool.importable(devices: ["/dev/vda2"]).effect == .reads)
    }

    @Test func `look after pools`() {
        #expect(ZPool.set(rpool, "bootfs", "rpool/ROOT/debian").description == "zpool set bootfs=rpool/ROOT/debian rpool")
        #expect(ZPool.reguid(rpool).effect == .changes)
        #expect(ZPool.sync(rpool).description == "zpool sync rpool")
    }
}

@Suite struct `zfs commands` {
    let home: DatasetName
    init() throws { home = try DatasetName("rpool/home") }

    @Test func `make datasets`() throws {
        #expect(
            ZFS.create(home, properties: ["mountpoint": "/home", "canmount": "on"]).description
                == "zfs create -o mountpoint=/home -o canmount=on rpool/home")
        #expect(ZFS.clone(try SnapshotName("rpool/a@b"), to: home).description == "zfs clone rpool/a@b rpool/home")
    }

    @Test func `destroy only what is named, and say so`() throws {
        #expect(ZFS.destroy(home).description == "zfs destroy rpool/home")
        #expect(ZFS.destroy(home, recursive: true).effect == .destroys)
        let dry = ZFS.destroy(try SnapshotName("rpool/home@x"), recursive: true, dryRun: true)
        #expect(dry.description == "zfs destroy -r -nvp rpool/home@x" && dry.effect == .reads)
    }

    @Test func `never mount what they receive`() throws {
        #expect(ZFS.receive(home).description == "zfs receive -u rpool/home")
        #expect(ZFS.receive(home).effect == .changes)
        let increment = ZFS.receive(
            home, origin: try SnapshotName("rpool/ROOT/v1@s"), properties: ["canmount": "noauto"], resumable: true)
        #expect(increment.description == "zfs receive -u -s -o origin=rpool/ROOT/v1@s -o canmount=noauto rpool/home")
    }

    @Test func `send what is asked for`() throws {
        var options = SendOptions()
        #expect(ZFS.send(try SnapshotName("rpool/home@b"), options).description == "zfs send -L -c -e rpool/home@b")
        options.replicate = true
        options.raw = true
        options.base = .fromAll("rpool/home@a")
        #expect(ZFS.send(try SnapshotName("rpool/home@b"), options).description == "zfs send -R -w -I rpool/home@a rpool/home@b")
    }

    @Test func `unlock through standard input`() throws {
        let command = try ZFS.loadKey(home, passphrase: Secret("correct horse"))
        #expect(command.arguments == ["load-key", "-L", "prompt", "rpool/home"] && command.input == .secret(Secret("correct horse\n")))
    }

    @Test func `list`() {
        #expect(
            ZFS.list(home, columns: ["name", "used"]).description == "zfs list -Hp -r -t filesystem,volume -o name,used rpool/home")
        #expect(ZFS.list(columns: ["name"], types: ["snapshot"]).description == "zfs list -Hp -t snapshot -o name")
        #expect(
            ZFS.list(home, columns: ["name"], depth: 1).description == "zfs list -Hp -d 1 -t filesystem,volume -o name rpool/home")
    }
}

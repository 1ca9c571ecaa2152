public import KldCore

extension ZFSError: Diagnosable {
    public var diagnosis: Diagnosis {
        func make(_ code: String, _ message: String, _ remedies: [String], _ exit: ExitStatus = .failed) -> Diagnosis {
            Diagnosis("zfs.\(code)", message, remedies: remedies, exit: exit)
        }
        switch self {
        case .moduleNotLoaded:
            return make(
                "module", "the ZFS kernel module is not loaded",
                [
                    "modprobe zfs, and read its message",
                    "under Secure Boot the module's key must be enrolled: mokutil --test-key, then reboot and enrol it",
                ], .unavailable)
        case .noSuchPool(let name):
            return make("no-pool", "there is no pool or dataset '\(name)'", ["look with: zpool list; zpool import"], .inputMissing)
        case .noSuchDataset(let name):
            return make("no-dataset", "there is no dataset '\(name)'", ["look with: zfs list -t all"], .inputMissing)
        case .poolExists(let name):
            return make(
                "pool-exists", "a pool named '\(name)' is there already",
                ["export it, import one of the two under another name, or choose another pool name"], .cannotCreate)
        case .datasetExists(let name):
            return make("dataset-exists", "the dataset '\(name)' is there already", ["choose another name"], .cannotCreate)
        case .poolBusy(let name):
            return make(
                "pool-busy", "the pool '\(name)' is in use",
                [
                    "find who holds it: fuser -vm its mount points, and open zvols: fuser -v /dev/zd*",
                    "unmount and close them, then repeat",
                ],
                .tryAgain)
        case .datasetBusy(let name):
            return make(
                "dataset-busy", "the dataset '\(name)' is in use",
                ["find who holds it: fuser -vm its mount point, findmnt in other mount namespaces, zfs holds for a snapshot"], .tryAgain)
        case .foreignHost(let pool, let host, let hostID):
            return make(
                "foreign-host",
                "the pool '\(pool)' was last used by another system, \(host) (host id \(hostID)), and was not exported there",
                [
                    "if that machine may still be running with these disks, export the pool there: zpool export \(pool)",
                    "if it was this machine, its /etc/hostid differs from the one the pool knows: compare them, rebuild the initramfs",
                    "only when no other machine can have it open: zpool import -f \(pool)",
                ])
        case .activeElsewhere(let pool):
            return make(
                "active-elsewhere", "the pool '\(pool)' is open on another machine", ["export it there first; never force this one"])
        case .deviceInUse(let device, let user):
            return make(
                "device-in-use", "\(device.isEmpty ? "a device" : device) is in use: \(user)",
                ["make sure it is the right disk", "destroy or export what uses it, and wipe it (the plan's wipe step), then repeat"])
        case .permissionDenied:
            return make("denied", "no permission to do this with ZFS", ["run it as root"], .needsRoot)
        case .keyNotLoaded(let name):
            return make("key-not-loaded", "'\(name)' is encrypted and locked", ["unlock it: zfs load-key \(name)"])
        case .wrongKey(let name):
            return make("wrong-key", "the passphrase does not fit '\(name)'", ["try again; ZFS does not count the attempts"])
        case .outOfSpace(let name):
            return make(
                "no-space", "there is no space left for '\(name)'",
                ["free some: old snapshots and boot environments first (zfs list -t snapshot -s used)", "or raise the quota"], .cannotCreate
            )
        case .unsupportedFeature(let name):
            return make(
                "feature", "'\(name)' uses features that this OpenZFS does not have",
                ["use a newer OpenZFS (zfs --version), or import it read-only: zpool import -o readonly=on"], .unavailable)
        case .mismatchedReplication(let detail):
            return make(
                "replication", "the devices do not fit together: \(detail)",
                ["make the partitions of one vdev equally large, and special vdevs as redundant as the root vdevs"], .usage)
        case .missingDevices(let name):
            return make(
                "missing-devices", "devices of the pool '\(name)' are missing", ["attach the missing disks, and repeat"], .inputMissing)
        case .hasChildren(let name):
            return make("has-children", "'\(name)' has datasets or snapshots below it", ["look with: zfs list -r -t all \(name)"])
        case .hasClones(let name):
            return make("has-clones", "'\(name)' has clones", ["destroy or promote the clones first: zfs get clones, zfs promote"])
        case .readOnly(let name):
            return make("read-only", "'\(name)' is read-only", ["import the pool again without readonly=on"])
        case .suspended(let name):
            return make(
                "suspended", "the pool '\(name)' has stopped because it lost its devices",
                ["attach the disks again and run zpool clear \(name); a reboot is needed if that does not help"])
        }
    }
}

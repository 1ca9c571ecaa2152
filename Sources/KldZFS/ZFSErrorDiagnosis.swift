public import KldCore

extension ZFSError: Diagnosable {
    public var diagnosis: Diagnosis {
        switch self {
        case .moduleNotLoaded:
            Diagnosis(
                "zfs.module", "the ZFS kernel module is not loaded",
                remedies: [
                    "modprobe zfs, and read its message",
                    "under Secure Boot the module's key must be enrolled: mokutil --test-key, then reboot and enrol it",
                ], exit: .unavailable)
        case .noSuchPool(let name):
            Diagnosis(
                "zfs.no-pool", "there is no pool or dataset '\(name)'", remedies: ["look with: zpool list; zpool import"],
                exit: .inputMissing)
        case .noSuchDataset(let name):
            Diagnosis(
                "zfs.no-dataset", "there is no dataset '\(name)'", remedies: ["look with: zfs list -t all"], exit: .inputMissing)
        case .poolExists(let name):
            Diagnosis(
                "zfs.pool-exists", "a pool named '\(name)' is there already",
                remedies: ["export it, import one of the two under another name, or choose another pool name"], exit: .cannotCreate)
        case .datasetExists(let name):
            Diagnosis(
                "zfs.dataset-exists", "the dataset '\(name)' is there already", remedies: ["choose another name"], exit: .cannotCreate)
        case .poolBusy(let name):
            Diagnosis(
                "zfs.pool-busy", "the pool '\(name)' is in use",
                remedies: [
                    "find who holds it: fuser -vm its mount points, and open zvols: fuser -v /dev/zd*",
                    "unmount and close them, then repeat",
                ], exit: .tryAgain)
        case .datasetBusy(let name):
            Diagnosis(
                "zfs.dataset-busy", "the dataset '\(name)' is in use",
                remedies: ["find who holds it: fuser -vm its mount point, findmnt in other mount namespaces, zfs holds for a snapshot"],
                exit: .tryAgain)
        case .foreignHost(let pool, let host, let hostID):
            Diagnosis(
                "zfs.foreign-host",
                "the pool '\(pool)' was last used by another system, \(host) (host id \(hostID)), and was not exported there",
                remedies: [
                    "if that machine may still be running with these disks, export the pool there: zpool export \(pool)",
                    "if it was this machine, its /etc/hostid differs from the one the pool knows: compare them, rebuild the initramfs",
                    "only when no other machine can have it open: zpool import -f \(pool)",
                ])
        case .activeElsewhere(let pool):
            Diagnosis(
                "zfs.active-elsewhere", "the pool '\(pool)' is open on another machine",
                remedies: ["export it there first; never force this one"])
        case .deviceInUse(let device, let user):
            Diagnosis(
                "zfs.device-in-use", "\(device.isEmpty ? "a device" : device) is in use: \(user)",
                remedies: [
                    "make sure it is the right disk", "destroy or export what uses it, and wipe it (the plan's wipe step), then repeat",
                ])
        case .permissionDenied:
            Diagnosis(
                "zfs.denied", "no permission to do this with ZFS", remedies: ["run it as root"], exit: .needsRoot)
        case .keyNotLoaded(let name):
            Diagnosis(
                "zfs.key-not-loaded", "'\(name)' is encrypted and locked", remedies: ["unlock it: zfs load-key \(name)"])
        case .wrongKey(let name):
            Diagnosis(
                "zfs.wrong-key", "the passphrase does not fit '\(name)'", remedies: ["try again; ZFS does not count the attempts"])
        case .outOfSpace(let name):
            Diagnosis(
                "zfs.no-space", "there is no space left for '\(name)'",
                remedies: ["free some: old snapshots and boot environments first (zfs list -t snapshot -s used)", "or raise the quota"],
                exit: .cannotCreate)
        case .unsupportedFeature(let name):
            Diagnosis(
                "zfs.feature", "'\(name)' uses features that this OpenZFS does not have",
                remedies: ["use a newer OpenZFS (zfs --version), or import it read-only: zpool import -o readonly=on"], exit: .unavailable)
        case .mismatchedReplication(let detail):
            Diagnosis(
                "zfs.replication", "the devices do not fit together: \(detail)",
                remedies: ["make the partitions of one vdev equally large, and special vdevs as redundant as the root vdevs"], exit: .usage)
        case .missingDevices(let name):
            Diagnosis(
                "zfs.missing-devices", "devices of the pool '\(name)' are missing", remedies: ["attach the missing disks, and repeat"],
                exit: .inputMissing)
        case .hasChildren(let name):
            Diagnosis(
                "zfs.has-children", "'\(name)' has datasets or snapshots below it", remedies: ["look with: zfs list -r -t all \(name)"])
        case .hasClones(let name):
            Diagnosis(
                "zfs.has-clones", "'\(name)' has clones", remedies: ["destroy or promote the clones first: zfs get clones, zfs promote"])
        case .readOnly(let name):
            Diagnosis(
                "zfs.read-only", "'\(name)' is read-only", remedies: ["import the pool again without readonly=on"])
        case .suspended(let name):
            Diagnosis(
                "zfs.suspended", "the pool '\(name)' has stopped because it lost its devices",
                remedies: ["attach the disks again and run zpool clear \(name); a reboot is needed if that does not help"])
        }
    }
}

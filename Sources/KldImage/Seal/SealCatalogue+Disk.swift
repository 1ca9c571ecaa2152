extension SealCatalogue {
    /// Copies of sealed files inside files that are built from them.
    static let rebuilt: [SealClass] = [
        SealClass(
            "initramfs", "Copies in the initramfs", "holds etc/hostid, zpool.cache, keys and module options as they were",
            .rebuild(how: "build every initramfs again after the files are sealed, and look into it for etc/hostid and zpool.cache")),
        SealClass(
            "unified-kernel-images", "Copies in unified kernel images", "hold that initramfs, and are signed over it",
            .rebuild(how: "build every image on the ESP again from the new initramfs, on a file system made anew")),
        SealClass(
            "trust-bundle", "Copies in the bundle of trusted authorities", "still trusts the builder's authority after its file is gone",
            .rebuild(how: "run update-ca-certificates in the root after class kldload-ca")),
    ]

    /// Identity outside the file tree. What an export of an installed machine renews (``CopySeal``) and what the first boot renews stands
    /// here; what nothing renews is borne, with the reason. Source: OpenZFS 2.4 manual pages, UEFI 2.10 chapter 5, mkfs.fat(8).
    static let disk: [SealClass] = [
        SealClass(
            "pool-guid", "Pool GUID", "two pools with one GUID cannot be imported on one machine",
            .disk(DiskIdentity(.firstBoot, "zpool reguid, as in the copy that is exported of a machine")), renewal: "pool-guid"),
        SealClass(
            "vdev-guids", "GUIDs of vdevs", "tell a pool's devices apart; clones of one image share them",
            .disk(
                DiskIdentity(
                    .borne,
                    "no command of OpenZFS changes that of a device with what it holds; pools are told apart by the pool's GUID, which no two clones share"
                ))),
        SealClass(
            "disk-passports", "Passports of disks", "say where the source's disk stands, whose it is, and its serial number",
            .disk(
                DiskIdentity(
                    .borne,
                    "what kdisk wrote is taken off the copy that is exported, but the pool's history keeps the commands that wrote it; an "
                        + "installation writes none, and no passport takes a password"))),
        SealClass(
            "pool-label-host", "Host name and host id in pool labels", "say which machine had the pool last",
            .disk(
                DiskIdentity(
                    .image, "import in the installer's machine, whose name and id are neutral, and export there: the labels carry those"))),
        SealClass(
            "pool-history", "History of the pool", "commands, users and host names since the pool was made",
            .disk(
                DiskIdentity(
                    .borne, "cannot be cleared; kldload gives no secret on a command line, and the installer's host name is neutral"))),
        SealClass(
            "zfs-snapshots", "Snapshots from before the seal", "hold every removed file as it was",
            .disk(DiskIdentity(.image, "an image is sealed before its first snapshot; of a copy every snapshot is destroyed"))),
        SealClass(
            "free-space", "Freed blocks", "a removed file's blocks keep their content until they are written again",
            .disk(
                DiskIdentity(
                    .image,
                    "no intent log may own a block that it has not written: an image is made with sync=disabled, a copy's logs are emptied; "
                        + "then the pool is exported, and a hole is punched wherever its space maps hold nothing"))),
        SealClass(
            "zfs-encryption", "Encryption keys of datasets", "clones share the master key, and whoever has one passphrase has all",
            .disk(
                DiskIdentity(
                    .borne,
                    "no sealed image is encrypted; one that is exported as it is has its source's master key, whose wrapping alone zfs "
                        + "change-key changes"))),
        SealClass(
            "gpt-disk-guid", "GUID of the partition table", "firmware and udev tell disks apart by it",
            .disk(DiskIdentity(.firstBoot, "sgdisk --randomize-guids, as in the copy that is exported of a machine")),
            renewal: "gpt-guids"),
        SealClass(
            "gpt-partition-guids", "GUIDs of partitions", "boot entries and by-partuuid links of two attached clones collide",
            .disk(DiskIdentity(.firstBoot, "the same command; boot entries are made by shim's fallback program, after that")),
            renewal: "gpt-guids"),
        SealClass(
            "fat-serial", "Serial number of the ESP", "by-uuid links of two attached clones collide",
            .disk(DiskIdentity(.firstBoot, "fatlabel -i on each ESP; the ESP of an exported copy is made anew")),
            renewal: "fat-serial"),
        SealClass(
            "esp-free-clusters", "Free clusters of the ESP", "hold boot images that were replaced, with the host id in them",
            .disk(DiskIdentity(.image, "zero the partition, mkfs.vfat, copy what is kept and compare it"))),
        SealClass(
            "fs-uuids", "UUIDs of other file systems", "two file systems with one UUID: XFS refuses the second, others are mistaken",
            .disk(DiskIdentity(.borne, "kldload makes no other file systems; a disk that has one is refused when it is exported")),
            sysprep: ["fs-uuids"]),
        SealClass(
            "lvm-uuids", "UUIDs of LVM", "volume groups of two attached clones collide",
            .disk(DiskIdentity(.borne, "kldload makes no LVM")), sysprep: ["lvm-uuids"]),
        SealClass(
            "md-uuids", "UUIDs of arrays", "members of two clones would be joined into one array",
            .disk(DiskIdentity(.borne, "kldload makes no arrays"))),
        SealClass(
            "swap-content", "Content of swap partitions", "pages of memory, keys among them",
            .disk(DiskIdentity(.borne, "kldload makes no swap partition; a disk that has one is refused when it is exported"))),
        SealClass(
            "hibernation-image", "Hibernation image", "the whole memory of the machine that was built",
            .disk(DiskIdentity(.borne, "the same: it lies in a swap partition"))),
        SealClass(
            "luks-headers", "LUKS headers", "clones share the volume key, whatever their passphrases",
            .disk(DiskIdentity(.borne, "kldload encrypts with ZFS"))),
        SealClass(
            "backup-partition-ends", "Old labels at the ends of the disk", "signatures and labels of a life before this one",
            .disk(DiskIdentity(.image, "the installer wipes both ends and reads them back before it partitions"))),
        SealClass(
            "firmware-variables", "Firmware variables", "boot entries, enrolled keys and the firmware's own random seed",
            .disk(DiskIdentity(.image, "not part of a disk image; a clone gets a new copy of the firmware's template"))),
    ]
}

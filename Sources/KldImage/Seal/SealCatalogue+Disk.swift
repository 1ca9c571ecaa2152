extension SealCatalogue {
    /// Copies of sealed files inside files that are built from them.
    static let rebuilt: [SealClass] = [
        SealClass(
            "initramfs", "Copies in the initramfs", "holds etc/hostid, zpool.cache, keys and module options as they were",
            .rebuild(how: "build every initramfs again after the files are sealed, and look into it for etc/hostid and zpool.cache")),
        SealClass(
            "unified-kernel-images", "Copies in unified kernel images", "hold that initramfs, and are signed over it",
            .rebuild(how: "build and sign every image on the ESP again from the new initramfs, before the signing key is removed")),
        SealClass(
            "trust-bundle", "Copies in the bundle of trusted authorities", "still trusts the builder's authority after its file is gone",
            .rebuild(how: "run update-ca-certificates or update-ca-trust in the root after class kldload-ca")),
    ]

    /// Identity outside the file tree. Source: OpenZFS 2.4 manual pages, UEFI 2.10 chapter 5, mkfs.fat(8).
    static let disk: [SealClass] = [
        SealClass(
            "pool-guid", "Pool GUID", "two pools with one GUID cannot be imported on one machine",
            .disk(DiskIdentity(.firstBoot, "zpool reguid; needs the imported pool, and does not change vdev GUIDs")), renewal: "pool-guid"),
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
            .disk(
                DiskIdentity(
                    .image, "seal before the first snapshot, or destroy every snapshot and clone that is older; list with zfs list -t all"))
        ),
        SealClass(
            "free-space", "Freed blocks", "a removed file's blocks keep their content until they are written again",
            .disk(
                DiskIdentity(
                    .image,
                    "set zfs_trim_extent_bytes_min to 0, zpool sync twice (freed blocks wait two transaction groups), zpool trim -w; "
                        + "without discard: zpool initialize with zfs_initialize_value 0"))),
        SealClass(
            "zfs-encryption", "Encryption keys of datasets", "clones share the master key, and whoever has one passphrase has all",
            .disk(
                DiskIdentity(.borne, "an encrypted image is sealed for one owner; zfs change-key changes the wrapping, not the master key"))
        ),
        SealClass(
            "gpt-disk-guid", "GUID of the partition table", "firmware and udev tell disks apart by it",
            .disk(DiskIdentity(.firstBoot, "sgdisk -G; in the image it is derived from the image's id, so that builds are reproducible")),
            renewal: "gpt-guids"),
        SealClass(
            "gpt-partition-guids", "GUIDs of partitions", "boot entries and by-partuuid links of two attached clones collide",
            .disk(DiskIdentity(.firstBoot, "sgdisk -u for each partition, then the boot entries that name them; derived in the image")),
            renewal: "gpt-guids"),
        SealClass(
            "fat-serial", "Serial number of the ESP",
            "by-uuid links of two attached clones collide; fstab names the ESP by label or partition",
            .disk(DiskIdentity(.image, "a fixed value per image, given to mkfs.fat -i"))),
        SealClass(
            "fs-uuids", "UUIDs of other file systems", "two file systems with one UUID: XFS refuses the second, others are mistaken",
            .disk(DiskIdentity(.firstBoot, "tune2fs -U random, xfs_admin -U generate; only where a layout has such file systems")),
            sysprep: ["fs-uuids"], renewal: "fs-uuids"),
        SealClass(
            "lvm-uuids", "UUIDs of LVM", "volume groups of two attached clones collide",
            .disk(DiskIdentity(.firstBoot, "vgimportclone; kldload makes no LVM")), sysprep: ["lvm-uuids"]),
        SealClass(
            "md-uuids", "UUIDs of arrays", "members of two clones would be joined into one array",
            .disk(DiskIdentity(.image, "mdadm --assemble --update=uuid; kldload makes arrays for no root"))),
        SealClass(
            "swap-content", "Content of swap partitions", "pages of memory, keys among them",
            .disk(DiskIdentity(.image, "blkdiscard or zero the partition, then mkswap with a fixed UUID; the installer never turns it on"))),
        SealClass(
            "hibernation-image", "Hibernation image", "the whole memory of the machine that was built",
            .disk(DiskIdentity(.image, "the same as swap; hibernation is masked on ZFS roots"))),
        SealClass(
            "luks-headers", "LUKS headers", "clones share the volume key, whatever their passphrases",
            .disk(DiskIdentity(.firstBoot, "cryptsetup reencrypt; kldload encrypts with ZFS"))),
        SealClass(
            "backup-partition-ends", "Old labels at the ends of the disk", "signatures and labels of a life before this one",
            .disk(DiskIdentity(.image, "the installer wipes both ends and reads them back before it partitions"))),
        SealClass(
            "firmware-variables", "Firmware variables", "boot entries, enrolled keys and the firmware's own random seed",
            .disk(DiskIdentity(.image, "not part of a disk image; a clone gets a new copy of the firmware's template"))),
    ]
}

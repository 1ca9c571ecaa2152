/// What the tools print, with the place each text comes from.
enum Fixtures {
    /// zpool-status(8) of OpenZFS 2.4.4, example 2: `zpool status -j`, shortened to one disk for each vdev.
    static let statusManualPage = """
        {
         "output_version": {
          "command": "zpool status",
          "vers_major": 0,
          "vers_minor": 1
         },
         "pools": {
          "tank": {
           "name": "tank",
           "state": "ONLINE",
           "guid": "3920273586464696295",
           "txg": "16597",
           "spa_version": "5000",
           "zpl_version": "5",
           "status": "OK",
           "vdevs": {
            "tank": {
             "name": "tank",
             "alloc_space": "62.6G",
             "total_space": "15.0T",
             "def_space": "11.3T",
             "read_errors": "0",
             "write_errors": "0",
             "checksum_errors": "0",
             "vdevs": {
              "raidz1-0": {
               "name": "raidz1-0",
               "vdev_type": "raidz",
               "guid": "763132626387621737",
               "state": "HEALTHY",
               "alloc_space": "62.5G",
               "total_space": "10.9T",
               "def_space": "7.26T",
               "rep_dev_size": "10.9T",
               "read_errors": "0",
               "write_errors": "0",
               "checksum_errors": "0",
               "vdevs": {
                "ca1eb824-c371-491d-ac13-37637e35c683": {
                 "name": "ca1eb824-c371-491d-ac13-37637e35c683",
                 "vdev_type": "disk",
                 "guid": "12841765308123764671",
                 "path": "/dev/disk/by-partuuid/ca1eb824-c371-491d-ac13-37637e35c683",
                 "state": "HEALTHY",
                 "rep_dev_size": "3.64T",
                 "phys_space": "3.64T",
                 "read_errors": "0",
                 "write_errors": "0",
                 "checksum_errors": "0",
                 "vendor": "ATA",
                 "model": "WDC WD40EFZX-68AWUN0",
                 "size": "3.6T"
                }
               }
              }
             }
            }
           },
           "special": {
            "25d418f8-92bd-4327-b59f-7ef5d5f50d81": {
             "name": "25d418f8-92bd-4327-b59f-7ef5d5f50d81",
             "vdev_type": "disk",
             "guid": "3935742873387713123",
             "path": "/dev/disk/by-partuuid/25d418f8-92bd-4327-b59f-7ef5d5f50d81",
             "state": "HEALTHY",
             "alloc_space": "37.4M",
             "total_space": "444G",
             "def_space": "444G",
             "rep_dev_size": "444G",
             "phys_space": "447G",
             "read_errors": "0",
             "write_errors": "0",
             "checksum_errors": "0",
             "vendor": "ATA",
             "model": "Micron_5300_MTFDDAK480TDS",
             "size": "447.1G"
            }
           },
           "error_count": "0"
          }
         }
        }

        """

    /// The fields that `status_callback_json()` of OpenZFS 2.4.4 writes for `zpool status -j --json-int -p -P`, mirror with a missing disk; its
    /// sentences are broken as for a terminal.
    static let statusDegraded = """
        {
         "output_version": {
          "command": "zpool status",
          "vers_major": 0,
          "vers_minor": 1
         },
         "pools": {
          "rpool": {
           "name": "rpool",
           "state": "DEGRADED",
           "pool_guid": 14227345870128411364,
           "txg": 16597,
           "spa_version": 5000,
           "zpl_version": 5,
           "status": "One or more devices could not be used because the label is missing or\\n\\tinvalid.",
           "action": "Replace the device using 'zpool replace'.",
           "msgid": "ZFS-8000-4J",
           "scan_stats": {
            "function": "SCRUB",
            "state": "FINISHED",
            "start_time": 1785999990,
            "end_time": 1786000000,
            "to_examine": 1423859712,
            "errors": 0
           },
           "vdevs": {
            "rpool": {
             "name": "rpool",
             "vdev_type": "root",
             "guid": 14227345870128411364,
             "class": "normal",
             "state": "DEGRADED",
             "alloc_space": 1423859712,
             "read_errors": 0,
             "write_errors": 0,
             "checksum_errors": 0,
             "vdevs": {
              "mirror-0": {
               "name": "mirror-0",
               "vdev_type": "mirror",
               "guid": 763132626387621737,
               "class": "normal",
               "state": "DEGRADED",
               "read_errors": 0,
               "write_errors": 0,
               "checksum_errors": 0,
               "vdevs": {
                "/dev/disk/by-id/a-part2": {
                 "name": "/dev/disk/by-id/a-part2",
                 "vdev_type": "disk",
                 "guid": 12841765308123764671,
                 "path": "/dev/disk/by-id/a-part2",
                 "class": "normal",
                 "state": "ONLINE",
                 "read_errors": 0,
                 "write_errors": 0,
                 "checksum_errors": 7,
                 "slow_ios": 0
                },
                "/dev/disk/by-id/b-part2": {
                 "name": "/dev/disk/by-id/b-part2",
                 "vdev_type": "disk",
                 "guid": 1527839927278881561,
                 "path": "/dev/disk/by-id/b-part2",
                 "class": "normal",
                 "state": "CANT_OPEN",
                 "read_errors": 0,
                 "write_errors": 0,
                 "checksum_errors": 0,
                 "slow_ios": 0,
                 "aux": "OPEN_FAILED"
                }
               }
              }
             }
            }
           },
           "error_count": 3
          }
         }
        }

        """

    /// `zpool status -p -P` of OpenZFS 2.1.
    static let statusTextHealthy = """
          pool: rpool
         state: ONLINE
          scan: scrub repaired 0B in 00:00:07 with 0 errors on Sun Aug  9 00:24:08 2026
        config:

        \tNAME                                 STATE     READ WRITE CKSUM
        \trpool                                ONLINE       0     0     0
        \t  mirror-0                           ONLINE       0     0     0
        \t    /dev/disk/by-id/ata-A-part2      ONLINE       0     0     0
        \t    /dev/disk/by-id/ata-B-part2      ONLINE       0     0     0

        errors: No known data errors

        """

    /// `zpool status -p -P` of OpenZFS 2.1, mirror with a missing disk.
    static let statusTextDegraded = """
          pool: rpool
         state: DEGRADED
        status: One or more devices could not be used because the label is missing or
        \tinvalid.
        action: Replace the device using 'zpool replace'.
           see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-4J
        config:

        \tNAME                                 STATE     READ WRITE CKSUM
        \trpool                                DEGRADED     0     0     0
        \t  mirror-0                           DEGRADED     0     0     0
        \t    /dev/disk/by-id/ata-A-part2      ONLINE       0     0     0
        \t    9834532098                       UNAVAIL      0     0     0  was /dev/disk/by-id/ata-B-part2

        errors: 3 data errors, use '-v' for a list

        """

    /// `zpool import`, after `show_import()` of OpenZFS 2.4.4.
    static let importable = """
           pool: rpool
             id: 14227345870128411364
          state: ONLINE
        status: The pool was last accessed by another system.
         action: The pool can be imported using its name or numeric identifier and
        \tthe '-f' flag.
           see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-EY
         config:

        \trpool       ONLINE
        \t  mirror-0  ONLINE
        \t    vda2    ONLINE
        \t    vdb2    ONLINE

           pool: tank
             id: 77
          state: UNAVAIL (DESTROYED)
        status: One or more devices are missing from the system.
         action: The pool cannot be imported. Attach the missing
        \tdevices and try again.
           see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-3C
         config:

        \ttank        UNAVAIL  insufficient replicas
        \t  vdc       UNAVAIL

        """

    /// `zdb -l` of OpenZFS 2.4.4 (Debian), recorded from a pool of ztest.
    static let label = """
        ------------------------------------
        LABEL 0 
        ------------------------------------
            version: 5000
            name: 'rpool'
            state: 0
            txg: 4
            pool_guid: 1388568317016226249
            errata: 0
            min_alloc: 512
            max_alloc: 512
            hostname: 'vm'
            top_guid: 10744621400976721084
            guid: 10744621400976721084
            vdev_children: 1
            vdev_tree:
                type: 'file'
                id: 0
                guid: 10744621400976721084
                path: '/tmp/zt/rpool.0a'
                metaslab_array: 69
                metaslab_shift: 24
                ashift: 9
                asize: 129499136
                min_alloc: 512
                is_log: 0
                create_txg: 4
            features_for_read:
                com.delphix:hole_birth
                com.delphix:embedded_data
                com.klarasystems:vdev_zaps_v2
            labels = 0 1 2 3 

        """
}

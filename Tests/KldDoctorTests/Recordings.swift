import KldExec

extension HealthyMachine {
    /// Command lines and what they print. Tools: OpenZFS 2.4.4, util-linux 2.41, systemd 257, OpenSSH 10.0, iproute2 6.15, dpkg 1.22.
    static let recorded: [String: CommandOutput] = texts.mapValues { CommandOutput(output: $0) }

    private static let texts: [String: String] = [
        "findmnt --noheadings --output FSTYPE,SOURCE --target /":
            "zfs    rpool/ROOT/debian\n",
        "zfs --version":
            """
        zfs-2.4.4-1~bpo13+1
        zfs-kmod-2.4.4-1~bpo13+1

        """,
        "zpool status -j --json-int -p -P":
            """
        {
         "output_version": {
          "command": "zpool status",
          "vers_major": 0,
          "vers_minor": 1
         },
         "pools": {
          "rpool": {
           "name": "rpool",
           "state": "ONLINE",
           "pool_guid": 14227345870128411364,
           "txg": 1200,
           "spa_version": 5000,
           "zpl_version": 5,
           "vdevs": {
            "rpool": {
             "name": "rpool",
             "vdev_type": "root",
             "guid": 14227345870128411364,
             "class": "normal",
             "state": "ONLINE",
             "read_errors": 0,
             "write_errors": 0,
             "checksum_errors": 0,
             "vdevs": {
              "mirror-0": {
               "name": "mirror-0",
               "vdev_type": "mirror",
               "guid": 763132626387621737,
               "class": "normal",
               "state": "ONLINE",
               "read_errors": 0,
               "write_errors": 0,
               "checksum_errors": 0,
               "vdevs": {
                "/dev/disk/by-id/virtio-A-part2": {
                 "name": "/dev/disk/by-id/virtio-A-part2",
                 "vdev_type": "disk",
                 "guid": 12841765308123764671,
                 "path": "/dev/disk/by-id/virtio-A-part2",
                 "class": "normal",
                 "state": "ONLINE",
                 "read_errors": 0,
                 "write_errors": 0,
                 "checksum_errors": 0,
                 "slow_ios": 0
                },
                "/dev/disk/by-id/virtio-B-part2": {
                 "name": "/dev/disk/by-id/virtio-B-part2",
                 "vdev_type": "disk",
                 "guid": 1527839927278881561,
                 "path": "/dev/disk/by-id/virtio-B-part2",
                 "class": "normal",
                 "state": "ONLINE",
                 "read_errors": 0,
                 "write_errors": 0,
                 "checksum_errors": 0,
                 "slow_ios": 0
                }
               }
              }
             }
            }
           },
           "scan_stats": {
            "function": "SCRUB",
            "state": "FINISHED",
            "start_time": 1765100000,
            "end_time": 1765100100,
            "errors": 0
           },
           "error_count": 0
          },
          "tank": {
           "name": "tank",
           "state": "ONLINE",
           "pool_guid": 4227345870128411364,
           "vdevs": {
            "tank": {
             "name": "tank",
             "vdev_type": "root",
             "guid": 4227345870128411364,
             "state": "ONLINE",
             "read_errors": 0,
             "write_errors": 0,
             "checksum_errors": 0
            }
           },
           "error_count": 0
          }
         }
        }
        """,
        "zpool list -vHPp -o name,bootfs,altroot rpool":
            """
        rpool\trpool/ROOT/debian\t-
        \tmirror-0
        \t/dev/disk/by-id/virtio-A-part2
        \t/dev/disk/by-id/virtio-B-part2

        """,
        "zpool list -Hp -o name,guid,size,allocated,free,health,readonly,altroot,bootfs":
            """
        rpool\t14227345870128411364\t20937965568\t1423859712\t19514105856\tONLINE\toff\t-\trpool/ROOT/debian
        tank\t4227345870128411364\t1000000000\t100000\t999900000\tONLINE\toff\t-\t-

        """,
        "zdb -l /dev/disk/by-id/virtio-A-part2":
            """
        ------------------------------------
        LABEL 0 
        ------------------------------------
            version: 5000
            name: 'rpool'
            state: 0
            txg: 1190
            pool_guid: 14227345870128411364
            errata: 0
            hostid: 8323074
            hostname: 'box'
            top_guid: 763132626387621737
            guid: 12841765308123764671
            vdev_children: 1
            labels = 0 1 2 3 

        """,
        "zdb -l /dev/disk/by-id/virtio-B-part2":
            """
        ------------------------------------
        LABEL 0 
        ------------------------------------
            version: 5000
            name: 'rpool'
            state: 0
            txg: 1190
            pool_guid: 14227345870128411364
            errata: 0
            hostid: 8323074
            hostname: 'box'
            top_guid: 763132626387621737
            guid: 12841765308123764671
            vdev_children: 1
            labels = 0 1 2 3 

        """,
        "zfs list -Hp -r -t filesystem,volume -o name,type,mountpoint,canmount,mounted,sync,encryption,origin,creation,used,quota rpool":
            """
        rpool\tfilesystem\tnone\toff\tno\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/ROOT\tfilesystem\tnone\toff\tno\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/ROOT/debian\tfilesystem\t/\tnoauto\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/home\tfilesystem\t/home\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/home/admin\tfilesystem\t/home/admin\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/root\tfilesystem\t/root\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/srv\tfilesystem\t/srv\ton\tyes\talways\toff\t-\t1764000000\t98304\t0
        rpool/opt\tfilesystem\t/opt\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/usr\tfilesystem\t/usr\toff\tno\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/usr/local\tfilesystem\t/usr/local\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var\tfilesystem\t/var\toff\tno\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/cache\tfilesystem\t/var/cache\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/log\tfilesystem\t/var/log\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/spool\tfilesystem\t/var/spool\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/tmp\tfilesystem\t/var/tmp\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/lib\tfilesystem\t/var/lib\toff\tno\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/lib/containerd\tfilesystem\t/var/lib/containerd\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/lib/containers\tfilesystem\t/var/lib/containers\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/lib/docker\tfilesystem\t/var/lib/docker\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/lib/kldload\tfilesystem\t/var/lib/kldload\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0
        rpool/var/lib/libvirt\tfilesystem\t/var/lib/libvirt\ton\tyes\tstandard\toff\t-\t1764000000\t98304\t0

        """,
        "lsinitramfs /boot/initrd.img-7.2.12-amd64":
            """
        usr/lib/modules/7.2.12-amd64/updates/dkms/spl.ko.xz
        usr/lib/modules/7.2.12-amd64/updates/dkms/zfs.ko.xz
        usr/sbin/zpool
        scripts/zfs

        """,
        "lsblk --json --bytes --tree --output PATH,NAME,SIZE,TYPE,RO,RM,SERIAL,MODEL,WWN,TRAN,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS,LOG-SEC,PARTUUID":
            """
        {
         "blockdevices": [
          {
           "path": "/dev/vda",
           "name": "vda",
           "size": 1073741824,
           "type": "disk",
           "ro": false,
           "rm": false,
           "serial": "A",
           "model": null,
           "wwn": null,
           "tran": "virtio",
           "fstype": null,
           "label": null,
           "partlabel": null,
           "pttype": "gpt",
           "mountpoints": [
            null
           ],
           "log-sec": 512,
           "children": [
            {
             "path": "/dev/vda1",
             "name": "vda1",
             "size": 1073741824,
             "type": "part",
             "ro": false,
             "rm": false,
             "serial": null,
             "model": null,
             "wwn": null,
             "tran": "virtio",
             "fstype": "vfat",
             "label": null,
             "partlabel": null,
             "pttype": "gpt",
             "mountpoints": [
              "/boot/efi"
             ],
             "log-sec": 512
            },
            {
             "path": "/dev/vda2",
             "name": "vda2",
             "size": 1073741824,
             "type": "part",
             "ro": false,
             "rm": false,
             "serial": null,
             "model": null,
             "wwn": null,
             "tran": "virtio",
             "fstype": "zfs_member",
             "label": null,
             "partlabel": null,
             "pttype": "gpt",
             "mountpoints": [
              null
             ],
             "log-sec": 512
            }
           ]
          },
          {
           "path": "/dev/vdb",
           "name": "vdb",
           "size": 1073741824,
           "type": "disk",
           "ro": false,
           "rm": false,
           "serial": "B",
           "model": null,
           "wwn": null,
           "tran": "virtio",
           "fstype": null,
           "label": null,
           "partlabel": null,
           "pttype": "gpt",
           "mountpoints": [
            null
           ],
           "log-sec": 512,
           "children": [
            {
             "path": "/dev/vdb1",
             "name": "vdb1",
             "size": 1073741824,
             "type": "part",
             "ro": false,
             "rm": false,
             "serial": null,
             "model": null,
             "wwn": null,
             "tran": "virtio",
             "fstype": "vfat",
             "label": null,
             "partlabel": null,
             "pttype": "gpt",
             "mountpoints": [
              null
             ],
             "log-sec": 512
            },
            {
             "path": "/dev/vdb2",
             "name": "vdb2",
             "size": 1073741824,
             "type": "part",
             "ro": false,
             "rm": false,
             "serial": null,
             "model": null,
             "wwn": null,
             "tran": "virtio",
             "fstype": "zfs_member",
             "label": null,
             "partlabel": null,
             "pttype": "gpt",
             "mountpoints": [
              null
             ],
             "log-sec": 512
            }
           ]
          }
         ]
        }
        """,
        "mount -t vfat -o ro /dev/vdb1 /run/kldload/look/0/copy":
            "",
        "umount --recursive /run/kldload/look/0/copy":
            "",
        "visudo --check":
            """
        /etc/sudoers: parsed OK
        /etc/sudoers.d/kldload-admin: parsed OK

        """,
        "sshd -T":
            """
        port 22
        permitrootlogin without-password
        permitemptypasswords no
        passwordauthentication yes
        kexalgorithms mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256
        hostkey /etc/ssh/ssh_host_ed25519_key

        """,
        "sshd -T -C user=admin,host=localhost,addr=127.0.0.1":
            """
        port 22
        permitrootlogin without-password
        permitemptypasswords no
        passwordauthentication no
        kexalgorithms mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256
        hostkey /etc/ssh/ssh_host_ed25519_key

        """,
        "ssh -Q kex":
            """
        curve25519-sha256
        sntrup761x25519-sha512
        sntrup761x25519-sha512@openssh.com
        mlkem768x25519-sha256

        """,
        "ip -json address show":
            """
        [
         {
          "ifindex": 1,
          "ifname": "lo",
          "operstate": "UNKNOWN",
          "addr_info": [
           {
            "family": "inet",
            "local": "127.0.0.1",
            "prefixlen": 8,
            "scope": "host"
           }
          ]
         },
         {
          "ifindex": 2,
          "ifname": "ens3",
          "operstate": "UP",
          "addr_info": [
           {
            "family": "inet",
            "local": "192.0.2.10",
            "prefixlen": 24,
            "scope": "global"
           },
           {
            "family": "inet6",
            "local": "fe80::1",
            "prefixlen": 64,
            "scope": "link"
           }
          ]
         }
        ]
        """,
        "ip -json route show default":
            """
        [
         {
          "dst": "default",
          "gateway": "192.0.2.1",
          "dev": "ens3",
          "protocol": "static",
          "flags": []
         }
        ]
        """,
        "dpkg --audit":
            "",
        "dpkg-query --show --showformat '${db:Status-Want}\\t${db:Status-Status}\\t${Package}\\t${Version}\\n'":
            """
        install\tinstalled\tbash\t5.2.37-2+b5
        hold\tinstalled\tlinux-image-7.2.12-amd64\t7.2.12-1~bpo13+1
        hold\tinstalled\tlinux-image-amd64\t7.2.12-1~bpo13+1
        deinstall\tconfig-files\tlinux-image-7.1.0-amd64\t7.1.0-1
        hold\tinstalled\tzfsutils-linux\t2.4.4-1~bpo13+1

        """,
        "systemctl list-units --failed --plain --no-legend --no-pager":
            "",
        "timedatectl show --property=NTP --property=NTPSynchronized":
            """
        NTP=yes
        NTPSynchronized=yes

        """,
        "locale -a":
            """
        C
        C.utf8
        de_DE.utf8
        POSIX

        """,
        "locale charmap":
            "UTF-8\n",
    ]

    static let recordedFiles: [String: String] = [
        "/boot/initrd.img-7.2.12-amd64": "x",
        "/proc/sys/kernel/osrelease": "7.2.12-amd64\n",
        "/sys/module/spl/parameters/spl_hostid": "0\n",
        "/boot/efi/EFI/BOOT/BOOTX64.EFI": "shim",
        "/run/kldload/look/0/copy/EFI/BOOT/BOOTX64.EFI": "shim",
        "/boot/efi/EFI/kldload/kldload-debian-7.2.12-amd64.1.efi": "UKI",
        "/boot/efi/loader/entries/kldload-debian-7.2.12-amd64.1+2-1.conf": "title debian\n",
        "/run/kldload/look/0/copy/EFI/kldload/kldload-debian-7.2.12-amd64.1.efi": "UKI",
        "/run/kldload/look/0/copy/loader/entries/kldload-debian-7.2.12-amd64.1.conf": "title debian\n",
        "/etc/passwd": "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n",
        "/etc/group": "root:x:0:\nsudo:x:27:admin\nadmin:x:1000:\n",
        "/etc/shadow": "root:*:20600:0:99999:7:::\nadmin:$y$j9T$abc$def:0:0:99999:7:::\n",
        "/etc/sudoers.d/kldload-admin": "admin ALL=(ALL:ALL) NOPASSWD: ALL\n",
        "/etc/ssh/ssh_host_ed25519_key": "key",
        "/etc/ssh/ssh_host_ed25519_key.pub": "pub",
        "/etc/resolv.conf": "# stub\nnameserver 127.0.0.53\noptions edns0\n",
        "/etc/hostname": "box\n",
        "/proc/sys/kernel/hostname": "box\n",
        "/var/lib/dpkg/status": "",
        "/etc/apt/sources.list.d/kldload.sources":
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        "/etc/apt/apt.conf.d/01kldload": "// Acquire::AllowInsecureRepositories \"true\"; never\nAPT::Install-Recommends \"false\";\n",
        "/etc/kldload/release": "KLDLOAD_VERSION=2.0.0\n",
        "/var/lib/dkms/mok.key": "private", "/var/lib/dkms/mok.pem": "certificate",
        "/etc/dkms/framework.conf.d/kldload.conf": "mok_signing_key=/var/lib/dkms/mok.key\n",
        "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal": "x",
        "/etc/default/locale": "LANG=de_DE.UTF-8\n",
        "/etc/default/keyboard": "XKBMODEL=pc105\nXKBLAYOUT=de\n",
        "/proc/sys/vm/swappiness": "10\n",
        "/proc/sys/net/ipv4/tcp_rmem": "4096\t262144\t16777216\n",
        "/home/admin/.bashrc": "",
        "/bin/login": "",
    ]
}

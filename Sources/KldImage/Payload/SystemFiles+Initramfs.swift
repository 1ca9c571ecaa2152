import KldBoot
import KldInstall

/// What a target's initramfs gets beside OpenZFS' own scripts, for initramfs-tools.
extension SystemFiles {
    /// initramfs.conf(5), initramfs-tools 0.142 to 0.148: for any machine, waits for no swap partition, keeps its content private.
    /// - Parameter level: of zstd; `nil`: the program's own.
    static func initramfsTools(level: Int?) -> String {
        let level = level.map { "COMPRESSLEVEL=\($0)\n" } ?? ""
        return "# Written by kldload.\nMODULES=most\nRESUME=none\nCOMPRESS=zstd\n\(level)UMASK=0077\n"
    }

    /// Scripts of the initramfs, by the folder below `scripts` that says when they run. Source: initramfs-tools(7), 0.142 to 0.148; OpenZFS'
    /// own `scripts/zfs` (2.1 to 2.4) runs both folders, then loads the modules and tries to import the root pool once.
    static let initramfsScripts: [(folder: String, name: String, text: String)] = [
        ("local-top", "kldload-hostid", makeHostID), ("local-top", "kldload-environment", chooseEnvironment),
        ("local-premount", "kldload-pool", waitForPool),
    ]

    /// The host id travels in the boot image; that of a sealed image has none, and a pool keeps what it was imported with.
    private static let makeHostID = """
        #!/bin/sh
        # Written by kldload: a machine without a host id gets one before its pool is imported.
        [ "$1" = prereqs ] && exit 0
        [ -s /etc/hostid ] && exit 0
        mkdir -p /run/kldload
        dd if=/dev/urandom of=/etc/hostid bs=4 count=1 2>/dev/null
        cp /etc/hostid \(FirstBoot.runningHostIDFile)

        """

    /// See ``EnvironmentChoice``. Source: The Boot Loader Interface, `LoaderEntrySelected`: four bytes of attributes, then UTF-16; systemd 252
    /// to 257.
    private static let chooseEnvironment = """
        #!/bin/sh
        # Written by kldload: starts the environment that was chosen in the boot menu.
        [ "$1" = prereqs ] && exit 0
        for word in $(cat /proc/cmdline); do
            case "$word" in
            root=ZFS=*) root=${word#root=ZFS=} ;;
            \(EnvironmentChoice.word)) chooses=yes ;;
            esac
        done
        [ -n "$root" ] && [ -n "$chooses" ] || exit 0
        variables=/run/kldload/efivars
        modprobe -q efivarfs
        mkdir -p "$variables"
        mount -t efivarfs -o ro efivarfs "$variables" 2>/dev/null
        id=$(tr -cd '\(EnvironmentChoice.range)' <"$variables/LoaderEntrySelected-\(EFIVariable.Vendor.loader.rawValue)" 2>/dev/null)
        umount "$variables" 2>/dev/null
        id=${id%.conf}
        name=${id#kldload-}
        name=${name%-"$(uname -r)".*}
        case "$id" in
        kldload-"$name"-"$(uname -r)".*) ;;
        *)
            echo "kldload: what was chosen in the boot menu is not known: starting ${root##*/}"
            exit 0
            ;;
        esac
        echo "ROOT='ZFS=${root%/*}/$name'" >>/conf/param.conf
        echo "$name" >\(EnvironmentChoice.followed)

        """

    /// Disks may come late: behind USB, or a controller that counts them for a while. OpenZFS tries once, and what it cannot import ends in a
    /// restart. A pool that lacks disks has a quarter of a minute for them. Before the recovery console a person tries again.
    private static let waitForPool = """
        #!/bin/sh
        # Written by kldload: waits for the disks of the root pool.
        [ "$1" = prereqs ] && exit 0
        for word in $(cat /proc/cmdline); do
            case "$word" in
            root=ZFS=*) pool=${word#root=ZFS=} pool=${pool%%/*} ;;
            boot=\(RecoveryImage.method)) exit 0 ;;
            esac
        done
        # OpenZFS' script comes by here a second time.
        [ -n "$pool" ] && [ ! -e /run/kldload/waited ] || exit 0
        mkdir -p /run/kldload && : >/run/kldload/waited
        modprobe -q zfs || exit 0
        state() {
            /sbin/zpool import 2>/dev/null | while read -r key value; do
                case "$key" in
                pool:) found=$value ;;
                state:) [ "$found" != "$pool" ] || echo "$value" ;;
                esac
            done
        }
        waited=0
        while [ "$waited" -lt 60 ]; do
            case "$(state)" in
            *ONLINE*) break ;;
            *DEGRADED*) [ "$waited" -lt 15 ] || break ;;
            esac
            [ "$waited" -gt 0 ] || echo "kldload: waiting for the disks of the pool $pool"
            sleep 1
            waited=$((waited + 1))
        done

        """

    /// What the recovery image needs beyond a root on ZFS: the ESP's file system, and the firmware's variables. They are loaded when they are used.
    /// Source: initramfs-tools(7), `hook-functions`, 0.142 to 0.148; Linux 6.1 to 7.2, `fs/fat/Kconfig`: code page 437, and ASCII or UTF-8.
    static let initramfsHook = (
        path: "/usr/share/initramfs-tools/hooks/kldload",
        text: """
        #!/bin/sh
        # Written by kldload: modules for the recovery image.
        [ "$1" = prereqs ] && exit 0
        . /usr/share/initramfs-tools/hook-functions
        manual_add_modules vfat nls_cp437 nls_ascii nls_utf8 efivarfs

        """
    )

    /// Read by zfs-initramfs before it would ask on one console. By itself it asks on `/dev/console` alone, which is the serial port
    /// wherever there is one: a person before screen and keyboard would see nothing. Source: zfs-initramfs `scripts/zfs`, OpenZFS 2.3 and
    /// 2.4; that of 2.1 (Debian 12) does not read it.
    ///
    /// Sourced by busybox' sh, with `ENCRYPTIONROOT` and `KEYLOCATION` set. Whoever answers first is heard; the other questions are ended.
    static let passphrasePrompt = """
        # Written by kldload: asks for the passphrase on every console at once.
        [ "$KEYLOCATION" = prompt ] || return 1
        locked() { [ "$(/sbin/zfs get -H -o value keystatus "$ENCRYPTIONROOT")" = unavailable ]; }
        rm -f /run/kldload-asks.*
        for console in $(cat /sys/class/tty/console/active); do
            # tty0 is whichever terminal is shown; a keyboard types into the first one.
            [ "$console" != tty0 ] || console=tty1
            [ -c "/dev/$console" ] || continue
            (
                while locked; do
                    /sbin/zfs load-key "$ENCRYPTIONROOT" <"/dev/$console" >"/dev/$console" 2>&1 &
                    echo $! >"/run/kldload-asks.$console"
                    wait $! || sleep 1
                done
            ) &
        done
        while locked; do sleep 1; done
        for asks in /run/kldload-asks.*; do
            kill -INT "$(cat "$asks")" 2>/dev/null
        done
        sleep 1
        for asks in /run/kldload-asks.*; do
            kill "$(cat "$asks")" 2>/dev/null
            rm -f "$asks"
        done
        true

        """
}

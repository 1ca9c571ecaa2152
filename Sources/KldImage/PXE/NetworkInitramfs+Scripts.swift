extension NetworkInitramfs {
    /// Started by the kernel, as process 1. busybox(1), Debian's busybox-static 1.37; Linux 7.2.
    ///
    /// Reads the kernel's command line: `root=live:http://…`, `kldload.live-sha256=…`, and `BOOTIF=01-52-54-00-12-34-56`, the address of the card
    /// that the machine was started from.
    static let start = #"""
        #!/busybox sh
        # Written by kldload: fetches the live environment, checks it, and starts it. root=live:http://HOST/live.squashfs
        set -f
        /busybox mount -t proc proc /proc
        /busybox mount -t sysfs sysfs /sys
        /busybox mount -t devtmpfs devtmpfs /dev
        /busybox mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
        /busybox --install -s /bin
        export PATH=/bin HOME=/ TERM=linux
        # The kernel asks for drivers of parts of a card by itself.
        modprobe=$(cat /proc/sys/kernel/modprobe)
        echo /bin/modprobe >/proc/sys/kernel/modprobe
        log=/run/kldload-network.log
        live=/run/initramfs/live
        image=$live/LiveOS/squashfs.img

        consoles() {
            for console in $(cat /sys/class/tty/console/active); do
                # tty0 is whichever terminal is shown; a keyboard types into the first one.
                [ "$console" != tty0 ] || console=tty1
                [ ! -c "/dev/$console" ] || echo "/dev/$console"
            done
        }

        say() {
            echo "kldload: $*" >>"$log"
            for console in $(consoles); do echo "kldload: $*" >"$console"; done
        }

        # The last word of that name on the kernel's command line.
        word() {
            for entry in $(cat /proc/cmdline); do
                case "$entry" in "$1="*) echo "${entry#*=}" ;; esac
            done | tail -n 1
        }

        drivers() { find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u | xargs modprobe -q -b -a 2>/dev/null; }

        # Cards with a cable for them, the one that the machine was started from first.
        cards() {
            started=$(word BOOTIF | tr 'A-Z-' 'a-z:')
            others=
            for card in $(ls /sys/class/net); do
                [ -e "/sys/class/net/$card/device" ] || continue
                case "${started#01:}" in
                    "$(cat "/sys/class/net/$card/address")") echo "$card" ;;
                    *) others="$others $card" ;;
                esac
            done
            for card in $others; do echo "$card"; done
        }

        # A switch may take half a minute before it lets anything through.
        linked() {
            for second in $(seq 10); do
                [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" != 1 ] || return 0
                sleep 1
            done
            return 1
        }

        address() {
            # Cards on USB, and those that take their firmware first, appear late.
            for second in $(seq 15); do
                drivers
                [ -z "$(cards)" ] || break
                sleep 1
            done
            reason="no network card that there is a driver for"
            [ -n "$(cards)" ] || return 1
            reason="no cable in any network card"
            for card in $(cards); do ip link set "$card" up; done
            for card in $(cards); do
                linked "$card" || continue
                say "asking for an address on $card, $(cat "/sys/class/net/$card/address")"
                udhcpc -i "$card" -s /dhcp -n -q -f -t 10 -T 4 >>"$log" 2>&1 && return 0
                reason="nobody gave an address on $card"
            done
            return 1
        }

        # One that was cut off goes on where it was.
        fetch() {
            rm -f "$image"
            for attempt in 1 2 3 4 5; do
                say "fetching $url"
                wget -q -c -T 30 -O "$image" "$url" 2>/run/wget && return 0
                reason=$(tail -n 1 /run/wget)
                say "$reason"
                sleep "$pause"
            done
            return 1
        }

        # What was fetched is what the boot menu meant, whoever it came from.
        meant() {
            wanted=$(word kldload.live-sha256)
            if [ -z "$wanted" ]; then
                # A certificate is not looked at here: the digest is what tells.
                case "$url" in
                    https:*)
                        reason="https needs the digest of what comes: kldload.live-sha256= is not on the kernel's command line"
                        return 1
                        ;;
                esac
                say "not checked: the kernel's command line has no kldload.live-sha256="
                return 0
            fi
            found=$(sha256sum <"$image")
            [ "${found%% *}" != "$wanted" ] || return 0
            reason="what came from $url is not what the boot menu means: its sha256 is ${found%% *}"
            rm -f "$image"
            return 1
        }

        down() {
            for card in $(cards); do
                ip addr flush dev "$card"
                ip link set "$card" down
            done
            rm -f /etc/resolv.conf
        }

        start() {
            reason="the live environment cannot be mounted"
            umount -l /sysroot /run/overlay /run/rootfsbase 2>/dev/null
            mkdir -p /run/rootfsbase /run/overlay
            mount -t squashfs -o loop,ro "$image" /run/rootfsbase || return 1
            mount -t tmpfs -o mode=0755 tmpfs /run/overlay || return 1
            mkdir -p /run/overlay/files /run/overlay/work
            mount -t overlay -o lowerdir=/run/rootfsbase,upperdir=/run/overlay/files,workdir=/run/overlay/work overlay /sysroot || return 1
            echo "$modprobe" >/proc/sys/kernel/modprobe
            for place in dev proc sys run; do mount -o move "/$place" "/sysroot/$place"; done
            exec switch_root /sysroot /sbin/init
        }

        # Whoever presses Enter at any console gets a shell there; nobody: once more.
        offer() {
            say "error: $reason"
            for console in $(consoles); do
                (
                    # Said when the console is open: what is typed into one that is closed again is lost.
                    echo "kldload: once more in 30 seconds; Enter: a shell before that ($log says more)"
                    read -r -t 30 answer || exit 0
                    echo "kldload: 'exit' tries once more"
                    setsid -c sh
                    # All but this and process 1, which waits for all: nobody's open shell keeps it from trying.
                    kill -9 -1
                ) <"$console" >"$console" 2>&1 &
            done
            wait
        }

        url=$(word root)
        url=${url#live:}
        pause=5
        modprobe -a loop squashfs overlay
        mkdir -p "$live"
        mount -t tmpfs -o mode=0755,size=80% tmpfs "$live"
        mkdir -p "${image%/*}"
        until address && fetch && meant && down && start; do offer; done

        """#

    /// Started by udhcpc with what a server has said. Source: busybox 1.37, `examples/udhcp/udhcp.conf`, `simple.script`.
    static let lease = #"""
        #!/busybox sh
        # Written by kldload: what udhcpc was given is put to use.
        case "$1" in
            deconfig)
                ip addr flush dev "$interface"
                ip link set "$interface" up
                ;;
            bound | renew)
                ip addr flush dev "$interface"
                ip addr add "$ip/${mask:-24}" dev "$interface"
                for gateway in $router; do ip route add default via "$gateway" dev "$interface" && break; done
                : >/etc/resolv.conf
                [ -z "$domain" ] || echo "search $domain" >>/etc/resolv.conf
                for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
                ;;
        esac

        """#
}

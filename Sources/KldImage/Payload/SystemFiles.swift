import KldInstall

/// Texts of files that are the same on every machine.
enum SystemFiles {
    /// sshd_config(5), OpenSSH 9.2 to 10. The admin's password is accepted only once it is no longer the default one:
    /// the drop-in that the installer adds for that case refuses it by name.
    static let sshPolicy = """
        # Written by kldload. Drop-ins read before this one win.
        PermitRootLogin prohibit-password
        PasswordAuthentication yes
        KbdInteractiveAuthentication no
        PermitEmptyPasswords no
        X11Forwarding no

        """

    /// The live environment's: keys alone let in, and there are none until a person, or an answer, brings one.
    static let liveSSHPolicy = """
        # Written by kldload.
        PermitRootLogin prohibit-password
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        X11Forwarding no

        """

    /// Without a key nobody could enter, so nothing listens; host keys are made when it starts. systemd.unit(5), systemd 257.
    static let liveSSH = """
        [Unit]
        ConditionFileNotEmpty=/root/.ssh/authorized_keys

        [Service]
        ExecStartPre=
        ExecStartPre=/usr/bin/ssh-keygen -A
        ExecStartPre=/usr/sbin/sshd -t

        """

    /// Whoever sits at a live medium's console owns the machine: root has no password, and needs none there. agetty(8), util-linux 2.41.
    /// The screen is not cleared for the shell: how the guided installation ended is on it. systemd.exec(5), systemd 257.
    static func autologin(serial: Bool) -> String {
        """
        [Service]
        ExecStart=
        ExecStart=-/sbin/agetty --autologin root \(serial ? "--keep-baud 115200,57600,38400,9600" : "--noclear") - $TERM
        \(serial ? "" : "TTYVTDisallocate=no\n")
        """
    }

    /// systemd.network(5), systemd 252. Any other file for the interface, cloud-init's too, sorts before this one.
    static let dhcpNetwork = """
        [Match]
        Type=ether
        Kind=!*

        [Network]
        DHCP=yes
        IPv6AcceptRA=yes

        [DHCPv4]
        ClientIdentifier=mac
        UseDomains=yes

        """

    /// cloud-init 22.4 to 25.1. ZFS grows by the first-boot service; cloud-init does not know a ZFS root's partition.
    static let cloudInit = """
        # Written by kldload.
        system_info:
          network:
            renderers: ['networkd']
        growpart:
          mode: 'off'
        resize_rootfs: false
        manage_etc_hosts: localhost

        """

    /// journald.conf(5), systemd 252.
    static let journald = """
        [Journal]
        Storage=persistent
        SystemMaxUse=512M

        """

    /// dracut.conf(5), dracut 106. Without other storage stacks: a live system assembles nothing it was not asked to. Without times of the
    /// build, and with two threads wherever it is built: zstd's output is not the same with one.
    static let liveDracut = """
        hostonly="no"
        hostonly_cmdline="no"
        compress="zstd -9 -T2"
        reproducible="yes"
        add_dracutmodules+=" dmsquash-live "
        omit_dracutmodules+=" systemd-cryptsetup crypt lvm mdraid dmraid btrfs nfs multipath iscsi zfs plymouth "

        """

    /// containers-storage.conf(5), containers-common 0.50. The zfs driver makes its datasets below the one that the folder is on.
    static func containerStorage(_ driver: String) -> String {
        """
        # Written by kldload.
        [storage]
        driver = "\(driver)"
        runroot = "/run/containers/storage"
        graphroot = "/var/lib/containers/storage"

        [storage.options.\(driver)]
        mountopt = "nodev"

        """
    }

    /// The page that units name is installed with the tool; the live environment has no reader of manuals.
    static let units: [(name: String, text: String)] = [
        (
            // Disks of the root pool are there since the initramfs; udev's links to their partitions are complete once it has settled.
            MountedESP.unit,
            """
            [Unit]
            Description=kldload: mount the ESP of the disk that was started
            Documentation=man:kldload(8)
            DefaultDependencies=no
            Wants=systemd-udev-settle.service
            After=systemd-udev-settle.service systemd-remount-fs.service zfs-mount.service
            Before=local-fs.target shutdown.target
            Conflicts=shutdown.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/kldload/kldload mount-esp

            [Install]
            WantedBy=local-fs.target

            """
        ),
        (
            "kldload-firstboot.service",
            """
            [Unit]
            Description=kldload first boot: identities, keys, growth
            Documentation=man:kldload(8)
            ConditionPathExists=!/var/lib/kldload/firstboot/done
            DefaultDependencies=no
            After=local-fs.target zfs-mount.service systemd-remount-fs.service
            Before=ssh.service cloud-init-local.service network-pre.target shutdown.target
            Wants=network-pre.target
            Conflicts=shutdown.target
            RequiresMountsFor=/var/lib/kldload /etc /boot

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/kldload/kldload firstboot
            TimeoutStartSec=infinity
            StandardOutput=journal+console

            [Install]
            WantedBy=multi-user.target ssh.service

            """
        ),
        (
            "kldload-verify.service",
            """
            [Unit]
            Description=kldload verify: report to the hypervisor that asks for it
            Documentation=man:kldload(8)
            ConditionPathExists=/dev/virtio-ports/com.kldload.verify
            After=multi-user.target kldload-firstboot.service cloud-final.service

            [Service]
            Type=oneshot
            ExecStart=/usr/lib/kldload/kldload verify --format json --settle 300 --output /dev/virtio-ports/com.kldload.verify

            [Install]
            WantedBy=multi-user.target

            """
        ),
    ]

    /// Present everywhere, enabled by the installer only where the known default password was set.
    static let dormantUnits: [(name: String, text: String)] = [
        (
            "kldload-default-password.path",
            """
            [Unit]
            Description=kldload: watch for the change of the default password

            [Path]
            PathChanged=/etc/shadow

            [Install]
            WantedBy=multi-user.target

            """
        ),
        (
            "kldload-default-password.service",
            """
            [Unit]
            Description=kldload: accept passwords over SSH once the default one was changed

            [Service]
            Type=oneshot
            ExecStart=/usr/lib/kldload/kldload default-password

            """
        ),
    ]

    /// What a live environment starts that was booted by itself; the factory's target brings up nothing of it.
    static let autoinstall = (
        name: "kldload-autoinstall.service",
        text: """
        [Unit]
        Description=kldload: install as the answers on a seed volume say
        ConditionPathExists=!/run/kldload/autoinstall
        ConditionKernelCommandLine=!kldload.autoinstall=0
        After=multi-user.target

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/usr/lib/kldload/kldload autoinstall
        StandardInput=null
        StandardOutput=journal
        StandardError=journal
        TimeoutStartSec=infinity

        [Install]
        WantedBy=multi-user.target

        """
    )

    /// Started by the one above where nobody says what to install. Its end, on which a shell follows, waits for a person who has read it.
    /// systemd.exec(5), systemd.unit(5), systemd 257.
    static let guided = (
        name: "kldload-guided.service",
        text: """
        [Unit]
        Description=kldload: the installer's screens, at the machine's own
        Conflicts=getty@tty1.service
        After=getty@tty1.service
        ConditionPathExists=/dev/tty1
        OnSuccess=getty@tty1.service
        OnFailure=getty@tty1.service

        [Service]
        Type=exec
        ExecStart=/usr/bin/kldload-install-target --guided --wait
        StandardInput=tty
        StandardOutput=tty
        StandardError=tty
        TTYPath=/dev/tty1
        TTYReset=yes

        """
    )

    /// The factory's guest in place of an init system: nothing of the live environment is started but udev. Its power goes when the work ends,
    /// however that was; the host has heard by then. systemd-udevd(8), udevadm(8), systemd 257; sysrq, Linux 6.12.
    static let factoryStart = (
        path: "/usr/lib/kldload/factory-start",
        text: """
        #!/bin/sh
        # Written by kldload: /init of the factory's guest ends here.
        export PATH=/usr/sbin:/usr/bin:/sbin:/bin
        mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
        mkdir -p /run/lock /dev/pts /dev/shm
        mount -t devpts -o gid=5,mode=0620 devpts /dev/pts
        mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
        cat /etc/hostname >/proc/sys/kernel/hostname
        /usr/lib/systemd/systemd-udevd --daemon
        udevadm trigger --action=add --subsystem-match=virtio --subsystem-match=virtio-ports --subsystem-match=block
        /usr/lib/kldload/kldload factory-guest
        sync
        echo o >/proc/sysrq-trigger
        sleep 60

        """
    )
}

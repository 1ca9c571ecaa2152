extension SystemFiles {
    /// A boot is judged, and one on trial that does not do well ends with a restart: the loader counts, and goes back.
    /// Source: systemd-boot(7), Automatic Boot Assessment; systemd.special(7), `boot-complete.target`; systemd 252 to 257.
    static let bootUnits: [(name: String, text: String)] = [
        (
            "kldload-boot-check.service",
            """
            [Unit]
            Description=kldload: is this boot good?
            Documentation=man:kldload(8)
            After=kldload-firstboot.service network.target
            Before=boot-complete.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/kldload/kldload boot check
            StandardError=journal+console

            [Install]
            RequiredBy=boot-complete.target

            """
        ),
        (
            "kldload-boot-good.service",
            """
            [Unit]
            Description=kldload: this boot is good
            Documentation=man:kldload(8)
            Requires=boot-complete.target
            After=boot-complete.target systemd-bless-boot.service

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/kldload/kldload boot good
            StandardError=journal+console

            [Install]
            WantedBy=multi-user.target

            """
        ),
        (
            "kldload-boot-deadline.timer",
            """
            [Unit]
            Description=kldload: a boot on trial has ten minutes
            Documentation=man:kldload(8)
            DefaultDependencies=no
            Conflicts=shutdown.target
            Before=shutdown.target

            [Timer]
            # Not since the kernel's start: it may have waited for somebody who types the passphrase.
            OnActiveSec=10min
            AccuracySec=10s

            [Install]
            WantedBy=sysinit.target

            """
        ),
        (
            "kldload-boot-refresh.path",
            """
            [Unit]
            Description=kldload: watch for what boots
            Documentation=man:kldload(8)

            [Path]
            PathChanged=/boot
            PathChanged=/usr/lib/systemd/boot/efi
            PathChanged=/usr/lib/shim
            PathChanged=/usr/lib/grub/x86_64-efi-signed

            [Install]
            WantedBy=multi-user.target

            """
        ),
        (
            // Not while a machine starts: the image takes a while to build, and nobody waits for it.
            "kldload-recovery-image.timer",
            """
            [Unit]
            Description=kldload: the recovery image follows a good boot
            Documentation=man:kldload(8)
            DefaultDependencies=no
            Requires=boot-complete.target
            After=boot-complete.target kldload-boot-good.service
            Conflicts=shutdown.target
            Before=shutdown.target

            [Timer]
            OnActiveSec=60s
            AccuracySec=10s

            [Install]
            WantedBy=multi-user.target

            """
        ),
        (
            // shim forgets a request that nobody answers, so it is made again: see ``KeyEnrolment``.
            "kldload-mok-enroll.service",
            """
            [Unit]
            Description=kldload: ask the firmware again to trust this machine's key
            Documentation=man:kldload(8)
            ConditionPathExists=/var/lib/kldload/secure-boot/wanted
            After=local-fs.target zfs-mount.service
            Before=getty-pre.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/kldload/kldload secure-boot repeat

            [Install]
            WantedBy=multi-user.target

            """
        ),
    ]

    /// Started by the ones above.
    static let bootHelpers: [(name: String, text: String)] = [
        (
            "kldload-boot-deadline.service",
            """
            [Unit]
            Description=kldload: leave an environment on trial that is not good after ten minutes
            DefaultDependencies=no
            Conflicts=shutdown.target
            Before=shutdown.target

            [Service]
            Type=oneshot
            ExecStart=/usr/lib/kldload/kldload boot give-up --reason "it was not good ten minutes after it started" --unless-good

            """
        ),
        (
            "kldload-boot-refresh.service",
            """
            [Unit]
            Description=kldload: stage what boots
            Documentation=man:kldload(8)
            After=kldload-boot-good.service

            [Service]
            Type=oneshot
            ExecStart=/usr/lib/kldload/kldload boot refresh --hook

            """
        ),
        (
            "kldload-recovery-image.service",
            """
            [Unit]
            Description=kldload: make the recovery image of what runs
            Documentation=man:kldload(8)

            [Service]
            Type=oneshot
            ExecStart=/usr/lib/kldload/kldload boot recovery --hook
            Nice=19
            IOSchedulingClass=idle

            """
        ),
        (
            // A person at the console of an environment that has proved itself still gets the shell.
            "emergency.service.d/50-kldload.conf",
            """
            [Service]
            ExecStartPre=-/usr/lib/kldload/kldload boot give-up --reason "it stopped in emergency mode"

            """
        ),
    ]

    /// Names that earlier releases gave to units. systemd.unit(5), systemd 252: a link beside a unit is another name of it.
    static let unitAliases: [(name: String, unit: String)] = ["path", "service"].map {
        ("kldload-grub-refresh.\($0)", "kldload-boot-refresh.\($0)")
    }

    /// A kernel that hangs is started again by the hardware, where there is a watchdog. systemd-system.conf(5), systemd 252.
    static let watchdog = """
        [Manager]
        RuntimeWatchdogSec=60s
        RebootWatchdogSec=10min

        """
}

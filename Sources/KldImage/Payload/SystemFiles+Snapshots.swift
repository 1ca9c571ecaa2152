extension SystemFiles {
    /// Where there is a policy. sanoid's own timer fires at every quarter of an hour; these look some minutes later whether it did its work.
    /// Source: systemd.timer(5), systemd 252 to 257.
    static let snapshotUnits: [(name: String, text: String)] = [
        (
            "kldload-snapshot.timer",
            """
            [Unit]
            Description=kldload: a snapshot of the running environment every hour
            Documentation=man:kldload-snapshot(8)

            [Timer]
            OnBootSec=10min
            OnCalendar=*:07
            AccuracySec=1min

            [Install]
            WantedBy=timers.target

            """
        ),
        (
            "kldload-srv-snapshot.timer",
            """
            [Unit]
            Description=kldload: a snapshot of /srv every quarter of an hour
            Documentation=man:kldload-snapshot(8)

            [Timer]
            OnBootSec=5min
            OnUnitActiveSec=15min
            AccuracySec=30s

            [Install]
            WantedBy=timers.target

            """
        ),
    ]

    /// Started by the ones above.
    static let snapshotHelpers: [(name: String, text: String)] = [
        ("kldload-snapshot.service", snapshotService("the running environment", "auto")),
        ("kldload-srv-snapshot.service", snapshotService("/srv", "srv")),
    ]

    private static func snapshotService(_ what: String, _ kind: String) -> String {
        """
        [Unit]
        Description=kldload: a snapshot of \(what), unless there is a young one
        Documentation=man:kldload-snapshot(8)
        After=zfs-mount.service

        [Service]
        Type=oneshot
        ExecStart=/usr/lib/kldload/kldload snapshot take --kind \(kind) --scheduled

        """
    }

    /// Around every run of dpkg; a snapshot that cannot be taken keeps nobody from changing packages. Source: apt.conf(5), apt 2.6 to 3.0.
    static let aptSnapshots: [(path: String, text: String)] = [
        ("/etc/apt/apt.conf.d/00-kldload-snapshot-pre", aptSnapshot("Pre-Invoke", "apt-pre")),
        ("/etc/apt/apt.conf.d/00-kldload-snapshot-post", aptSnapshot("Post-Invoke", "apt-post")),
    ]

    private static func aptSnapshot(_ moment: String, _ kind: String) -> String {
        let tool = "/usr/lib/kldload/kldload"
        return
            "// Written by kldload.\nDPkg::\(moment) { \"test ! -x \(tool) || \(tool) snapshot take --kind \(kind) --hook || true\"; };\n"
    }
}

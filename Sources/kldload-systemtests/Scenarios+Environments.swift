import KldCore
import KldImage
import KldVirt

extension Scenario {
    /// What people do with boot environments beside starting them, and an ESP that fails.
    static let environments: [Scenario] = [
        Scenario(
            "boot.verbs",
            "environments are compared, exported, imported, adopted, renamed, rolled back and pruned, and what came through a stream is booted"
        ) { lab in
            try await withMachine(lab) { guest in
                var said = try await guest.told(
                    """
                    kbe create work && place=$(kbe mount work) && echo mine >$place/etc/marker && chroot $place dpkg --purge nano
                    kbe unmount work && kbe diff debian work
                    kbe export work --output /var/tmp/work.zfs && stat -c 'stream %a %U' /var/tmp/work.zfs
                    kbe import back --own --input /var/tmp/work.zfs && kbe diff work back && kbe import stranger </var/tmp/work.zfs
                    kbe activate stranger || echo refused; kbe adopt stranger --yes; kbe rename work worked && kbe list
                    """, within: .seconds(600))
                try check(
                    said.contains("+ /etc/marker") && said.contains("- /etc/nanorc")
                        && said.lines.contains { $0.words.count == 3 && $0.words.first == "nano" && $0.words.last == "-" },
                    "the difference is not said: \(said)")
                // What came through a stream.
                try check(said.lines.contains { $0.trimmed == "no difference in packages, kernels and /etc" }, said)
                try check(said.contains("stream 600 root"), said)
                try check(said.contains("error[boot.foreign]") && said.contains("\nrefused"), "another machine's was activated: \(said)")
                let listed = said.lines.drop { !$0.hasPrefix("NAME  ") || !$0.contains("ACTIVE") }.dropFirst().compactMap(\.words.first)
                try check(Set(listed) == ["debian", "worked", "back", "stranger"], "\(listed): \(said)")

                // Both ends of a pipe work at once; what is being sent keeps its name and its snapshots until it is through.
                said = try await guest.told(
                    """
                    kbe export worked | kbe import piped --own && kbe diff worked piped && kbe destroy piped --yes
                    mkfifo /run/slow && (
                    kbe export worked >/run/slow & exec 9</run/slow; head -c 1 <&9 >/dev/null
                    kbe rename worked other 2>&1; kbe destroy worked --yes 2>&1
                    cat <&9 >/dev/null; wait $! && echo sent; kbe list --quiet; zfs list -H -t snapshot -o name -d 1 rpool/ROOT/worked 2>/dev/null )
                    """, within: .seconds(600))
                try check(said.contains("no difference in packages, kernels and /etc"), said)
                try check(said.split(separator: "error[lock.held]").count == 3, "what is being sent was taken: \(said)")
                try check(Set(said.lines.drop { $0 != "sent" }) == ["sent", "debian", "worked", "back", "stranger"], said)

                // One with a dataset of its own below it, and one that only holds that.
                said = try await guest.told(
                    """
                    zfs create -o canmount=off -o mountpoint=/usr/share rpool/ROOT/debian/share
                    zfs create -o canmount=noauto -o mountpoint=/usr/share/tools rpool/ROOT/debian/share/tools
                    zfs mount rpool/ROOT/debian/share/tools && echo sharp >/usr/share/tools/axe
                    kbe create deep && cat $(kbe mount deep)/usr/share/tools/axe && kbe unmount deep && kbe rename deep deeper
                    """)
                try check(said.lines.contains("sharp"), said)

                // It has a line in the menu, under its new name: chosen there it starts, and the boot after is as before.
                try await guest.tellLoader("LoaderEntryOneShot", "kldload-deeper-*.conf")
                said = try await guest.run("$tool doctor boot")
                try check(said.contains("the next boot is deeper, Linux") && said.contains("the one after is debian"), said)
                // A good boot notes what the next one is: this one must come back without.
                try await guest.restart(untilGood: false)
                said = try await guest.told(
                    """
                    kbe current; cat /usr/share/tools/axe; findmnt -n -o SOURCE /usr/share/tools
                    zfs get -H -o value canmount,mountpoint rpool/ROOT/deeper/share rpool/ROOT/deeper/share/tools; kbe list
                    """)
                let deep = ["sharp", "rpool/ROOT/deeper/share/tools", "off", "/usr/share", "noauto", "/usr/share/tools"]
                try check(Array(said.lines.prefix(7)) == ["deeper"] + deep, said)
                try await guest.restart()
                try check(try await guest.run("kbe current").trimmed == "debian", "what was started once boots again")

                // What the menu was told for every start counts until something is activated.
                try await guest.tellLoader("LoaderEntryDefault", "kldload-debian-*.conf")
                said = try await guest.run("$tool doctor boot")
                try check(said.contains("for every start"), said)

                for name in ["back", "stranger"] {
                    said = try await guest.run("kbe activate \(name) && $tool doctor boot")
                    try check(said.contains("the next boot is \(name), Linux") && said.contains(": it starts"), said)
                    try await guest.restart()
                    said = try await guest.told("kbe current; cat /etc/marker; hostname; systemctl --failed --no-legend")
                    try check(said.lines.prefix(2) == [name, "mine"], said)
                }

                // Back to what it was before a change, which stays.
                said = try await guest.run(
                    """
                    zfs snapshot rpool/ROOT/stranger@before && echo changed >/etc/marker && kbe rollback before --name undone && $tool doctor boot
                    """)
                try check(said.contains("the next boot is undone, Linux"), said)
                try await guest.restart()
                said = try await guest.told("kbe current; cat /etc/marker; kbe diff undone stranger")
                try check(said.lines.prefix(2) == ["undone", "mine"] && said.contains("~ /etc/marker"), said)

                // None is that old; then all are.
                said = try await guest.told(
                    """
                    kbe prune --older-than 30d --yes; kbe list --quiet
                    systemctl stop systemd-timesyncd; date -s '+40 days' >/dev/null
                    kbe mount worked >/dev/null; kbe prune --older-than 30d --yes 2>&1; echo left:; kbe list --quiet; $tool doctor boot
                    """, within: .seconds(300))
                let parts = said.split(separator: "left:")
                try check(parts.count == 2 && parts[0].lines.contains("back"), said)
                let left = Set(parts[1].lines.map(\.trimmed).filter { !$0.isEmpty && !$0.contains(" ") })
                try check(left == ["undone", "worked"] && said.contains(": it starts"), "pruned otherwise: \(left): \(said)")
            }
        },
        Scenario(
            "boot.damaged-esp",
            "an ESP of a mirror that cannot be read keeps no verb, no trial and no start back, is named with its disk, and is restored"
        ) { lab in
            try await withMachine(lab, example: "mirror", disks: 2) { guest in
                /// What `doctor boot` says against an ESP.
                func warnings(_ said: String) -> [String] { said.lines.filter { $0.words.prefix(2) == ["WARN", "ESP"] } }
                for (name, isOwn) in [("first", false), ("second", true)] {
                    // That which has started the machine, or the other one. A repair may change which that is.
                    let own = try await guest.run("findmnt -n -o SOURCE /boot/efi").trimmed
                    try check(["/dev/vda1", "/dev/vdb1"].contains(own), "started from \(own)")
                    let other = own == "/dev/vda1" ? "/dev/vdb1" : "/dev/vda1"
                    let (partition, whole) = isOwn ? (own, other) : (other, own)
                    guest.lab.log("damaging \(partition); the machine was started from \(own)")
                    var said = try await guest.told(
                        """
                        for place in $(findmnt -n -o TARGET --source \(partition)); do umount $place; done
                        dd if=/dev/zero of=\(partition) bs=64K count=64 conv=fsync status=none
                        kbe create \(name) 2>&1 && kbe activate \(name) 2>&1; echo status $?; $tool doctor boot
                        """)
                    try check(said.contains("status 0") && said.contains("the next boot is \(name), Linux"), said)
                    try check(
                        said.contains(": it starts") && warnings(said).contains { $0.contains(partition) },
                        "it is not said which one is damaged: \(said)")
                    try await guest.restart()
                    said = try await guest.told("kbe current; findmnt -n -o SOURCE /boot/efi; kbe list; $tool doctor boot")
                    try check(Array(said.lines.prefix(2)) == [name, whole], said)
                    try check(
                        said.lines.contains { $0.words.first == name && $0.words.last == "good" }
                            && warnings(said).contains { $0.contains(partition) }, said)

                    // As it is told there.
                    said = try await guest.told(
                        """
                        $tool boot restore \(partition.dropLast()) --format \(partition) 2>&1; $tool verify --only boot && $tool doctor boot
                        """)
                    try check(said.contains(": it starts") && warnings(said).isEmpty, said)
                    try await guest.restart()
                    said = try await guest.told("kbe current; $tool verify --only boot; findmnt -n /boot/efi || true")
                    try check(said.hasPrefix(name), said)
                    // Both can be mounted again.
                    try await guest.hasMountedESP()
                }
            }
        },
    ]
}

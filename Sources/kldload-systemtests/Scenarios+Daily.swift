import KldAnswers
import KldCore
import KldVirt

extension Scenario {
    /// What happens to an installed machine in its second month.
    static let dailies: [Scenario] = [
        Scenario(
            "daily.upgrade",
            "packages change in a new environment, which boots and carries them; what fails or is killed leaves the running system as it was",
            limit: .seconds(7200)
        ) { lab in
            try await withMachine(lab, lab.archive) { guest in
                // From the real archive.
                var said = try await guest.told(
                    """
                    $tool kpkg install hello --name first 2>&1 && ! command -v hello && echo not here && kbe list
                    findmnt -n -o TARGET -R /run/kldload/upkeep || zfs get -H -o value com.kldload:upkeep rpool/ROOT/first
                    """, within: .seconds(900))
                try check(
                    said.contains("first boots next") && said.contains("not here") && said.lines.last?.trimmed == "-",
                    "the environment was not made: \(said)")
                try await guest.restart()
                said = try await guest.told(
                    "kbe current; hello; test ! -e /usr/sbin/policy-rc.d && $tool kpkg holds | tail -n +2 | wc -l; kbe list"
                )
                try check(said.lines.prefix(2) == ["first", "Hello, world!"], "another environment was booted: \(said)")
                try check((Int(said.lines.dropFirst(2).first?.trimmed ?? "") ?? 0) > 5, "nothing is held: \(said)")

                // From here on an archive of our own, with packages that misbehave.
                try await guest.run(packing)
                try await guest.run(
                    """
                    echo true | pack good 1; echo 'echo it cannot be >&2; exit 1' | pack bad 1; echo 'sleep 900' | pack slow 1
                    echo 'mkdir -p /var/log/daemon; setsid sleep 987 >/dev/null 2>&1 & true' | pack daemon 1; index
                    """)

                // A maintainer script that fails.
                said = try await guest.told(
                    """
                    left() { kbe list --quiet; zfs list -H -o name -t snapshot -r rpool/ROOT; findmnt -n -o TARGET -R /run/kldload/upkeep || true; }
                    left >/run/before; $tool kpkg install bad 2>&1; echo status $?; left >/run/after; cmp /run/before /run/after && echo the same
                    ! test -e /usr/share/bad && kbe current
                    """, within: .seconds(600))
                try check(
                    said.contains("error[upkeep.packages]") && said.contains("processing package bad")
                        && said.lines.contains { $0.trimmed == "status 1" }, said)
                try check(said.contains("the same") && said.lines.last?.trimmed == "first", "something is left: \(said)")

                // Killed while a maintainer script runs: the next run takes away what is left, processes too.
                said = try await guest.told(
                    """
                    $tool kpkg install slow --name slow >/run/slow.log 2>&1 & pid=$!
                    until pgrep -f slow.postinst >/dev/null || ! kill -0 $pid 2>/dev/null; do sleep 1; done; kill -KILL $pid; wait $pid
                    kbe list --quiet; start=$(date +%s%N); $tool kpkg install good --name second 2>&1; took=$((($(date +%s%N) - start) / 1000000))
                    kbe list --quiet; pgrep -f slow.postinst || echo nobody
                    """, within: .seconds(900))
                try check(said.contains("taking away slow") && said.contains("second boots next"), said)
                try check(said.lines.last?.trimmed == "nobody", "it runs still: \(said)")

                // At any time, in parts of what the one before took: the next one succeeds, and nothing half made is left.
                said = try await guest.told(
                    """
                    for part in 5 15 30 45 60; do
                        timeout --signal=KILL $(printf '%d.%03d' $((took * part / 100000)) $((took * part / 100 % 1000))) \
                        $tool kpkg install daemon --name k$part >/dev/null 2>&1; echo after $part percent: $?
                    done
                    $tool kpkg install daemon --name third 2>&1; kbe list
                    zfs get -r -t filesystem -H -o value com.kldload:upkeep rpool/ROOT | grep -c working; pgrep -f 'sleep 987' || echo nobody
                    """, within: .seconds(1800))
                try check(said.lines.count { $0.contains(" percent: 137") } >= 3, "hardly one was killed: \(said)")
                try check(said.contains("third boots next") && said.lines.suffix(2).map(\.trimmed) == ["0", "nobody"], said)
                try await guest.restart()
                said = try await guest.run("kbe current; cat /usr/share/daemon/version; test -d /var/log/daemon && echo its folder")
                try check(said.lines == ["third", "1", "its folder"], said)

                // A held package moves only when it is meant to, and is held again.
                try await guest.run(packing)
                said = try await guest.told(
                    """
                    echo true | pack daemon 2; index; $tool kpkg hold daemon >/dev/null
                    $tool kupgrade 2>&1; $tool kupgrade --held --name fourth 2>&1
                    place=$(kbe mount fourth); cat $place/usr/share/daemon/version; chroot $place apt-mark showhold | grep -x daemon
                    kbe unmount fourth 2>/dev/null; cat /usr/share/daemon/version; apt-mark showhold | grep -x daemon
                    """, within: .seconds(900))
                try check(said.contains("nothing to do"), "a held package moved: \(said)")
                try check(said.lines.suffix(4).map(\.trimmed) == ["2", "daemon", "1", "daemon"], said)

                // In place.
                said = try await guest.told(
                    """
                    $tool kpkg install good --in-place 2>&1; cat /usr/share/good/version; zfs list -H -o name -t snapshot rpool/ROOT/third
                    """, within: .seconds(600))
                try check(said.contains("\n1\n") && said.contains("rpool/ROOT/third@kpkg-"), said)
            }
        },
        Scenario(
            "daily.upgrade-power-cuts",
            "the power goes at six instants of kupgrade: the machine starts, with what ran before or with all that is new; the next upgrade clears up",
            limit: .seconds(9000)
        ) { lab in
            try await withMachine(lab) { try await cutUpgrades($0) }
        },
        Scenario(
            "daily.snapshots",
            "timers take a snapshot where none is young enough; what is too old goes, and what somebody holds or has cloned stays"
        ) { lab in
            try await withMachine(lab, ["KLDLOAD_PROFILE=server"]) { guest in
                var said = try await guest.told(
                    """
                    systemctl is-active kldload-snapshot.timer kldload-srv-snapshot.timer sanoid.timer
                    systemctl stop sanoid.timer systemd-timesyncd; kldload-snapshot policy --check && echo as the policy says
                    """)
                try check(said.lines.prefix(3) == ["active", "active", "active"] && said.contains("as the policy says"), said)

                // There is a young one from the installation.
                said = try await guest.told(
                    """
                    count() { zfs list -H -o name -t snapshot -d 1 rpool/ROOT/debian | grep -c @auto-; }
                    count; systemctl start kldload-snapshot.service; count; date -s '+2 hours' >/dev/null
                    systemctl start kldload-snapshot.service; count; systemctl start kldload-snapshot.service; count
                    """)
                let counts = said.lines.compactMap { Int($0.trimmed) }
                try check(counts.count == 4 && counts[1] == counts[0] && counts[2] == counts[1] + 1 && counts[3] == counts[2], said)

                // By the clock alone.
                try await guest.run("before=$(count); date -s \"$(date -d '+2 hours' +%Y-%m-%d\\ %H):06:40\" >/dev/null")
                try await guest.until("test $(count) -gt $before && echo taken", says: "taken")
                said = try await guest.run("systemctl start kldload-srv-snapshot.service; zfs list -H -o name -t snapshot rpool/srv")
                try check(said.contains("@srv-"), said)

                said = try await guest.told(
                    """
                    take() { kldload-snapshot take --kind apt-pre 2>/dev/null; }
                    names() { zfs list -H -o name -s creation -t snapshot -d 1 rpool/ROOT/debian | grep @apt-pre-; }
                    take; zfs hold keep $(names | head -n 1); take; zfs clone -o canmount=off -o mountpoint=none $(names | tail -n 1) rpool/probe
                    for number in 1 2 3 4 5 6 7 8 9 10 11 12; do take; done
                    take & one=$!; take & two=$!; wait $one && wait $two && echo both were taken
                    names | wc -l; zfs holds -H $(names | head -n 1); zfs get -H -o value origin rpool/probe; zfs destroy rpool/probe
                    """, within: .seconds(300))
                try check(said.lines.contains { $0.trimmed == "both were taken" }, "of two at once one failed: \(said)")
                try check(said.lines.contains { $0.trimmed == "12" }, "ten are kept, one is held, one was cloned: \(said)")
                try check(said.contains("keep") && said.contains("rpool/ROOT/debian@apt-pre-"), said)

                try await guest.run(packing)
                said = try await guest.told(
                    """
                    echo true | pack good 1; apt-get -q -y install $repo/good_1.deb 2>&1 | tail -n 3; zfs list -H -o name -t snapshot rpool/ROOT/debian
                    kldload-snapshot budget; echo status $?
                    """, within: .seconds(300))
                try check(said.contains("@apt-post-") && said.contains("rpool/home") && said.contains("status 0"), said)

                // A person's own section takes the place of kldload's.
                said = try await guest.told(
                    """
                    mkdir -p /etc/sanoid/sanoid.d; printf '[rpool/home]\\n  use_template = logs\\n' >/etc/sanoid/sanoid.d/home.conf
                    kldload-snapshot policy --check; echo status $?; kldload-snapshot policy --write && kldload-snapshot policy --check && \
                    sanoid --take-snapshots --readonly --verbose && grep -A 1 '^.rpool/home.' /etc/sanoid/sanoid.conf
                    """, within: .seconds(300))
                try check(said.contains("status 2") && said.lines.last?.contains("use_template = logs") == true, said)
            }
        },
    ]

    /// Each upgrade makes a new initramfs, and so a new boot image.
    private static func cutUpgrades(_ guest: Guest) async throws {
        func pack(_ version: Int) async throws {
            try await guest.run(packing)
            try await guest.run("echo 'update-initramfs -u' | pack image \(version); index; sync", within: .seconds(300))
        }
        try await pack(1)
        try await guest.run("$tool kpkg install image --in-place 2>&1", within: .seconds(600))
        try await pack(2)
        // One that nobody interrupts says how long it takes.
        var said = try await guest.told(
            "export TIMEFORMAT='took %0R s'; time $tool kupgrade --name whole 2>&1; kbe activate debian && kbe destroy whole --yes; kbe list",
            within: .seconds(900))
        guard let whole = said.lines.first(where: { $0.hasPrefix("took ") }).flatMap({ Int($0.words[1]) }) else { throw CheckFailure(said) }
        var (running, expected) = ("debian", "1")
        var cut = 0
        for (number, percent) in [15, 35, 55, 75, 88, 96].enumerated() {
            try await pack(number + 3)
            try await guest.run("$tool kupgrade --name cut\(number) >/run/upgrade.log 2>&1 & upgrade=$!")
            try await Task.sleep(for: .milliseconds(whole * percent * 10))
            said = try await guest.run("kill -0 $upgrade 2>/dev/null && echo it runs || tail -n 3 /run/upgrade.log")
            if said.lines.contains(where: { $0.trimmed == "it runs" }) { cut += 1 } else { guest.lab.log("too late: \(said)") }
            try await guest.machine.monitor.reset()
            try await guest.logIn()
            said = try await guest.run("kbe current; cat /usr/share/image/version; kbe list")
            guest.lab.log("cut after \(percent) %: \(said)")
            let (now, version) = (said.lines.first?.trimmed ?? "", said.lines.dropFirst().first?.trimmed)
            // What a cut kept from becoming the next one is still the version from before, in place or of an upgrade that was whole.
            if now != running { (running, expected) = ("cut\(number)", "\(number + 3)") }
            try check(now == running && version == expected, "neither what ran before nor all that is new: \(said)")
        }
        try check(cut >= 3, "only \(cut) of six upgrades ran when the power went")
        try await pack(9)
        said = try await guest.told(
            """
            $tool kupgrade --name last 2>&1; zfs get -r -t filesystem -H -o value com.kldload:upkeep rpool/ROOT | grep -c working
            findmnt -n -o TARGET -R /run/kldload/upkeep || echo nothing mounted
            """, within: .seconds(900))
        try check(
            said.contains("last boots next") && said.lines.suffix(2).map(\.trimmed) == ["0", "nothing mounted"],
            "something is left: \(said)")
        try await guest.restart()
        said = try await guest.told("kbe current; cat /usr/share/image/version; $tool doctor --only boot --only zfs; echo status $?")
        try check(said.lines.prefix(2).map(\.trimmed) == ["last", "9"] && said.lines.last?.trimmed == "status 0", said)
    }

    /// Makes packages whose script after the installation is what comes in on standard input, and an archive of them in the environment itself.
    private static let packing = """
        repo=/usr/share/repo; mkdir -p $repo
        pack() { d=/run/pack; rm -rf $d; mkdir -p $d/DEBIAN $d/usr/share/$1; echo $2 >$d/usr/share/$1/version
            { echo '#!/bin/sh'; cat; } >$d/DEBIAN/postinst; chmod 755 $d/DEBIAN/postinst
            printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: T <t@example.org>\\nDescription: test\\n' $1 $2 >$d/DEBIAN/control
            dpkg-deb --root-owner-group --build $d $repo/$1_$2.deb >/dev/null; }
        index() { cd $repo; for f in *.deb; do dpkg-deb --field $f; echo "Filename: ./$f"; echo "Size: $(stat -c %s $f)"
            echo "SHA256: $(sha256sum $f | cut -d ' ' -f 1)"; echo; done >Packages
            { echo 'Suite: test'; echo 'SHA256:'; echo " $(sha256sum Packages | cut -d ' ' -f 1) $(stat -c %s Packages) Packages"; } >Release
            rm -f /etc/apt/sources.list.d/*; echo "deb [trusted=yes] file:$repo ./" >/etc/apt/sources.list.d/test.list; cd /; }
        """
}

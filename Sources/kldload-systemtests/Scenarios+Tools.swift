import KldAnswers
import KldCore
import KldImage
import KldVirt

extension Scenario {
    /// The tools that a person uses on an installed machine every day, on datasets with odd names.
    static let tools: [Scenario] = [
        Scenario(
            "daily.tools",
            "kst, ksnap, kclone, kdf and kdir on odd names, clones of clones, holds, quotas, a locked dataset, a degraded pool",
            limit: .seconds(3600)
        ) { lab in
            try await withMachine(lab, ["KLDLOAD_PROFILE=server"]) { guest in
                try await makeOddities(guest)
                try await snapshots(guest)
                try await goingBack(guest)
                try await clonesAndFolders(guest)
                try await illPool(guest)
            }
        },
        Scenario(
            "daily.many-snapshots",
            "kst and ksnap list see 1,000 datasets and 10,000 snapshots, in little memory; prints how long they and the doctor take",
            limit: .seconds(10_800)
        ) { lab in
            try await withMachine(lab, ["KLDLOAD_PROFILE=server"]) { try await manySnapshots($0) }
        },
    ]

    private static func makeOddities(_ guest: Guest) async throws {
        // A shell that reads a line itself may not know that it is UTF-8, so the letters come in as numbers.
        try await guest.run(
            """
            J=$(printf 'J\\303\\266rg'); u=$(printf '\\303\\274'); copy=$(printf 'zweite Kopie \\303\\244')
            zfs create 'rpool/srv/my data' && zfs set quota=50M 'rpool/srv/my data' && mkdir "/srv/my data/$J" && \
            echo old > "/srv/my data/$J/a b" && zfs create -o mountpoint=/data rpool/data && zfs create -s -V 64M rpool/vol && \
            echo correct-horse | zfs create -o encryption=on -o keyformat=passphrase -o keylocation=prompt -o mountpoint=/locked rpool/locked && \
            zfs unmount rpool/locked && zfs unload-key rpool/locked && udevadm settle
            """)
    }

    private static func snapshots(_ guest: Guest) async throws {
        var said = try await guest.told(
            """
            for tool in kst ksnap kclone kdf kdir kldload-overview kldload-help; do $tool --help >/dev/null || echo $tool; done; kldload-help ksnap | head -n 1
            kst; echo status $?; kldload-overview; echo status $?
            """)
        try check(said.lines.first?.hasPrefix("OVERVIEW: Snapshots") == true, "a tool has no help: \(said)")
        try check(said.lines.count { $0.trimmed == "status 0" } == 2, "a healthy machine has problems: \(said)")
        try check(said.contains("boots next") && said.contains("rpool/locked") && said.contains("Virtual machines"), said)

        // One instant of everything, locked datasets too.
        said = try await guest.told(
            """
            ksnap create mysnap; zfs list -H -t snapshot -o createtxg,name | grep @mysnap | cut -f 1 | sort -u | wc -l
            zfs list -H -o name 'rpool/srv/my data@mysnap' rpool/locked@mysnap rpool/ROOT/debian@mysnap; ksnap create mysnap; echo status $?
            """)
        try check(said.lines.contains { $0.trimmed == "1" }, "not one transaction: \(said)")
        try check(
            Set(said.lines.map(\.trimmed)).isSuperset(of: ["rpool/srv/my data@mysnap", "rpool/locked@mysnap", "rpool/ROOT/debian@mysnap"]),
            "not everything has its snapshot: \(said)")
        try check(said.contains("error[zfs.dataset-exists]") && said.contains("status 73"), "the same name twice: \(said)")

        // Names of its own never collide.
        said = try await guest.told(
            """
            ( for run in 1 2 3 4; do ksnap /srv >/run/made.$run & done; wait ); cat /run/made.* | sort -u | wc -l
            ksnap list -q | wc -l; zfs list -H -t snapshot -o name | wc -l; ksnap list '/srv/my data' --format json | head -n 4; ksnap list | tail -n 1
            """)
        let counts = said.lines.prefix(3).compactMap { Int($0.trimmed) }
        try check(counts.count == 3 && counts[0] == 4 && counts[1] == counts[2], said)
        try check(said.contains("snapshots/1"), said)

        said = try await guest.told(
            """
            ksnap hold 'the audit' rpool/data@mysnap; ksnap list --holds /data; ksnap destroy rpool/data@mysnap --yes; echo status $?
            ksnap release 'the audit' rpool/data@mysnap; ksnap destroy rpool/data@mysnap --dry-run; ksnap destroy rpool/data@mysnap --yes; echo status $?
            ksnap destroy rpool/ROOT/debian@mysnap --yes; echo status $?; ksnap destroy rpool/srv@mysnap </dev/null; echo status $?
            """)
        try check(
            said.contains("error[snapshot.held]") && said.contains("the audit") && said.contains("error[snapshot.of-environment]")
                && said.contains("error[snapshot.unasked]"), said)
        try check(said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == ["status 1", "status 0", "status 1", "status 64"], said)
    }

    private static func goingBack(_ guest: Guest) async throws {
        var said = try await guest.told(
            """
            systemctl stop sanoid.timer; cd '/srv/my data' && echo new > "$J/a b" && echo more > "$J/$u" && ksnap diff . && ksnap diff "./$J/$u" -q && \
            ksnap create later .; cd /
            ksnap diff 'rpool/srv/my data@mysnap' 'rpool/srv/my data@later' --format json | grep -c '"path"'; ksnap diff rpool/locked; echo status $?
            """)
        try check(said.contains("/srv/my data/Jörg/a b") && said.lines.contains { $0.trimmed == "/srv/my data/Jörg/ü" }, said)
        try check(said.contains("error[dataset.not-mounted]"), said)

        said = try await guest.told(
            """
            ksnap rollback / --yes; echo status $?; ksnap rollback '/srv/my data' --yes; echo status $?
            ksnap rollback 'rpool/srv/my data@mysnap' --yes; echo status $?; cat "/srv/my data/$J/a b"
            ksnap rollback 'rpool/srv/my data@mysnap' --destroy later --yes; echo status $?; cat "/srv/my data/$J/a b"; ls "/srv/my data/$J" | cat; systemctl start sanoid.timer
            """)
        try check(
            said.contains("error[snapshot.boot-environment]") && said.contains("kbe rollback debian@")
                && said.contains("error[snapshot.unasked]")
                && said.contains("error[snapshot.newer]"), said)
        try check(said.lines.suffix(3).map(\.trimmed) == ["status 0", "old", "a b"], "it did not go back: \(said)")
    }

    private static func clonesAndFolders(_ guest: Guest) async throws {
        var said = try await guest.told(
            """
            zfs snapshot rpool/data@snap && kclone rpool/data@snap rpool/data-copy && kclone '/srv/my data' "/srv/$copy" && \
            kclone "/srv/$copy" rpool/srv/third && cat "/srv/$copy/$J/a b" "/srv/third/$J/a b"
            kclone rpool/vol rpool/vol-copy && kclone /dev/zvol/rpool/vol rpool/vol-again && zfs list -H -o name,origin -t volume
            ( for run in 1 2 3; do kclone rpool/data rpool/quick$run & done; wait ); zfs list -H -o name,origin | grep -c rpool/quick
            """)
        try check(said.lines.count { $0.trimmed == "old" } == 2, "the clones are not mounted: \(said)")
        try check(said.contains("rpool/vol-again") && said.lines.last?.trimmed == "3", said)

        said = try await guest.told(
            """
            ksnap destroy rpool/data@snap --yes; echo status $?; kclone rpool/locked rpool/x; echo status $?; kclone rpool/data /srv; echo status $?
            kclone rpool/ROOT/debian rpool/ROOT/x; echo status $?; zfs list rpool/x rpool/ROOT/x 2>&1 | grep -c 'does not exist'
            """)
        try check(
            ["snapshot.cloned", "dataset.locked", "directory.is-dataset", "clone.boot-environment"].allSatisfy {
                said.contains("error[\($0)]")
            }
                && said.lines.last?.trimmed == "2", said)

        said = try await guest.told(
            """
            kdir /srv/media /archive && kdir -p -o recordsize=1M /srv/a/b && kdir /srv/M${u}ller && findmnt -n -o TARGET,SOURCE -t zfs | grep -e media -e archive -e /a/b -e ller
            zfs get -H -o value recordsize rpool/srv/a/b; kdir /etc/x; echo status $?; mkdir -p /srv/full/x; kdir /srv/full; echo status $?
            kdf; kdf "/srv/my data/$J"
            """)
        try check(
            said.contains("rpool/archive") && said.contains("rpool/srv/media") && said.contains("rpool/srv/M_ller")
                && said.lines.contains { $0.trimmed == "1M" }, said)
        try check(said.contains("error[directory.parent]") && said.contains("error[directory.not-empty]"), said)
        try check(said.contains("50 MiB") || said.contains("50.0 MiB"), "the quota is not told: \(said)")
    }

    private static func illPool(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            truncate -s 128M /var/tmp/one /var/tmp/two && zpool create -m /tank tank mirror /var/tmp/one /var/tmp/two && ksnap create both tank rpool/srv
            kst -q; echo status $?
            zpool offline -f tank /var/tmp/two; kst; echo status $?; kst --format json | grep -c /var/tmp/two
            zpool clear tank /var/tmp/two; zpool online tank /var/tmp/two; zpool wait -t resilver tank; zpool scrub -w tank; kst; echo status $?
            zpool destroy tank
            """, within: .seconds(300))
        try check(said.contains("tank@both") && said.contains("rpool/srv@both"), said)
        try check(said.contains("tank: is DEGRADED") && said.contains("/var/tmp/two is FAULTED"), "the ill disk is not named: \(said)")
        try check(said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == ["status 0", "status 2", "status 0"], said)
    }

    /// Numbers are printed: each tool's time beside that of the one `zfs list` that it runs. What is judged is that they see everything, and
    /// take no more memory than that list, or than is promised.
    private static func manySnapshots(_ guest: Guest) async throws {
        // The first time nothing of it is in memory yet.
        let doctor = try await guest.run("export TIMEFORMAT='%R s'; for run in 1 2; do time kldload-doctor -q; done", within: .seconds(300))
        guest.lab.log("kldload-doctor: \(doctor.lines.last { $0.hasSuffix(" s") } ?? doctor)")
        // In an emulated machine ZFS itself makes a few datasets a second; its event daemon would list them all after each.
        var made = try await guest.run(
            """
            systemctl stop zfs-zed; export TIMEFORMAT='made in %R s'
            time { zfs create -u rpool/many && for group in $(seq 10); do zfs create -u rpool/many/g$group; \
            for number in $(seq 99); do zfs create -u rpool/many/g$group/d$number; done; done; }
            """, within: .seconds(3600))
        guest.lab.log("datasets \(made.trimmed)")
        made = try await guest.told(
            "time for label in $(seq 10); do zfs snapshot -r rpool/many@s$label; done; systemctl start zfs-zed; zfs list -H -o name | wc -l; ksnap list -q | wc -l",
            within: .seconds(3600))
        let counts = made.lines.compactMap { Int($0.trimmed) }
        try check(counts.count == 2 && counts[0] >= 1000 && counts[1] >= 10_000, made)
        let said = try await guest.told(
            """
            export TIMEFORMAT='%R s'
            peak() { perl -e 'my $s = system(@ARGV); print STDERR "failed: $s\\n" unless $s == 0 || $s == 512; my $b = "\\0" x 144; syscall(98, -1, $b); print STDERR "peak ", (unpack("q18", $b))[4], "\\n"' "$@" 2>&1 >/dev/null; }
            echo "the zfs list of ksnap:"; time peak zfs list -Hp -t snapshot -o name,type,used,referenced,creation,createtxg,userrefs,clones
            echo "ksnap list:"; time peak ksnap list
            echo "ksnap list, JSON:"; time peak ksnap list --format json
            echo "the zfs list of kst:"; time peak zfs list -Hp -t filesystem,volume,snapshot -o \
            name,type,used,usedbysnapshots,compressratio,creation,userrefs,keystatus,mountpoint
            echo "kst:"; time peak kst
            """, within: .seconds(3600))
        let lines = said.lines.map(\.trimmed)
        let peaks = lines.compactMap { $0.hasPrefix("peak ") ? Int($0.dropFirst(5)) : nil }
        let seconds = lines.compactMap { $0.hasSuffix(" s") ? Double($0.dropLast(2)) : nil }
        // 512: kst has something to say against the machine.
        try check(peaks.count == 5 && seconds.count == 5 && !lines.contains { $0.hasPrefix("failed: ") }, said)
        for (name, own, list) in [("ksnap list", 1, 0), ("ksnap list, JSON", 2, 0), ("kst", 4, 3)] {
            guest.lab.log("\(name): \(seconds[own]) s beside \(seconds[list]) s of its zfs list, \(peaks[own]) KiB")
            // Of the tool and what it called, the larger one.
            try check(peaks[own] <= max(60 << 10, peaks[list]), "\(name) takes more memory than is promised: \(peaks[own]) KiB")
        }
    }
}

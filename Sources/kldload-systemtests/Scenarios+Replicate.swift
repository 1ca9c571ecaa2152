import KldCore

extension Scenario {
    /// Two pools in files on one machine, which reaches itself over ssh.
    static let replications: [Scenario] = [
        Scenario(
            "daily.replicate",
            "kreplicate goes on after thirty kills with at most 1.05 times the changed bytes, refuses a target that was changed, sends raw, over ssh, clones; drills",
            limit: .seconds(7200)
        ) { lab in
            try await withMachine(lab, ["KLDLOAD_PROFILE=server"]) { guest in
                try await prepare(guest)
                try await replicated(guest)
                try await killed(guest)
                try await refused(guest)
                try await encrypted(guest)
                try await overSSH(guest)
                try await ended(guest)
            }
        }
    ]

    private static func prepare(_ guest: Guest) async throws {
        // An interactive shell would take `!/usr/bin/perl` for something that was typed before.
        try await guest.run("set +H")
        try await guest.run(
            """
            systemctl stop sanoid.timer; cd /var/tmp && truncate -s 2G one two && zpool create -m /near near /var/tmp/one && \
            zpool create -m /far far /var/tmp/two && zfs create near/data && zfs create 'near/data/a b' && cd /near/data && \
            cp -a /etc "a b/etc" && mkdir x && echo first >x/file && ln -s file x/link && chmod 600 x/file && \
            mkdir -p /var/lib/node_exporter/textfile_collector /run/sent && cd /
            """)
        // It stands before the real pv: it counts to the byte, even when it is killed, and is slow when it is told to be.
        try await guest.run(
            """
            cat >/usr/local/sbin/pv <<'END'
            #!/usr/bin/perl
            open(my $f, '>', "/run/sent/$$") or die; select((select($f), $| = 1)[0]); my ($n, $slow) = (0, -e '/run/slow');
            while (my $l = sysread(STDIN, my $b, 65536)) { $n += $l; seek($f, 0, 0); print $f $n;
                for (my $o = 0; $o < $l;) { my $w = syswrite(STDOUT, $b, $l - $o, $o) or exit 1; $o += $w }
                select(undef, undef, undef, 0.02) if $slow }
            print STDERR "$n\\n";
            END
            chmod 755 /usr/local/sbin/pv; test -x /usr/bin/pv
            sum() { for f in /run/sent/*; do cat $f 2>/dev/null; echo; done | awk '{ s += $1 } END { print s + 0 }'; }
            """)
    }

    private static func replicated(_ guest: Guest) async throws {
        var said = try await guest.told(
            """
            kreplicate --dry-run -r near/data far/web/data >/run/plan; echo status $?; head -n 3 /run/plan; zfs list -H -o name -t all -r far
            kreplicate -r near/data far/web/data; echo status $?; zfs list -H -o name,readonly,canmount,mounted -r far | tr '\\t' ' '
            echo second >/near/data/x/file; zfs snapshot near/data@mine; kreplicate -r near/data far/web/data --format json; echo status $?
            zfs list -H -o name,userrefs -t snapshot,bookmark -r near far | tr '\\t' ' '; kldload-doctor --all --only replication.lag
            cat /var/lib/node_exporter/textfile_collector/kldload_replication.prom | grep -v '#'; kreplicate status; echo status $?
            """, within: .seconds(300))
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == Array(repeating: "status 0", count: 4), "it failed: \(said)")
        try check(said.contains("far/web/data/a b on noauto no"), "what arrived is writable or mounted: \(said)")
        let (near, far) = (
            said.lines.filter { $0.hasPrefix("near/data@kreplicate-") }, said.lines.filter { $0.hasPrefix("far/web/data@kreplicate-") }
        )
        try check(near.count == 1 && far.count == 1, "one snapshot of each end was to be left: \(said)")
        try check(near[0].hasSuffix(" 1") && far[0].hasSuffix(" 1") && said.contains("far/web/data@mine"), "they are not held: \(said)")
        try check(said.contains("near/data#kreplicate-"), said)
        try check(said.lines.contains { $0.hasPrefix("OK ") && $0.contains(" replication.lag: ") }, said)
        try check(said.lines.contains { $0.hasPrefix("kldload_replication_up{") && $0.trimmed.hasSuffix("} 1") }, said)

        // The source loses the snapshot; the bookmark stands for it.
        said = try await guest.told(
            """
            last=$(zfs list -H -o name -t snapshot -d 1 near/data | grep @kreplicate-); zfs release $(zfs holds -H "$last" | cut -f 2) "$last"; zfs destroy "$last"
            echo third >/near/data/x/file; kreplicate -r near/data far/web/data; echo status $?
            kreplicate drill -r near/data far/web/data; echo status $?; zfs list -H -o name -r near | grep -c drill; findmnt -n -o TARGET | grep drill || echo nothing left
            """, within: .seconds(300))
        try check(said.lines.count { $0.trimmed == "status 0" } == 2, "the bookmark, or the drill: \(said)")
        try check(
            said.contains("restored from far/web/data, and equal") && said.lines.suffix(2).map(\.trimmed) == ["0", "nothing left"], said)
    }

    private static func killed(_ guest: Guest) async throws {
        // Two of three kills hit a stream, the third hits anything. Everything of a run is killed at once, as the power would.
        let said = try await guest.told(
            """
            zfs snapshot near/data@before; kreplicate near/data far/web/data --quiet; rm -f /run/sent/*; touch /run/slow
            head -c 300M /dev/urandom >/near/data/large; zpool sync near; zfs snapshot near/data@after
            for n in $(seq 30); do
                before=$(ls /run/sent | wc -l); systemd-run --quiet --scope --unit=run$n kreplicate near/data far/web/data --quiet >/run/run.log 2>&1 &
                if test $((n % 3)) = 0; then perl -e 'select(undef, undef, undef, rand(4))'; else
                    for t in $(seq 600); do test $(ls /run/sent | wc -l) -gt $before && break; kill -0 $! 2>/dev/null || break; sleep 0.1; done
                    perl -e 'select(undef, undef, undef, 0.1 + rand(2))'; fi
                systemctl kill --signal=KILL run$n.scope 2>/dev/null && echo killed; wait $!
            done | grep -c killed
            sleep 3; rm /run/slow; kreplicate near/data far/web/data; echo status $?
            echo sent $(sum) changed $(zfs send -L -c -i @before near/data@after | wc -c); zfs list -H -o name -t snapshot -d 1 near/data far/web/data
            kreplicate near/data far/web/data --quiet; zfs list -H -o name -t snapshot -d 1 near/data far/web/data | grep -c @kreplicate-
            kreplicate drill near/data far/web/data; echo status $?
            """, within: .seconds(2400))
        let words = said.lines.last { $0.hasPrefix("sent ") }?.words ?? []
        guard words.count == 4, let sent = Double(words[1]), let changed = Double(words[3]) else {
            throw CheckFailure("nothing was counted: \(said)")
        }
        guest.lab.log("\(Int(sent)) of \(Int(changed)) bytes: \(sent / changed) times")
        try check((Int(said.lines.first?.trimmed ?? "") ?? 0) >= 25, "too few runs were killed: \(said)")
        try check(
            changed > 250_000_000 && sent >= changed * 0.99 && sent <= changed * 1.05, "\(sent / changed) times the changed bytes: \(said)")
        try check(
            said.lines.count { $0.trimmed == "status 0" } == 2 && said.lines.contains { $0.trimmed == "2" }, "something is left: \(said)")
    }

    private static func refused(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            zfs snapshot far/web/data@theirs; kreplicate near/data far/web/data; echo status $?; zfs destroy far/web/data@theirs
            zfs set readonly=off far/web/data; zfs mount far/web/data; echo x >/far/web/data/y; zfs unmount far/web/data
            kreplicate near/data far/web/data; echo status $?; kldload-doctor --all --only replication.lag
            zfs mount far/web/data; cat /far/web/data/y; zfs unmount far/web/data
            zfs create far/other; kreplicate near/data far/other; echo status $?; kreplicate near/nothing far/x; echo status $?
            last=$(zfs list -H -o name -t snapshot -d 1 -s createtxg far/web/data | tail -n 1); zfs rollback "$last"; zfs set readonly=on far/web/data
            kreplicate near/data far/web/data; echo status $?
            """, within: .seconds(300))
        try check(said.lines.count { $0.contains("error[replicate.diverged]") } == 2 && said.contains("zfs rename far/web/data"), said)
        try check(said.contains("WARN") && said.lines.contains { $0.trimmed == "x" }, "the target was changed: \(said)")
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == ["status 1", "status 1", "status 73", "status 66", "status 0"],
            said)
    }

    private static func encrypted(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            echo correct-horse >/run/key; echo wrong-horse-9 >/run/wrong; chmod 600 /run/key /run/wrong
            zfs create -o encryption=on -o keyformat=passphrase -o keylocation=file:///run/key near/secret && cp -a /etc /near/secret/etc
            kreplicate near/secret far/secret; echo status $?; zfs get -H -o value encryption,keystatus far/secret
            echo more >/near/secret/more; kreplicate near/secret far/secret; echo status $?
            kreplicate drill near/secret far/secret; echo status $?; kreplicate drill near/secret far/secret --key-file /run/wrong; echo status $?
            kreplicate drill near/secret far/secret --key-file /run/key; echo status $?; zfs list -H -o name -r near | grep drill || echo nothing left
            zfs create -s -V 64M near/vol; udevadm settle; head -c 4M /dev/urandom | dd of=/dev/zvol/near/vol conv=fsync status=none
            kreplicate near/vol far/vol && kreplicate drill near/vol far/vol; echo status $?
            zfs clone near/data@mine near/copy; mkdir /near/copy/new; zfs rename near/copy near/data/copy; kreplicate -r near/data far/web/data; echo status $?
            zfs get -H -o value origin far/web/data/copy
            """, within: .seconds(400))
        try check(said.contains("aes-256-gcm") && said.lines.contains { $0.trimmed == "unavailable" }, "the target has the key: \(said)")
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == [
                "status 0", "status 0", "status 64", "status 1", "status 0", "status 0", "status 0",
            ], said)
        try check(said.contains("nothing left") && said.lines.last?.trimmed == "far/web/data@mine", said)
    }

    private static func overSSH(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            cd /run; ssh-keygen -q -t ed25519 -N '' -f /run/id; ssh-keygen -q -t ed25519 -N '' -f /run/hostkey; cp id.pub authorized; chmod 600 authorized
            printf 'Port 2299\\nListenAddress 127.0.0.1\\nHostKey /run/hostkey\\nAuthorizedKeysFile /run/authorized\\nPidFile none\\nStrictModes no\\nUsePAM yes\\nPermitRootLogin prohibit-password\\n' >sshd.cfg
            mkdir -p /run/sshd; /usr/sbin/sshd -f /run/sshd.cfg; : >known; ssh="--sshport 2299 --sshkey /run/id --known-hosts /run/known"
            kreplicate $ssh near/data root@127.0.0.1:far/pushed; echo status $?
            echo "[127.0.0.1]:2299 $(cut -d ' ' -f 1,2 hostkey.pub)" >known
            kreplicate $ssh near/data root@127.0.0.1:far/pushed; echo status $?; kreplicate $ssh --bwlimit 50m near/data root@127.0.0.1:far/pushed; echo status $?
            kreplicate $ssh root@127.0.0.1:far/pushed near/pulled; echo status $?; kreplicate $ssh 'root@127.0.0.1:near/data/a b' 'far/a b'; echo status $?
            kreplicate drill $ssh near/data root@127.0.0.1:far/pushed; echo status $?; kreplicate drill $ssh 'root@127.0.0.1:near/data/a b' 'far/a b'; echo status $?
            zfs snapshot far/pushed@theirs; kreplicate $ssh near/data root@127.0.0.1:far/pushed; echo status $?; cd /
            """, within: .seconds(600))
        try check(said.contains("error[ssh.host-unknown]") && said.contains("error[replicate.diverged]"), said)
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed)
                == ["status 1"] + Array(repeating: "status 0", count: 6) + ["status 1"], said)
    }

    private static func ended(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            kreplicate forget near/secret far/secret; echo status $?; zfs list -H -o name,userrefs -t snapshot,bookmark -r near/secret far/secret | tr '\\t' ' '
            kreplicate status -q | wc -l; zfs list -H -o name far/secret
            """)
        try check(said.contains("status 0") && !said.contains("near/secret@kreplicate") && !said.contains("near/secret#"), said)
        try check(
            !said.lines.contains { $0.hasPrefix("far/secret@") && $0.hasSuffix(" 1") } && said.lines.last?.trimmed == "far/secret",
            "a hold is left, or the copy is gone: \(said)")
    }
}

import KldAnswers
import KldCore
import KldExec
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// Three machines from one installed disk; one of them looks after the other two.
    static let fleets: [Scenario] = [
        Scenario(
            "daily.fleet",
            "kfleet asks two machines, brings them a boot environment as a change, restarts them into it, and stops where it does not boot",
            limit: .seconds(10800)
        ) { lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PASSWORD=Correct-Horse-7", "KLDLOAD_PROFILE=core"])
            try await lab.install(answers.forTest(), onto: disks)
            let port = UInt16.random(in: 20_000..<32_000)
            // One after another: each has the processor to itself while it starts.
            try await clone(lab, disks[0].file, "driver", port) { driver in
                try await clone(lab, disks[0].file, "one", port + 1) { one in
                    try await clone(lab, disks[0].file, "two", port + 2) { two in
                        try await acquaint(driver, [one, two], port)
                        try await asked(driver)
                        try await pushed(driver)
                        try await changed(driver)
                        try await rolledOut(driver)
                        try await stopped(driver)
                    }
                }
            }
        }
    ]

    /// A machine of its own name, keys and ids, whose ssh is reached through a port of this host.
    private static func clone(
        _ lab: Laboratory, _ disk: FilePath, _ name: String, _ port: UInt16, _ body: (Guest) async throws -> Void
    ) async throws {
        let overlay = lab.folder.appending("\(name).qcow2")
        try await lab.workshop.runner.run(QemuImg.createOverlay(overlay, backing: disk, backingFormat: .raw))
        let network = MachineNetwork(hostForwards: [.init(host: port, guest: 22)])
        try await lab.withGuest(
            [], label: name, network: network, more: [MachineDisk(overlay, format: .qcow2, serial: "disk0")], memory: .mebibytes(1536)
        ) { guest in
            try await guest.run(
                """
                set +H; systemctl stop kldload-recovery-image.timer; hostnamectl set-hostname \(name); rm -f /etc/machine-id /etc/ssh/ssh_host_*
                systemd-machine-id-setup; ssh-keygen -A >/dev/null; useradd --uid 4\(port % 100 + 100) person-\(name); systemctl restart ssh
                printf '[Match]\\nName=none\\n' >/etc/systemd/network/90-\(name).network
                """)
            try await body(guest)
        }
    }

    /// The driver's key opens the others, whose host keys it has not seen yet. Guests reach this host as 10.0.2.2.
    private static func acquaint(_ driver: Guest, _ others: [Guest], _ port: UInt16) async throws {
        let key = try await driver.run(
            "mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; cat /root/.ssh/id_ed25519.pub"
        ).lines.first { $0.hasPrefix("ssh-ed25519 ") }
        guard let key else { throw CheckFailure("the driver has no key") }
        for other in others {
            try await other.run(
                "mkdir -p -m 700 /root/.ssh; echo '\(key.trimmed)' >/root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys")
        }
        try await driver.run(
            """
            one=root@10.0.2.2:\(port + 1); two=root@10.0.2.2:\(port + 2); far() { ssh -n -o BatchMode=yes -p $1 root@10.0.2.2 "$2"; }
            kfleet() { $tool kfleet "$@" 2>&1; echo status $?; }
            printf '# the fleet\\n%s\\n%s # the second\\n' $one $two >/etc/kldload/fleet-hosts.txt
            cat >/usr/bin/pv <<'END'
            #!/usr/bin/perl
            my $n = 0; while (my $l = sysread(STDIN, my $b, 65536)) { $n += $l;
                for (my $o = 0; $o < $l;) { my $w = syswrite(STDOUT, $b, $l - $o, $o) or exit 1; $o += $w } }
            print STDERR "$n\\n";
            END
            chmod 755 /usr/bin/pv
            self() { for p in \(port + 1) \(port + 2); do far $p 'hostname; cat /etc/machine-id; cut -d " " -f 2 /etc/ssh/ssh_host_ed25519_key.pub
                od -An -tx4 /etc/hostid; getent passwd | grep person; sha256sum </etc/shadow; ls /etc/systemd/network' || echo no answer; done; }
            """)
    }

    private static func asked(_ driver: Guest) async throws {
        let said = try await driver.told(
            """
            kfleet health; for p in ${one##*:} ${two##*:}; do ssh-keyscan -p $p 10.0.2.2 2>/dev/null; done >/root/.ssh/known_hosts
            kfleet health --timeout 600 root@10.0.2.2:1 $one $two; kfleet health --timeout 600 --format json | grep -e state -e running; self >/run/before
            cat /run/before
            """, within: .seconds(900))
        try check(said.lines.count { $0.contains("KEY-UNKNOWN") } == 2, "an unknown host key was not told: \(said)")
        try check(said.contains("ssh-keyscan -p"), "no remedy: \(said)")
        try check(
            said.lines.count { $0.contains(" OK ") && $0.contains("ONLINE") && $0.contains("debian") } == 2,
            "two machines are there: \(said)")
        try check(said.lines.contains { $0.hasPrefix("[10.0.2.2]:1 ") && $0.contains("FAIL") }, "one is not there: \(said)")
        try check(said.lines.count { $0.contains("\"running\": \"debian\"") } == 2, said)
        let facts = Set(said.lines.map(\.trimmed))
        try check(
            facts.isSuperset(of: ["one", "two", "90-one.network", "90-two.network"]) && !facts.contains("no answer"),
            "not known is who they are: \(said)")
    }

    /// After the push: that environment must not bring back who was there then.
    private static func changed(_ driver: Guest) async throws {
        let said = try await driver.told(
            """
            far ${one##*:} 'useradd person-later && echo person-one:Correct-Horse-8 | chpasswd' && echo changed
            self >/run/later; diff /run/before /run/later; mv /run/later /run/before
            """)
        try check(
            said.lines.contains { $0.trimmed == "changed" } && said.lines.contains { $0.hasPrefix("> person-later:") },
            "nobody came: \(said)")
    }

    private static func pushed(_ driver: Guest) async throws {
        let said = try await driver.told(
            """
            kbe create golden; place=$(kbe mount golden); head -c 20M /dev/urandom >$place/usr/lib/golden; kbe unmount golden
            kfleet push golden --dry-run; kfleet push golden; echo again; kfleet push golden; kbe create other; kfleet push other --as golden
            for p in ${one##*:} ${two##*:}; do far $p '/usr/lib/kldload/kldload kbe list; zfs get -H -o value canmount,mountpoint,com.kldload:image,com.kldload:identity rpool/ROOT/golden'; done
            far ${one##*:} '/usr/lib/kldload/kldload kbe rollback golden@$(zfs list -H -d 1 -t snapshot -o name rpool/ROOT/golden | head -n 1 | cut -d @ -f 2) 2>&1; /usr/lib/kldload/kldload kbe list -q | grep -c back; true'
            """, within: .seconds(1800))
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == ["status 0", "status 0", "status 0", "status 1"],
            "a push failed, or another environment was overwritten: \(said)")
        try check(said.lines.count { $0.contains("send what changed since rpool/ROOT/debian@") } == 2, "no change was planned: \(said)")
        let sent = said.lines.filter { $0.contains(" pushed ") }
        try check(
            sent.count == 2 && sent.allSatisfy { $0.contains(" MiB") && !$0.contains("GiB") }, "more than the change was sent: \(sent)")
        try check(said.lines.count { $0.contains(" present ") } == 2, "it was sent again: \(said)")
        try check(said.lines.count { $0.contains("has an environment golden") } >= 2, "a name that is taken was not refused: \(said)")
        try check(said.lines.count { $0.hasPrefix("golden ") && $0.contains("never activated") } == 2, said)
        try check(said.lines.count { $0.trimmed == "noauto" } == 2, said)
        try check(said.lines.count { $0.trimmed == "own" } == 2, "it is not the machines' own: \(said)")
        // What came is the driver still, whatever was made of it since.
        try check(
            said.contains("error[boot.foreign]") && said.lines.last { !$0.trimmed.isEmpty }?.trimmed == "0",
            "a machine would go back to what another one was: \(said)")
    }

    private static func rolledOut(_ driver: Guest) async throws {
        let said = try await driver.told(
            """
            kfleet rollout golden --dry-run --timeout 600; kfleet rollout golden </dev/null --timeout 600
            kfleet rollout golden --yes --timeout 600 --within 3600; self >/run/after; diff /run/before /run/after && echo themselves
            for p in ${one##*:} ${two##*:}; do far $p '/usr/lib/kldload/kldload kbe list; ls -l /usr/lib/golden'; done
            """, within: .seconds(3600))
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == ["status 0", "status 64", "status 0"],
            "the order, the question or the rollout: \(said)")
        try check(said.contains("1. [10.0.2.2]:") && said.contains("2. [10.0.2.2]:"), said)
        try check(said.lines.count { $0.contains(" done ") && $0.contains(" golden ") } == 2, "not both run it: \(said)")
        try check(said.lines.contains { $0.trimmed == "themselves" }, "a machine is not itself any more: \(said)")
        try check(
            said.lines.count { $0.hasPrefix("golden ") && $0.contains("NR") && $0.contains("good") } == 2,
            "it did not prove itself: \(said)")
    }

    /// One that panics on the first machine: it comes back by itself after three boots, and the second is left alone.
    private static func stopped(_ driver: Guest) async throws {
        let said = try await driver.told(
            """
            kbe create third -e golden; kfleet push third
            far ${two##*:} 'kbe() { /usr/lib/kldload/kldload kbe "$@"; }; place=$(kbe mount third) && ln -sf /bin/false $place/sbin/init && kbe unmount third'
            before=$(far ${one##*:} 'cat /proc/sys/kernel/random/boot_id'); kfleet rollout third --yes --timeout 600 --within 3600 $two $one
            test "$before" = "$(far ${one##*:} 'cat /proc/sys/kernel/random/boot_id')" && echo not touched
            for p in ${one##*:} ${two##*:}; do far $p '/usr/lib/kldload/kldload kbe list'; done; kfleet rollout third --yes --timeout 600 $one $two
            """, within: .seconds(5400))
        try check(
            said.lines.filter { $0.hasPrefix("status") }.map(\.trimmed) == ["status 0", "status 1", "status 2"],
            "it was not stopped, or begun again: \(said)")
        try check(said.lines.contains { $0.contains(" came-back ") && $0.contains(" golden ") }, "it did not come back: \(said)")
        try check(said.lines.contains { $0.contains(" untouched ") } && said.contains("not touched"), "the other was touched: \(said)")
        try check(said.lines.count { $0.hasPrefix("golden ") && $0.contains("NR") } == 2, "what runs is not golden: \(said)")
        try check(said.contains("third was tried there before"), "a failed environment was tried again: \(said)")
    }
}

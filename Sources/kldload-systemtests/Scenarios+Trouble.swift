import KldAnswers
import KldCore
import KldFiles
import KldImage
import KldPlan
import KldVirt
import SystemPackage

extension Scenario {
    /// What goes wrong on real machines.
    static let troubles: [Scenario] = [
        Scenario("trouble.installed-before", "a disk that carries an older installation, its pool and its ESP") { lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            try await lab.install(answers, onto: disks)
            try await lab.install(answers, onto: disks)
            try await lab.verify(disks)
        },
        Scenario("trouble.old-labels", "a disk full of old labels, all of them active: partitions, RAID, LVM, LUKS, a pool") { lab in
            let disks = try await lab.disks(2)
            let answers = try lab.answers("mirror", ["KLDLOAD_PROFILE=core"]).forTest()
            try await lab.live(answers, disks: disks.map { MachineDisk($0.file, serial: $0.serial) }) { shell in
                let before = try await shell.told(
                    """
                    disk=/dev/disk/by-id/virtio-disk
                    modprobe -a raid1 dm_mod dm_crypt && \
                    sgdisk -n 1:0:+1G -n 2:0:+1G -n 3:0:+1G -n 4:0:+1G ${disk}0 >/dev/null && sgdisk -n 1:0:+1G -n 2:0:+1G ${disk}1 >/dev/null && \
                    udevadm settle && \
                    mdadm --create /dev/md/old --run --level=1 --raid-devices=2 --metadata=1.2 ${disk}0-part1 ${disk}1-part1 2>/dev/null && \
                    pvcreate -q /dev/md/old && vgcreate -q old /dev/md/old && lvcreate -q -y -L 200M -n data old && mkfs.ext4 -q /dev/old/data && \
                    echo pass | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 ${disk}0-part2 - && \
                    echo pass | cryptsetup open --key-file=- ${disk}0-part2 oldcrypt && mkfs.xfs -q /dev/mapper/oldcrypt && \
                    zpool create -f -m none rpool ${disk}0-part3 && zpool export rpool && \
                    mkswap -q ${disk}0-part4 && mkfs.btrfs -q ${disk}1-part2 && udevadm settle && lsblk -o NAME,TYPE,FSTYPE,LABEL
                    """, within: .seconds(90))
                try check(
                    ["raid1", "lvm", "crypt", "zfs_member", "swap", "btrfs"].allSatisfy { before.contains($0) }, "not prepared:\n\(before)")
                try await shell.run(
                    "kldload install --answers answers.env --payload /run/test --progress plain", within: .seconds(240))
                let left = try await shell.run("ls /dev/mapper; cat /proc/mdstat; zpool list -H")
                try check(
                    !left.contains("old") && !left.contains("md12") && !left.lines.contains { $0.hasPrefix("rpool") },
                    "left behind:\n\(left)")
            }
            try await lab.verify(disks)
        },
        Scenario(
            "trouble.refused",
            "a disk that is not there, too small, no disk, in use or not approved is refused by name, and none is touched",
            run: refused),
        Scenario(
            "trouble.killed", "an installer killed in each of its steps, then run again: it succeeds, and nothing is left behind",
            limit: .seconds(7200), run: killed),
        Scenario("trouble.resumed", "an installation that was killed goes on from the step where it was") { lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers("encrypted", ["KLDLOAD_PROFILE=core", "KLDLOAD_PASSWORD=Correct-Horse-7"]).forTest()
            try await lab.live(answers, disks: disks.map { MachineDisk($0.file, serial: $0.serial) }) { shell in
                try await shell.run(
                    """
                    kldload install --answers answers.env --payload /run/test --progress none >out 2>&1 & pid=$!
                    until grep -q 'started system.users' /run/kldload/install.journal 2>/dev/null || ! kill -0 $pid; do sleep 0.05; done
                    pkill -KILL -x kldload; wait $pid; cat out; grep -q 'started system.users' /run/kldload/install.journal && touch /target/etc/kept
                    """, within: .seconds(120))
                try await shell.run(
                    "kldload install --answers answers.env --payload /run/test --progress none --from system.names", within: .seconds(120))
            }
            try await lab.boot(disks) { machine, host in
                try await Laboratory.passphrasePrompt(machine, host)
                try await machine.console.send((answers.passphrase?.reveal() ?? "") + "\n")
                try lab.require(try await ImageVerification.answer(machine, on: host))
                // It was not begun anew.
                let guest = Guest(lab: lab, machine: machine, host: host)
                try await guest.logIn(untilGood: false)
                try await guest.run("test -e /etc/kept")
            }
        },
        Scenario("trouble.second-installer", "a second installer on the same machine is refused") { lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            try await lab.live(answers, disks: disks.map { MachineDisk($0.file, serial: $0.serial) }) { shell in
                let said = try await shell.told(
                    """
                    kldload install --answers answers.env --payload /run/test --progress none >out 2>&1 & pid=$!
                    until grep -q 'started zfs.root' /run/kldload/install.journal 2>/dev/null || ! kill -0 $pid; do sleep 0.05; done
                    kldload install --answers answers.env --payload /run/test --progress none; echo "second: $?"; wait $pid
                    """, within: .seconds(180))
                try check(said.contains("error[") && said.contains("second: 75"), "nothing was refused:\n\(said)")
            }
            try await lab.verify(disks)
        },
        Scenario("trouble.write-errors", "a disk that takes no writes is named at once, with a remedy; the log is kept") { lab in
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let disk = try await lab.disks(1)[0]
            let rules = lab.folder.appending("rules")
            try lab.files.write(failing(sector: 0), to: rules)
            try await lab.live(answers, disks: [MachineDisk(disk.file, serial: disk.serial, errorRules: rules)]) { shell in
                let said = try await shell.told(
                    "kldload install --answers answers.env --payload /run/test --progress none", within: .seconds(120), accepting: [1])
                try check(said.contains("error[") && said.contains("virtio-disk0") && said.contains("Input/output error"), said)
                try await shell.run("test -s /var/log/kldload/install.jsonl")
                let left = try await shell.run("zpool list -H; grep -E ' (/target|/run/kldload/esp)' /proc/self/mounts; true")
                try check(left.isEmpty, "left behind:\n\(left)")
            }
        },
        Scenario(
            "trouble.write-errors-later", "a disk that takes no writes any more, in the middle: an error that says so; the log is kept"
        ) {
            lab in
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let disk = try await lab.disks(1)[0]
            let rules = lab.folder.appending("rules")
            // By then the pool is there, and the system is being received.
            try lab.files.write(failing(afterFlushes: 60), to: rules)
            try await lab.live(answers, disks: [MachineDisk(disk.file, serial: disk.serial, errorRules: rules)]) { shell in
                let said = try await shell.told(
                    "kldload install --answers answers.env --payload /run/test --progress none; echo status: $?", within: .seconds(180))
                try check(said.contains("error[zfs.suspended]") && said.lines.contains { $0.trimmed == "status: 1" }, said)
                try await shell.run("test -s /var/log/kldload/install.jsonl")
                // OpenZFS exports no suspended pool: it is left, and that must have been said. Its tools may wait; this file answers.
                let state = try await shell.run("cat /proc/spl/kstat/zfs/rpool/state")
                try check(state.trimmed == "SUSPENDED", "the pool is \(state)")
                try check(said.contains("can neither go on nor be exported"), "nobody is told that the pool is left:\n\(said)")
            }
        },
        Scenario("trouble.disk-gone", "a disk that disappears in the middle: an error that says so, and the log is kept") { lab in
            let disk = try await lab.disks(1)[0]
            let answers = try lab.answers(
                "three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_DISK=/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_disk0"]
            ).forTest()
            try await lab.live(answers, disks: [MachineDisk(disk.file, serial: disk.serial, interface: .virtioSCSI)]) { shell in
                let said = try await shell.told(
                    """
                    kldload install --answers answers.env --payload /run/test --progress none >out 2>&1 & pid=$!
                    until grep -q 'started zfs.root' /run/kldload/install.journal 2>/dev/null || ! kill -0 $pid; do sleep 0.05; done
                    sleep 2; echo 1 > /sys/block/sda/device/delete; wait $pid; echo "status: $?"; cat out
                    """, within: .seconds(180))
                try check(said.contains("error[disk.gone]") && said.lines.contains { $0.trimmed == "status: 1" }, said)
                try await shell.run("test -s /var/log/kldload/install.jsonl")
            }
        },
        Scenario("trouble.power-cuts", "after a power cut at any of 20 random instants the next run succeeds", limit: .seconds(7200)) {
            lab in
            let seed = UInt64.random(in: 0 ... .max)
            lab.log("seed \(seed)")
            var random = SplitMix(state: seed)
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            let whole = try await cut(lab, answers, disks, after: nil) ?? .zero
            lab.log("an installation takes \(whole) from the moment its guest is up")
            var cuts = 0
            while cuts < 20 {
                let instant = whole * Double.random(in: 0..<1, using: &random)
                if try await cut(lab, answers, disks, after: instant) == nil { cuts += 1 }
                lab.log("\(cuts) cuts; the last after \(instant)")
            }
            try await lab.install(answers, onto: disks)
            try await lab.verify(disks)
        },
    ]

    /// Installs, and cuts the guest's power so long after it came up.
    ///
    /// - Returns: how long the installation took; `nil` when it was cut.
    /// - Throws: whatever else ended it: after a cut, the next installation must not fail.
    private static func cut(
        _ lab: Laboratory, _ answers: Answers, _ disks: [Factory.Disk], after instant: Duration?
    ) async throws -> Duration? {
        let up = Event()
        let attempt = Task {
            try await lab.install(answers, onto: disks) { event in if event.message == FactoryGuest.isUp { up.announce() } }
        }
        let began = Task {
            await up.wait()
            return ContinuousClock.now
        }
        let timer = Task {
            guard let instant else { return }
            _ = await began.value
            try await Task.sleep(for: instant)
            attempt.cancel()
        }
        defer { timer.cancel() }
        // A task of its own does not hear of it when this one is to end.
        let result = await withTaskCancellationHandler {
            await attempt.result
        } onCancel: {
            attempt.cancel()
        }
        let end = ContinuousClock.now
        up.announce()
        try Task.checkCancellation()
        switch result {
        case .success: return await began.value.duration(to: end)
        case .failure where attempt.isCancelled: return nil
        case .failure(let error): throw error
        }
    }

    /// Rules of QEMU's blkdebug driver: whatever writes this sector (512 bytes) fails.
    private static func failing(sector: Int) -> String {
        "[inject-error]\nevent = \"pwritev\"\niotype = \"write\"\nerrno = \"5\"\nsector = \"\(sector)\"\nonce = \"off\"\n"
    }

    /// The same of every sector, once the guest has flushed the disk so many times: each flush is a state of its own.
    private static func failing(afterFlushes count: Int) -> String {
        (1...count).map { "[set-state]\nstate = \"\($0)\"\nevent = \"flush_to_os\"\nnew_state = \"\($0 + 1)\"\n" }.joined()
            + "[inject-error]\nstate = \"\(count + 1)\"\nevent = \"pwritev\"\niotype = \"write\"\nerrno = \"5\"\nonce = \"off\"\n"
    }
}

/// Random numbers that a seed in the log brings back.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Something that happens once.
private final class Event: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    init() { (stream, continuation) = AsyncStream.makeStream() }
    func announce() { continuation.finish() }
    func wait() async { for await _ in stream {} }
}

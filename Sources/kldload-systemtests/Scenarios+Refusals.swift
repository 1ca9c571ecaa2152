import KldAnswers
import KldCore
import KldExec
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    static func refused(_ lab: Laboratory) async throws {
        let small = try await lab.disks(1, size: .gibibytes(2))
        try await expect("disk.too-small", small[0], lab) {
            try await lab.install(lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest(), onto: small)
        }
        let single = try await lab.disks(1, size: .gibibytes(4))
        try await expect("disk.missing", single[0], lab) {
            try await lab.install(lab.answers("mirror", ["KLDLOAD_PROFILE=core"]).forTest(), onto: single)
        }
        // Large enough for core, and somebody's.
        try await lab.workshop.runner.run(
            Command(Tool("mkfs.ext4", package: "e2fsprogs"), ["-q", "-F", "-L", "SOMEBODYS", single[0].file.string], effect: .changes))
        try await untouched(single[0].file, lab) { try await refusedLive(lab, single[0]) }
    }

    /// On the machine that installs: what is no disk, and what is in use, whatever the answers approve.
    private static func refusedLive(_ lab: Laboratory, _ disk: Factory.Disk) async throws {
        let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
        let spare = try await lab.disks(1, size: .mebibytes(256), prefix: "mounted") + lab.disks(1, size: .mebibytes(256), prefix: "pooled")
        try await lab.live(answers, disks: ([disk] + spare).map { MachineDisk($0.file, serial: $0.serial) }) { shell in
            // Mounted and imported read-only: neither a file system nor OpenZFS writes by itself then.
            try await shell.run(
                """
                by=/dev/disk/by-id/virtio; modprobe loop
                sgdisk -n 1:0:0 $by-mounted0 >/dev/null && sgdisk -n 1:0:0 $by-pooled0 >/dev/null && udevadm settle && \
                mkfs.ext4 -q $by-mounted0-part1 && mkdir -p /run/mounted && mount -o ro $by-mounted0-part1 /run/mounted && \
                zpool create -f -m none rpool $by-pooled0-part1 && zpool export rpool && udevadm settle && \
                zpool import -N -o readonly=on -d /dev/disk/by-id rpool && ln -s $by-mounted0-part1 /dev/slice && \
                truncate -s 64M /run/test/file && loop=$(losetup --find --show /run/test/file)
                """, within: .seconds(60))
            // Past the kernel's cache, which does not see what a pool writes.
            let reading = """
                sync; for name in mounted0 pooled0; do dd if=$by-$name bs=1M iflag=direct status=none | sha256sum; done
                sha256sum /run/test/file
                """
            let before = try await shell.run(reading, within: .seconds(60))
            try check(before.lines.count == 3 && Set(before.lines).count == 3, "not the digests of three disks:\n\(before)")

            func refuse(_ code: String, status: Int = 65, saying text: String = "error", _ changes: String...) async throws {
                let words = changes.map { " --set \($0)" }.joined()
                let said = try await shell.run(
                    "kldload install --answers answers.env --payload /run/test --progress none\(words) </dev/null; echo \"status: $?\"",
                    within: .seconds(240))
                try check(
                    said.contains("error[\(code)]") && said.contains("status: \(status)") && said.contains(text),
                    "expected \(code), \(status) and '\(text)' of\(words):\n\(said)")
                lab.log("refused: \(said.lines.first { $0.contains("error[") } ?? said)")
            }
            try await refuse("answers.disk-is-partition", "KLDLOAD_DISK=$by-mounted0-part1")
            // Under a name that does not say so.
            try await refuse("disk.not-a-disk", saying: "is not a disk but a part", "KLDLOAD_DISK=/dev/slice")
            try await refuse("disk.not-a-disk", saying: "is not a disk but a loop", "KLDLOAD_DISK=$loop")
            try await refuse("disk.in-use", saying: "mounted at /run/mounted", "KLDLOAD_DISK=$by-mounted0")
            try await refuse("disk.in-use", saying: "belongs to the pool rpool", "KLDLOAD_DISK=$by-pooled0")
            try await shell.run("attached=$(losetup --read-only --find --show $by-disk0)")
            try await refuse("disk.in-use", saying: "it is attached as /dev/loop", "KLDLOAD_DISK=$by-disk0")
            // As a virtual machine has it.
            try await shell.run("losetup --detach $attached; sleep 3600 <>$by-disk0 & writer=$!")
            try await refuse("disk.in-use", saying: "(sleep) may write to", "KLDLOAD_DISK=$by-disk0")
            try await shell.run("kill $writer")
            try await refuse("disk.live", "KLDLOAD_DISK=$by-kldload-live")
            try await refuse("disk.read-only", "KLDLOAD_DISK=$by-test-stream")
            try await refuse("install.pool-imported")
            try await shell.run("zpool export rpool")
            try await refuse("disk.same-pool", saying: "carries a pool named rpool too")
            try await refuse("plan.unapproved", "KLDLOAD_FORCE_WIPE=0", "KLDLOAD_ZFS_POOL=other")
            // The only disks without a signature are what the payload lies on.
            try await refuse("disk.read-only", "KLDLOAD_FORCE_WIPE=0", "KLDLOAD_DISK=auto")

            let left = try await shell.run(
                "zpool list -H; grep ' /target' /proc/self/mounts; ls /run/kldload/install.journal 2>/dev/null; true")
            try check(left.isEmpty, "something was begun:\n\(left)")
            let after = try await shell.run(reading, within: .seconds(60))
            try check(after == before, "a disk that was refused is not what it was:\n\(before)\n\(after)")
            lab.log("what was refused is what it was: \(after.lines.map { $0.prefix(12) }.joined(separator: ", "))")
        }
    }

    /// Requires that work fails with this code, and that the disk is what it was.
    private static func expect(_ code: String, _ disk: Factory.Disk, _ lab: Laboratory, _ body: () async throws -> Void) async throws {
        try await untouched(disk.file, lab) {
            do { try await body() } catch {
                let found = Diagnosis(of: error)
                try check(found.code == code, "expected \(code), got \(found.rendered)")
                lab.log("refused: \(found.message)")
                return
            }
            throw CheckFailure("expected \(code), but nothing was refused")
        }
    }

    /// Requires that a file holds the same bytes after work as before.
    private static func untouched(_ file: FilePath, _ lab: Laboratory, _ body: () async throws -> Void) async throws {
        let before = try await digest(file, lab)
        try await body()
        try check(try await digest(file, lab) == before, "\(file) is not what it was")
    }
}

import KldAnswers
import KldCore
import KldExec
import KldImage
import KldPlan
import KldVirt
import SystemPackage

extension Scenario {
    /// What numbers of kldload are compared with: docs/numbers.md. They check nothing of it.
    static let peers: [Scenario] = [
        Scenario("peer.by-hand", "the root file system of three answers put on a disk by hand, for its time", tier: .bench) { lab in
            let answers = try lab.answers("three-lines").forTest()
            let disk = try await lab.disks(1)[0]
            let archive = try await lab.archive(answers)
            try await lab.live(
                answers,
                disks: [MachineDisk(disk.file, serial: disk.serial), MachineDisk(archive, serial: "archive", readOnly: true)]
            ) { _ = try await $0.told(Self.byHand(disk.serial), within: .seconds(300)) }
        }
    ]

    /// No boot loader, no kernel image, no user: a pool with a root file system in it, as whoever begins with a HOWTO has it.
    /// Source: OpenZFS documentation, "Debian Trixie Root on ZFS".
    private static func byHand(_ serial: String) -> String {
        let disk = "/dev/disk/by-id/virtio-\(serial)"
        return """
            sgdisk --zap-all \(disk) && sgdisk -n1:1M:+1G -t1:EF00 -n2:0:0 -t2:BF00 \(disk) && udevadm settle && \
            mkfs.vfat -F 32 \(disk)-part1 && \
            zpool create -f -o ashift=12 -o autotrim=on -O compression=lz4 -O acltype=posix -O xattr=sa -O relatime=on -O canmount=off \
            -O mountpoint=none -R /by-hand rpool \(disk)-part2 && \
            zfs create -o canmount=off -o mountpoint=none rpool/ROOT && zfs create -o canmount=noauto -o mountpoint=/ rpool/ROOT/debian && \
            zfs mount rpool/ROOT/debian && \
            zstd --decompress --stdout </dev/disk/by-id/virtio-archive 2>/dev/null | tar --extract --directory /by-hand && \
            test -x /by-hand/usr/bin/apt && zpool set bootfs=rpool/ROOT/debian rpool && zfs unmount rpool/ROOT/debian && zpool export rpool
            """
    }
}

extension Laboratory {
    /// A payload's root file system as somebody would carry it: `tar.zst`.
    fileprivate func archive(_ answers: Answers) async throws -> FilePath {
        let bench = try await workshop.prepare(answers, mirror: nil, report: report)
        let packed = folder.appending("rootfs.tar.zst")
        try await workshop.runner.run(
            Command(
                "zstd", ["-q", "-3", "-T0", "-o", packed.string, bench.payload.folder.appending("rootfs.tar").string], effect: .changes))
        // A disk has whole sectors.
        try await workshop.runner.run(Command(Tool("truncate", package: "coreutils"), ["--size=%512", packed.string], effect: .changes))
        return packed
    }
}

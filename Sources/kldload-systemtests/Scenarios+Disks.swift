import KldAnswers
import KldCore
import KldImage
import KldVirt

extension Scenario {
    /// One disk in another's place, as a person does it.
    static let disks: [Scenario] = [
        Scenario(
            "daily.disks",
            "a disk of a mirror gets a passport, fails, is found and replaced, cut off once in between; the machine starts from the new one alone"
        ) { lab in
            let disks = try await lab.machine("mirror", disks: 2)
            let new = try await lab.disks(1, prefix: "new")[0]
            try await lab.withGuest(disks + [new], label: "replace") { guest in
                try await label(guest)
                try await refuse(guest)
                try await replace(guest)
                try await guest.powerOff()
            }
            try await lab.withGuest([new], label: "alone", untilGood: false) { guest in
                let said = try await guest.told(
                    "kbe current; zpool list -H -o health rpool; ls /boot/efi/EFI/kldload; $tool kdisk list; $tool kdisk label SLOT07")
                try check(said.lines.prefix(2) == ["debian", "DEGRADED"], said)
                try check(said.contains("missing") && said.contains("slot SLOT07") && said.contains("out 20"), said)
            }
        }
    ]

    private static func label(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            k() { $tool kdisk "$@" </dev/null 2>&1; }; k list && k list -q
            k label virtio-disk1 --set slot=SLOT07 rack=R12-08 'rma=https://example.org/rma?a=b' x-cable=blue --set warranty=2028-02-12
            k label virtio-disk1 --set warrenty=2028-02-12; echo "status $?"
            k label SLOT07; k label SLOT07 --format json; k label SLOT07 --format svg | head -n 1
            zpool get -H -o value com.kldload:disk.slot rpool /dev/disk/by-id/virtio-disk1-part2
            k label disk1 --unset x-cable && k list
            """, within: .seconds(240))
        try check(said.contains("did you mean warranty?") && said.contains("status 64"), "a mistyped field was taken:\n\(said)")
        try check(
            said.contains("Rack: R12-08  Slot: SLOT07") && said.contains("VDEV: mirror-0  Layout: mirror")
                && said.contains("RMA: https://example.org/rma?a=b") && said.contains("\"x-cable\": \"blue\""), "the label:\n\(said)")
        try check(said.contains("error[kdisk.no-qrencode]") || said.contains("<?xml"), "no drawing, and no word why:\n\(said)")
        try check(said.contains("\nSLOT07\n"), "the property is not on the vdev:\n\(said)")
        try check(said.lines.suffix(4).contains { $0.contains("rack R12-08, slot SLOT07") }, "kdisk list:\n\(said)")
    }

    private static func refuse(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            k locate SLOT07; echo "status $?"; k locate SLOT07 --blink --seconds 2; echo "status $?"
            k replace SLOT07 virtio-new0 --yes; echo "status $?"
            zpool offline -f rpool /dev/disk/by-id/virtio-disk1-part2; $tool doctor --all --only zfs.pool.health
            mkfs.ext4 -q -L FOREIGN /dev/disk/by-id/virtio-new0; udevadm settle
            k replace SLOT07 virtio-new0 --yes; echo "status $?"; k replace SLOT07 virtio-disk0 --yes; echo "status $?"
            k replace virtio-disk0 virtio-new0 --yes --healthy /dev/disk/by-id/virtio-disk0 --dry-run; echo "status $?"
            k replace SLOT07 virtio-new0 --dry-run; blkid -o value -s LABEL /dev/disk/by-id/virtio-new0
            """, within: .seconds(300))
        let statuses = said.lines.filter { $0.hasPrefix("status ") }.map { $0.trimmed }
        try check(said.contains("error[kdisk.no-light]") && said.contains("slot SLOT07, serial disk1"), "locate:\n\(said)")
        try check(said.contains("error[kdisk.healthy]"), "a healthy disk was not refused:\n\(said)")
        try check(said.contains("slot SLOT07, serial disk1): kldload kdisk locate"), "the doctor does not name the slot:\n\(said)")
        try check(said.contains("error[kdisk.unapproved]"), "a disk that holds something was not refused:\n\(said)")
        try check(said.contains("error[disk.in-use]"), "a disk of the pool was not refused:\n\(said)")
        // The one that is left is ONLINE, and could be copied from; the faulted one is all that a mirror of two survives.
        try check(statuses == ["status 69", "status 0", "status 1", "status 64", "status 65", "status 0"], "\(statuses)\n\(said)")
        try check(said.contains("WIPES /dev/disk/by-id/virtio-new0") && said.lines.last?.trimmed == "FOREIGN", "dry-run:\n\(said)")
    }

    private static func replace(_ guest: Guest) async throws {
        let said = try await guest.told(
            """
            f=/var/lib/kldload/disks; wipe='--yes --wipe /dev/disk/by-id/virtio-new0 --set asset=A-2'
            $tool kdisk replace SLOT07 virtio-new0 $wipe </dev/null >/run/first.log 2>&1 & pid=$!
            for n in $(seq 600); do ls $f/replace-*.json >/dev/null 2>&1 && break; sleep 0.1; done; sleep 1
            kill -KILL $pid; wait $pid 2>/dev/null; sleep 5; cat /run/first.log; ls $f
            k replace virtio-disk1 virtio-new0 $wipe --wait; echo "status $?"
            zpool status -x; zpool list -vHP rpool; k list; k label SLOT07; k label virtio-disk1; ls $f | wc -l
            $tool doctor boot; $tool doctor --all --only zfs.pool.health --only zfs.pool.topology --only boot.esp.copies
            """, within: .seconds(900))
        try check(said.contains("status 0") && said.contains("all pools are healthy"), "it was not replaced:\n\(said)")
        try check(
            said.contains("virtio-new0 is in the place of") && said.contains("Serial: new0") && said.contains("Asset ID: A-2")
                && said.contains("Rack: R12-08  Slot: SLOT07"), "the passport did not come along:\n\(said)")
        try check(said.contains("serial disk1") && !said.contains("Warranty"), "the old disk's own fields:\n\(said)")
        try check(said.contains("error[kdisk.no-vdev]") && said.contains("\n0\n"), "something of the old disk is left:\n\(said)")
        let well = said.lines.map(\.words).filter { $0.first == "OK" }.compactMap { $0.dropFirst().first }
        try check(
            ["zfs.pool.health:", "zfs.pool.topology:", "boot.esp.copies:"].allSatisfy(well.contains), "the doctor is not content:\n\(said)")
        try check(said.contains("the same on /dev/vda1, /dev/vdc1") && said.contains(": it starts"), "what boots:\n\(said)")
    }
}

import KldBlock
import KldCore
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

@Suite("The first boot")
struct FirstBootTests {
    static let kernel = "6.12.48+deb13-amd64"
    static let image = "kldload-debian-\(kernel).1.efi"

    static let mountTable = "# kldload\nUUID=1234-ABCD /boot/efi vfat umask=0077,nofail 0 2\n"
    static let extras = FirstBoot.Extras(
        espSerial: 0x0BAD_CAFE, mountTable: mountTable, nvmeHost: "0f0e0d0c-0b0a-4908-8706-050403020100", iscsi: true, certificate: true,
        signs: true)

    static func clone(
        hostID: HostID? = nil, runningHostID: HostID? = identity.hostID, sealed: Bool = true, esps: [String] = ["/dev/vda1"],
        build: Bool = true, room: ByteCount = .gibibytes(4), journal: String = "",
        extras: FirstBoot.Extras = FirstBoot.Extras()
    ) -> FirstBoot {
        FirstBoot(
            sealed: sealed, hostID: hostID, runningHostID: runningHostID, newHostID: HostID(0x7777_7777) ?? identity.hostID, pool: "rpool",
            disks: [RunningRoot.Disk(disk: "/dev/vda", partition: "/dev/vda2", number: 2, vdev: "/dev/disk/by-id/virtio-disk0-part2")],
            rooms: ["/dev/vda2": room], journal: journal, esps: esps, kernel: kernel,
            commandLine: "initrd=\\x BOOT_IMAGE=/y root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0 zfs_force=1",
            images: [image],
            builder: build ? .ukify : nil, extras: extras)
    }

    @Test("what a seal promises of the first boot is a step of it, on a machine that has everything")
    func renewals() throws {
        let ids = try Self.clone(extras: Self.extras).plan.steps.map(\.id)
        for (renewal, step) in FirstBoot.renewals { #expect(ids.contains { $0.hasPrefix(step) }, "\(renewal)") }
        // An installed machine keeps what is its own; the names that packages make it shares with every machine of its payload.
        #expect(
            try Self.clone(sealed: false, extras: Self.extras).plan.steps.map(\.id) == [
                "firstboot.host-id", "firstboot.ssh-keys", "firstboot.nvme-host", "firstboot.iscsi-initiator", "firstboot.certificate",
                "firstboot.done",
            ])
    }

    @Test("the ESP's serial number changes while it is not mounted, and the mount table after it; systemd is told")
    func espSerial() throws {
        let step = try #require(Self.clone(esps: ["/dev/vda1", "/dev/vdb1"], extras: Self.extras).plan[step: "firstboot.esp-serial"])
        #expect(
            step.actions.map(\.text) == [
                "systemctl stop boot-efi.mount", "fatlabel -i /dev/vda1 0badcafe", "fatlabel -i /dev/vdb1 0badcafe",
                "write /etc/fstab (644, 62 bytes)", "systemctl daemon-reload", "systemctl restart kldload-esp.service",
            ])
        guard case .write(_, .text(let table), _)? = step.actions.first(where: { $0.text.hasPrefix("write") }) else {
            Issue.record("the table is not written")
            return
        }
        #expect(table == Self.mountTable.replacing("1234-ABCD", with: "0BAD-CAFE"))
        #expect(step.undo.map(\.text) == ["systemctl daemon-reload", "systemctl restart kldload-esp.service"])
        // Nothing names the ESP by its number: nothing is written.
        var other = Self.extras
        other.mountTable = "LABEL=EFI /boot/efi vfat defaults 0 2\n"
        #expect(
            try Self.clone(extras: other).plan[step: "firstboot.esp-serial"]?.actions.map(\.text) == [
                "systemctl stop boot-efi.mount", "fatlabel -i /dev/vda1 0badcafe", "systemctl daemon-reload",
                "systemctl restart kldload-esp.service",
            ])
    }

    @Test("names of initiators are whole: one UUID for both files of NVMe, a line for iSCSI")
    func initiators() async throws {
        let plan = try Self.clone(extras: Self.extras).plan
        let files = MemoryFiles()
        let runner = ScriptedRunner(["iscsi-iname": "iqn.2016-04.com.open-iscsi:5c3f\n"])
        let steps = plan.steps.filter { ["firstboot.nvme-host", "firstboot.iscsi-initiator"].contains($0.id) }
        try await PlanRunner(runner: runner, files: files, performers: FirstBoot.performers)
            .apply(Plan("initiators", [Phase("one", "One", steps)]))
        #expect(try files.readText("/etc/nvme/hostnqn") == "nqn.2014-08.org.nvmexpress:uuid:0f0e0d0c-0b0a-4908-8706-050403020100\n")
        #expect(try files.readText("/etc/nvme/hostid") == "0f0e0d0c-0b0a-4908-8706-050403020100\n")
        #expect(try files.readText("/etc/iscsi/initiatorname.iscsi") == "InitiatorName=iqn.2016-04.com.open-iscsi:5c3f\n")
        #expect(
            plan[step: "firstboot.certificate"]?.actions.map(\.text) == ["make-ssl-cert generate-default-snakeoil --force-overwrite"])
    }

    @Test("a machine of its own only gets the SSH host keys that are missing")
    func own() throws {
        #expect(
            try Self.clone(hostID: identity.hostID, sealed: false).plan.text() == """
                plan: first boot
                firstboot: First boot
                  + firstboot.ssh-keys: SSH host keys that are missing
                      ssh-keygen -A
                  + firstboot.done: Remember that this is done
                      write /var/lib/kldload/firstboot/done (644, 18 bytes)
                      remove /var/lib/kldload/firstboot/sealed

                """)
    }

    @Test("a clone becomes somebody: host id, pool GUID, size, kernel image, keys")
    func cloned() throws {
        let esp = "/run/kldload/firstboot/esp0"
        #expect(
            try Self.clone().plan.text() == """
                plan: first boot
                firstboot: First boot
                  + firstboot.host-id: Host id 01234567
                      write /etc/hostid (644, 4 bytes)
                  + firstboot.ssh-keys: SSH host keys that are missing
                      ssh-keygen -A
                  + firstboot.pool-guid: A GUID of its own for the pool
                      zpool reguid rpool
                  + firstboot.gpt-guids.virtio-disk0: GUIDs of its own for /dev/vda and its partitions
                      sgdisk --randomize-guids /dev/vda
                  + firstboot.grow.virtio-disk0: Grow /dev/vda2 and the pool to the end of /dev/vda
                      sgdisk --move-second-header /dev/vda
                      sfdisk --no-reread --no-tell-kernel --partno 2 /dev/vda
                      partx --update /dev/vda
                      zpool online -e rpool /dev/disk/by-id/virtio-disk0-part2
                  + firstboot.image: Put the host id into the boot image
                      needs: firstboot.host-id
                      write /run/kldload/firstboot/hostid.cpio (644, 512 bytes)
                      ukify build --linux=/boot/vmlinuz-\(Self.kernel) --initrd=/boot/initrd.img-\(Self.kernel) \
                --initrd=/run/kldload/firstboot/hostid.cpio '--cmdline=root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0' \
                --uname=\(Self.kernel) --os-release=@/usr/lib/os-release --stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub \
                --output=/run/kldload/firstboot/boot.efi
                      mkdir \(esp) (755)
                      mount -t vfat /dev/vda1 \(esp)
                      cp /run/kldload/firstboot/boot.efi \(esp)/EFI/kldload/.\(Self.image).new
                      sync --file-system \(esp)
                      cmp /run/kldload/firstboot/boot.efi \(esp)/EFI/kldload/.\(Self.image).new
                      mv --force \(esp)/EFI/kldload/.\(Self.image).new \(esp)/EFI/kldload/\(Self.image)
                      sync --file-system \(esp)
                      umount --recursive \(esp)
                      release: umount --recursive \(esp)
                      release: remove /run/kldload/firstboot/boot.efi
                  + firstboot.done: Remember that this is done
                      write /var/lib/kldload/firstboot/done (644, 18 bytes)
                      remove /var/lib/kldload/firstboot/sealed

                """)
    }

    @Test("a host id that the boot image carries stays, and so does how it imports the pool")
    func sameHostID() throws {
        let id = try #require(HostID(0xABCD_EF01))
        let plan = try Self.clone(hostID: id, runningHostID: nil).plan
        #expect(plan[step: "firstboot.host-id"] == nil)
        // As it is: with the word when nothing made a host id up, without it when this first boot has built the image before.
        #expect(plan.commandLines.contains { $0.contains("console=tty0 zfs_force=1'") })
        #expect(try Self.clone().plan.commandLines.allSatisfy { !$0.contains("zfs_force") })
        guard case .write(_, .bytes(let bytes), _)? = plan[step: "firstboot.image"]?.actions.first else {
            Issue.record("no supplement")
            return
        }
        #expect(bytes.count == 512)
        #expect(try bytes != #require(Self.supplement(Self.clone().plan)))
    }

    static func supplement(_ plan: Plan) -> [UInt8]? {
        if case .write(_, .bytes(let bytes), _)? = plan[step: "firstboot.image"]?.actions.first { bytes } else { nil }
    }

    @Test("every ESP gets the new kernel image")
    func everyESP() throws {
        let lines = try Self.clone(esps: ["/dev/vda1", "/dev/vdb1", "/dev/vdc1"]).plan.commandLines
        for index in 0..<3 {
            #expect(lines.contains("mount -t vfat /dev/vd\(["a", "b", "c"][index])1 /run/kldload/firstboot/esp\(index)"))
            #expect(lines.contains { $0.hasPrefix("mv --force /run/kldload/firstboot/esp\(index)/") })
        }
        #expect(lines.filter { $0.hasPrefix("ukify") }.count == 1)
    }

    @Test("where there is no image, whatever could build one, the rest is done all the same", arguments: [true, false])
    func noImage(_ build: Bool) throws {
        var none = Self.clone(build: build)
        none.images = []
        let ids = try none.plan.steps.map(\.id)
        #expect(
            ids == [
                "firstboot.host-id", "firstboot.ssh-keys", "firstboot.pool-guid", "firstboot.gpt-guids.virtio-disk0",
                "firstboot.grow.virtio-disk0", "firstboot.done",
            ])
    }

    @Test("without ukify the image is assembled of the same parts: the initramfs with the host id behind it, in one section")
    func assembled() async throws {
        var boot = Self.clone()
        boot.builder = .objcopy
        let step = try #require(boot.plan[step: "firstboot.image"])
        guard case .perform(let name, let parameters, .changes)? = step.actions.dropFirst().first else {
            Issue.record("nothing is performed")
            return
        }
        let files = MemoryFiles()
        // An EFI program with one section that ends at 0x2000.
        var stub = [UInt8](repeating: 0, count: 0x200)
        stub.replaceSubrange(0..<2, with: [0x4d, 0x5a])
        stub[0x3c] = 0x40
        stub.replaceSubrange(0x40..<0x44, with: [0x50, 0x45, 0, 0])
        stub[0x46] = 1
        stub[0x54] = 0xf0
        stub.replaceSubrange(0x78..<0x7c, with: [0, 0x10, 0, 0])
        stub.replaceSubrange(0x150..<0x158, with: [0, 0x10, 0, 0, 0, 0x10, 0, 0])
        try files.write(stub, to: "/usr/lib/systemd/boot/efi/linuxx64.efi.stub", mode: .file)
        try files.write("ID=debian\n", to: "/usr/lib/os-release")
        try files.write("kernel", to: FilePath("/boot/vmlinuz-\(Self.kernel)"))
        try files.write("initramfs", to: FilePath("/boot/initrd.img-\(Self.kernel)"))
        let supplement: [UInt8] = Array("host id".utf8)
        try files.write(supplement, to: "/run/kldload/firstboot/hostid.cpio", mode: .file)
        let joined = Mutex<[UInt8]>([])
        let runner = ScriptedRunner([
            { command in
                guard command.tool.name == "objcopy" else { return nil }
                joined.withLock { $0 = (try? files.read("/run/kldload/firstboot/initrd")) ?? [] }
                return CommandOutput()
            }
        ])
        let perform = try #require(FirstBoot.performers[name])
        try await perform(parameters, runner, files)
        #expect(joined.withLock { $0 } == Array("initramfs\0\0\0host id".utf8))
        #expect(
            runner.commands.map(\.description) == [
                "objcopy --add-section .osrel=/usr/lib/os-release --change-section-vma .osrel=0x2000 "
                    + "--add-section .cmdline=/run/kldload/firstboot/cmdline --change-section-vma .cmdline=0x3000 "
                    + "--add-section .uname=/run/kldload/firstboot/uname --change-section-vma .uname=0x4000 "
                    + "--add-section .linux=/boot/vmlinuz-\(Self.kernel) --change-section-vma .linux=0x5000 "
                    + "--add-section .initrd=/run/kldload/firstboot/initrd --change-section-vma .initrd=0x6000 "
                    + "/usr/lib/systemd/boot/efi/linuxx64.efi.stub /run/kldload/firstboot/boot.efi"
            ])
        #expect(try files.readText("/run/kldload/firstboot/cmdline") == "root=ZFS=rpool/ROOT/debian boot=zfs rw console=tty0")
        #expect(try !files.exists("/run/kldload/firstboot/initrd"))
    }

    // MARK: growth

    /// Two disks of a mirror, both larger than the image.
    static func mirror(_ rooms: [String: ByteCount], journal: String = "") -> FirstBoot {
        var boot = clone(journal: journal)
        boot.disks.append(RunningRoot.Disk(disk: "/dev/vdb", partition: "/dev/vdb2", number: 2, vdev: "/dev/vdb2"))
        boot.rooms = rooms
        return boot
    }

    static func growth(_ boot: FirstBoot) throws -> [String: [String]] {
        let steps = try boot.plan.steps.filter { $0.id.hasPrefix("firstboot.grow.") }
        return Dictionary(steps.map { ($0.id, $0.actions.map(\.text)) }) { first, _ in first }
    }

    @Test("each disk of a mirror grows by itself, and only a partition that is the last and has room behind it")
    func growsEach() throws {
        let rooms: [String: ByteCount] = ["/dev/vda2": .gibibytes(4), "/dev/vdb2": .gibibytes(4)]
        let both = try Self.growth(Self.mirror(rooms))
        #expect(both.keys.sorted() == ["firstboot.grow.vdb", "firstboot.grow.virtio-disk0"])
        #expect(both["firstboot.grow.vdb"]?.last == "zpool online -e rpool /dev/vdb2")
        #expect(try Self.growth(Self.mirror(["/dev/vdb2": .gibibytes(4)])).keys.sorted() == ["firstboot.grow.vdb"])
        // Rounding of an image is no room, and an unknown end is none.
        #expect(try Self.growth(Self.mirror(["/dev/vda2": .mebibytes(2), "/dev/vdb2": ByteCount(0)])).isEmpty)
        #expect(try Self.growth(Self.mirror([:])).isEmpty)
        #expect(try Self.mirror(rooms).plan.steps.filter { $0.id.hasPrefix("firstboot.gpt-guids.") }.count == 2)
    }

    @Test("where the power was cut between partition and pool, the next boot grows the pool, and no partition again")
    func growsPool() throws {
        let full: [String: ByteCount] = ["/dev/vda2": ByteCount(17 * 512), "/dev/vdb2": ByteCount(17 * 512)]
        let cut = try Self.growth(Self.mirror(full, journal: "started firstboot.grow.virtio-disk0\n"))
        // The kernel may have called the disk otherwise then.
        #expect(
            cut == [
                "firstboot.grow.virtio-disk0": ["zpool online -e rpool /dev/disk/by-id/virtio-disk0-part2"],
                "firstboot.grow.vdb": ["zpool online -e rpool /dev/vdb2"],
            ])
        let done = "started firstboot.grow.virtio-disk0\ndone firstboot.grow.virtio-disk0\n"
        #expect(try Self.growth(Self.mirror(full, journal: done)).isEmpty)
    }
}

import KldAnswers
import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("An installation that GRUB starts")
struct GrubInstallTests {
    static func plan(_ lines: String..., sealed: Bool = false) throws -> Plan {
        let answers = try answers((["KLDLOAD_BOOTLOADER=grub"] + lines).joined(separator: "\n"))
        return try PlanView.plan(InstallPlanner(request(answers, Machines.virtual, sealed: sealed)), sealed ? .template : .whole)
    }

    static func entry(_ plan: Plan, _ esp: Int) -> BootEntry? {
        plan.steps.flatMap(\.actions).lazy.compactMap { action in
            guard case .write(let path, .text(let text), _) = action, path.string.hasPrefix("/run/kldload/esp\(esp)/EFI/kldload/entries/")
            else { return nil }
            return BootEntry(fileName: path.lastComponent?.string ?? "", text: text)
        }.first
    }

    @Test(
        "every ESP holds GRUB, its menu, one entry, and what that entry starts; no image is built, and the kernel is as its vendor signed it"
    )
    func staging() throws {
        let plan = try Self.plan("KLDLOAD_ZFS_TOPOLOGY=mirror", "KLDLOAD_ZFS_DATA_DISKS=/dev/vdb")
        for index in 0...1 {
            let entry = try #require(Self.entry(plan, index))
            #expect(entry.counter == nil && entry.parts?.commandLine.root == "rpool/ROOT/debian" && entry.files.count == 3)
            let texts = plan.steps.flatMap(\.actions).map(\.text)
            for (source, file) in zip(
                ["/target/boot/vmlinuz-\(entry.release)", "/target/boot/initrd.img-\(entry.release)", "/run/kldload/hostid.cpio"],
                entry.files)
            {
                let path = FilePath("/run/kldload/esp\(index)/\(file)")
                let fresh = path.removingLastComponent().appending(".\(path.lastComponent?.string ?? "").new")
                #expect(texts.contains("cp \(source) \(fresh)") && texts.contains("cmp \(source) \(fresh)"))
                #expect(texts.contains("mv --force \(fresh) \(path)"))
            }
            #expect(texts.contains { $0.hasPrefix("write /run/kldload/esp\(index)/EFI/debian/grub.cfg") })
        }
        #expect(!plan.steps.contains { $0.id == "boot.uki" })
        let tools = Set(plan.steps.flatMap(\.actions).map { $0.text.words.first ?? "" })
        #expect(!tools.contains("ukify") && !tools.contains("sbsign"))
    }

    @Test("packages of GRUB and shim find no name to install it under")
    func packages() throws {
        let step = try #require(Self.plan().steps.first { $0.id == "boot.grub" })
        guard case .write("/target/etc/default/grub.d/kldload.cfg", .text(let text), _)? = step.actions.first else {
            Issue.record("\(step.actions.map(\.text))")
            return
        }
        #expect(text.lines.last == "GRUB_DISTRIBUTOR=")
    }

    @Test("a sealed image has no host id yet; the first boot of a clone lays it beside the kernel, then changes the entry")
    func clone() throws {
        let entry = try #require(Self.entry(Self.plan(sealed: true), 0))
        #expect(entry.files.count == 2 && entry.parts?.commandLine.words.contains("zfs_force=1") == true)
        var boot = FirstBootTests.clone()
        // Nothing is built for it.
        (boot.images, boot.entries, boot.builder) = ([], [entry], nil)
        let step = try #require(boot.plan[step: "firstboot.image"])
        let esp = "/run/kldload/firstboot/esp0"
        let id = KernelParts.path(of: identity.hostID)
        let texts = step.actions.map(\.text)
        let (file, written) = (
            texts.firstIndex { $0.hasSuffix(" \(esp)/\(id)") }, texts.firstIndex { $0.hasPrefix("write \(esp)/\(entry.path)") }
        )
        #expect(file.flatMap { file in written.map { file < $0 } } == true)
        let changed = step.actions.lazy.compactMap { action -> BootEntry? in
            guard case .write(let path, .text(let text), _) = action else { return nil }
            return BootEntry(fileName: path.lastComponent?.string ?? "", text: text)
        }.first
        #expect(changed?.files == entry.files + [id] && changed?.parts?.commandLine.words.contains("zfs_force=1") == false)
        // The machine signs nothing: its initramfs stays.
        #expect(!texts.contains { $0.contains("initrd.img") })
    }

    @Test("its packages are held with the others")
    func held() throws {
        let spec = DistroSpec.debian13
        #expect(spec.held(with: .systemdBoot) == spec.heldPackages)
        #expect(spec.held(with: .grub).contains("grub-efi-amd64*") && spec.grubPackages == ["grub-efi-amd64-signed"])
    }
}

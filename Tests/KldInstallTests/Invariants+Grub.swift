import KldAnswers
import KldBlock
import KldBoot
import KldCore
import KldDistro
import KldExec
import KldInstall
import KldPlan
import SystemPackage

/// What holds for machines that GRUB starts: kernel and initramfs lie beside each other, and an entry of its own names them.
extension Invariant {
    static let grub: [Invariant] = [
        Invariant("kernel, initramfs and host id lie on every ESP under the same names", of: .disk, by: .grub, offender: grubParts),
        Invariant("GRUB's entry names the boot environment, the consoles in their order, and what lies on its ESP", of: .disk, by: .grub) {
            view in
            (0..<view.rootPaths.count).allSatisfy { index in
                guard let text = entry(view, index), let entry = BootEntry(fileName: entryName(view), text: text) else { return false }
                let options = text.lines.first { $0.hasPrefix("kld_options=") }?.dropFirst("kld_options=".count) ?? ""
                let staged = Set(grubStaged(view, index).map { "EFI/kldload/\($0)" })
                return entry.dataset == "\(view.pool)/ROOT/\(view.request.spec.id)" && entry.counter == nil
                    && options.hasPrefix("root=ZFS=\(entry.dataset) boot=zfs ")
                    && consoles(String(options)) == view.request.answers.consoles
                    && Set(entry.files) == staged
            }
        },
        Invariant(
            "what GRUB starts is staged, compared and on the disk before its entry; no other ESP is touched", of: .disk, by: .grub,
            offender: grubStaging),
        Invariant("GRUB is no package's to install", of: .disk, by: .grub) {
            $0.written("\($0.target)/etc/default/grub.d/kldload.cfg")?.contains("GRUB_DISTRIBUTOR") == true
        },
        Invariant("what GRUB's initramfs is supplied with is not left in /run/kldload", of: .disk, by: .grub) {
            $0.releases.contains(.remove(FilePath(supplement)))
        },
        Invariant(
            "where GRUB starts, modules are signed before they are staged, and kernel and GRUB by nobody here", of: .every, by: .grub,
            offender: grubSigning),
    ]

    private static func entryName(_ view: PlanView) -> String {
        "kldload-\(view.request.spec.id)-\(view.request.payload.kernel).1.env"
    }

    private static func entry(_ view: PlanView, _ index: Int) -> String? {
        view.written("/run/kldload/esp\(index)/EFI/kldload/entries/\(entryName(view))")
    }

    /// Names of what comes onto an ESP by way of another name.
    private static func grubStaged(_ view: PlanView, _ index: Int) -> [String] {
        view.run("mv").compactMap(\.command.arguments.last).filter { $0.hasPrefix("/run/kldload/esp\(index)/EFI/kldload/") }
            .compactMap { $0.split(separator: "/").last.map(String.init) }
    }

    /// What a boot needs, by where it comes from: the names that it has on an ESP.
    private static func parts(_ view: PlanView) -> [(source: String, name: String)] {
        let release = view.request.payload.kernel
        let system = [
            ("\(view.target)/boot/vmlinuz-\(release)", "vmlinuz-\(release).1"),
            ("\(view.target)/boot/initrd.img-\(release)", "initrd-\(release).1"),
        ]
        // A sealed image has no host id yet: its first boot brings one.
        return view.request.sealed ? system : system + [(supplement, "hostid-\(view.request.identity.hostID).cpio")]
    }

    private static let supplement = "/run/kldload/hostid.cpio"

    @Sendable private static func grubParts(_ view: PlanView) -> String? {
        let wanted = parts(view).map(\.name).sorted()
        for index in view.rootPaths.indices where grubStaged(view, index).sorted() != wanted {
            return "ESP \(index): \(grubStaged(view, index))"
        }
        let right = view.writes(supplement).last?.content == .bytes(InitramfsSupplement.hostID(view.request.identity.hostID))
        return view.request.sealed || right ? nil : "the host id is another one"
    }

    @Sendable private static func grubStaging(_ view: PlanView) -> String? {
        let mounted = view.mounts.filter { $0.target.hasPrefix("/run/kldload/esp") }
        guard mounted.map(\.source) == view.rootPaths.map({ Disk.partition(1, of: $0) }) else { return "\(mounted.map(\.source))" }
        for mount in mounted {
            let own = view.items.indices.filter { view.items[$0].step == view.items[mount.item].step && $0 > mount.item }
            let words = own.flatMap { view.items[$0].commands }.map { "\($0.tool.name) \($0.arguments.joined(separator: " "))" }
            let sync = "sync --file-system \(mount.target)"
            let staged = parts(view).flatMap { source, name in
                let folder = "\(mount.target)/EFI/kldload"
                return [
                    "cp \(source) \(folder)/.\(name).new", sync, "cmp \(source) \(folder)/.\(name).new",
                    "mv --force \(folder)/.\(name).new \(folder)/\(name)", sync,
                ]
            }
            guard words.suffix(staged.count + 1) == staged + [sync] else { return "\(words.suffix(staged.count + 1))" }
            let entry = "\(mount.target)/EFI/kldload/entries/\(entryName(view))"
            guard own.suffix(2).first.map({ view.items[$0].path }) == entry else { return "the entry is not written last" }
            for copy in ESPLayout.copies(view.request.spec.efi, .grub)
            where !words.contains("cp \(view.target)/\(copy.source) \(mount.target)/\(copy.target)") { return copy.target }
            for file in ["EFI/debian/grub.cfg", "EFI/kldload/menu.cfg", "EFI/kldload/BOOTX64.CSV"]
            where view.writes("\(mount.target)/\(file)").count != 1 { return file }
        }
        return nil
    }

    @Sendable private static func grubSigning(_ view: PlanView) -> String? {
        let answers = view.request.answers
        guard view.run("sbsign").isEmpty, view.kernelImage == nil else { return "an image" }
        let configured = view.written("\(view.target)/\(MachineOwnerKey.configuration)") != nil
        guard configured == (answers.secureBoot && view.part != .template) else { return "DKMS' configuration" }
        let modules = view.performs("modules.sign")
        guard answers.secureBoot, !view.request.sealed else { return modules.isEmpty && view.run("openssl").isEmpty ? nil : "a key" }
        let machine = MachineOwnerKey(root: FilePath(view.target))
        let making = answers.mokFiles.map { machine.adopting(key: $0.key, certificate: $0.certificate) } ?? machine.creating(name: "")
        let mounts = view.mounts.filter { $0.target.hasPrefix("/run/kldload/esp") }
        let offers = mounts.flatMap { KeyEnrolment.offering(machine.certificate, on: FilePath($0.target), .grub) }
        if let action = lacking(making + offers, view) { return "lacks \(action.text)" }
        let key = view.run("openssl").first { $0.command.arguments.contains("\(view.target)/var/lib/dkms/mok.key") }?.item ?? .max
        let staged = view.run("cp").first { $0.command.arguments.first?.contains("/boot/initrd.img-") == true }?.item ?? -1
        return modules.count == 1 && key < modules[0] && modules[0] < staged ? nil : "their order"
    }
}

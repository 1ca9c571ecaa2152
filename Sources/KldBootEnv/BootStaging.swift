import KldBlock
import KldBoot
public import KldCore
import KldExec
import KldFiles
import KldInstall
public import KldPlan
import KldZFS
import SystemPackage

/// Puts what an environment boots and its entry onto every ESP: images first, everywhere; then the entries, which are what the loader obeys.
///
/// A power cut at any place leaves a machine that boots: before its entry is written an environment is not chosen on that ESP, and the
/// entries that were there before stay. Two ESPs that a cut left unequal are made equal by the next refresh.
public struct BootStaging: Sendable, Hashable {
    public enum Choice: Sendable, Hashable {
        /// Booted from now on; on trial unless it is what runs, unchanged.
        case always
        /// Booted at the next boot only.
        case once
        /// Not chosen: what is booted stays, but what has changed is built.
        case unchanged
    }

    static let scratch = TemporaryMount.writing
    static let supplement = scratch.appending("hostid.cpio")
    /// Free room that an ESP keeps: for the loader's own files, and directories that grow.
    static let margin = ByteCount.mebibytes(4)

    public var system: BootSystem
    public var target: BootTarget
    public var choice: Choice

    public init(_ system: BootSystem, _ target: BootTarget, _ choice: Choice) {
        self.system = system
        self.target = target
        self.choice = choice
    }

    /// The kernel that is booted. - Throws: ``Diagnosis`` `boot.no-kernel`.
    func kernel() throws(Diagnosis) -> BootTarget.Kernel {
        guard var kernel = target.kernels.first else {
            throw Diagnosis(
                "boot.no-kernel", "\(target.environment.leaf) has no kernel that could be booted",
                remedies: ["a kernel needs /boot/vmlinuz-R, /boot/initrd.img-R and /usr/lib/modules/R: kldload kbe mount it, and look"])
        }
        // An ESP may have been passed over since it was looked at.
        let devices = Set(system.esps.map(\.device))
        kernel.matching = kernel.matching.filter { devices.contains($0.key) }
        kernel.images = kernel.images.filter { devices.contains($0.key) }
        return kernel
    }

    /// The entry as it will stand on every ESP.
    func entry() throws(Diagnosis) -> BootEntry {
        let kernel = try kernel()
        let all = system.entries
        let own = all.filter { $0.dataset == target.environment.text && $0.release == kernel.release }
        let matching = Set(kernel.matching.values.flatMap { $0 })
        let images = Set(kernel.images.values.flatMap { $0 })
        let whole = own.filter { matching.contains($0.id) && (kernel.parts != nil || images.contains($0.imagePath)) }
        // Beside one that has proved itself may stand another that was booted once.
        let same = whole.max { ($0.isProven ? 1 : 0, $0.generation) < ($1.isProven ? 1 : 0, $1.generation) }
        let newest = own.map(\.generation).max() ?? 0
        let top = all.map(\.order).max() ?? system.floor
        var entry = BootEntry(
            dataset: target.environment.text, release: kernel.release, generation: same?.generation ?? newest + 1, order: 0,
            parts: kernel.parts?.parts, sharedImage: same?.sharedImage)
        if same == nil, kernel.parts == nil {
            entry.sharedImage = fitting(kernel)
            // An image of that name may still start others, when the environment that it was made for is gone.
            while entry.sharedImage == nil, system.needed().contains(entry.imagePath) { entry.generation += 1 }
        }
        switch choice {
        case .always:
            let proven = same?.isProven ?? false
            // Nothing changes for what is chosen already, and is well.
            entry.order = proven && same?.order == top && top > 0 ? top : Self.above(top)
            entry.counter = proven && target.environment == system.running ? nil : BootEntry.Counter(left: BootEntry.tries)
        case .once:
            // It boots next anyway.
            if let same, system.next?.id == same.id { return same }
            // What has proved itself is what the machine falls back to: that stays, and another entry starts the same.
            if let same, same.isProven {
                entry.generation = newest + 1
                if kernel.parts == nil { entry.sharedImage = same.imagePath }
            }
            entry.order = Self.above(top)
            entry.counter = BootEntry.Counter(left: 1)
            entry.once = true
        case .unchanged:
            if let same { return same }
            // What boots once stands above all others: built above that, a change made in it would stay for good.
            let before = all.filter { $0.dataset == target.environment.text && !$0.once }.map(\.order).max() ?? system.floor
            let next = all.map(\.order).filter { $0 > before }.min()
            // 0 is for lines that nobody has activated, and their images go.
            entry.order = max(1, next.map { min(before + 1, $0 - 1) } ?? before + 1)
            entry.counter = BootEntry.Counter(left: BootEntry.tries)
        }
        return entry
    }

    /// An image that starts the environment as it is: the one that most ESPs have.
    private func fitting(_ kernel: BootTarget.Kernel) -> String? {
        let found = kernel.images.values.flatMap { $0 }
        func count(_ path: String) -> Int { found.count { $0 == path } }
        return Set(found).sorted().max { count($0) < count($1) }
    }

    private static func above(_ order: Int) -> Int { (order / BootEntry.orderStep + 1) * BootEntry.orderStep }

    /// What each ESP lacks, below its root; those that lack nothing are left out.
    private func lacking(_ entry: BootEntry, _ kernel: BootTarget.Kernel) -> [(esp: BootSystem.ESP, files: [String])] {
        system.esps.compactMap { esp in
            let files =
                kernel.parts?.lacking(on: esp.device)
                ?? ((kernel.images[esp.device] ?? []).contains(entry.imagePath) ? [] : entry.files)
            return files.isEmpty ? nil : (esp, files)
        }
    }

    /// - Throws: ``Diagnosis`` `boot.no-kernel`, `boot.no-esp`, `boot.esp-full`, `boot.no-builder`, `boot.no-host-id`, `boot.module-unsigned`,
    ///   `boot.signing-off`, `boot.key-not-enrolled`, `trust.no-key`; what ``BootGate`` knows.
    public func steps() throws(Diagnosis) -> [Step] {
        guard !system.esps.isEmpty else {
            throw Diagnosis(
                "boot.no-esp", "no disk of pool \(system.pool) has an ESP",
                remedies: ["kldload boot restore gives the disks one back; on the live medium: krecovery reinstall-bootloader"],
                exit: .inputMissing)
        }
        do throws(Diagnosis) { return try staged() } catch { throw system.isVisited ? error.toldOutside : error }
    }

    private func staged() throws(Diagnosis) -> [Step] {
        let kernel = try kernel()
        let entry = try entry()
        if let problem = BootGate(system, target).problems.first { throw problem }
        // An entry of GRUB's without one would start, and not import the pool.
        if kernel.parts != nil { _ = try hostID }
        let lacking = lacking(entry, kernel)
        // They take the room that is needed now.
        let orphans = lacking.map { esp, files in
            system.orphans(on: esp, keeping: entry.files.filter { !files.contains($0) } + (kernel.donor.map { [$0.path] } ?? []))
        }
        try checkRoom(lacking, kernel, freed: orphans)
        try checkSignatures(kernel)
        var steps = zip(lacking, orphans).compactMap { lacking, orphans in lacking.esp.clearing(orphans, "boot.clear.\(lacking.esp.name)") }
        if kernel.parts == nil {
            // Built anew it would be as good, and not the same bytes.
            if let source = system.esps.first(where: { kernel.images[$0.device]?.contains(entry.imagePath) == true }) {
                for (esp, files) in lacking { steps.append(place(files, on: esp, of: source) { source.workplace.appending($0) }) }
            } else {
                let image = Self.scratch.appending("\(entry.id).efi")
                if !lacking.isEmpty { steps.append(try build(kernel, image)) }
                for (esp, files) in lacking { steps.append(place(files, on: esp) { _ in image }) }
            }
        } else {
            if !lacking.isEmpty { steps.append(try supplying()) }
            for (esp, files) in lacking {
                steps.append(
                    place(files, on: esp) { path in
                        if KernelParts.Kind.kernel.number(of: path, kernel.release) != nil { return target.linux(kernel.release) }
                        if KernelParts.Kind.initramfs.number(of: path, kernel.release) != nil { return target.initramfs(kernel.release) }
                        return Self.supplement
                    })
            }
        }
        for esp in system.esps { if let step = commit(entry, on: esp) { steps.append(step) } }
        if choice == .unchanged { return steps + outdated }
        steps += forgotten(for: entry)
        return choice == .always ? steps + system.choosing(target.environment) : steps
    }

    /// What was to boot once, and has not yet: left below what is chosen now, it would boot when that fails, before what has proved itself.
    /// Of an environment that has, another entry stays.
    private func forgotten(for entry: BootEntry) -> [Step] {
        let current = system.current?.id
        let gone = system.entries.filter {
            $0.once && !$0.isExhausted && $0.counter?.done == 0 && $0.id != entry.id && $0.id != current
        }
        let needed = system.needed(without: gone).union(entry.files)
        return system.esps.compactMap {
            $0.removing(gone, keeping: needed, "boot.once.\($0.name)", "Forget what was to boot once from \($0.device)")
        }
    }

    /// Kernels that were removed from the environment are no choice any more: their modules are gone.
    private var outdated: [Step] {
        let current = system.current?.id
        let gone = system.entries.filter { entry in
            entry.dataset == target.environment.text && entry.id != current
                && !target.kernels.contains { $0.release == entry.release }
        }
        return system.esps.compactMap {
            $0.removing(gone, keeping: system.needed(without: gone), "boot.outdated.\($0.name)", "Take removed kernels off \($0.device)")
        }
    }

    /// - Parameter orphans: what goes from each of those before.
    private func checkRoom(
        _ lacking: [(esp: BootSystem.ESP, files: [String])], _ kernel: BootTarget.Kernel, freed orphans: [[String: ByteCount]]
    ) throws(Diagnosis) {
        for ((esp, files), orphans) in zip(lacking, orphans) {
            let size = kernel.parts.map { parts in files.reduce(ByteCount(0)) { $0 + (parts.sizes[$1] ?? ByteCount(0)) } } ?? kernel.size
            let free = orphans.values.reduce(esp.free, +)
            if free >= size + Self.margin { continue }
            throw Diagnosis(
                "boot.esp-full",
                "the ESP \(esp.device) has \(free) free, and the boot image of \(target.environment.leaf) needs \(size + Self.margin)",
                remedies: [
                    "destroy environments that are not needed any more: kldload kbe list, kldload kbe destroy NAME",
                    "or let go of an old kernel: kldload boot pin says which ones are kept, kldload boot pin RELEASE --remove",
                ], exit: .cannotCreate,
                causes: esp.images.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })
        }
    }

    private func checkSignatures(_ kernel: BootTarget.Kernel) throws(Diagnosis) {
        guard !kernel.unsigned.isEmpty else { return }
        // With this key nothing could be mended.
        try system.requireTrust()
        let (name, isRunning) = (target.environment.leaf, target.environment == system.running)
        throw Diagnosis(
            "boot.module-unsigned",
            "Secure Boot is on, and OpenZFS of Linux \(kernel.release) in \(name) is signed by no key that the firmware knows: it would not start",
            remedies: [
                isRunning
                    ? "sign what is there: kldload secure-boot enable"
                    : "sign what is in it with this machine's key: kldload secure-boot sign \(name)",
                "look at DKMS' log for why it did not sign: /var/lib/dkms/zfs/*/build/make.log",
            ], exit: .unavailable, causes: kernel.unsigned)
    }

    private var hostID: HostID {
        get throws(Diagnosis) {
            if let id = system.hostID { return id }
            throw Diagnosis(
                "boot.no-host-id", "/etc/hostid is missing or malformed: what boots could not import the pool without force",
                remedies: ["kldload verify --only zfs.hostid says what the pool knows"])
        }
    }

    /// What GRUB adds to an initramfs, for as long as it is copied from here.
    private func supplying() throws(Diagnosis) -> Step {
        try Step(
            "boot.supplement", "The host id, for the initramfs",
            [.makeDirectory(Self.scratch, mode: 0o700), .write(Self.supplement, content: .bytes(InitramfsSupplement.hostID(hostID)))],
            release: [.remove(Self.supplement)])
    }

    private func build(_ kernel: BootTarget.Kernel, _ output: FilePath) throws(Diagnosis) -> Step {
        let hostID = try hostID
        let image = target.image(kernel.release, system, supplement: Self.supplement, output: output)
        if let donor = kernel.donor, let esp = system.esps.first(where: { $0.device == donor.device }) {
            return try Step(
                "boot.image", "Make the boot image of \(target.environment.leaf) from one of the same kernel, Linux \(kernel.release)",
                [.makeDirectory(Self.scratch, mode: 0o700)] + esp.mounting + [
                    .perform(
                        BootPerformers.rewrite,
                        [
                            "from": "\(esp.workplace.string)/\(donor.path)", "to": output.string, "cmdline": image.commandLine.description,
                        ], effect: .changes)
                ] + system.signature(on: output), release: [.remove(output)] + esp.unmounting, weight: 2)
        }
        let builder = try system.requiredBuilder
        return try Step(
            "boot.image", "Build the boot image of \(target.environment.leaf), Linux \(kernel.release)",
            [
                .makeDirectory(Self.scratch, mode: 0o700), .write(Self.supplement, content: .bytes(InitramfsSupplement.hostID(hostID))),
                builder.build(image, scratch: Self.scratch),
            ] + system.signature(on: output),
            release: [.remove(output), .remove(Self.supplement)], weight: 5)
    }

    /// - Parameter donor: the ESP that they come from, if it is one.
    private func place(
        _ files: [String], on esp: BootSystem.ESP, of donor: BootSystem.ESP? = nil, from source: (String) -> FilePath
    ) -> Step {
        let mount = esp.workplace
        return Step(
            "boot.stage.\(esp.name)",
            donor.map { "Copy the boot image of \(target.environment.leaf) from \($0.device) to \(esp.device)" }
                ?? "Stage it on \(esp.device)",
            (donor?.mounting ?? []) + esp.mounting + [.makeDirectory(FilePath("\(mount.string)/\(BootEntry.imageFolder)"))]
                + files.flatMap { ESPFile.place(source($0), as: $0, on: mount) }, release: esp.unmounting + (donor?.unmounting ?? []),
            weight: 3)
    }

    /// `nil` where the entry stands already, and nothing else of its id does.
    private func commit(_ entry: BootEntry, on esp: BootSystem.ESP) -> Step? {
        if esp.entries.filter({ $0.id == entry.id }) == [entry] { return nil }
        return esp.writing(entry, "boot.entry.\(esp.name)", "Enter \(entry.fileName) on \(esp.device)")
    }
}

extension BootSystem {
    /// - Throws: ``Diagnosis`` `boot.no-builder`.
    var requiredBuilder: BootImageBuilder {
        get throws(Diagnosis) {
            guard let builder else {
                throw Diagnosis(
                    "boot.no-builder", "there is nothing here that builds boot images",
                    remedies: ["apt-get install systemd-ukify (Debian 13), binutils (Debian 12)"], exit: .unavailable)
            }
            return builder
        }
    }

    /// What tools that know nothing of entries take for the root; nothing where it is so already.
    func choosing(_ environment: DatasetName) -> [Step] {
        guard bootfs != environment.text else { return [] }
        return [Step("boot.bootfs", "The pool's bootfs is \(environment)", [.run(ZPool.set(pool, "bootfs", environment.text))])]
    }
}

extension BootSystem.ESP {
    /// `vda1`: for the ids of steps.
    var name: String { device.leaf }
    /// Where a plan sees it.
    var workplace: FilePath { mount ?? BootStaging.scratch.appending("esp-\(name)") }
    var mounting: [Action] {
        guard mount == nil else { return [] }
        // It may be mounted by an earlier step already: then there is nothing to do.
        return [
            .makeDirectory(workplace, mode: 0o700),
            .perform(BootPerformers.mountESP, ["device": device, "at": workplace.string], effect: .changes),
        ]
    }
    var unmounting: [Action] { mount == nil ? [.run(MountCommand.unmount(workplace))] : [] }

    /// The entry under its name; then, and only then, other names of the same entry go.
    func writing(_ entry: BootEntry, _ id: String, _ title: String) -> Step {
        let others = entries.filter { $0.id == entry.id && $0.fileName != entry.fileName }
        let file = FilePath("\(workplace.string)/\(entry.path)")
        return Step(
            id, title,
            mounting + [.write(file, content: .text(entry.text)), ESPFile.sync(workplace)]
                + (others.isEmpty
                    ? [] : others.map { .remove(FilePath("\(workplace.string)/\($0.path)")) } + [ESPFile.sync(workplace)]),
            release: unmounting)
    }

    /// Takes away what ``BootSystem/orphans(on:without:keeping:)`` has found, and entries with it.
    func clearing(_ orphans: [String: ByteCount], with gone: [BootEntry] = [], keeping needed: Set<String> = [], _ id: String) -> Step? {
        removing(gone, keeping: needed, and: orphans.keys.sorted(), id, "Take what boots nothing any more off \(device)")
    }

    /// Takes entries away, then images that nothing boots any more.
    /// - Parameters:
    ///   - needed: files of other entries, which may be the same.
    ///   - orphans: files that no entry needs.
    func removing(
        _ gone: [BootEntry], keeping needed: Set<String>, and orphans: [String] = [], _ id: String, _ title: String
    ) -> Step? {
        let entries = entries.filter { entry in gone.contains { $0.id == entry.id } }
        let images = (gone.flatMap(\.files).filter { self.images[$0] != nil && !needed.contains($0) && !claimed.contains($0) } + orphans)
            .reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        guard !entries.isEmpty || !images.isEmpty else { return nil }
        func removal(_ paths: [String]) -> [Action] {
            paths.isEmpty ? [] : paths.map { .remove(FilePath("\(workplace.string)/\($0)")) } + [ESPFile.sync(workplace)]
        }
        return Step(id, title, mounting + removal(entries.map(\.path)) + removal(images), release: unmounting)
    }
}

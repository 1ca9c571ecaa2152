import KldCore
import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// What lies on an ESP before any environment does: shim, the boot loader, their settings, and what enrols the machine's key.
public struct ESPLoader: Sendable, Hashable {
    private static let tablePath = "EFI/\(ESPLayout.vendor)/BOOTX64.CSV"

    public var chain: BootChain
    public var programs: EFIPrograms
    /// The loader's settings: the text of `loader.conf`, or of `grub.cfg`.
    public var configuration: String
    /// The name of the firmware's entry.
    public var label: String
    /// Signs a loader that its vendor did not sign, and is offered to whoever enrols it at the console.
    public var key: MachineOwnerKey?
    /// Whether a loader that is signed here, or by nobody, starts.
    public var isTrusted = true

    public init(
        chain: BootChain = .systemdBoot, programs: EFIPrograms, configuration: String, label: String, key: MachineOwnerKey?
    ) {
        self.chain = chain
        self.programs = programs
        self.configuration = configuration
        self.label = label
        self.key = key
    }

    /// The same with the settings of a machine that nobody has changed yet.
    public init(chain: BootChain, programs: EFIPrograms, timeoutSeconds: Int, label: String, key: MachineOwnerKey?) {
        let configuration =
            switch chain {
            case .systemdBoot: ESPLayout.loaderConfiguration(timeoutSeconds: timeoutSeconds)
            case .grub: GrubMenu.configuration(timeoutSeconds: timeoutSeconds)
            }
        self.init(chain: chain, programs: programs, configuration: configuration, label: label, key: key)
    }

    /// Below the ESP's root; people may change it.
    public var configurationPath: String {
        switch chain {
        case .systemdBoot: "loader/loader.conf"
        case .grub: programs.grub?.configuration ?? "EFI/BOOT/grub.cfg"
        }
    }

    /// Whether these settings start what kldload stages: another tool may have written them.
    public func accepts(_ settings: String) -> Bool { chain != .grub || GrubMenu.isConfiguration(settings) }

    private var folders: [String] {
        var folders = ["EFI/BOOT", "EFI/\(ESPLayout.vendor)", chain.entryFolder]
        if chain == .grub { folders.append(FilePath(configurationPath).removingLastComponent().string) }
        return folders
    }

    private var texts: [(path: String, content: Action.Content)] {
        [
            (configurationPath, .text(configuration)),
            chain == .grub
                ? (GrubMenu.path, .text(GrubMenu.text)) : (ESPLayout.entriesMarker.path, .text(ESPLayout.entriesMarker.content)),
            (Self.tablePath, .bytes(ESPLayout.fallbackTable(label: label))),
        ]
    }

    private func signs(_ source: String) -> Bool { source == programs.systemdBoot && !source.hasSuffix(".signed") }

    /// Fills an ESP that was just made. What follows must sync.
    ///
    /// Runs: `cp` for each program; `sbsign`, `sbverify` where one is not signed; changes.
    /// - Parameter root: of the system whose programs these are.
    public func filling(from root: FilePath, on mount: FilePath) -> [Action] {
        var actions: [Action] = folders.map { .makeDirectory(mount.appending($0)) }
        actions += texts.map { .write(mount.appending($0.path), content: $0.content) }
        let copies = ESPLayout.copies(programs, chain)
        actions += copies.map { .run(FileCommand.copy(root.appending($0.source), to: mount.appending($0.target))) }
        guard let key else { return actions }
        actions += KeyEnrolment.offering(key.certificate, on: mount, chain)
        for copy in copies where signs(copy.source) { actions += key.signing(mount.appending(copy.target)) }
        return actions
    }

    // MARK: An ESP that is in use

    /// How an ESP differs from the system: paths below its root, in the order in which they are renewed.
    public struct Difference: Sendable, Hashable {
        /// Not there, not to be read, no program at all, or one that nobody signed as it is.
        public var missing: [String] = []
        /// Another version.
        public var outdated: [String] = []

        public init(missing: [String] = [], outdated: [String] = []) {
            self.missing = missing
            self.outdated = outdated
        }

        public var isEmpty: Bool { missing.isEmpty && outdated.isEmpty }
        /// What was taken for another version is none: firmware refuses it, or what it does nobody knows.
        public mutating func miss(_ path: String) {
            outdated.removeAll { $0 == path }
            missing.append(path)
        }
        public var paths: [String] { missing + outdated }
        /// Firmware finds its way to the boot loader, by its entry or by the removable path.
        public var starts: Bool {
            [
                ["EFI/\(ESPLayout.vendor)/shimx64.efi", "EFI/\(ESPLayout.vendor)/grubx64.efi"],
                [ESPLayout.removable, "EFI/BOOT/grubx64.efi"],
            ]
            .contains { way in !way.contains(where: missing.contains) } && !missing.contains { $0.hasSuffix(".cfg") }
        }
    }

    /// Compares an ESP with what the system has.
    ///
    /// A program that is newer than the system's own is no difference: firmware may have been told to refuse older ones. What people may
    /// change is looked for, not compared; the settings of GRUB must read its menu. Source: `SBAT.md`, shim 16.1.
    public func difference(from root: FilePath, on mount: FilePath, _ files: any FileSystem) throws -> Difference {
        func content(_ path: FilePath) throws -> [UInt8]? {
            do { return try files.read(path) } catch FileError.missing, FileError.other { return nil }
        }
        var difference = Difference(missing: try texts.map(\.path).filter { try content(mount.appending($0)) == nil })
        if chain == .grub {
            func text(_ path: String) throws -> String? { try content(mount.appending(path)).map { String(decoding: $0, as: UTF8.self) } }
            if let settings = try text(configurationPath), !accepts(settings) { difference.missing.append(configurationPath) }
            if let menu = try text(GrubMenu.path), menu != GrubMenu.text { difference.outdated.append(GrubMenu.path) }
        }
        let signer = try key.flatMap { try $0.exists(files) ? try $0.identity(files) : nil }
        for copy in ESPLayout.copies(programs, chain) {
            // What this machine cannot sign, or not so that it starts, is left: one that it signed before starts.
            if signs(copy.source), !isTrusted || (key != nil && signer == nil) { continue }
            guard let wanted = try content(root.appending(copy.source)) else { continue }
            guard let found = try content(mount.appending(copy.target)),
                let program = try? PortableExecutable(found), program.isWhole(found.count)
            else {
                difference.missing.append(copy.target)
                continue
            }
            if try !Self.isCurrent(found, wanted, signer: signs(copy.source) ? signer : nil) { difference.outdated.append(copy.target) }
        }
        if let key, signer != nil {
            let offered = try content(mount.appending(KeyEnrolment.certificateOnESP))
            if try offered != files.read(key.certificate) { difference.missing.append(KeyEnrolment.certificateOnESP) }
            if chain != .grub, try content(mount.appending(KeyEnrolment.menuEntry.path)) == nil {
                difference.missing.append(KeyEnrolment.menuEntry.path)
            }
        }
        return difference
    }

    /// Whether the system's own version of what lies there bears a signature: one without is none of its versions.
    package func isSigned(_ path: String, in root: FilePath, _ files: any FileSystem) throws -> Bool {
        guard let source = ESPLayout.copies(programs, chain).first(where: { $0.target == path })?.source else { return false }
        return (key != nil && signs(source)) || (try? UnifiedKernelImage.isSigned(root.appending(source), files)) == true
    }

    /// - Parameter signer: who must have signed what was found.
    static func isCurrent(_ found: [UInt8], _ wanted: [UInt8], signer: CertificateIdentity?) throws -> Bool {
        let program = try PortableExecutable(found)
        if let signer {
            guard !program.signatures.isEmpty, signer.signed(Array(found[Int(program.signatures.lowerBound)...])) else { return false }
            let (theirs, ours) = (program.content(found), try PortableExecutable(wanted).content(wanted))
            // sbsign fills up to a multiple of eight.
            if theirs.starts(with: ours), theirs.count - ours.count < 8 { return true }
        } else if found == wanted {
            return true
        }
        let (theirs, ours) = (try program.generations(found), try PortableExecutable(wanted).generations(wanted))
        return ours.contains { component, generation in generation < theirs[component] ?? 0 }
    }

    /// Puts these onto an ESP, one after another, each whole or not at all.
    ///
    /// Runs: what ``ESPFile/place(_:as:on:)`` runs; `cp`, `sbsign`, `sbverify` for a program that is signed here; changes.
    /// - Parameters:
    ///   - paths: of ``difference(from:on:_:)``.
    ///   - scratch: a folder of root's, for what is signed.
    public func renewing(_ paths: [String], from root: FilePath, on mount: FilePath, scratch: FilePath) -> [Action] {
        var actions: [Action] = folders.map { .makeDirectory(mount.appending($0)) }
        let texts = texts + [(KeyEnrolment.menuEntry.path, .text(KeyEnrolment.menuEntry.text))]
        for path in paths {
            if let text = texts.first(where: { $0.path == path }) {
                actions.append(.write(mount.appending(path), content: text.content))
            } else if path == KeyEnrolment.certificateOnESP, let key {
                actions += ESPFile.place(key.certificate, as: path, on: mount)
            } else if let source = ESPLayout.copies(programs, chain).first(where: { $0.target == path })?.source {
                guard let key, signs(source) else {
                    actions += ESPFile.place(root.appending(source), as: path, on: mount)
                    continue
                }
                let signed = scratch.appending("loader.efi")
                actions.append(.run(FileCommand.copy(root.appending(source), to: signed)))
                actions += key.signing(signed) + ESPFile.place(signed, as: path, on: mount) + [.remove(signed)]
            }
        }
        return actions + [ESPFile.sync(mount)]
    }
}

extension PortableExecutable {
    /// Nothing of it is cut off. - Parameter count: of the file's bytes.
    package func isWhole(_ count: Int) -> Bool {
        (sections.values.map(\.upperBound) + [signatures.upperBound]).allSatisfy { $0 <= UInt64(count) }
    }

    /// The generations by which a program can be revoked, by component; empty for one that names none.
    /// - Parameter bytes: the whole program, of which this is the description. Source: `SBAT.md`, shim 16.1: lines of comma-separated values.
    func generations(_ bytes: [UInt8]) throws(Diagnosis) -> [String: Int] {
        guard let place = sections[".sbat"], place.upperBound <= bytes.count else { return [:] }
        let text = String(decoding: bytes[Int(place.lowerBound)..<Int(place.upperBound)].prefix { $0 != 0 }, as: UTF8.self)
        var found: [String: Int] = [:]
        for line in text.lines {
            let fields = line.split(separator: ",", omittingEmptySubsequences: false)
            if fields.count > 1, let generation = Int(fields[1]) { found[String(fields[0])] = generation }
        }
        return found
    }
}

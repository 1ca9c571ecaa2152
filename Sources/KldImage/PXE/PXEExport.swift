public import KldAnswers
import KldCore
public import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// Makes of a live ISO what machines start from over the network: see ``PXETree``.
public struct PXEExport: Sendable {
    public struct Request: Sendable {
        public var iso: FilePath
        public var address: PXEAddress
        /// The folder that is made, or made anew.
        public var output: FilePath
        /// The group of the web server, which may read answers; `nil`: that of this user.
        public var group: String?
        public var answers: [PXEAnswers]
        public var version: String

        public init(
            iso: FilePath, address: PXEAddress, output: FilePath, group: String? = nil, answers: [PXEAnswers] = [], version: String
        ) {
            self.iso = iso
            self.address = address
            self.output = output
            self.group = group
            self.answers = answers
            self.version = version
        }
    }

    /// An ISO, as it describes itself.
    public struct Medium: Sendable, Hashable {
        let list: MediumList
        let listDigest: FileDigest
        /// `debian-trixie-core`: what it installs.
        public var payloads: [String] { LiveMedium.payloads(in: list) }
    }

    private static let xorriso: Tool = "xorriso"

    /// What goes where. GRUB and firmware look for these names.
    private static let copies = [
        (source: "netboot/shimx64.efi", targets: ["http/shimx64.efi", "tftp/shimx64.efi"]),
        (source: "netboot/grubx64.efi", targets: ["http/grubx64.efi", "tftp/grubx64.efi"]),
        (source: "netboot/mmx64.efi", targets: ["http/mmx64.efi", "tftp/mmx64.efi"]),
        (source: ISOContents.kernel, targets: ["http/vmlinuz", "tftp/vmlinuz"]),
        (source: ISOContents.netbootInitrd, targets: ["http/initrd", "tftp/initrd"]),
        (source: LiveMedium.squashfs, targets: ["http/\(PXEMenus.squashfs)"]),
    ]

    /// Reads what an ISO says that it carries.
    ///
    /// Runs: `xorriso -osirrox on -indev ISO -extract /kldload/medium.list FILE`, `sha256sum FILE`; changes nothing but the temporary file.
    /// - Parameter folder: for that file; it goes again.
    /// - Throws: ``Diagnosis`` `pxe.not-our-iso`, `medium.list-unreadable`, `medium.base-missing`; ``FileError`` when there is none.
    public static func read(
        _ iso: FilePath, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws -> Medium {
        guard try files.exists(iso) else { throw FileError.missing(iso) }
        try files.makeDirectory(folder, mode: 0o700)
        defer { try? files.remove(folder) }
        let file = folder.appending("medium.list")
        func refuse(_ causes: [String]) -> Diagnosis {
            Diagnosis(
                "pxe.not-our-iso", "\(iso) is no live ISO of kldload that machines can start from over the network",
                remedies: ["build one, with this version: kldload iso build -o kldload.iso"], exit: .inputMissing, causes: causes)
        }
        do { try await runner.run(extract([(MediumList.path, file)], from: iso)) } catch CommandError.failed(_, let output) {
            throw refuse(output.errors.lines.filter { $0.contains("FAILURE") })
        }
        let list = try MediumList(text: files.readText(file))
        let missing = copies.map(\.source).filter { list($0) == nil }
        guard missing.isEmpty else { throw refuse(missing.map { "it has no \($0)" }) }
        _ = try list.bases(in: LiveMedium.payloadFolder)
        return Medium(list: list, listDigest: try await SHA256Sum.digest(of: file, runner))
    }

    /// Source: xorriso(1), 1.5.4 to 1.5.6; it ends with 5 when a file is not there, or when there is no ISO 9660.
    private static func extract(_ items: [(source: String, target: FilePath)], from iso: FilePath) -> Command {
        Command(
            xorriso,
            ["-report_about", "FAILURE", "-osirrox", "on", "-indev", iso.string]
                + items.flatMap { ["-extract", "/\($0.source)", $0.target.string] }, effect: .changes)
    }

    /// Whether the folder may be made, or made anew: nothing of others is replaced.
    ///
    /// - Throws: ``Diagnosis`` `pxe.not-ours`, `pxe.mount-point`, `pxe.no-space`, `pxe.twice`, `image.output-denied`.
    public static func check(_ request: Request, _ medium: Medium, files: any FileSystem) throws {
        let output = request.output
        if let found = try files.status(output) {
            let isOurs = try found.kind == .directory && (files.list(output).isEmpty || PXETree.address(output, files) != nil)
            guard isOurs else {
                throw Diagnosis(
                    "pxe.not-ours", "\(output) holds something that kldload has not put there",
                    remedies: ["choose an empty folder, or one that is not there: -o FOLDER"], exit: .cannotCreate)
            }
        }
        // The new trees could not take its place: it can change places with nothing.
        if let mounts = try? files.mounts(), mounts.contains(where: { $0.place == output.string }) {
            throw Diagnosis(
                "pxe.mount-point", "a file system is mounted at \(output), so no other folder can take its place",
                remedies: ["name a folder below it: -o \(output)/pxe"], exit: .cannotCreate)
        }
        let machines = request.answers.map(\.machine)
        if let twice = machines.first(where: { machine in machines.count { $0 == machine } > 1 }) {
            throw Diagnosis(
                "pxe.twice", "there are two answers files for \(twice)", remedies: ["leave one of them out"], exit: .usage)
        }
        let parent = output.removingLastComponent()
        try OutputFolder.check(parent, files)
        let needed = ByteCount(copied(of: medium).reduce(0) { $0 + $1.size.bytes }) + .mebibytes(16)
        let free = try files.freeSpace(parent)
        guard free >= needed else {
            throw Diagnosis(
                "pxe.no-space", "the trees need \(needed); \(parent) has \(free)",
                remedies: ["free some space", "put them elsewhere: -o FOLDER"], exit: .cannotCreate)
        }
    }

    /// Whether machines can be installed from it as these answers say: what it says of its payloads and mirrors is asked, as an installation
    /// asks it.
    ///
    /// Runs: `xorriso -osirrox on -indev ISO -extract …`; changes nothing but the temporary folder.
    /// - Parameter folder: for those descriptions; it goes again.
    /// - Throws: ``Diagnosis`` of ``PayloadCheck/check(_:on:_:)``; ``FileError``.
    public static func check(
        _ answers: [Answers], on iso: FilePath, _ medium: Medium, folder: FilePath, runner: any CommandRunner, files: any FileSystem
    ) async throws {
        if answers.isEmpty { return }
        let names: Set = [PayloadManifest.info, PayloadManifest.packages, MirrorInfo.name]
        let descriptions = installed(from: medium).map(\.path).filter { names.contains(FilePath($0).lastComponent?.string ?? "") }
        try files.makeDirectory(folder, mode: 0o700)
        defer { try? files.remove(folder) }
        if !descriptions.isEmpty {
            try await runner.run(extract(descriptions.map { ($0, folder.pushing(FilePath($0))) }, from: iso))
        }
        for answers in answers { try PayloadCheck.check(answers, on: folder, files) }
    }

    /// What is copied of a medium.
    private static func copied(of medium: Medium) -> [MediumList.File] {
        copies.compactMap { medium.list($0.source) } + installed(from: medium)
    }

    /// Root file systems, and the mirrors of what may be added to them.
    private static func installed(from medium: Medium) -> [MediumList.File] {
        [LiveMedium.payloadFolder, LiveMedium.mirrorFolder].flatMap { medium.list.files(in: $0) }
    }

    private enum Performer {
        static let check = "pxe.check"
        static let publish = "pxe.publish"
    }

    /// Everything is made beside the folder, and takes its place when it is whole: machines find the old trees or the new ones.
    ///
    /// Runs: `xorriso … -extract …`, `sha256sum --check`, `chmod`, `ln`, `chgrp`, `sync --file-system`; changes.
    public static func plan(_ request: Request, _ medium: Medium) -> Plan {
        let new = partial(request.output)
        let address = request.address
        let menus = PXEMenus(address: address, live: medium.list(LiveMedium.squashfs)?.digest ?? medium.listDigest, list: medium.listDigest)
        let servers = PXEServers(address: address, tree: request.output)
        let payloads = installed(from: medium).map(\.path)
        let targets = copies.map { ($0.source, $0.targets[0]) } + payloads.map { ($0, "http/\($0)") }
        let sums = targets.compactMap { source, target in medium.list(source).map { (name: target, digest: $0.digest) } }
        func write(_ path: String, _ text: String) -> Action { .write(new.pushing(FilePath(path)), content: .text(text)) }
        let http = new.appending("http")
        let links = copies.filter { $0.targets.count > 1 }
        return Plan(
            "make \(request.output) for machines that start from \(address)",
            [
                Phase(
                    "copy", "Copy",
                    [
                        Step(
                            "pxe.copy", "Copy what machines start from out of \(request.iso)",
                            [
                                .remove(new), .makeDirectory(new.appending("tftp")), .makeDirectory(http.appending("kldload")),
                                .run(
                                    extract(
                                        (targets + [(MediumList.path, "http/\(MediumList.path)")]).map {
                                            ($0.0, new.pushing(FilePath($0.1)))
                                        }, from: request.iso)),
                            ], undo: [.remove(new)], weight: 10),
                        Step(
                            "pxe.check", "Compare it with what the ISO says that it carries",
                            [
                                write("SHA256SUMS", SHA256Sum.checkFile(sums)),
                                .perform(Performer.check, ["folder": new.string, "iso": request.iso.string], effect: .reads),
                                .remove(new.appending("SHA256SUMS")),
                            ], weight: 10),
                        Step(
                            "pxe.modes", "Let the servers read it",
                            [
                                // On the ISO it belongs to who built it.
                                .run(
                                    Command(
                                        Tool("chmod", package: "coreutils"), ["--recursive", "u=rwX,go=rX", new.string], effect: .changes))
                            ]
                                + links.map {
                                    .run(
                                        Command(
                                            Tool("ln", package: "coreutils"), $0.targets.map { new.pushing(FilePath($0)).string },
                                            effect: .changes))
                                }),
                    ]),
                Phase(
                    "menus", "Menus and examples",
                    [
                        Step(
                            "pxe.menus", "Menus for GRUB and iPXE",
                            [
                                write("tftp/grub/grub.cfg", menus.grub(overTFTP: true)),
                                write("http/grub/grub.cfg", menus.grub(overTFTP: false)), write("tftp/boot.ipxe", menus.ipxe),
                                write("http/boot.ipxe", menus.ipxe),
                            ]
                                + PXEMenus.lists.flatMap { [write("tftp/grub/\($0)", ""), write("http/grub/\($0)", "")] } + [
                                    .makeDirectory(new.appending("tftp").appending(PXEMenus.machines), mode: 0o711)
                                ]),
                        Step(
                            "pxe.examples", "Examples for dnsmasq and nginx",
                            [
                                write("examples/dnsmasq-proxy.conf", servers.dnsmasqProxy),
                                write("examples/dnsmasq-full.conf", servers.dnsmasqFull), write("examples/nginx.conf", servers.nginx),
                            ]),
                        Step(
                            "pxe.answers", "A place for answers that only the web server reads",
                            answersFolder(http.appending(PXEArming.folder), group: request.group)
                                + request.answers.flatMap { answers in
                                    PXETree.publishing(answers.arming, answers.text, below: http)
                                        + PXETree.leading(answers.arming, address, below: new.appending("tftp"))
                                }),
                    ]),
                Phase(
                    "publish", "Publish",
                    [
                        Step(
                            "pxe.publish", "Put it in its place",
                            [
                                write(PXETree.mark, PXETree.mark(address, version: request.version)),
                                .run(FileCommand.syncFileSystem(new)),
                                .perform(Performer.publish, ["new": new.string, "tree": request.output.string], effect: .changes),
                            ])
                    ]),
            ])
    }

    private static func answersFolder(_ folder: FilePath, group: String?) -> [Action] {
        var actions: [Action] = [.makeDirectory(folder, mode: 0o750)]
        if let group {
            actions.append(.run(Command(Tool("chgrp", package: "coreutils"), ["--", group, folder.string], effect: .changes)))
        }
        // What is made in it later belongs to that group too.
        return actions + [.run(FileCommand.setMode("2750", [folder]))]
    }

    /// Beside it, so that the two can change places.
    private static func partial(_ output: FilePath) -> FilePath {
        output.removingLastComponent().appending(".\(output.lastComponent?.string ?? "pxe").kldload-new")
    }

    /// Where a run keeps others out. - Parameter tree: the folder that is made, or of which machines are armed.
    public static func lock(_ tree: FilePath) -> FilePath {
        tree.removingLastComponent().appending(".\(tree.lastComponent?.string ?? "pxe").kldload-lock")
    }

    public static var performers: [String: KldPlan.Performer] {
        [
            Performer.check: { parameters, runner, _ in
                guard let folder = parameters["folder"] else { return }
                let result = try await runner.run(
                    Command(
                        Tool("sha256sum", package: "coreutils"), ["--check", "--strict", "--quiet", "SHA256SUMS"], effect: .reads,
                        accepting: [0, 1], workingDirectory: FilePath(folder)))
                guard result.status == 0 else {
                    throw Diagnosis(
                        "pxe.damaged-iso", "\(parameters["iso"] ?? "the ISO") is not what it says that it carries",
                        remedies: ["copy it again, and compare it: sha256sum --check kldload.iso.sha256", "or build it again"],
                        exit: .inputMissing, causes: result.output.lines)
                }
            },
            Performer.publish: { parameters, _, files in
                guard let new = parameters["new"].map({ FilePath($0) }), let tree = parameters["tree"].map({ FilePath($0) }) else { return }
                if try files.exists(tree) {
                    try files.exchange(new, with: tree)
                    try files.remove(new)
                } else {
                    try files.rename(new, to: tree)
                }
            },
        ]
    }
}

extension PXETree {
    /// Makes answers findable for one machine: see ``arming(_:_:replacing:)``.
    public func arming(_ answers: PXEAnswers, files: any FileSystem) throws -> Plan {
        arming(answers.arming, answers.text, replacing: try armed(files))
    }
}

import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPackages
import KldPlan
import Synchronization
import SystemPackage

extension PayloadBuilder {
    /// OpenZFS' modules for a kernel, known by what they are made from. Whoever needs them first has them built.
    struct Modules: Sendable {
        fileprivate var payload: PayloadSpec
        fileprivate var packages: [String]
        fileprivate var inputs: String
        /// Of the modules as they were built.
        fileprivate var built: String
        /// Of what lies in the payload: a machine signs with a key of its own, a medium has none, so its modules are signed before.
        var key: String
        fileprivate var signing: String?
    }

    /// The modules of a payload.
    ///
    /// - Parameter versions: of kernel, headers and OpenZFS' source, and of what puts their root file system together; not of the compiler.
    func modules(_ payload: PayloadSpec, versions: [String]) async throws -> Modules {
        let spec = try payload.spec
        // Named, or apt would choose among the builders of initramfs by itself.
        let packages =
            spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages + ["initramfs-tools", "kmod", "zstd", "xz-utils"]
        let inputs = (["modules/3"] + versions + packages).joined(separator: "\n")
        let built = try await cache.key(inputs)
        var modules = Modules(payload: payload, packages: packages, inputs: inputs, built: built, key: built)
        guard payload.kind == .live else { return modules }
        let signing = "signed-modules/1\n\(built)\n"
        (modules.signing, modules.key) = (signing, try await cache.key(signing))
        return modules
    }

    /// Their folder, with `modules.tar`: from the cache or built now, once for all payloads of a build.
    func modules(_ modules: Modules) async throws -> FilePath {
        let built = try await sharedModules.once(modules.built) { try await build(modules) }
        guard let signing = modules.signing else { return built }
        return try await signed(built, inputs: signing)
    }

    /// Built by the distribution's own DKMS package.
    private func build(_ modules: Modules) async throws -> FilePath {
        let spec = try modules.payload.spec
        let sources = try modules.payload.buildSources
        return try await cache.artifact("modules", inputs: modules.inputs) { partial in
            say("building OpenZFS' modules for \(spec.title), once")
            let staged = partial.appending("staged")
            // Built with the release's own builder of initramfs, whatever the modules are for.
            try await earlyFiles(spec, .target, in: staged)
            let dkms = staged.appending("dkms.tar")
            let loadable = staged.appending("loadable.tar")
            let job = Mmdebstrap(
                suite: spec.suite, sources: sources, packages: modules.packages,
                essentialHooks: [.unpack(Staged(folder: staged).early)] + (try InitramfsBuilder.of(spec, .target).postponing),
                customizeHooks: [.pack("/var/lib/dkms", to: dkms), .pack("/usr/lib/modules", to: loadable)],
                excludedPaths: ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*/LC_MESSAGES/*.mo"], output: "/dev/null")
            try await run(job)
            try await pack(dkms: dkms, loadable: loadable, staged: staged, into: partial.appending("modules.tar"))
            try files.remove(staged)
        }
    }

    /// The same modules, signed with a key that nobody has: it is made here and destroyed at once. Whoever trusts its certificate, which lies
    /// beside them, trusts these modules and nothing else.
    ///
    /// Signatures are an input of a build as packages are: another cache has others.
    private func signed(_ modules: FilePath, inputs: String) async throws -> FilePath {
        try await cache.artifact("modules", inputs: inputs) { partial in
            let tree = partial.appending("tree")
            try files.makeDirectory(tree, mode: .directory)
            try await runner.run(
                Command(
                    "tar", ["--extract", "--file", modules.appending("modules.tar").string, "--directory", tree.string], effect: .changes))
            let key = MachineOwnerKey(root: partial.appending("key"))
            let certificate = tree.appending(LiveMedium.certificate)
            var actions = [.makeDirectory(key.home)] + key.creating(name: LiveMedium.signer, scratch: partial)
            for release in try files.folders(in: tree.appending("usr/lib/modules")) {
                actions.append(ModuleSigning.signing(root: tree, release: release, with: key))
            }
            actions += [.makeDirectory(certificate.removingLastComponent()), .run(FileCommand.copy(key.certificate, to: certificate))]
            let step = Step("modules.sign", "Sign the modules", actions, release: [.remove(key.root)])
            try await PlanRunner(runner: runner, files: files, performers: ModuleSigning.performers)
                .apply(Plan("sign modules", [Phase("modules", "Modules", [step])]))
            try await pack(tree, into: partial.appending("modules.tar"))
            try files.remove(tree)
        }
    }

    /// DKMS' record of the build and the modules themselves; nothing of its keys.
    private func pack(dkms: FilePath, loadable: FilePath, staged: FilePath, into tar: FilePath) async throws {
        let tree = staged.appending("tree")
        // mmdebstrap packs a folder under its own last name.
        for (tar, parent, pattern) in [(dkms, "var/lib", "dkms/zfs/*"), (loadable, "usr/lib", "modules/*/updates/dkms/*.ko*")] {
            try files.makeDirectory(tree.appending(parent), mode: .directory)
            try await runner.run(
                Command(
                    "tar",
                    [
                        "--extract", "--file", tar.string, "--directory", tree.appending(parent).string, "--no-same-owner", "--wildcards",
                        pattern,
                    ], effect: .changes))
        }
        let found = try await runner.run(Command(Tool("find", package: "findutils"), [tree.string, "-name", "zfs.ko*"], effect: .reads))
            .output
        guard !found.lines.isEmpty else {
            throw Diagnosis("payload.no-module", "OpenZFS' module was not built", remedies: ["see DKMS' log in the build's log"])
        }
        try await pack(tree, into: tar)
    }

    private func pack(_ tree: FilePath, into tar: FilePath) async throws {
        try await runner.run(
            Command(
                "tar",
                [
                    "--create", "--file", tar.string, "--directory", tree.string, "--owner=root:0", "--group=root:0", "--sort=name",
                    "--mtime=@\(Self.defaultEpoch)", "var", "usr",
                ], effect: .changes))
    }
}

/// Work that several parts of a build need: done once, for all of them, and cancelled with whoever waits for it.
final class SharedWork: Sendable {
    private let tasks = Mutex<[String: Task<FilePath, any Error>]>([:])

    func once(_ name: String, _ work: @escaping @Sendable () async throws -> FilePath) async throws -> FilePath {
        let task = tasks.withLock { tasks in
            if let task = tasks[name] { return task }
            let task = Task(operation: work)
            tasks[name] = task
            return task
        }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}

extension PayloadBuilder {
    /// The releases of kernels that the archive has now, with their headers, the oldest first.
    func kernels(_ wanted: PayloadSpec) async throws -> [String] {
        let naming = try wanted.spec.kernel
        return try await withIndexes(wanted) { indexes, _ in
            KernelChoice.releases(
                naming, images: try await indexes.names(prefix: naming.image), headers: try await indexes.names(prefix: naming.headers))
        }
    }
}

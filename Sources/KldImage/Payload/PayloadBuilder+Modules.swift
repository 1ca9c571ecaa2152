import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPackages
import KldPlan
import SystemPackage

extension PayloadBuilder {
    /// OpenZFS' modules for the kernel of a release, built once by the distribution's own DKMS package.
    func modules(_ payload: PayloadSpec, _ spec: DistroSpec, versions: [String]) async throws -> FilePath {
        // Named, or apt would choose among the builders of initramfs by itself.
        let packages =
            spec.kernelPackages + spec.headerPackages + spec.moduleSourcePackages + ["initramfs-tools", "kmod", "zstd", "xz-utils"]
        let sources = try spec.sources(mirror: payload.buildMirror)
        let inputs = (["modules/3"] + versions + packages).joined(separator: "\n")
        return try await cache.artifact("modules", inputs: inputs) { partial in
            say("building OpenZFS' modules for \(spec.title), once")
            let staged = partial.appending("staged")
            // Built with the release's own builder of initramfs, whatever the modules are for.
            try await earlyFiles(spec, .target, in: staged)
            let dkms = staged.appending("dkms.tar")
            let loadable = staged.appending("loadable.tar")
            let job = Mmdebstrap(
                suite: spec.suite, sources: sources, packages: packages,
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
    func signed(_ modules: FilePath) async throws -> FilePath {
        let inputs = "signed-modules/1\n\(modules.lastComponent?.string ?? "")\n"
        return try await cache.artifact("modules", inputs: inputs) { partial in
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
            let copy = Command(Tool("cp", package: "coreutils"), [key.certificate.string, certificate.string], effect: .changes)
            actions += [.makeDirectory(certificate.removingLastComponent()), .run(copy)]
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

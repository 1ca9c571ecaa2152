import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPackages
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
        try await runner.run(
            Command(
                "tar",
                [
                    "--create", "--file", tar.string, "--directory", tree.string, "--owner=root:0", "--group=root:0", "--sort=name",
                    "--mtime=@\(Self.defaultEpoch)", "var", "usr",
                ], effect: .changes))
    }
}

import KldBlock
import KldCore
import KldDistro
import KldExec
import KldFiles
import KldPackages
import KldPlan
public import SystemPackage

extension InstallRequest.Payload {
    /// Packages that the answers ask for and the root file system lacks.
    public struct Additions: Sendable, Hashable {
        public var packages: [String]
        /// The folder on this system that holds `debian`, `debian-security`: parts of the signed archives.
        public var mirror: FilePath

        public init(packages: [String], mirror: FilePath) {
            self.packages = packages
            self.mirror = mirror
        }
    }
}

extension InstallPlanner {
    /// Where the mirror is mounted, and apt's own files lie meanwhile, in the new system.
    private static let mirrorMount = "/mnt"
    private static let mirrorState = "/var/tmp/kldload-mirror"

    /// Before kldload itself is installed: its hooks would act on a system that is not there yet.
    ///
    /// Here what a package starts would run beside the system that installs. Source: `invoke-rc.d`, Debian Policy 4.7, `policy-rc.d`.
    var additions: [Step] {
        get throws {
            guard let added = request.payload.additions else { return [] }
            let (mount, state) = (inTarget(Self.mirrorMount), Self.mirrorState)
            let mirror = try request.spec.offlineMirror(in: FilePath(Self.mirrorMount), state: FilePath(state))
            let policy = inTarget("/usr/sbin/policy-rc.d")
            var actions: [Action] = [.run(MountCommand.bind(added.mirror.string, at: mount))]
            actions += OfflineMirror.folders.map { .makeDirectory(inTarget("\(state)/\($0)")) }
            actions += mirror.texts.map { .write(inTarget("\(state)/\($0.path)"), content: .text($0.text)) }
            actions += [
                .write(policy, content: .text("#!/bin/sh\nexit 101\n"), mode: 0o755), .run(mirror.refresh.inside(target)),
                .run(mirror.install(added.packages).inside(target)), .remove(policy),
            ]
            if !Set(added.packages).isDisjoint(with: request.spec.grubPackages) {
                actions.append(.run(Apt.hold(matching: request.spec.grubHeldPackages).inside(target)))
            }
            actions += [.remove(inTarget(state)), .run(MountCommand.unmount(mount))]
            return [
                mounts,
                Step(
                    "payload.packages", "Packages from this medium: \(added.packages.joined(separator: ", "))", actions,
                    release: [.run(MountCommand.unmount(mount))], weight: 20),
            ]
        }
    }
}

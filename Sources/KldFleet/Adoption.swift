import KldBlock
import KldBoot
package import KldBootEnv
import KldCore
package import KldExec
package import KldFiles
package import KldPlan
import KldZFS
import SystemPackage

/// Makes a boot environment that came from another machine this one's own, before anybody boots it: `kbe adopt`.
package struct Adoption: Sendable, Hashable {
    private static let take = "fleet.take"
    private static let sign = "fleet.sign"
    private static let snapshots = "fleet.snapshots"
    private static let places: FilePath = "/run/kldload/adopt"

    let system: BootSystem
    package init(_ system: BootSystem) { self.system = system }

    /// It is marked as another machine's first, and as this one's own last, in one command: who is killed before does it all again. Snapshots that
    /// it has by then hold what the other machine was, and stay marked.
    ///
    /// - Parameter image: what is remembered of where it came from; `nil`: nothing.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.running`, `be.active`, `be.mounted`, `be.deep`.
    ///
    /// Runs: `zfs set canmount=noauto NAME`, `zfs set mountpoint=/ com.kldload:owner=kldload com.kldload:identity=foreign NAME`, `mount -t zfs`,
    /// what ``OwnFiles`` and ``ModuleSigning`` run, `umount`, `zfs list -d 1 -t snapshot NAME`, `zfs set com.kldload:identity=foreign NAME@LABEL`
    /// for each, `zfs set com.kldload:identity=own [com.kldload:image=IMAGE] NAME`; changes.
    package func plan(_ name: String, image: String?) throws -> Plan {
        let environment = try system.environment(name)
        let dataset = environment.dataset
        guard dataset != system.running else {
            throw environment.isForeign
                ? Diagnosis(
                    "be.running", "\(name) is running, and cannot be changed",
                    remedies: ["boot another one, and then: kldload kbe adopt \(name)"])
                : Diagnosis("be.running", "\(name) is running: it is this machine's own", remedies: ["nothing is to do"])
        }
        guard system.next?.dataset != dataset.text, system.bootfs != dataset.text else {
            throw Diagnosis(
                "be.active", "\(name) is what boots next, and cannot be changed", remedies: ["kldload kbe activate another one before"])
        }
        guard environment.children.isEmpty else {
            throw Diagnosis(
                "be.deep", "\(name) has datasets of its own below it: they could be another machine's too",
                remedies: ["look at them: zfs list -r \(dataset)"])
        }
        let place = Self.places.appending(name)
        let root = ["root": place.string]
        var inside: [Action] = [.perform(Self.take, root, effect: .changes)]
        if case .by = system.signing {
            // Where an initramfs has to be built anew, it is built in there.
            inside += ["/dev", "/proc", "/sys"].map { .run(MountCommand.bind($0, at: FilePath(place.string + $0))) }
            inside.append(.perform(Self.sign, root, effect: .changes))
        }
        var steps = [
            Step(
                "fleet.properties", "\(dataset) is mounted by nobody but who boots it",
                [
                    .run(ZFS.set(dataset, ["canmount": "noauto"])),
                    .run(
                        ZFS.set(
                            dataset,
                            [
                                "mountpoint": "/", KldProperty.owner: KldProperty.ownerValue,
                                KldProperty.identity: KldProperty.foreign,
                            ])),
                ])
        ]
        steps += try BootEnvironments(system).mount(name, at: place).plan.steps.map { step in
            var step = step
            step.release = [.run(MountCommand.unmount(place)), .remove(place)]
            return step
        }
        steps.append(Step("fleet.take", "Give it this machine's identity, accounts, network and keys", inside, weight: 5))
        // As it lies on the disk, before it counts as ready: nothing is written to it after its snapshots were listed.
        var unmount = MountCommand.unmount(place)
        unmount.acceptedExitStatuses = [0]
        let own: ZFSProperties = [KldProperty.identity: KldProperty.own]
        steps.append(
            Step(
                "fleet.mark", "Remember that it is this machine's own",
                [
                    .run(unmount), .perform(Self.snapshots, ["dataset": dataset.text], effect: .changes),
                    .run(ZFS.set(dataset, own.merging(image.map { [KldProperty.image: $0] } ?? [:]))),
                ]))
        return Plan("adopt boot environment \(name)", [Phase("fleet", "Fleet", steps)])
    }

    /// Takes away what a run left mounted that was killed. Only for whoever holds the lock of boot environments.
    ///
    /// Runs: `umount --recursive PLACE` for each, changes.
    package static func sweep(runner: any CommandRunner, files: any FileSystem) async throws {
        for mount in try files.mounts().reversed() where mount.place.hasPrefix("\(places)/") {
            try await runner.run(MountCommand.unmount(FilePath(mount.place)))
        }
    }

    /// What plans of an adoption perform by name.
    package static var performers: [String: Performer] {
        [
            take: { parameters, runner, files in
                try await OwnFiles(into: FilePath(parameters["root"] ?? ""), files: files).take(runner: runner)
            },
            sign: { parameters, runner, files in
                try await signModules(in: FilePath(parameters["root"] ?? ""), runner: runner, files: files)
            },
            snapshots: { parameters, runner, _ in try await markSnapshots(of: DatasetName(parameters["dataset"] ?? ""), runner) },
        ]
    }

    /// Set on themselves, it stays with them whichever dataset they belong to later.
    private static func markSnapshots(of dataset: DatasetName, _ runner: any CommandRunner) async throws {
        let columns = ["name", KldProperty.identity]
        let output = try await runner.run(ZFS.list(dataset, columns: columns, types: ["snapshot"], depth: 1)).output
        for row in try DatasetTable.parse(output, columns: columns) where row[KldProperty.identity] != KldProperty.own {
            try await runner.run(ZFS.set(try SnapshotName(row.name), [KldProperty.identity: KldProperty.foreign]))
        }
    }

    /// Modules that bear another machine's signature would not be loaded where the firmware enforces it.
    ///
    /// All are signed again, whatever they bear: a module that does already says nothing of the copy in the initramfs, which comes after it.
    static func signModules(in root: FilePath, runner: any CommandRunner, files: any FileSystem) async throws {
        let key = MachineOwnerKey()
        let prefix = "vmlinuz-"
        let releases = ((try? files.list(root.appending("boot"))) ?? []).filter { $0.hasPrefix(prefix) }.map {
            String($0.dropFirst(prefix.count))
        }
        for release in releases {
            let initramfs = root.appending("boot/initrd.img-\(release)")
            guard !ModuleSigning.modules(in: root, release, files).isEmpty, try files.exists(initramfs) else { continue }
            try await ModuleSigning.sign(root: root, release: release, with: key, initramfs: initramfs, runner: runner, files: files)
        }
    }
}

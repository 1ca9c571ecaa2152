import KldAnswers
import KldBlock
import KldCore
import KldDistro
public import KldPlan
import KldZFS
import SystemPackage

/// A sealed image in two parts. The first is the same for all images of a payload with one layout of the pool, and takes most of the time.
extension InstallPlanner {
    /// The first part: a disk that would boot, and belongs to nobody yet. The pool is exported at the end.
    ///
    /// What ``image`` makes its own is not in it, so its steps depend on a payload, on the pool, and on what lies on the ESP.
    /// - Throws: ``Diagnosis`` `install.no-template` for what is no image: it may hold a secret, or have several disks.
    public var template: Plan {
        get throws {
            guard request.sealed, !answers.encrypt, disks.all.count == 1 else {
                throw Diagnosis("install.no-template", "only a sealed image of one disk without encryption has a template", exit: .bug)
            }
            return Plan(
                "make a template for \(request.spec.title), profile \(request.profile.id)",
                [
                    Phase("disks", "Prepare the disk", wiping + partitioning),
                    Phase("storage", "Create the pool and its datasets", try storage),
                    Phase("payload", "Unpack the system", [unpack]),
                    Phase("kernel", "The kernel that the firmware starts", kernel),
                    Phase("boot", "Make it boot", boot),
                ])
        }
    }

    /// The second part, on a copy of the first: an image of this machine, with identities of its own, sealed.
    public var image: Plan {
        get throws {
            let disk = disks.root[0].path
            return Plan(
                "make an image of \(request.spec.title), profile \(request.profile.id)",
                [
                    Phase(
                        "open", "Open the copy of the template",
                        [
                            hostID,
                            Step(
                                "image.guids", "GUIDs of its own for the disk and its partitions",
                                Performers.renewGUIDs(disk, partition: 2)),
                            Step(
                                "image.pool", "Import the pool \(pool), with a GUID of its own",
                                [.makeDirectory(target), .run(ZPool.import(reopening)), .run(ZPool.reguid(pool))],
                                release: Performers.close(pool, mountedAt: target)),
                            Step("image.mounts", "Mount its datasets", [.run(ZFS.mount(tree.root)), .run(ZFS.mountAll())]),
                        ]),
                    Phase("system", "Make it this machine's", tools + system),
                    Phase("accounts", "Manual pages, users and host keys", accounts),
                    Phase("finish", "Close it", try finish),
                ])
        }
    }
}

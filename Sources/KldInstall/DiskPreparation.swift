package import KldBlock
import KldBoot
import KldCore
import KldExec
package import KldPlan
import KldZFS
import SystemPackage

/// What makes a disk that was chosen ready for a pool: at an installation, and where it takes another one's place.
extension DiskSelection.Chosen {
    /// Takes down what lies on the disk, wipes it, and looks at it. Destroys; needs an approval that names it.
    ///
    /// - Parameter closed: names of what an earlier disk's steps took down already: a device may span several disks.
    package func wiping(_ closed: inout Set<String>) -> [Step] {
        let name = device.name
        let partitions = device.children.filter { $0.type == "part" }
        // Somebody may have taken long to approve it.
        var actions = [verifyingSame]
        // From the top of the stack down: what holds a lower device must let go first.
        for device in device.tree.dropFirst().reversed() where !partitions.contains(device) {
            guard let close = close(device), closed.insert(device.path).inserted else { continue }
            actions.append(.run(close))
        }
        for device in partitions.reversed() + [device] {
            if device.filesystem == "zfs_member" {
                actions.append(.run(ZPool.labelClear(device.path, force: Force(because: "the disk it is on was approved"))))
            }
            actions.append(.run(Disk.wipeSignatures(device.path)))
        }
        actions += [
            .run(Disk.zap(path)), .run(Disk.discard(path)), .run(Disk.zeroStart(path)), .run(Disk.rereadTable(path)), .run(Disk.settle),
        ]
        return [
            Step("disk.wipe.\(name)", "Wipe \(path) (\(device.size))", actions, destroys: [path]),
            Step(
                "disk.verify.\(name)", "Verify that \(path) is clean",
                [.perform(Performers.verifyClean, ["disk": path], effect: .reads)]),
        ]
    }

    /// That the name still leads to the disk that was chosen.
    private var verifyingSame: Action {
        .perform(
            Performers.verifySame,
            ["disk": path, "node": device.path, "size": String(device.size.bytes), "serial": device.serial ?? ""], effect: .reads)
    }

    /// What takes down a device that lies on others; `nil` for one that goes with them, as a partition of an array does.
    private func close(_ device: BlockDevice) -> Command? {
        switch device.type {
        case "crypt": Command(Tool("cryptsetup", package: "cryptsetup-bin"), ["close", device.name], effect: .changes)
        case let type where type.hasPrefix("raid") || type == "md" || type == "linear":
            Command("mdadm", ["--stop", device.path], effect: .changes)
        case _ where device.path.hasPrefix("/dev/mapper/"): Command("dmsetup", ["remove", "--retry", device.name], effect: .changes)
        default: nil
        }
    }

    /// Makes partitions, and an empty file system of the one that is an ESP.
    ///
    /// - Parameter espSerial: of that file system.
    package func partitioning(_ parts: [PartitionSpec], espSerial: UInt32) -> Step {
        // Every write to a disk makes udev look at it again: the wiping of another may have moved the name.
        var actions = [verifyingSame, .run(Disk.partition(path, parts, sectorBytes: device.logicalSectorBytes)), .run(Disk.settle)]
        for part in parts {
            let partition = Disk.partition(part.number, of: path)
            // What lay here long ago, under another table that was gone already, would be found again at the partition's start.
            actions += [
                .waitFor(FilePath(partition), seconds: 30),
                .run(ZPool.labelClear(partition, force: Force(because: "the disk it is on was approved and wiped"))),
                .run(Disk.wipeSignatures(partition, nested: true)),
            ]
        }
        for part in parts where part.type == .efiSystem {
            actions.append(
                .run(Disk.makeFAT(Disk.partition(part.number, of: path), label: ESPLayout.volumeLabel, serial: espSerial)))
        }
        return Step("disk.partition.\(device.name)", "Partition \(path)", actions, destroys: [path])
    }
}

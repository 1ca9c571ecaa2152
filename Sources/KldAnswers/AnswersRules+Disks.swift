import SystemPackage

extension AnswersDraft {
    mutating func checkDisks(_ answers: Answers) {
        if answers.forceWipe, isGiven("DISK"), answers.disk == .automatic {
            report(
                .wipeWithoutDisk, "FORCE_WIPE", "auto needs no approval: it takes only a disk that is empty",
                remedy: answers.allDisks.isEmpty ? nil : "name KLDLOAD_DISK by its path too, as the other disks are")
        }
        checkDuplicates(answers)
        guard isSound("DISK", "ZFS_DATA_DISKS", "ZFS_TOPOLOGY"), isGiven("DISK") else { return }
        let count = 1 + answers.dataDisks.count
        guard checkCount(answers.topology, count) else { return }
        guard isSound("ZFS_SPECIAL_DISKS"), !answers.specialDisks.isEmpty else { return }
        let needed = answers.topology.toleratedLosses(disks: count) + 1
        let special = answers.specialDisks.count
        if special < needed {
            report(
                .specialRedundancy, "ZFS_SPECIAL_DISKS",
                "the root vdevs survive the loss of \(needed - 1) disks, \(special) special disks do not",
                remedy: "give \(needed) special disks, or none")
        } else if !special.isMultiple(of: needed) {
            report(
                .specialCount, "ZFS_SPECIAL_DISKS",
                "special disks form mirrors of \(needed) beside these root vdevs, \(special) cannot be split into such",
                remedy: "give \(special / needed * needed) or \((special / needed + 1) * needed) special disks")
        }
    }

    private mutating func checkDuplicates(_ answers: Answers) {
        var seen: [FilePath: String] = [:]
        if case .path(let path) = answers.disk { seen[path] = "DISK" }
        for (stem, disks) in [("ZFS_DATA_DISKS", answers.dataDisks), ("ZFS_SPECIAL_DISKS", answers.specialDisks)] {
            for disk in disks {
                if let other = seen[disk] {
                    report(.duplicateDisk, stem, "\(disk) stands in KLDLOAD_\(other) already")
                } else {
                    seen[disk] = stem
                }
            }
        }
    }

    /// - Returns: whether the number fits the topology.
    private mutating func checkCount(_ topology: Answers.Topology, _ count: Int) -> Bool {
        let name = topology.rawValue
        let least = topology.minimumDisks
        let stem = isGiven("ZFS_TOPOLOGY") ? "ZFS_TOPOLOGY" : "ZFS_DATA_DISKS"
        switch topology {
        case .single where count > 1:
            report(
                .diskCount, stem, "the topology single takes 1 disk, \(count) were given",
                remedy: "set KLDLOAD_ZFS_TOPOLOGY to mirror, or name one disk")
        case .mirrorStripe where count < least || !count.isMultiple(of: 2):
            report(.diskCount, stem, "the topology \(name) takes an even number of disks from \(least), \(count) were given")
        case _ where count < least:
            report(.diskCount, stem, "the topology \(name) takes \(least) disks or more, \(count) were given")
        default: return true
        }
        return false
    }
}

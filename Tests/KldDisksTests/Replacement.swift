@testable import KldDisks

func replacement(
    _ status: String = Machine.status(second: "FAULTED"), _ old: String = "vdb", _ new: String = "vdc", listing: String = Machine.listing,
    passports: [UInt64: [String: String]] = [:], records: [ReplacementRecord] = [], failing: [String] = [],
    _ change: (inout DiskReplacement.Request) -> Void = { _ in }
) async throws -> DiskReplacement {
    var request = DiskReplacement.Request(old: old, new: new, yes: true)
    change(&request)
    return try DiskReplacement(
        request, try await Machine.inventory(status, listing: listing, passports: passports), records: records, failing: failing,
        now: Machine.now, espSerial: 0xCAFE_F00D)
}

let spare = Machine.byID + "virtio-spare0"
let record = ReplacementRecord(
    pool: "rpool", old: Machine.second, oldNames: ["\(Machine.byID)virtio-disk1", "/dev/vdb", "vdb"], new: spare, newSerial: "spare0",
    newVdev: "\(spare)-part2", passport: ["slot": "7", "serial": "spare0"], started: Machine.now, approved: true)

import KldCore
public import KldExec

/// A pool and its vdevs, by name.
public struct PoolListing: Sendable, Hashable {
    static let columns = ["name", "bootfs", "altroot"]

    public var name: String
    /// The dataset that is booted by default.
    public var bootfs: String?
    /// The folder that it was opened below.
    public var altroot: String?
    /// Of every class, in their order: `mirror-0`, `/dev/disk/by-id/ata-A-part2`.
    public var vdevs: [String]

    /// Those of the vdevs that are devices or files.
    public var devices: [String] { vdevs.filter { $0.hasPrefix("/") } }

    /// Reads the output of ``ZPool/vdevs(of:)``: a pool at the margin, its vdevs each below a TAB; devices are those with a full path.
    /// ```
    /// rpool⇥rpool/ROOT/debian⇥-
    /// ⇥mirror-0
    /// ⇥/dev/disk/by-id/ata-A-part2
    /// ⇥/dev/disk/by-id/ata-B-part2
    /// ```
    ///
    /// Classes of vdevs stand at the margin too, with dashes for the columns: `special      -      -` (2.4).
    /// OpenZFS 2.3 prints every column of a vdev, whatever `-o` asks for; the name comes first.
    /// `⇥/dev/disk/by-id/virtio-disk0-part2⇥7514882048⇥837451776⇥6141870080⇥-⇥-⇥1⇥11⇥-⇥ONLINE` (2.3.9).
    public static func parse(_ output: String) -> [PoolListing] {
        var pools: [PoolListing] = []
        for line in output.lines {
            let fields = line.split(separator: "\t").map { String($0).trimmed }
            guard let name = fields.first, !name.isEmpty else { continue }
            if line.hasPrefix("\t") || name.hasPrefix("/") {
                if !pools.isEmpty { pools[pools.count - 1].vdevs.append(name) }
                continue
            }
            // A pool may be called as a class is.
            if fields.count != columns.count, line.words.dropFirst().first == "-" { continue }
            func text(_ index: Int) -> String? { fields.count > index && fields[index] != "-" ? fields[index] : nil }
            pools.append(PoolListing(name: name, bootfs: text(1), altroot: text(2), vdevs: []))
        }
        return pools
    }
}

extension ZPool {
    /// Every imported pool, or one, with its vdevs in their order.
    ///
    /// Runs: `zpool list -vHPp -o name,bootfs,altroot [NAME]`, reads. Parsed by ``PoolListing/parse(_:)``.
    public static func vdevs(of name: PoolName? = nil) -> Command {
        Command(
            tool, ["list", "-vHPp", "-o", PoolListing.columns.joined(separator: ",")] + (name.map { [$0.text] } ?? []), effect: .reads)
    }
}

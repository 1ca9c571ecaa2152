public import KldCore
public import KldExec
public import SystemPackage

/// What a pool that is closed does not use of its only device.
///
/// `zpool trim` leaves out up to 4 MiB at the start of each metaslab but the first: the place up to which it got counts the labels, the
/// extents that it compares with it do not (`vdev_trim_range_add()`, OpenZFS 2.3.9 and 2.4.4). So whoever needs all of it reads the space maps.
public struct FreeSpace: Sendable, Hashable {
    /// In bytes from the start of the device.
    public var ranges: [Range<Int64>]

    /// Two labels and the room for a boot loader, which nobody uses; behind it lies what the pool can allocate. Two more labels end the device.
    /// Source: ZFS On-Disk Specification, section 1.2; `VDEV_LABEL_START_SIZE`.
    static let (labels, start): (Int64, Int64) = (512 << 10, 4 << 20)

    /// Runs: `zdb -e -p FOLDER -mmmmmm POOL`, reads. Source: zdb(8), OpenZFS 2.4. The pool must be exported.
    public static func command(_ pool: PoolName, devices: FilePath) -> Command {
        Command(Tool("zdb", package: "zfsutils-linux"), ["-e", "-p", devices.string, "-mmmmmm", pool.text], effect: .reads)
    }

    /// Reads the space maps of every metaslab, and the log of changes that are not in them yet (OpenZFS 2.3.9):
    /// ```
    /// 	vdev          0	  metaslab shift   29   ms_unflushed_phys object 73
    /// 	metaslabs    13   offset                spacemap          free
    /// 	metaslab      0   offset            0   spacemap     75   free    99.7M
    ///   smp_alloc = 0x19c49000
    /// 	    [     0] ALLOC: txg 114 pass 1
    /// 	    [     1]    A  range: 014000a000-014000b000  size: 001000 vdev: 16777216 words: 1
    /// 	unflushed txg=417
    /// Log Spacemap object 25 txg 417
    /// 	    [     1]    F  range: 0180025000-0180026000  size: 001000 vdev: 000000 words: 2
    /// ```
    /// - Parameters:
    ///   - label: of the device.
    /// - Throws: ``Diagnosis`` `zfs.free-space` when anything does not fit together: it is better to give back nothing.
    public init(_ output: String, label: DiskLabel) throws(Diagnosis) {
        guard label.state == 1, label.vdevs == 1, label.kind == "disk", let size = label.allocatable else {
            throw Self.problem("the pool is not one disk, and closed")
        }
        var used = Allocations()
        var shift: Int?, count: Int?, metaslab = -1, log: Int?
        var flushed: [Int: Int] = [:]
        var sum: Int64 = 0, wanted: Int64?
        for line in output.lines {
            let words = line.words
            switch words.first {
            case "vdev":
                guard words.count > 4, words[1] == "0", words[3] == "shift", shift == nil else {
                    throw Self.problem("more than one vdev: \(line)")
                }
                shift = Int(words[4])
            case "metaslabs" where words.count > 1 && count == nil: count = Int(words[1])
            case "metaslab" where words.count > 3:
                metaslab += 1
                guard words[1] == String(metaslab), let shift, Int64(words[3], radix: 16) == Int64(metaslab) << shift else {
                    throw Self.problem(line)
                }
            case "Log" where words.count == 6 && words[1] == "Spacemap": log = Int(words[5])
            case "unflushed": flushed[metaslab] = words.last.flatMap { Int($0.dropFirst("txg=".count)) }
            case "smp_alloc":
                if let wanted, wanted != sum { throw Self.problem("a space map of \(wanted) bytes adds up to \(sum)") }
                guard let number = words.last.flatMap({ UInt64($0.dropFirst(2), radix: 16) }) else { throw Self.problem(line) }
                (wanted, sum) = (Int64(bitPattern: number), 0)
            default:
                guard let at = words.firstIndex(of: "range:"), at > 0 else { continue }
                guard let shift, wanted != nil, let range = Self.range(words[at...], inLog: log != nil) else { throw Self.problem(line) }
                let allocates = words[at - 1] == "A"
                guard allocates || words[at - 1] == "F" else { throw Self.problem(line) }
                sum += (allocates ? 1 : -1) * Int64(range.count)
                // What a metaslab has taken over from the log since is in its own map.
                if let log, log < flushed[Int(range.lowerBound >> shift)] ?? 0 { continue }
                guard allocates ? used.insert(range) : used.remove(range) else { throw Self.problem("twice: \(line)") }
            }
        }
        guard let shift, let count, count == metaslab + 1, wanted == sum, !used.ranges.isEmpty else {
            throw Self.problem("\(metaslab + 1) of \(count ?? 0) metaslabs")
        }
        let end = Int64(size.bytes)
        guard Int64(count) << shift <= end, used.ranges.last.map({ $0.upperBound <= end }) == true else {
            throw Self.problem("more is used than there is")
        }
        var free = [Self.labels..<Self.start]
        var position: Int64 = 0
        for range in used.ranges + [end..<end] {
            if position < range.lowerBound { free.append(position + Self.start..<range.lowerBound + Self.start) }
            position = range.upperBound
        }
        ranges = free
    }

    /// Reads `range: 014000a000-014000b000 size: 001000 vdev: 000000`. OpenZFS 2.3 ends it with the first byte that is not in it, 2.4 with the last
    /// one that is.
    private static func range(_ words: ArraySlice<String>, inLog: Bool) -> Range<Int64>? {
        let words = Array(words)
        guard words.count > 3, words[2] == "size:", let size = Int64(words[3], radix: 16), size > 0 else { return nil }
        let bounds = words[1].split(separator: "-").compactMap { Int64($0, radix: 16) }
        guard bounds.count == 2, [size, size - 1].contains(bounds[1] - bounds[0]) else { return nil }
        if inLog { guard words.count > 5, words[4] == "vdev:", Int(words[5]) == 0 else { return nil } }
        return bounds[0]..<bounds[0] + size
    }

    private static func problem(_ why: String) -> Diagnosis {
        Diagnosis(
            "zfs.free-space", "what the pool does not use cannot be told from what it does",
            remedies: ["report this as a defect of kldload, with the log"], exit: .bug, causes: [why])
    }

    /// Ranges that touch are one. What is taken must be free, and what is given back must be taken.
    private struct Allocations {
        private(set) var ranges: [Range<Int64>] = []

        /// The first range that ends behind a place.
        private func index(behind place: Int64) -> Int {
            var (low, high) = (0, ranges.count)
            while low < high {
                let middle = (low + high) / 2
                if ranges[middle].upperBound > place { high = middle } else { low = middle + 1 }
            }
            return low
        }

        mutating func insert(_ range: Range<Int64>) -> Bool {
            let index = index(behind: range.lowerBound)
            if index < ranges.count, ranges[index].lowerBound < range.upperBound { return false }
            let joinsBefore = index > 0 && ranges[index - 1].upperBound == range.lowerBound
            let joinsAfter = index < ranges.count && ranges[index].lowerBound == range.upperBound
            let whole =
                (joinsBefore ? ranges[index - 1].lowerBound : range.lowerBound)..<(joinsAfter ? ranges[index].upperBound : range.upperBound)
            ranges.replaceSubrange((joinsBefore ? index - 1 : index)..<(joinsAfter ? index + 1 : index), with: [whole])
            return true
        }

        mutating func remove(_ range: Range<Int64>) -> Bool {
            let index = index(behind: range.lowerBound)
            guard index < ranges.count else { return false }
            let whole = ranges[index]
            guard whole.lowerBound <= range.lowerBound, range.upperBound <= whole.upperBound else { return false }
            ranges.replaceSubrange(
                index...index,
                with: [whole.lowerBound..<range.lowerBound, range.upperBound..<whole.upperBound].filter { !$0.isEmpty })
            return true
        }
    }
}

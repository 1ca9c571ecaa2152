/// What one ZFS label of a device says, read from its bytes: no OpenZFS is needed.
///
/// Source: OpenZFS 2.4, `vdev_impl.h` (`vdev_label_t`, `vdev_phys_t`) and `libnvpair`, XDR encoding of nvlists (RFC 4506: four bytes, big-endian).
struct PoolLabel: Sendable, Hashable {
    var pool: String?
    var poolGUID: UInt64?
    /// Of the device, of its top-level vdev, and of every vdev of that tree.
    var vdevGUIDs: Set<UInt64> = []
    var hostID: UInt64?
    var hostName: String?

    static let labelBytes: UInt64 = 256 << 10
    static let listOffset: UInt64 = 16 << 10
    static let listBytes = 112 << 10

    /// Where the four labels of a device lie, from its beginning.
    static func offsets(_ size: UInt64) -> [UInt64] {
        let end = size / labelBytes * labelBytes
        guard end >= 4 * labelBytes else { return [] }
        return [0, labelBytes, end - 2 * labelBytes, end - labelBytes]
    }

    /// - Parameter bytes: the nvlist area of a label, ``listBytes`` at ``listOffset``.
    /// - Returns: `nil` when there is no label, or it is not understood.
    init?(_ bytes: [UInt8]) {
        // nvs_header_t: XDR, the writer's byte order, two bytes of nothing.
        guard bytes.count > 12, bytes[0] == 1, bytes[2] == 0, bytes[3] == 0 else { return nil }
        var reader = Reader(bytes: bytes, position: 4)
        guard let list = reader.list(depth: 0), !list.isEmpty else { return nil }
        for pair in list {
            switch (pair.name, pair.value) {
            case ("name", .text(let text)): pool = text
            case ("pool_guid", .number(let number)): poolGUID = number
            case ("guid", .number(let number)), ("top_guid", .number(let number)): vdevGUIDs.insert(number)
            case ("hostid", .number(let number)): hostID = number
            case ("hostname", .text(let text)): hostName = text
            case ("vdev_tree", .lists(let lists)): for list in lists { collect(list) }
            default: continue
            }
        }
        guard poolGUID != nil else { return nil }
    }

    private mutating func collect(_ list: [Pair]) {
        for pair in list {
            switch (pair.name, pair.value) {
            case ("guid", .number(let number)): vdevGUIDs.insert(number)
            case ("children", .lists(let lists)): for list in lists { collect(list) }
            default: continue
            }
        }
    }

    private struct Pair {
        var name: String
        var value: Value
    }

    private enum Value {
        case number(UInt64)
        case text(String)
        case lists([[Pair]])
        case other
    }

    private struct Reader {
        let bytes: [UInt8]
        var position: Int

        mutating func word() -> UInt32? {
            guard position + 4 <= bytes.count else { return nil }
            defer { position += 4 }
            return bytes[position..<position + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }

        mutating func text() -> String? {
            guard let length = word().map({ Int($0) }), length <= 4096, position + length <= bytes.count else { return nil }
            defer { position += (length + 3) / 4 * 4 }
            return String(decoding: bytes[position..<position + length], as: UTF8.self)
        }

        /// Version and flags, then pairs, each with its size in front, up to a size of zero.
        mutating func list(depth: Int) -> [Pair]? {
            guard depth < 8, word() == 0, word() != nil else { return nil }
            var pairs: [Pair] = []
            while true {
                let start = position
                guard let size = word().map({ Int($0) }), word() != nil else { return nil }
                if size == 0 { return pairs }
                guard size >= 20, start + size <= bytes.count, let name = text(), let type = word(), let count = word() else { return nil }
                var value = Value.other
                switch type {
                case 8:  // DATA_TYPE_UINT64
                    guard let high = word(), let low = word() else { return nil }
                    value = .number(UInt64(high) << 32 | UInt64(low))
                case 9:  // DATA_TYPE_STRING
                    guard let string = text() else { return nil }
                    value = .text(string)
                case 19, 20:  // DATA_TYPE_NVLIST, DATA_TYPE_NVLIST_ARRAY
                    var lists: [[Pair]] = []
                    for _ in 0..<min(count, 256) {
                        guard let inner = list(depth: depth + 1) else { return nil }
                        lists.append(inner)
                    }
                    value = .lists(lists)
                default: break
                }
                pairs.append(Pair(name: name, value: value))
                position = start + size
            }
        }
    }
}

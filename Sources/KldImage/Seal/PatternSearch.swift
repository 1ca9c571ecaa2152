/// Searches bytes for many strings at once.
///
/// Looks at the last two bytes of a window as long as the shortest string, and shifts by how far those two lie from the end of any
/// string: over bytes that no string holds it reads one position in thirty. Source: Wu and Manber, A Fast Algorithm for Multi-Pattern
/// Searching, TR-94-17, 1994 (block size 2; the buckets are chosen by the same two bytes).
struct PatternSearch: Sendable {
    private let strings: [[UInt8]]
    /// The length of the shortest string: how long the window is.
    let shortest: Int
    let longest: Int
    /// By two bytes: how far the window may move; 0 means look closer.
    private let shifts: [UInt8]
    /// By two bytes: where the candidates begin in `candidates`; they end where the next begin.
    private let starts: [Int32]
    private let candidates: [Int32]

    /// - Parameter strings: none shorter than two bytes.
    init(_ strings: [[UInt8]]) {
        self.strings = strings
        shortest = strings.map(\.count).min() ?? 2
        longest = strings.map(\.count).max() ?? 2
        let window = shortest
        var shifts = [UInt8](repeating: UInt8(min(window - 1, 255)), count: 1 << 16)
        var buckets: [Int: [Int32]] = [:]
        for (index, string) in strings.enumerated() {
            for end in 1..<window {
                let pair = Int(string[end - 1]) << 8 | Int(string[end])
                shifts[pair] = min(shifts[pair], UInt8(min(window - 1 - end, 255)))
                if end == window - 1 { buckets[pair, default: []].append(Int32(index)) }
            }
        }
        var starts: [Int32] = []
        var candidates: [Int32] = []
        for (pair, bucket) in buckets.sorted(by: { $0.key < $1.key }) {
            starts += repeatElement(Int32(candidates.count), count: pair + 1 - starts.count)
            candidates += bucket
        }
        starts += repeatElement(Int32(candidates.count), count: (1 << 16) + 1 - starts.count)
        (self.shifts, self.starts, self.candidates) = (shifts, starts, candidates)
    }

    /// Calls for every place where a string begins in these bytes, in order of the places.
    func search(_ bytes: UnsafeBufferPointer<UInt8>, found: (_ string: Int, _ offset: Int) -> Void) {
        guard !strings.isEmpty else { return }
        let window = shortest
        shifts.withUnsafeBufferPointer { shifts in
            var end = window - 1
            while end < bytes.count {
                let pair = Int(bytes[end - 1]) << 8 | Int(bytes[end])
                let shift = Int(shifts[pair])
                if shift > 0 {
                    end += shift
                    continue
                }
                for position in starts[pair]..<starts[pair + 1] {
                    let string = Int(candidates[Int(position)])
                    let start = end - (window - 1)
                    if matches(bytes, start, strings[string]) { found(string, start) }
                }
                end += 1
            }
        }
    }

    private func matches(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int, _ string: [UInt8]) -> Bool {
        guard start + string.count <= bytes.count else { return false }
        for index in 0..<string.count where bytes[start + index] != string[index] { return false }
        return true
    }
}

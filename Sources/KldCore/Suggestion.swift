/// The word with the fewest edits; the first by alphabet among equals. Case counts as no edit. Of a word of six letters at most a third may be
/// wrong, or 2 of them; of a shorter one 1, and none of two letters, which are near to too many.
///
/// Long words have no suggestion, which bounds the work spent on a mistake.
/// - Parameter most: edits, where fewer shall do.
package func nearest(to word: String, _ words: [String], most: Int = .max) -> String? {
    let length = word.utf8.count
    guard length > 0, length <= 64 else { return nil }
    let wanted = word.lowercased()
    let letters = LetterSet(wanted)
    let limit = min(most, length <= 2 ? 0 : length <= 5 ? 1 : max(2, length / 3))
    var best: (distance: Int, word: String)?
    for candidate in words where abs(candidate.utf8.count - length) <= limit {
        if letters.leastDistance(to: LetterSet(candidate)) > min(limit, best?.distance ?? limit) { continue }
        let distance = editDistance(wanted, candidate.lowercased())
        guard distance <= limit, distance < length else { continue }
        if best.map({ (distance, candidate) < ($0.distance, $0.word) }) ?? true { best = (distance, candidate) }
    }
    return best?.word
}

/// The remedy for a mistyped word, where one is near: for the beginning of a list of remedies.
/// - Parameter most: as ``nearest(to:_:most:)`` takes it: for names that begin alike, whatever they name.
package func didYouMean(_ word: String, _ words: [String], most: Int = .max) -> [String] {
    nearest(to: word, words, most: most).map { ["did you mean \($0)?"] } ?? []
}

/// Which letters a word has, whatever their number and case: most words are found too far away by this alone, without the table that
/// an edit distance takes.
private struct LetterSet {
    private var bits: UInt64 = 0

    init(_ word: String) {
        for byte in word.utf8 { bits |= 1 << UInt64((byte | 0x20) & 63) }
    }

    /// Each letter that only one of them has costs an edit.
    func leastDistance(to other: LetterSet) -> Int {
        max((bits & ~other.bits).nonzeroBitCount, (other.bits & ~bits).nonzeroBitCount)
    }
}

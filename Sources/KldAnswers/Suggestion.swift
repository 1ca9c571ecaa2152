import KldCore

/// "did you mean X?", for the nearest of `words`; `nil` when none is near.
///
/// Long words have no suggestion, which bounds the work spent on a mistake.
func didYouMean(_ word: String, _ words: some Sequence<String>) -> String? {
    nearest(to: word, words).map { "did you mean \($0)?" }
}

/// The word with the fewest edits, at most a third of the length or 2; the first by alphabet among equals. Case counts as no edit.
func nearest(to word: String, _ words: some Sequence<String>) -> String? {
    let wanted = word.lowercased()
    let length = wanted.utf8.count
    guard length > 0, length <= 64 else { return nil }
    let limit = max(2, length / 3)
    var best: (distance: Int, word: String)?
    for candidate in words where abs(candidate.utf8.count - length) <= limit {
        let distance = editDistance(wanted, candidate.lowercased())
        guard distance <= limit, distance < length else { continue }
        if best.map({ (distance, candidate) < ($0.distance, $0.word) }) ?? true { best = (distance, candidate) }
    }
    return best?.word
}

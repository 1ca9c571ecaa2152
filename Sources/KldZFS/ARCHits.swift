extension ARCStats {
    /// How often what was asked for was in the cache since the module was loaded, in per cent; `nil` where nothing was asked for, or it is not told.
    ///
    /// Source: `/proc/spl/kstat/zfs/arcstats`, `hits` and `misses`, OpenZFS 2.1 to 2.4.
    public static func hitPercent(_ text: String) -> Int? {
        var hits: Double?, misses: Double?
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3 else { continue }
            if words[0] == "hits" { hits = Double(words[2]) }
            if words[0] == "misses" { misses = Double(words[2]) }
        }
        guard let hits, let misses, hits + misses > 0 else { return nil }
        return Int(hits / (hits + misses) * 100)
    }
}

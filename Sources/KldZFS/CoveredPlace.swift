/// Where a mount point lies in the file system that holds it. What is there stays hidden as long as something is mounted on it.
package struct CoveredPlace: Sendable, Hashable {
    package var point: String
    /// Where the file system that holds it is mounted.
    package var holder: String
    /// The mount point as that file system has it: `/admin` of `/home/admin` in `/home`.
    package var below: String

    package init(point: String, holder: String, below: String) {
        self.point = point
        self.holder = holder
        self.below = below
    }

    /// - Parameter points: absolute paths.
    /// - Returns: one for each that lies in another one, in the same order.
    package static func all(of points: [String]) -> [CoveredPlace] {
        points.compactMap { point in
            let holders = points.filter { $0 != point && point.hasPrefix($0 == "/" ? "/" : $0 + "/") }
            guard let holder = holders.max(by: { $0.count < $1.count }) else { return nil }
            return CoveredPlace(point: point, holder: holder, below: holder == "/" ? point : String(point.dropFirst(holder.count)))
        }
    }
}

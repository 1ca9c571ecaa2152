import KldCore
package import KldFiles
import SystemPackage

/// How slow guests are here, compared with the reference: emulation on two quiet cores, where the deadlines of this project were measured.
///
/// 1 is the reference; 2 is half as fast; with KVM it is far below 1.
package struct SpeedFactor: Sendable, Hashable, Codable {
    /// What ``ProbeGuest`` needs for `w` on the reference: 0.45 to 0.5 s with QEMU 10.0.2, emulated, quiet; 0.7 to 1.3 s while the two cores
    /// had five runnable tasks.
    package static let reference: Duration = .milliseconds(500)

    package var value: Double

    package init(_ value: Double) { self.value = value }

    /// - Parameter work: how long ``ProbeGuest`` needed for `w`.
    package init(work: Duration) { value = work / Self.reference }

    /// A deadline for this machine. - Parameters:
    ///   - reference: the deadline on the reference machine.
    ///   - crowding: see ``crowding(files:processors:)``; 1 when nothing else runs.
    /// - Returns: between a quarter and forty times `reference`: below that, start-up times that no processor shortens prevail; above, a
    ///   person should be told instead.
    package func deadline(_ reference: Duration, crowding: Double = 1) -> Duration {
        reference * min(max(value * max(crowding, 1), 0.25), 40)
    }

    /// How many runnable tasks share one processor, from the load average of the last minute; at least 1.
    ///
    /// Reads `/proc/loadavg`, for instance `0.35 0.50 0.71 2/317 4711` (Linux 6.1, proc(5)).
    /// - Throws: ``FileError``.
    package static func crowding(files: any FileSystem, processors: Int) throws -> Double {
        let load = try files.readText("/proc/loadavg").words.first.flatMap(Double.init) ?? 0
        return max(1, load / Double(max(processors, 1)))
    }
}

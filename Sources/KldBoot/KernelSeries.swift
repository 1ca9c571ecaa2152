import KldCore

/// The first two numbers of a version of Linux: what OpenZFS says its support goes by.
public struct KernelSeries: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var major: Int
    public var minor: Int

    /// - Parameter version: a release, or a version of a package: `6.12.48+deb13-amd64`, `7.3.4-1~bpo13+1`.
    public init(_ version: String) {
        let numbers = version.split(whereSeparator: { !$0.isNumber }).prefix(2).map { Int($0) ?? 0 }
        (major, minor) = (numbers.first ?? 0, numbers.count > 1 ? numbers[1] : 0)
    }

    /// The highest that a source of OpenZFS supports, from its `META`: `Linux-Maximum: 7.2`. Source: OpenZFS 2.1 to 2.4.
    public static func supported(meta: String) -> KernelSeries? {
        meta.lines.first { $0.hasPrefix("Linux-Maximum:") }.map { KernelSeries($0.dropFirst("Linux-Maximum:".count).trimmed) }
    }

    public var description: String { "\(major).\(minor)" }

    public static func < (a: KernelSeries, b: KernelSeries) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
}

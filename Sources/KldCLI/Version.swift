import CKldCompat

enum Version {
    /// Raised by hand with a release.
    static let number = "2.0.0"
    static var text: String { "kldload \(number) (build \(buildID ?? "unknown"))" }

    /// The first six bytes of what the linker made of everything in this program: two builds of the same sources have the same.
    static var buildID: String? {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = kld_build_id(&bytes, bytes.count)
        guard count > 0 else { return nil }
        return bytes.prefix(min(count, 6)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

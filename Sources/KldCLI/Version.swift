enum Version {
    /// Raised by hand with a release.
    static let number = "2.0.0"
    static let text = "kldload \(number)"
}

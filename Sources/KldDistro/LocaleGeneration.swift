/// Which locales a system has the data of.
public enum LocaleGeneration {
    /// Below the system's root. Source: locale-gen(8), locales 2.36 to 2.41.
    public static let path = "/etc/locale.gen"

    /// What ``path`` holds for one locale, `de_AT.UTF-8`: its name and its character set.
    ///
    /// Answers name locales in UTF-8 only, and some of those have no character set in their name: `hi_IN`, `ca_ES@valencia`.
    /// Source: `/usr/share/i18n/SUPPORTED`, locales 2.36 to 2.41.
    public static func configuration(_ locale: String) -> String {
        let charset = locale.split(separator: ".").dropFirst().first.map { $0.split(separator: "@")[0] }.map(String.init)
        return "\(locale) \(charset ?? "UTF-8")\n"
    }
}

extension DistroSpec {
    /// Whether its systems can make the data of any locale by themselves; others have packages for each.
    public var generatesLocales: Bool {
        if case .apt = packaging { true } else { false }
    }
}

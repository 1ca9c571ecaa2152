public import KldAnswers
public import SystemPackage

/// Where things lie on a medium that carries the live environment and payloads to install from.
public enum LiveMedium {
    /// Where dracut mounts it. Source: dracut.cmdline(7), dracut 106, "Booting live images".
    public static let mountPoint: FilePath = "/run/initramfs/live"
    public static let squashfs = "LiveOS/squashfs.img"

    /// The folder of the payload that these answers ask for, below the medium's top: `kldload/payloads/debian-trixie-core`.
    public static func payload(_ answers: Answers) -> String {
        "kldload/payloads/\(answers.distro.rawValue)-\(answers.release)-\(answers.profile.rawValue)"
    }
}

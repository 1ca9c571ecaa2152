public import KldAnswers
public import SystemPackage

/// Where things lie on a medium that carries the live environment and payloads to install from.
public enum LiveMedium {
    /// Where dracut mounts it. Source: dracut.cmdline(7), dracut 106, "Booting live images".
    public static let mountPoint: FilePath = "/run/initramfs/live"
    public static let squashfs = "LiveOS/squashfs.img"

    /// Who has signed OpenZFS' modules in the live environment, in DER: below its root, and below the root of the medium's ESP, where a
    /// person finds it who enrols a key from a disk.
    public static let certificate = "usr/lib/kldload/medium.der"
    public static let certificateOnESP = "KLDLOAD.DER"
    static let signer = "kldload live medium"

    /// Answers that a medium was made with, below its top.
    static let answers = "kldload/autoinstall.env"

    static let payloadFolder = "kldload/payloads"
    /// Where the payloads lie in a running live environment.
    public static var payloads: FilePath { mountPoint.pushing(FilePath(payloadFolder)) }

    /// The folder of the payload that these answers ask for, below the medium's top: `kldload/payloads/debian-trixie-core`.
    public static func payload(_ answers: Answers) -> String {
        "\(payloadFolder)/\(answers.distro.rawValue)-\(answers.release)-\(answers.profile.rawValue)"
    }

    static let mirrorFolder = "kldload/mirrors"

    /// The folder of the offline mirror of a release, below the medium's top: `kldload/mirrors/debian-trixie`.
    public static func mirror(_ answers: Answers) -> String { "\(mirrorFolder)/\(answers.distro.rawValue)-\(answers.release)" }

    /// What the mirror says of itself, below its folder.
    public static let mirrorInfo = MirrorInfo.name

    /// The folders of all payloads that a medium carries, each by its own name.
    static func payloads(in list: MediumList) -> [String] {
        Set(list.files(in: payloadFolder).compactMap { $0.path.split(separator: "/").dropFirst(2).first.map(String.init) }).sorted()
    }
}

/// How the guest's instructions are run.
package enum Accelerator: String, Sendable, Hashable, Codable, CaseIterable {
    /// The processor's virtualisation, through `/dev/kvm`.
    case kvm
    /// QEMU's own translator (Tiny Code Generator): works everywhere, 10 to 20 times slower.
    case tcg

    /// The value of `-accel`.
    ///
    /// A translation buffer of 1024 MiB instead of the default share of guest memory: a whole kernel and userland fit, so nothing is
    /// translated twice.
    package var argument: String {
        switch self {
        case .kvm: "kvm"
        case .tcg: "tcg,thread=multi,tb-size=1024"
        }
    }

    /// The value of `-cpu`: everything this accelerator can offer.
    package var processor: String {
        switch self {
        case .kvm: "host"
        // Copying and clearing byte by byte, which these recommend to a guest, are what emulation is slowest at: a first boot takes a fifth
        // longer, and a pool that receives a root file system a third.
        case .tcg: "max,erms=off,fsrm=off,fsrs=off,fzrm=off"
        }
    }
}

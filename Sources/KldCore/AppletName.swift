/// The tools that have a name of their own on PATH, beside `kldload`. One table: dispatch, the live environment, installed machines and pages
/// are made from it, so that none of them can lack a tool.
public enum AppletName: String, Sendable, Hashable, CaseIterable {
    case kbe, kupgrade, kpkg, kexport, krecovery
    case kst, ksnap, kclone, kdf, kdir, kdisk, kreplicate, kfleet
    case overview = "kldload-overview"
    case help = "kldload-help"
    case installTarget = "kldload-install-target"
    case secureBoot = "kldload-secure-boot"
    case ca = "kldload-ca"
    case snapshot = "kldload-snapshot"
    case doctor = "kldload-doctor"
    case debugBundle = "kldload-debug-bundle"

    /// Where `kldload` lies in every tree, as a link in `/usr/bin` names it.
    public static let linkTarget = "../lib/kldload/kldload"
}

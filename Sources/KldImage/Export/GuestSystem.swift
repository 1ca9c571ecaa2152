/// What VMware and the CIM call a guest operating system.
///
/// Source: CIM_OperatingSystem.OsType, CIM schema 2.22 (the numbers); vSphere API `VirtualMachineGuestOsIdentifier`, the identifiers that
/// hardware version 13 (ESXi 6.5) already knows: a newer one makes older hosts refuse the import.
package struct GuestSystem: Sendable, Hashable {
    package var cimNumber: Int
    package var vmware: String
    package var title: String

    /// - Parameter distro: kldload's name of the distribution; unknown ones are a 64-bit Linux.
    package init(distro: String) {
        (cimNumber, vmware, title) =
            switch distro {
            case "debian": (96, "debian10_64Guest", "Debian GNU/Linux (64-bit)")
            case "ubuntu": (94, "ubuntu64Guest", "Ubuntu Linux (64-bit)")
            case "rhel": (80, "rhel7_64Guest", "Red Hat Enterprise Linux (64-bit)")
            case "centos": (107, "centos7_64Guest", "CentOS (64-bit)")
            default: (101, "other3xLinux64Guest", "Linux (64-bit)")
            }
    }
}

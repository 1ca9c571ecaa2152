public import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

/// The host id under which the kernel makes and imports pools, until the machine restarts. It outranks `/etc/hostid`, which stays as it is: a
/// system that installs or rescues another one keeps its own, even when its power is cut.
///
/// Source: `spl_hostid` in spl(4), OpenZFS 2.1 to 2.4; the module must be loaded.
public enum KernelHostID {
    public static let parameter: FilePath = "/sys/module/spl/parameters/spl_hostid"

    /// `nil`: that of `/etc/hostid`.
    public static func current(_ files: any FileSystem) -> HostID? {
        guard let text = try? files.readText(parameter).trimmed, let value = UInt32(text), value != 0 else { return nil }
        return HostID(value)
    }

    /// Runs: `tee /sys/module/spl/parameters/spl_hostid`, changes. - Parameter id: `nil`: that of `/etc/hostid` again.
    public static func set(_ id: HostID?) -> Command {
        FileCommand.write(id.map { "0x\($0)\n" } ?? "0\n", into: parameter)
    }
}

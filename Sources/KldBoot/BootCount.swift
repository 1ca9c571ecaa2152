public import KldFiles
import SystemPackage

/// Whether the loader counts the start that this system came from. It says so itself, so no ESP has to be read for it.
public enum BootCount {
    /// systemd-boot sets `LoaderBootCountPath`, for this start alone, when it has taken a try from the entry's name; an entry that has proved
    /// itself has none in its name. GRUB's menu says it on the command line.
    ///
    /// Source: The Boot Loader Interface, uapi-group.org; `boot_entry_bump_counters()`, systemd 252 to 257.
    /// - Returns: `nil` where nobody says so: without variables of the firmware, or behind a menu of GRUB's that an older kldload wrote.
    public static func isCounted(_ files: any FileSystem) -> Bool? {
        if let words = try? files.readText("/proc/cmdline"), let counted = KernelCommandLine.counted(words) { return counted }
        guard EFIVariable.value("LoaderEntrySelected", of: .loader, files) != nil else { return nil }
        return EFIVariable.value("LoaderBootCountPath", of: .loader, files) != nil
    }
}

import KldCore
public import KldFiles
import SystemPackage

/// Which services still run what was replaced.
public enum RestartNeeds {
    /// Units that cannot be restarted while the machine runs, or whose restart ends everybody's session.
    static let needReboot: Set<String> = ["init.scope", "dbus.service", "systemd-logind.service"]

    /// Units with a process that uses a program or a library that is gone from the disk.
    ///
    /// Reads `/proc/PID/maps` and `/proc/PID/cgroup`. Source: proc_pid_maps(5), Linux man-pages 6.9; cgroups(7):
    /// ```
    /// 7f5e1a200000-7f5e1a228000 r-xp 00000000 00:1b 34521    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
    /// 0::/system.slice/ssh.service
    /// ```
    public static func units(_ files: any FileSystem) -> [String] {
        var found: Set<String> = []
        for id in (try? files.processes()) ?? [] {
            let process = FilePath("/proc/\(id)")
            guard let maps = try? files.read(process.appending("maps")), usesDeleted(String(decoding: maps, as: UTF8.self)),
                let group = try? files.read(process.appending("cgroup")),
                let unit = unit(String(decoding: group, as: UTF8.self))
            else { continue }
            found.insert(unit)
        }
        return found.sorted()
    }

    static func usesDeleted(_ maps: String) -> Bool {
        maps.lines.contains { line in
            line.hasSuffix(" (deleted)") && [" /usr/", " /lib/", " /opt/"].contains { line.contains($0) }
        }
    }

    /// The innermost unit that can be restarted; `nil` for a process of nobody's.
    static func unit(_ group: String) -> String? {
        let path = group.lines.first { $0.hasPrefix("0::") }?.dropFirst(3) ?? ""
        return path.split(separator: "/").last { $0.hasSuffix(".service") || $0.hasSuffix(".scope") }.map(String.init)
    }
}

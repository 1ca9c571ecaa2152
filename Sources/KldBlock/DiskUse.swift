import KldCore
package import KldFiles
import SystemPackage

/// Who uses disks of which nothing is mounted and no pool imported: loop devices over them, programs that may write to them, as QEMU to the disk
/// of a virtual machine, and what has them for itself in the kernel.
///
/// Processes are looked at and not the locks of QEMU: libvirt gives each machine device nodes of its own, and a lock is on a node.
/// Source: Linux `drivers/block/loop.c` (`backing_file`), 6.12; proc_pid_fd(5), proc_pid_fdinfo(5), open(2).
package struct DiskUse: Sendable {
    /// For a person, by the device's path without links.
    private var users: [String: [String]] = [:]

    /// Reads `/sys/block` and `/proc`. Only root sees what every process has open; what goes away meanwhile uses nothing.
    package init(_ files: any FileSystem) {
        for name in (try? files.list("/sys/block")) ?? [] where name.hasPrefix("loop") {
            guard let backing = try? files.readText(FilePath("/sys/block/\(name)/loop/backing_file")).trimmed else { continue }
            users[backing, default: []].append("it is attached as /dev/\(name)")
        }
        for process in (try? files.processes()) ?? [] {
            let folder = FilePath("/proc/\(process)")
            for descriptor in (try? files.list(folder.appending("fd"))) ?? [] {
                guard let device = try? files.readLink(folder.appending("fd/\(descriptor)")), device.hasPrefix("/dev/"),
                    let information = try? files.readText(folder.appending("fdinfo/\(descriptor)")), Self.mayWrite(information)
                else { continue }
                let program = (try? files.readText(folder.appending("comm")).trimmed) ?? "?"
                // It ends with its array, which is stopped before a disk is wiped.
                if program == "mdmon" { continue }
                users[device, default: []].append("process \(process) (\(program)) may write to \(device)")
            }
        }
    }

    /// Reads `flags:\t0100002`, octal: the lowest two bits are `O_WRONLY` (1) or `O_RDWR` (2).
    static func mayWrite(_ information: String) -> Bool {
        guard let words = information.lines.map(\.words).first(where: { $0.first == "flags:" }),
            let flags = words.last.flatMap({ Int($0, radix: 8) })
        else { return false }
        return [1, 2].contains(flags & 3)
    }

    private func who(uses disk: BlockDevice, _ files: any FileSystem) -> [String] {
        let tree = disk.tree
        let found = tree.flatMap { device in users[(try? files.resolve(FilePath(device.path)).string) ?? device.path] ?? [] }
        // An array, a volume or an encrypted device holds it too, and is listed: it is taken down before the disk is wiped.
        guard found.isEmpty, tree.allSatisfy({ ["disk", "part"].contains($0.type) }) else { return found }
        // A disk that cannot be opened at all is nobody's.
        guard (try? files.isClaimed(FilePath(disk.path))) == true else { return [] }
        return ["something in the kernel holds it: a file system of several disks, or a target that exports it"]
    }

    /// Who uses which of some disks, by the disk's kernel name.
    ///
    /// udev, and what it starts, open a disk that has changed for a moment: one that seems to be in use is looked at again for a second.
    package static func find(_ disks: [BlockDevice], _ files: any FileSystem) async throws -> [String: [String]] {
        var found: [String: [String]] = [:]
        for attempt in 1...4 {
            let use = DiskUse(files)
            found = disks.reduce(into: [:]) { found, disk in
                let users = use.who(uses: disk, files)
                if !users.isEmpty { found[disk.path] = users }
            }
            if found.isEmpty { break }
            if attempt < 4 { try await Task.sleep(for: .milliseconds(300)) }
        }
        return found
    }
}

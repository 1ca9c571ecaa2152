import KldBoot
import KldCore
import KldDistro
import KldExec
import KldPackages
import SystemPackage

/// The program that builds the initramfs of a tree: its settings, its command, its list of content.
struct InitramfsBuilder: Sendable {
    var kind: InitramfsKind
    /// What lies in the tree while packages are installed.
    var early: [(path: FilePath, text: String)] = []
    /// The program by which packages build one. It does nothing while they are installed, for building it takes long. `nil`: they build it.
    var postponed: String?
    /// Settings for the one build, its command, and the settings that stay. `nil`: as the packages built it, it stays.
    var build: (settings: [(path: FilePath, text: String)], command: Command, later: [(path: FilePath, text: String)])?

    /// - Throws: ``Diagnosis`` `distro.unsupported`.
    static func of(_ spec: DistroSpec, _ kind: PayloadSpec.Kind) throws -> InitramfsBuilder {
        // The live environment boots from dracut's, which alone mounts live images.
        switch kind == .live ? .dracut : spec.initramfs {
        case .initramfsTools:
            let settings: FilePath = "/etc/initramfs-tools/conf.d/kldload"
            return InitramfsBuilder(
                kind: .initramfsTools, postponed: "/usr/sbin/update-initramfs",
                build: (
                    // 19 takes four times as long for a fortieth less.
                    [(settings, SystemFiles.initramfsTools(level: 15))],
                    // mkinitramfs(8) then clamps all times, and compresses the same way on any number of processors.
                    Command(
                        Tool("update-initramfs", package: "initramfs-tools"), ["-c", "-k", "all"], effect: .changes,
                        environment: ["SOURCE_DATE_EPOCH": String(PayloadBuilder.defaultEpoch)]),
                    // A machine's own shall not take a minute.
                    [(settings, SystemFiles.initramfsTools(level: nil))]
                ))
        case .dracut where kind == .live:
            return InitramfsBuilder(kind: .dracut, early: [("/etc/dracut.conf.d/kldload.conf", SystemFiles.liveDracut)])
        case let other: throw spec.unsupported("an initramfs by \(other.rawValue)")
        }
    }

    /// Around the installation of the packages. Source: dpkg-divert(1), dpkg 1.21 and 1.22.
    var postponing: [Mmdebstrap.Hook] {
        guard let postponed else { return [] }
        return [
            .run("dpkg-divert", ["--quiet", "--local", "--rename", "--add", postponed]),
            .run("ln", ["--symbolic", "/bin/true", postponed]),
        ]
    }
    var resuming: [Mmdebstrap.Hook] {
        guard let postponed else { return [] }
        return [.run("rm", [postponed]), .run("dpkg-divert", ["--quiet", "--local", "--rename", "--remove", postponed])]
    }

    /// What is in it, by path: see ``names(_:)``. Runs, reads: `lsinitramfs FILE` or `lsinitrd FILE`.
    /// Source: lsinitramfs(8), initramfs-tools 0.142 to 0.148; lsinitrd(1), dracut 106.
    static func list(_ kind: InitramfsKind, _ file: FilePath) -> Command {
        kind == .dracut
            ? Command(Tool("lsinitrd", package: "dracut-core"), [file.string], effect: .reads)
            : InitramfsContent.listing(file)
    }

    /// Paths of a list. initramfs-tools prints them alone: `usr/sbin/zpool`. dracut prints them among other lines, as `ls -l` does:
    /// ```
    /// -rw-r--r--   1 root     root       123456 Jan  1 00:00 usr/lib/modules/6.12.48+deb13-amd64/kernel/fs/overlayfs/overlay.ko.xz
    /// lrwxrwxrwx   1 root     root            7 Jan  1 00:00 bin -> usr/bin
    /// ```
    static func names(_ kind: InitramfsKind, _ list: String) -> [String] {
        guard kind == .dracut else { return list.lines }
        return list.lines.compactMap { line in
            let words = line.words
            guard words.count > 8, words[0].count == 10, "-dlcbps".contains(words[0].first ?? " ") else { return nil }
            return words[8]
        }
    }
}

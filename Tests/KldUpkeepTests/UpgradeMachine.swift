import Glibc
import KldBootEnv
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import Synchronization
import SystemPackage

@testable import KldUpkeep

/// A machine of Debian with one disk, on which `nano` is upgraded: its tools answer as the real ones do, as far as an upgrade looks.
final class UpgradeMachine: CommandRunner {
    static let now = Timestamp(seconds: 1_700_000_000)
    /// Where the new environment, `next`, is mounted while packages are changed in it.
    static let workplace = "/run/kldload/upkeep/next"

    private struct State {
        var nano = "1"
        var isMade = false
        var isMarked = false
        var commands: [Command] = []
        var plans: [String] = []
    }
    private let state = Mutex(State())
    private let kernels: [String]
    private let snapshots: [String]
    let files: MemoryFiles

    /// - Parameters:
    ///   - kernels: that come with the upgrade, and are not made ready to boot.
    ///   - snapshots: lines of `zfs list`, see ``ScheduledSnapshots/Row``.
    ///   - more: files.
    init(kernels: [String] = [], snapshots: [String] = [], more: [String: String] = [:]) throws {
        self.kernels = kernels
        self.snapshots = snapshots
        var texts = [
            "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\nrpool/opt /opt zfs rw 0 0\n",
            "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=zfs rw\n", "/proc/sys/kernel/osrelease": "6.12\n", "/usr/bin/ukify": "",
            "/usr/bin/apt-get": "", "/opt/other": "", "/boot/efi/loader/entries/arch.conf": "title Arch\n",
            "/boot/efi/EFI/kldload/shimx64.efi": "", "\(Self.workplace)/usr/bin/apt-get": "",
        ]
        // It is looked at elsewhere than it is worked in.
        for place in [Self.workplace, "/run/kldload/look/\(getpid())/next"] {
            texts["\(place)/boot/vmlinuz-6.12"] = "kernel"
            texts["\(place)/boot/initrd.img-6.12"] = "initramfs"
            texts["\(place)/usr/lib/modules/6.12/modules.dep"] = "zfs"
        }
        files = MemoryFiles(texts.merging(more) { $1 })
        try files.write(HostID.placeholder.fileContent, to: "/etc/hostid", mode: .file)
    }

    var work: PackageWork {
        PackageWork(
            Upkeep(
                runner: self, files: files, now: Self.now,
                apply: { [self] plan, approvals in
                    state.withLock { $0.plans.append(plan.title) }
                    // What activating writes is looked at elsewhere.
                    if plan.title.hasPrefix("activate ") { return }
                    try await PlanRunner(runner: self, files: files, performers: UpkeepPerformers.table).apply(plan, approvals: approvals)
                }, say: { _ in }))
    }

    /// As somebody typed them, wherever they ran.
    var lines: [String] { state.withLock(\.commands).map { Self.words($0).joined(separator: " ") } }
    /// Titles of the plans that were applied.
    var plans: [String] { state.withLock(\.plans) }

    // MARK: tools

    func run(_ command: Command) async throws -> CommandOutput {
        state.withLock { $0.commands.append(command) }
        let words = Self.words(command)
        switch words[0] {
        case "lsblk": return CommandOutput(output: Self.disks)
        case "zpool":
            return CommandOutput(
                output: words.contains("-vHPp")
                    ? "rpool\trpool/ROOT/debian\t-\n\t/dev/vda2\t7G\n"
                    : "rpool\t42\t100000000000\t1000\t99999999000\tONLINE\toff\t-\trpool/ROOT/debian\n")
        case "zfs": return CommandOutput(output: try zfs(words))
        case "dpkg-query": return CommandOutput(output: "ii \tnano\t\(state.withLock(\.nano))\n")
        case "apt-get": return CommandOutput(output: try apt(words, in: command.tool.name == "apt-get" ? "" : Self.workplace))
        case "lsinitramfs": throw CommandError.toolMissing(command.tool)
        case "apt-mark", "mount", "umount", "cp", "mv", "sync": return CommandOutput()
        default: throw Unscripted(what: command.description)
        }
    }

    func run(pipeline: [Command]) async throws -> CommandOutput { throw Unscripted(what: "\(pipeline)") }

    /// Without what takes a command into another root.
    private static func words(_ command: Command) -> [String] {
        guard let root = command.arguments.firstIndex(where: { $0.hasPrefix("--root=") }) else {
            return [command.tool.name] + command.arguments
        }
        return Array(command.arguments[(root + 1)...])
    }

    private func apt(_ words: [String], in root: String) throws -> String {
        if words.contains("-s") { return "Inst nano [1] (2 test [all])\n" }
        if words.contains("--print-uris") { return "'file:/x' x 1000 \n" }
        guard words.contains("full-upgrade") else { return "" }
        state.withLock { $0.nano = "2" }
        for release in kernels { try files.write("kernel", to: FilePath("\(root)/boot/vmlinuz-\(release)")) }
        try files.write("tool", to: FilePath("\(root)/opt/tool"))
        return ""
    }

    private func zfs(_ words: [String]) throws -> String {
        let (isMade, isMarked) = state.withLock { ($0.isMade, $0.isMarked) }
        switch words[1] {
        case "list" where words.contains("-d"): return snapshots.map { $0 + "\n" }.joined()
        case "list" where words.contains("filesystem,volume"): return "rpool/ROOT/debian\n"
        case "list":
            let mark = isMarked ? Upkeep.working : "-"
            return "rpool/ROOT\tfilesystem\t1\t1\t1\t-\tnone\toff\t-\t-\nrpool/ROOT/debian\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t-\n"
                + (isMade
                    ? "rpool/ROOT/next\tfilesystem\t9\t9\t5\trpool/ROOT/debian@kbe-next-20231114221320\t/\tnoauto\t-\t\(mark)\n" : "")
        case "get" where words.contains("available"): return "rpool/ROOT/debian\tavailable\t100000000000\t-\n"
        case "get" where words.contains(KldProperty.owner):
            return ["debian", isMade ? "next" : nil].compactMap { $0 }
                .map { "rpool/ROOT/\($0)\t\(KldProperty.owner)\t\(KldProperty.ownerValue)\tlocal\n" }.joined()
        case "get" where words.contains(KldProperty.upkeep): return ""
        case "clone":
            state.withLock { state in
                state.isMade = true
                state.isMarked = words.contains("\(KldProperty.upkeep)=\(Upkeep.working)")
            }
        case "inherit": state.withLock { $0.isMarked = false }
        case "destroy" where words.last == "rpool/ROOT/next": state.withLock { $0.isMade = false }
        case "snapshot", "destroy": break
        default: throw Unscripted(what: words.joined(separator: " "))
        }
        return ""
    }

    private static let disks = """
        {"blockdevices":[{"path":"/dev/vda","name":"vda","size":8589934592,"type":"disk","children":[
          {"path":"/dev/vda1","name":"vda1","size":1073741824,"type":"part","fstype":"vfat","label":"EFI","mountpoints":["/boot/efi"]},
          {"path":"/dev/vda2","name":"vda2","size":7000000000,"type":"part","fstype":"zfs_member","mountpoints":[null]}]}]}
        """
}

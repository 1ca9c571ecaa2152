import KldCore
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage

/// A machine that mounts, imports, copies and builds in memory, as far as plans of this module do.
final class SimulatedMachine: CommandRunner {
    struct State {
        var mounts: [(source: String, place: String)] = []
        var pool: String?
        var commands: [String] = []
    }
    let files: MemoryFiles
    private let state = Mutex(State())

    /// One metaslab of 8 KiB, half of it used.
    private static let spaceMaps = """
        \tvdev          0\t  metaslab shift   13
        \tmetaslabs     1   offset
        \tmetaslab      0   offset            0   spacemap      6   free        4K
        smp_alloc = 0x1000
        \t    [     1]    A  range: 0000000000-0000001000  size: 001000 vdev: 16777216 words: 1

        """

    init(_ files: MemoryFiles) { self.files = files }

    var now: State { state.withLock { $0 } }

    func run(_ command: Command) async throws -> CommandOutput {
        let words = command.arguments
        let last = words.last ?? ""
        return try state.withLock { state in
            state.commands.append(command.description)
            func fail(_ text: String) throws -> CommandOutput {
                let output = CommandOutput(status: 1, errors: text + "\n")
                if command.acceptedExitStatuses.contains(1) { return output }
                throw CommandError.failed(command, output)
            }
            switch (command.tool.name, words.first ?? "") {
            case ("mount", _): state.mounts.append((words[words.count - 2], last))
            case ("umount", "--recursive"): state.mounts.removeAll { $0.place == last || $0.place.hasPrefix(last + "/") }
            case ("umount", _):
                guard let index = state.mounts.lastIndex(where: { $0.place == last }) else { return try fail("umount: not mounted") }
                state.mounts.remove(at: index)
            case ("zpool", "create"):
                if state.pool != nil { return try fail("pool exists") }
                guard let root = words.firstIndex(of: "-R") else { return try fail("no altroot") }
                state.pool = words[root + 2]
            case ("zpool", "import"):
                if state.pool != nil { return try fail("a pool with that name already exists") }
                state.pool = last
            case ("zfs", "mount"): state.mounts.append((last, "/target"))
            case ("lsblk", _): return CommandOutput(output: Machines.virtual.listing)
            case ("zpool", "list"): return CommandOutput(status: state.pool == nil ? 1 : 0)
            case ("zpool", "export"):
                if let mount = state.mounts.first(where: { $0.place.hasPrefix("/target") }) { return try fail("\(mount) is held") }
                state.pool = nil
            case ("zdb", "-l"):
                return CommandOutput(
                    output: "    name: 'rpool'\n    state: 1\n    vdev_children: 1\n        type: 'disk'\n        asize: 8192\n")
            case ("zdb", "-e"):
                if state.pool != nil { return try fail("zdb: pool is imported") }
                return CommandOutput(output: Self.spaceMaps)
            case ("ukify", _):
                guard let output = words.first(where: { $0.hasPrefix("--output=") }) else { return try fail("no output") }
                let parts = try words.filter { $0.hasPrefix("--initrd=") }.map { try files.read(FilePath(String($0.dropFirst(9)))) }
                try files.write(parts.flatMap { $0 }, to: FilePath(String(output.dropFirst(9))), mode: .file)
            case ("openssl", _):
                for (word, file) in zip(words, words.dropFirst()) where word == "-out" || word == "-keyout" {
                    try files.write(Array("made by \(words[0])\n".utf8), to: FilePath(file), mode: .file)
                }
            case ("cp", _) where last.hasPrefix("/run/"): try files.write(files.read(FilePath(words[0])), to: FilePath(last), mode: .file)
            case ("mv", _): try files.rename(FilePath(words[1]), to: FilePath(last))
            case ("cmp", _): if try files.read(FilePath(words[0])) != files.read(FilePath(last)) { return try fail("differ") }
            case ("chroot", _) where words.dropFirst().prefix(2) == ["getent", "passwd"]:
                return CommandOutput(output: "\(last):x:1000:1000::/home/\(last):/bin/bash\n")
            default: break
            }
            return CommandOutput()
        }
    }

    func run(pipeline: [Command]) async throws -> CommandOutput {
        var output = CommandOutput()
        for command in pipeline { output = try await run(command) }
        return output
    }
}

import FoundationEssentials
import KldBlock
import KldBoot
import KldCore
public import KldExec
public import KldFiles
public import SystemPackage

extension FirstBoot {
    /// Where the initramfs leaves the host id that it made up: it made none where this is missing.
    public static let runningHostIDFile: FilePath = "/run/kldload/hostid"

    /// Reads the running machine.
    ///
    /// Runs: what ``RunningRoot/gather(runner:files:)`` runs; reads. Mounts the first ESP for a moment (writable, for it may be mounted
    /// already) to list its images. That this fails stops nothing else: see ``espProblem``.
    /// - Throws: ``Diagnosis`` `firstboot.no-zfs-root` when the root file system is not ZFS.
    public static func gather(runner: any CommandRunner, files: any FileSystem) async throws -> FirstBoot {
        guard let root = try await RunningRoot.gather(runner: runner, files: files) else {
            throw Diagnosis(
                "firstboot.no-zfs-root", "the root file system is not ZFS", remedies: ["kldload firstboot is for installed machines"])
        }
        let kernel = try KernelRelease.running(files)
        var images: [String] = []
        var entries: [BootEntry] = []
        var espProblem: String?
        func told(_ error: any Error) -> String {
            let problem = Diagnosis(of: error)
            return ([problem.message] + problem.causes).joined(separator: "; ")
        }
        let mount = workplace.appending("look")
        if let first = root.esps.first {
            try files.makeDirectory(mount, mode: 0o700)
            do {
                try await runner.run(MountCommand.mount(first.path, at: mount, type: "vfat"))
            } catch {
                try Task.checkCancellation()
                espProblem = told(error)
            }
        }
        if !root.esps.isEmpty, espProblem == nil {
            do { (images, entries) = try bootFiles(of: kernel, on: mount, files) } catch { espProblem = told(error) }
            try await runner.run(MountCommand.unmount(mount))
        }
        func hostID(_ path: FilePath) -> HostID? { (try? files.read(path)).flatMap { HostID(fileContent: $0) } }
        var boot = FirstBoot(
            sealed: try files.exists(sealedMarker), hostID: hostID("/etc/hostid"), runningHostID: hostID(runningHostIDFile),
            newHostID: .random(), pool: root.pool, disks: root.disks, rooms: root.rooms, journal: (try? files.readText(journalFile)) ?? "",
            esps: root.esps.map(\.path), kernel: kernel,
            commandLine: try files.readText("/proc/cmdline").trimmed, images: images,
            builder: try BootImageBuilder.find(files), entries: entries,
            extras: try extras(files))
        boot.espProblem = espProblem
        return boot
    }

    /// What starts a kernel from an ESP: images, or entries of GRUB's menu. A folder that is not there holds none.
    /// - Throws: ``FileError`` where one cannot be read: nobody knows what it holds.
    private static func bootFiles(
        of kernel: String, on esp: FilePath, _ files: any FileSystem
    ) throws -> (images: [String], entries: [BootEntry]) {
        func names(_ folder: FilePath) throws -> [String] {
            do { return try files.list(folder) } catch FileError.missing { return [] }
        }
        let images = try names(esp.appending(BootEntry.imageFolder)).filter { BootEntry.isImage($0) && $0.contains("-\(kernel).") }
        let menu = esp.appending(BootChain.grub.entryFolder)
        let entries = try names(menu).filter(BootEntry.isInMenu).sorted().compactMap { name in
            // A text that makes no sense is no entry: a power cut may leave one.
            BootEntry(fileName: name, text: String(decoding: try files.read(menu.appending(name)), as: UTF8.self))
        }
        return (images, entries.filter { $0.release == kernel && $0.parts != nil })
    }

    private static func extras(_ files: any FileSystem) throws -> Extras {
        func installed(_ program: String) throws -> Bool {
            try ["/usr/sbin", "/sbin", "/usr/bin"].contains { try files.exists(FilePath("\($0)/\(program)")) }
        }
        func missing(_ paths: FilePath...) throws -> Bool { try paths.contains { try !files.exists($0) } }
        return Extras(
            espSerial: try installed("fatlabel") ? UInt32.random(in: 1 ... .max) : nil,
            mountTable: (try? files.readText("/etc/fstab")) ?? "",
            nvmeHost: try installed("nvme") && missing("/etc/nvme/hostnqn", "/etc/nvme/hostid") ? UUID().uuidString.lowercased() : nil,
            iscsi: try installed("iscsi-iname") && missing("/etc/iscsi/initiatorname.iscsi"),
            certificate: try installed("make-ssl-cert") && missing("/etc/ssl/private/ssl-cert-snakeoil.key"),
            signs: try MachineOwnerKey().isWanted(files))
    }
}

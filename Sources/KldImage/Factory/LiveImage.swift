import KldCore
public import KldExec
import KldFiles
package import KldVirt
public import SystemPackage

/// The bootable live environment: what the factory starts, and what the ISO carries.
public struct LiveImage: Sendable, Hashable {
    public var kernel: FilePath
    /// For any machine, and for the factory's.
    public var initrd: FilePath
    public var factoryInitrd: FilePath
    public var squashfs: FilePath
    public var info: PayloadInfo

    /// The disk that it runs from, in a guest.
    package var disk: MachineDisk { MachineDisk(squashfs, serial: FactoryJob.liveSerial, readOnly: true) }

    /// Starts it. - Parameters: the disk that it lies on, as dracut names it, here ``disk``; what it does then, and where it speaks.
    package func boot(
        from source: String = "/dev/disk/by-id/virtio-\(FactoryJob.liveSerial)", _ more: String
    ) -> MachineSpec.Boot {
        .direct(
            kernel: kernel, initrd: initrd,
            commandLine: "root=live:\(source) rd.live.image rd.live.overlay.overlayfs=1 \(more)")
    }

    /// What a guest runs without that trusts all it runs, on a processor that may be emulated: zeroing whatever memory it takes (a fifth of
    /// the time in which a payload is received) and guarding against its own programs. And with its clock, which a busy host makes look
    /// unstable: what the kernel then changes in its own code has crashed emulated guests (`Oops: int3`, Linux 6.12, QEMU 10.0).
    ///
    /// Source: The kernel's command-line parameters, Linux 6.12.
    package static let guestParameters = "init_on_alloc=0 mitigations=off tsc=reliable"

    /// Starts the factory's work from ``disk``.
    package var factoryBoot: MachineSpec.Boot {
        .direct(kernel: kernel, initrd: factoryInitrd, commandLine: "console=ttyS0 panic=-1 quiet loglevel=4 \(Self.guestParameters)")
    }

    /// The tar names no root directory: it would be that of whoever builds, at the time of the build, and open to everybody. Its owner can be
    /// said in no other way (mksquashfs(1) 4.5.1 leaves `-root-uid` out for a tar), so an ordinary user is root of a namespace for it.
    ///
    /// Runs: `[unshare --user --map-root-user] mksquashfs - FILE -tar …`, changes.
    static func squash(_ tar: FilePath, to file: FilePath, root: Bool) -> Command {
        var command = Command(
            Tool("mksquashfs", package: "squashfs-tools"),
            [
                "-", file.string, "-tar", "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "3", "-b", "256K",
                "-root-mode", "0755",
            ], effect: .changes, input: .file(tar), environment: ["SOURCE_DATE_EPOCH": String(PayloadBuilder.defaultEpoch)])
        guard !root else { return command }
        command.arguments = ["--user", "--map-root-user", command.tool.name] + command.arguments
        command.tool = Tool("unshare", package: "util-linux")
        return command
    }

    /// Puts the tool into the live payload and makes a squashfs of it; kept by content like everything else.
    ///
    /// Runs: `tar --append …` on a copy of the payload, `mksquashfs - FILE -tar`.
    /// - Parameter root: whether this process is root.
    public static func make(
        from payload: PayloadBuilder.Payload, executable: FilePath, cache: ArtifactCache, runner: any CommandRunner, root: Bool
    ) async throws -> LiveImage {
        guard let kernel = payload.kernel, let initrd = payload.initrd else {
            throw Diagnosis("live.no-kernel", "the live payload has no kernel", exit: .bug)
        }
        let digest = try await runner.run(FileCommand.digest(of: executable)).output.prefix(64)
        let folder = try await cache.artifact("live-image", inputs: "live-image/5\n\(payload.digest)\n\(digest)\n") { partial in
            let tree = partial.appending("live.tar")
            try await runner.run(FileCommand.copy(payload.archive, to: tree))
            try await runner.run(
                Command(
                    "tar",
                    [
                        "--append", "--file", tree.string, "--owner=root:0", "--group=root:0", "--mode=0755",
                        "--mtime=@\(PayloadBuilder.defaultEpoch)", "--dereference", "--absolute-names",
                        "--transform=s,.*,usr/lib/kldload/kldload,", executable.string,
                    ], effect: .changes))
            try await runner.run(squash(tree, to: partial.appending("live.squashfs"), root: root))
            try LocalFiles().remove(tree)
            try await FactoryInitramfs.make(
                from: payload, to: partial.appending("factory.cpio"), folder: partial.appending("factory"), files: LocalFiles(),
                runner: runner)
        }
        return LiveImage(
            kernel: kernel, initrd: initrd, factoryInitrd: folder.appending("factory.cpio"), squashfs: folder.appending("live.squashfs"),
            info: payload.info)
    }
}

public import KldBoot
import KldExec
public import KldFiles
public import KldPlan
public import SystemPackage

/// What builds boot images on a machine.
public enum BootImageBuilder: String, Sendable, Hashable {
    case ukify
    /// Where there is no ukify (before systemd 253).
    case objcopy

    /// What is installed here; `nil` where neither is.
    public static func find(_ files: any FileSystem) throws -> BootImageBuilder? {
        if try files.exists("/usr/bin/ukify") || files.exists("/usr/lib/systemd/ukify") { return .ukify }
        return try files.exists("/usr/bin/objcopy") ? .objcopy : nil
    }

    /// Builds an image of kernel, one initramfs and one supplement. That of objcopy is looked up in ``FirstBoot/performers``.
    public func build(_ image: UnifiedKernelImage, scratch: FilePath) -> Action {
        switch self {
        case .ukify: .run(image.build)
        case .objcopy:
            .perform(
                FirstBoot.assemble,
                [
                    "linux": image.linux.string, "initrd": image.initrds[0].string, "supplement": image.initrds[1].string,
                    "cmdline": image.commandLine.description, "release": image.release, "osrelease": image.osRelease.string,
                    "stub": image.stub.string, "scratch": scratch.string, "output": image.output.string,
                ], effect: .changes)
        }
    }
}

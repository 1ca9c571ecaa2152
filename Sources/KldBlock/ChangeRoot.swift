public import KldExec
public import SystemPackage

extension Command {
    /// The same command inside another root, so that nothing of it outlives it, and it sees none of the machine's own processes.
    ///
    /// A maintainer script that stops a service by its name must not find the one that runs here, and a program that it starts must not keep
    /// the file system busy. Mounts and unmounts of the machine reach it; its own stay with it. `/proc` is its own.
    ///
    /// Runs: `unshare --mount --propagation slave --pid --fork --kill-child --mount-proc --root=ROOT TOOL ARGUMENTS…`.
    /// Source: unshare(1), util-linux 2.38 to 2.41.
    public func isolated(in root: FilePath) -> Command {
        var copy = self
        copy.tool = Tool("unshare", package: "util-linux")
        copy.arguments =
            [
                "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc", "--root=\(root)", tool.name,
            ] + arguments
        return copy
    }
}

import KldBlock
import KldBoot
import KldCore
public import KldExec
import KldFiles
public import KldPlan
public import KldZFS
public import SystemPackage

/// What somebody needs who is to find out, elsewhere, why a machine does not start: one file, without secrets.
public struct RecoveryReport: Sendable {
    /// Of the environment that is mounted; what lies below `/etc/kldload` holds secrets, but for these.
    private static let kept = ["var/log", "var/lib/kldload/boot", "etc/kldload/install-manifest.json", "etc/kldload/install-manifest.env"]
    private static let scratch: FilePath = "/run/kldload/recovery/report"

    private var texts: [(name: String, text: String)] = []

    /// Asks disks, pool, firmware and kernel; what cannot be asked says why in its file.
    ///
    /// Runs: `lsblk --fs`, `zpool status -v`, `zpool history`, `zpool get all`, `zfs list -t all`, `efibootmgr --verbose`, `dmesg`; reads.
    public static func gather(_ pool: PoolName, runner: any CommandRunner) async -> RecoveryReport {
        func zpool(_ words: String...) -> Command { Command(ZPool.tool, words, effect: .reads) }
        let questions: [(String, Command)] = [
            ("lsblk.txt", Command(Tool("lsblk", package: "util-linux"), ["--fs"], effect: .reads)),
            ("zpool-status.txt", zpool("status", "-v", pool.text)), ("zpool-history.txt", zpool("history", pool.text)),
            ("zpool-get.txt", zpool("get", "all", pool.text)),
            ("zfs-list.txt", Command(ZFS.tool, ["list", "-r", "-t", "all", pool.text], effect: .reads)),
            ("efibootmgr.txt", FirmwareEntry.list), ("dmesg.txt", Command(Tool("dmesg", package: "util-linux"), [], effect: .reads)),
        ]
        var report = RecoveryReport()
        for (name, command) in questions {
            do { report.texts.append((name, try await runner.run(command).output)) } catch {
                report.texts.append((name, Diagnosis(of: error).rendered + "\n"))
            }
        }
        return report
    }

    /// Runs: `tar --create --gzip --ignore-failed-read --file FILE …`, changes.
    /// - Parameter file: takes its place when it is whole; nobody but root may read it.
    public func packing(into file: FilePath) -> Plan {
        let fresh = FilePath("\(file.string).partial")
        let writing: [Action] =
            [.makeDirectory(Self.scratch, mode: 0o700)]
            + texts.map { .write(Self.scratch.appending($0.name), content: .text($0.text), mode: .secret) }
        let packing: [Action] = [
            .makeDirectory(file.removingLastComponent()), .write(fresh, content: .text(""), mode: .secret),
            // 1: a log grew while it was read. Source: tar(1), GNU tar 1.34.
            .run(
                Command(
                    "tar",
                    [
                        "--create", "--gzip", "--ignore-failed-read", "--file", fresh.string, "--directory", RescuePool.target.string,
                    ] + Self.kept + ["--directory", Self.scratch.removingLastComponent().string, "report"], effect: .changes,
                    accepting: [0, 1])),
            .run(FileCommand.rename(fresh, to: file)),
        ]
        return RescuePool.plan(
            "pack the logs",
            [Step("recovery.logs", "Pack the logs into \(file)", writing + packing, release: [.remove(Self.scratch), .remove(fresh)])])
    }
}

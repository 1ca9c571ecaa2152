public import KldExec
import KldCore
public import SystemPackage

/// What dpkg tells of its packages. Source: dpkg(1), dpkg-query(1), 1.21 to 1.22.
public enum Dpkg {
    private static let query = Tool("dpkg-query", package: "dpkg")

    /// What is installed, with versions. Read by ``installed(_:)``.
    ///
    /// Runs: `dpkg-query [--admindir=FOLDER] --show --showformat=${db:Status-Abbrev}\t${binary:Package}\t${Version}\n`, reads.
    /// - Parameter folder: another system's `/var/lib/dpkg`.
    public static func listInstalled(in folder: FilePath? = nil) -> Command {
        Command(
            query,
            (folder.map { ["--admindir=\($0)"] } ?? [])
                + ["--show", "--showformat=${db:Status-Abbrev}\\t${binary:Package}\\t${Version}\\n"], effect: .reads)
    }

    /// `ii` is installed; a removed package's settings are no package. dpkg 1.22:
    /// ```
    /// ii ⇥openssh-server⇥1:10.0p1-7
    /// ```
    public static func installed(_ output: String) -> [PackageHold.Package] {
        output.lines.compactMap { line in
            let fields = line.split(separator: "\t").map { String($0).trimmed }
            guard fields.count == 3, fields[0].hasSuffix("i") else { return nil }
            return PackageHold.Package(fields[1], version: fields[2])
        }
    }

    /// Every package that dpkg knows, with its state. Read by ``DpkgPackage/parse(_:)``. What is held stands there too: apt-mark(8) sets
    /// dpkg's own selection, and takes seconds to read it back.
    ///
    /// Runs: `dpkg-query --show --showformat ${db:Status-Want}\t${db:Status-Status}\t${Package}\t${Version}\n`, reads.
    public static let states = Command(
        query, ["--show", "--showformat", "${db:Status-Want}\\t${db:Status-Status}\\t${Package}\\t${Version}\\n"], effect: .reads)

    /// What a bill of materials says of every package: name, version, architecture, source with its version, maintainer; apart by TABs.
    ///
    /// Runs: `dpkg-query -W -f=…`, reads.
    /// - Parameter states: with a seventh column, `installed` or another state: packages that were removed but left configuration behind
    ///   are listed too.
    public static func details(states: Bool) -> Command {
        let columns =
            ["binary:Package", "Version", "Architecture", "source:Package", "source:Version", "Maintainer"]
            + (states ? ["db:Status-Status"] : [])
        return Command(query, ["-W", "-f=" + columns.map { "${\($0)}" }.joined(separator: "\\t") + "\\n"], effect: .reads)
    }

    /// What is not completely installed, in words; nothing when all is well. Runs: `dpkg --audit`, reads.
    public static let audit = Command("dpkg", ["--audit"], effect: .reads, accepting: [0, 1])
}

/// A package as dpkg knows it.
public struct DpkgPackage: Sendable, Hashable {
    public var name: String
    /// What is to become of it: `install`, `hold`, `deinstall`, `purge`.
    public var want: String
    /// `installed`, `config-files`, `half-configured`, …
    public var status: String
    public var version: String

    /// That no upgrade may touch it by itself: what `apt-mark hold` sets.
    public var isHeld: Bool { want == "hold" }

    /// Reads the output of ``Dpkg/states``, dpkg 1.22:
    /// ```
    /// hold⇥installed⇥zfsutils-linux⇥2.4.4-1~bpo13+1
    /// ```
    public static func parse(_ output: String) -> [DpkgPackage] {
        output.lines.compactMap { line in
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count >= 3 else { return nil }
            return DpkgPackage(name: fields[2], want: fields[0], status: fields[1], version: fields.count > 3 ? fields[3] : "")
        }
    }
}

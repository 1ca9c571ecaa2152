import KldCore
public import KldExec

/// dkms, which builds modules for each kernel. Source: dkms(8), 3.0 to 3.2.
public enum DKMS {
    public static let program = "usr/sbin/dkms"

    /// Runs: `dkms status`, reads.
    public static let status = Command(Tool("dkms"), ["status"], effect: .reads)

    public struct Row: Sendable, Hashable, Codable {
        public var module: String
        public var version: String
        /// `nil`: it was built for none yet.
        public var release: String?
        /// `added`, `built`, `installed`, with what else is said.
        public var state: String

        public var text: String { "\(module) \(version)\(release.map { " for Linux \($0)" } ?? ""): \(state)" }
    }

    /// dkms 3.2:
    /// ```
    /// zfs/2.3.2, 6.12.48+deb13-amd64, x86_64: installed
    /// zfs/2.3.2: added
    /// ```
    public static func parse(_ output: String) -> [Row] {
        output.lines.compactMap { line in
            guard let colon = line.firstRange(of: ": ") else { return nil }
            let fields = line[..<colon.lowerBound].split(separator: ",").map { String($0).trimmed }
            guard let names = fields.first?.split(separator: "/"), names.count == 2 else { return nil }
            return Row(
                module: String(names[0]), version: String(names[1]), release: fields.count > 1 ? fields[1] : nil,
                state: String(line[colon.upperBound...]).trimmed)
        }
    }
}

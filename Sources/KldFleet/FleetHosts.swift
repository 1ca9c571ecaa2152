package import KldCore
package import KldFiles
package import KldSSH
package import SystemPackage

/// The machines of a fleet, as a person names them: in a file, or in the command line.
package enum FleetHosts {
    /// One machine a line; `#` begins a comment.
    package static let file: FilePath = "/etc/kldload/fleet-hosts.txt"

    /// Reads `HOST`, `USER@HOST`, `USER@HOST:PORT` and `USER@[ADDRESS]:PORT`; root, where no user is named.
    /// - Throws: ``Diagnosis`` `ssh.destination`, `fleet.port`.
    package static func host(_ text: String) throws(Diagnosis) -> SSHDestination {
        var (name, port) = (text, UInt16?.none)
        let host = text.split(separator: "@", omittingEmptySubsequences: false).last.map(String.init) ?? ""
        // An IPv6 address without brackets has colons of its own.
        if let colon = text.lastIndex(of: ":"), host.contains("]:") || host.count(where: { $0 == ":" }) == 1 {
            let digits = text[text.index(after: colon)...]
            guard let number = UInt16(digits), number > 0 else {
                throw Diagnosis(
                    "fleet.port", "'\(digits)' in '\(text)' is no port", remedies: ["a number from 1 to 65535: root@web-01:2222"],
                    exit: .usage)
            }
            (name, port) = (String(text[..<colon]), number)
        }
        let read = try SSHDestination(name)
        return try SSHDestination(host: read.host, user: read.user ?? "root", port: port)
    }

    /// Two lines that mean one machine would be pushed to, and restarted, twice.
    private static func key(_ host: SSHDestination) -> String { "\(host.host.lowercased()) \(host.port ?? 22)" }

    /// Reads a file of hosts; every problem of it is told, with its line.
    /// - Throws: ``Diagnosis`` `fleet.hosts`, `fleet.no-hosts`.
    package static func parse(_ text: String, _ file: FilePath) throws(Diagnosis) -> [SSHDestination] {
        var hosts: [SSHDestination] = []
        var lines: [String: Int] = [:]
        var problems: [String] = []
        let all = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (number, line) in zip(1..., all) {
            let words = String(line.prefix { $0 != "#" }).words
            if words.isEmpty { continue }
            guard words.count == 1 else {
                problems.append("\(file):\(number): one machine a line, not '\(words.joined(separator: " "))'")
                continue
            }
            do {
                let host = try host(words[0])
                if let first = lines.updateValue(number, forKey: key(host)) {
                    problems.append("\(file):\(number): \(host.knownName) stands in line \(first) already")
                } else {
                    hosts.append(host)
                }
            } catch { problems.append("\(file):\(number): \(error.message)") }
        }
        guard problems.isEmpty else {
            throw Diagnosis(
                "fleet.hosts", "\(file) cannot be read as a list of machines",
                remedies: ["one a line: HOST, USER@HOST or USER@HOST:PORT; # begins a comment"], exit: .badConfiguration, causes: problems)
        }
        guard !hosts.isEmpty else { throw noHosts("\(file) holds none") }
        return hosts
    }

    /// Those of the command line; where there are none, those of a file.
    /// - Parameter file: `nil`: ``file``.
    /// - Throws: ``Diagnosis`` `fleet.no-hosts`, `fleet.hosts`, `fleet.repeated`; as ``host(_:)``.
    package static func gather(_ words: [String], file: FilePath?, _ files: any FileSystem) throws -> [SSHDestination] {
        if words.isEmpty {
            let path = file ?? Self.file
            guard try files.exists(path) else { throw noHosts("there is no \(path)") }
            return try parse(files.readText(path), path)
        }
        guard file == nil else {
            throw Diagnosis(
                "fleet.two-lists", "machines are named in the command line and in a file", remedies: ["name them in one of the two"],
                exit: .usage)
        }
        var seen: Set<String> = []
        return try words.map { word in
            let host = try host(word)
            guard seen.insert(key(host)).inserted else {
                throw Diagnosis(
                    "fleet.repeated", "\(host.knownName) is named twice", remedies: ["name each machine once"], exit: .usage)
            }
            return host
        }
    }

    private static func noHosts(_ why: String) -> Diagnosis {
        Diagnosis(
            "fleet.no-hosts", "no machine is named, and \(why)", remedies: ["name machines: HOST…", "or write one a line into \(file)"],
            exit: .inputMissing)
    }
}

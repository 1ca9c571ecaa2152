package import KldCore

/// The accounts of one tree: passwd(5), group(5), shadow(5), gshadow(5).
package struct AccountTables: Sendable, Hashable {
    package var passwd: String
    package var group: String
    package var shadow: String
    package var gshadow: String

    package init(passwd: String, group: String, shadow: String, gshadow: String) {
        self.passwd = passwd
        self.group = group
        self.shadow = shadow
        self.gshadow = gshadow
    }

    /// Numbers from here on are people's. Source: login.defs(5) of Debian and Fedora, `UID_MIN`.
    private static let people = 1000
    /// Given to single packages once and for all, as 64055 is to `libvirt-qemu`. Source: Debian policy 4.7, 9.2.2.
    private static let packages = 60000...64999
    /// `nobody` and `nogroup`.
    private static let nobody = 65534
    /// Whose members rule the machine, or read what is nobody's business: none of them comes from elsewhere.
    private static let ruling: Set<String> = [
        "root", "sudo", "wheel", "admin", "adm", "staff", "disk", "kmem", "shadow", "systemd-journal", "docker", "podman", "lxd", "incus",
        "incus-admin", "libvirt",
    ]
    private static func isRuling(_ group: String) -> Bool { ruling.contains(group) || group.hasPrefix("kldload") }

    private struct Line {
        var fields: [String]
        var name: String { fields[0] }
        var number: Int? { fields.count > 2 ? Int(fields[2]) : nil }
        var text: String { fields.joined(separator: ":") }
        var members: [String] { fields.count > 3 ? fields[3].split(separator: ",").map(String.init) : [] }
        var isSystem: Bool { number.map { $0 < people || $0 == nobody || packages.contains($0) } ?? false }
    }

    private static func lines(_ text: String) -> [Line] {
        text.lines.compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            return fields.count >= 3 && !fields[0].isEmpty ? Line(fields: fields) : nil
        }
    }

    /// These accounts, and with them those of services that only another tree has: its packages need them. They keep their place in groups of
    /// the system that are here too, other than those that rule it. Its people, and all passwords of it, stay behind.
    ///
    /// - Throws: ``Diagnosis`` `fleet.accounts` where a service has another number there: its files would belong to somebody else.
    package func taking(from other: AccountTables) throws(Diagnosis) -> AccountTables {
        var problems: [String] = []
        /// Lines of services that are in one table of theirs and not in ours.
        func new(_ own: [Line], _ theirs: [Line], _ what: String) -> [Line] {
            let names = Dictionary(own.map { ($0.name, $0) }) { first, _ in first }
            let numbers = Dictionary(own.compactMap { line in line.number.map { ($0, line.name) } }) { first, _ in first }
            return theirs.filter { line in
                guard line.isSystem, let number = line.number else { return false }
                if let same = names[line.name] {
                    if same.number != number {
                        problems.append("the \(what) \(line.name) is \(number) there, and \(same.number ?? -1) here")
                    }
                    return false
                }
                if let taken = numbers[number] {
                    problems.append("the \(what) \(line.name) is \(number) there, and that is \(taken) here")
                    return false
                }
                return true
            }
        }
        let (ownUsers, theirUsers) = (Self.lines(passwd), Self.lines(other.passwd))
        let users = new(ownUsers, theirUsers, "user")
        let groups = new(Self.lines(group), Self.lines(other.group), "group")
        guard problems.isEmpty else {
            throw Diagnosis(
                "fleet.accounts", "services of both machines have different numbers: their files would belong to others",
                remedies: ["make the environment on a machine that was installed as this one, with the same packages"], causes: problems)
        }
        let services = Set((ownUsers + theirUsers).filter(\.isSystem).map(\.name))
        func lines(_ text: String, _ more: [String]) -> String {
            let ended = text.isEmpty || text.hasSuffix("\n") ? text : text + "\n"
            return ended + more.map { $0 + "\n" }.joined()
        }
        let members = groups.map { line in
            var line = line
            // Who of them is a person may be nobody, or somebody else, here.
            if line.fields.count > 3 { line.fields[3] = line.members.filter(services.contains).joined(separator: ",") }
            return line.text
        }
        let came = Set(users.map(\.name))
        // Of one number, or it was refused above.
        let joining = Dictionary(
            Self.lines(other.group).filter { $0.isSystem && !Self.isRuling($0.name) }.map { ($0.name, $0.members.filter(came.contains)) }
        ) { first, _ in first }
        let shadows = Dictionary(Self.lines(other.shadow).map { ($0.name, $0) }) { first, _ in first }
        let locked = users.map { user in
            var fields = shadows[user.name]?.fields ?? [user.name, "", "", "", "", "", "", "", ""]
            if fields.count > 1 { fields[1] = "!*" }
            return fields.joined(separator: ":")
        }
        return AccountTables(
            passwd: lines(passwd, users.map(\.text)), group: lines(Self.joined(group, joining), members), shadow: lines(shadow, locked),
            gshadow: gshadow.isEmpty ? "" : lines(Self.joined(gshadow, joining), groups.map { "\($0.name):!::" }))
    }

    /// A table of groups, with more members. Both group(5) and gshadow(5) have them in the fourth field.
    private static func joined(_ text: String, _ members: [String: [String]]) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { text in
            var line = Line(fields: text.split(separator: ":", omittingEmptySubsequences: false).map(String.init))
            guard line.fields.count == 4 else { return String(text) }
            let present = line.members
            let more = (members[line.name] ?? []).filter { !present.contains($0) }
            if more.isEmpty { return String(text) }
            line.fields[3] = (present + more).joined(separator: ",")
            return line.text
        }.joined(separator: "\n")
    }
}

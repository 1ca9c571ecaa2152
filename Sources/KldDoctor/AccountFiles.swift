import KldCore

/// One line of `/etc/passwd`. Source: passwd(5), shadow 4.17: `admin:x:1000:1000::/home/admin:/bin/bash`.
struct PasswdEntry: Hashable {
    var name: String
    var uid: Int
    var home: String
    var shell: String

    static func parse(_ text: String) -> [PasswdEntry] {
        text.lines.compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 7, let uid = Int(fields[2]) else { return nil }
            return PasswdEntry(name: fields[0], uid: uid, home: fields[5], shell: fields[6])
        }
    }
}

/// One line of `/etc/shadow`. Source: shadow(5), shadow 4.17: `admin:$y$j9T$…:0:0:99999:7:::`.
struct ShadowEntry: Hashable {
    enum State: Hashable {
        /// Anybody gets in.
        case empty
        /// `*`, `!`, or `!` before a hash.
        case locked
        case hash
    }
    var name: String
    var state: State
    /// Days since 1970; 0: it must be changed at the next login; `nil`: never expires.
    var lastChange: Int?

    static func parse(_ text: String) -> [ShadowEntry] {
        text.lines.compactMap { line in
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 3 else { return nil }
            let state: State = fields[1].isEmpty ? .empty : fields[1].hasPrefix("!") || fields[1].hasPrefix("*") ? .locked : .hash
            return ShadowEntry(name: fields[0], state: state, lastChange: Int(fields[2]))
        }
    }
}

/// The members of a group. Source: group(5): `sudo:x:27:admin`.
enum GroupFile {
    static func members(of group: String, in text: String) -> [String]? {
        for line in text.lines {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            if fields.count >= 4, fields[0] == group { return fields[3].split(separator: ",").map(String.init) }
        }
        return nil
    }
}

import KldCore

/// What is kept of a machine's own datasets, and for how long: the one place where that stands. Source: sanoid.conf of sanoid 2.1 to 2.2; the
/// numbers are the contract's.
public enum SnapshotPolicy {
    public static let path = "/etc/sanoid/sanoid.conf"
    /// Sections that a person adds, one file each; one for a dataset that is here already takes its place.
    public static let additions = "/etc/sanoid/sanoid.d"

    /// How many of each age are kept.
    public struct Template: Sendable, Hashable {
        public var name: String
        /// Every 15 minutes.
        public var frequently: Int
        public var hourly: Int
        public var daily: Int
        public var monthly: Int
        public var yearly: Int

        public var count: Int { frequently + hourly + daily + monthly + yearly }
    }

    public struct Rule: Sendable, Hashable {
        /// Below the pool.
        public var dataset: String
        public var template: Template
    }

    static let production = Template(name: "production", frequently: 4, hourly: 24, daily: 30, monthly: 12, yearly: 2)
    static let logs = Template(name: "logs", frequently: 0, hourly: 24, daily: 30, monthly: 0, yearly: 0)

    /// Boot environments, home directories and service data are kept for two years. Logs are kept for a month: they rotate by themselves, and
    /// what is deleted to make room should become free. Service state below `/var/lib` is left out: a database in the middle of a write is
    /// not a backup, and images of containers come and go by gigabytes.
    public static let rules = [
        Rule(dataset: "ROOT", template: production), Rule(dataset: "home", template: production),
        Rule(dataset: "srv", template: production), Rule(dataset: "var/log", template: logs),
    ]

    /// `/etc/sanoid/sanoid.conf`. sanoid's own timer, which its package enables, takes and prunes by it every 15 minutes.
    ///
    /// - Parameters:
    ///   - pool: the root pool's name.
    ///   - additions: texts of files in ``additions``, in the order of their names.
    public static func sanoid(pool: String, additions: [String] = []) -> String {
        let replaced = Set(additions.flatMap { sections($0).map(\.name) })
        var text = "# Written by kldload.\n"
        for rule in rules where !replaced.contains("\(pool)/\(rule.dataset)") {
            text += "\n[\(pool)/\(rule.dataset)]\n  use_template = \(rule.template.name)\n  recursive = yes\n"
        }
        for addition in additions { text += "\n" + addition.trimmed + "\n" }
        for template in [production, logs] where !replaced.contains("template_\(template.name)") {
            text += """

                [template_\(template.name)]
                  frequently = \(template.frequently)
                  hourly = \(template.hourly)
                  daily = \(template.daily)
                  monthly = \(template.monthly)
                  yearly = \(template.yearly)
                  autosnap = yes
                  autoprune = yes

                """
        }
        return text
    }

    /// A section of sanoid's settings, with its keys. Source: sanoid.conf, an INI file as Config::IniFiles 3.0 reads it.
    struct Section: Sendable, Hashable {
        var name: String
        var values: [String: String] = [:]
    }

    /// Lines of two kinds, beside remarks:
    /// ```
    /// [rpool/home]
    ///   use_template = production
    /// ```
    static func sections(_ text: String) -> [Section] {
        var found: [Section] = []
        for line in text.lines {
            let line = String(line.prefix { $0 != "#" && $0 != ";" }).trimmed
            if line.hasPrefix("["), line.hasSuffix("]") {
                found.append(Section(name: String(line.dropFirst().dropLast()).trimmed))
            } else if let equals = line.firstIndex(of: "="), !found.isEmpty {
                found[found.count - 1].values[String(line[..<equals]).trimmed] = String(line[line.index(after: equals)...]).trimmed
            }
        }
        return found
    }

    /// What is wrong with settings, in words; none where sanoid would do as they say.
    ///
    /// - Parameter datasets: those that there are.
    public static func problems(_ text: String, datasets: Set<String>) -> [String] {
        let sections = sections(text)
        let templates = Set(sections.map(\.name).filter { $0.hasPrefix("template_") }.map { String($0.dropFirst("template_".count)) })
        var problems: [String] = []
        var seen: Set<String> = []
        for section in sections {
            if !seen.insert(section.name).inserted { problems.append("[\(section.name)] stands there twice") }
            if section.name.hasPrefix("template_") {
                for key in ["frequently", "hourly", "daily", "weekly", "monthly", "yearly"] {
                    if let value = section.values[key], Int(value) == nil {
                        problems.append("[\(section.name)]: \(key) is no number: \(value)")
                    }
                }
                continue
            }
            if section.name == "version" { continue }
            if !datasets.contains(section.name) { problems.append("[\(section.name)]: there is no such dataset") }
            for name in (section.values["use_template"] ?? "").split(separator: ",").map({ String($0).trimmed })
            where !templates.contains(name) {
                problems.append("[\(section.name)]: there is no template \(name)")
            }
        }
        if sections.isEmpty { problems.append("it holds no section") }
        return problems
    }
}

/// What sanoid keeps of a machine's own datasets. Source: sanoid.conf of sanoid 2.1 to 2.2; the numbers are the contract's.
public enum SnapshotPolicy {
    /// `/etc/sanoid/sanoid.conf`. sanoid's own timer, which its package enables, takes and prunes by it every 15 minutes.
    ///
    /// Boot environments, home directories and service data are kept for two years. Logs are kept for a month: they rotate by themselves, and
    /// what is deleted to make room should become free. Service state below `/var/lib` is left out: a database in the middle of a write is
    /// not a backup, and images of containers come and go by gigabytes.
    /// - Parameter pool: the root pool's name.
    public static func sanoid(pool: String) -> String {
        var text = "# Written by kldload.\n"
        for (dataset, template) in [("ROOT", "production"), ("home", "production"), ("srv", "production"), ("var/log", "logs")] {
            text += "\n[\(pool)/\(dataset)]\n  use_template = \(template)\n  recursive = yes\n"
        }
        for (template, numbers) in [("production", (4, 24, 30, 12, 2)), ("logs", (0, 24, 30, 0, 0))] {
            text += """

                [template_\(template)]
                  frequently = \(numbers.0)
                  hourly = \(numbers.1)
                  daily = \(numbers.2)
                  monthly = \(numbers.3)
                  yearly = \(numbers.4)
                  autosnap = yes
                  autoprune = yes

                """
        }
        return text
    }
}

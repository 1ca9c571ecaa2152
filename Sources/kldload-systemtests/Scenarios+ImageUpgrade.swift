extension Scenario {
    static func upgraded(_ lab: Laboratory) async throws {
        let image = try await golden(lab, lab.archive)
        let facts = try await boot(
            image, as: "upgraded", mac: "52:54:00:00:00:03", packageWork, again: true, within: .seconds(900), lab)
        lab.log("\(facts)")
        func number(_ name: String) -> Int { facts[name].flatMap { Int($0) } ?? 0 }
        try check(facts["update"] == "0" && facts["before"] != nil, "apt has no lists: \(facts)")
        try check(facts["older"] == facts["before"].map { "\($0)~0" }, "nothing was made old: \(facts)")
        try check(
            facts["upgrade"] == "0" && number("upgraded") >= 1 && facts["after"] == facts["before"], "nothing was upgraded: \(facts)")
        try check(facts["install"] == "Hello,world!", "a new package does not work: \(facts)")
        try check(facts["initramfs"] == "0" && number("generated") >= 1, "no initramfs was made: \(facts)")
        try check(number("held") > 5, "nothing is held: \(facts)")
    }

    /// What a person does with packages, in a clone. An image is as new as its archive, so a package is made old first: the same one under
    /// a slightly lower version, for others need one that is not too old. Source: dpkg-deb(1), 1.22: `--raw-extract`, `--build`.
    ///
    /// No quotation marks and no backslashes: the commands stand between quotation marks of YAML.
    private static let packageWork: [(String, String)] = {
        let apt = "LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y"
        let version = "dpkg-query -W -f '${Version}' less"
        return [
            ("update", "apt-get -q update >/dev/null 2>&1; echo $?"),
            ("before", version),
            (
                "older",
                "cd /var/tmp && \(apt) download less >/dev/null 2>&1 && dpkg-deb --raw-extract less_*.deb less && "
                    + "sed -i '/^Version:/s/$/~0/' less/DEBIAN/control && dpkg-deb --build less old.deb >/dev/null && "
                    + "dpkg -i --force-downgrade old.deb >/dev/null 2>&1; \(version)"
            ),
            ("upgrade", "\(apt) upgrade >/var/tmp/upgrade 2>&1; echo $?"),
            ("upgraded", "sed -n 's/ upgraded, .*//p' /var/tmp/upgrade"),
            ("after", version),
            ("install", "\(apt) install hello >/dev/null 2>&1; hello | tr -d ' '"),
            ("initramfs", "\(apt) install --reinstall initramfs-tools >/var/tmp/initramfs 2>&1; echo $?"),
            ("generated", "grep -c 'update-initramfs: Generating' /var/tmp/initramfs"),
            ("held", "apt-mark showhold | grep -c ."),
        ]
    }()
}

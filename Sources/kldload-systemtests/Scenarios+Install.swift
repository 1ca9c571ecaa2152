import KldAnswers
import KldCore
import KldDoctor
import KldImage
import KldVirt

extension Scenario {
    /// Each example: installed, rebooted from its own disks, checked from inside.
    static let installs: [Scenario] = [
        Scenario("install.three-lines", "three answers make a machine that boots from its own disk", tier: .ci) { lab in
            try await install("three-lines", disks: 1, lab)
        },
        Scenario("install.server-static", "a server with a static network") { lab in try await install("server-static", disks: 1, lab) },
        Scenario("install.mirror", "a mirror of two disks") { lab in try await install("mirror", disks: 2, lab) },
        Scenario("install.raidz1", "raidz1 over three disks") { lab in try await install("raidz1", disks: 3, lab) },
        Scenario("install.mirror-stripe", "two striped mirrors") { lab in try await install("mirror-stripe", disks: 4, lab) },
        Scenario("install.special-vdev", "a special vdev as redundant as the root vdev") { lab in
            try await install("special-vdev", disks: 4, lab)
        },
        Scenario("install.encrypted", "native encryption; the passphrase is typed at the console") { lab in
            let answers = try lab.answers("encrypted")
            let disks = try await lab.disks(1)
            try await lab.install(answers.forTest(), onto: disks)
            try await lab.verify(disks, passphrase: answers.passphrase?.reveal())
        },
        Scenario("install.debian12", "Debian 12") { lab in try await install("debian12", disks: 1, lab) },
        Scenario("install.debian13", "Debian 13") { lab in try await install("debian13", disks: 1, lab) },
        Scenario("install.debian13-backports", "Debian 13 with kernel and OpenZFS from backports") { lab in
            try await install("debian13-backports", disks: 1, lab)
        },
        Scenario("install.mirror-degraded", "a mirror boots with either disk removed") { lab in
            let disks = try await lab.disks(2)
            try await lab.install(lab.answers("mirror").forTest(), onto: disks)
            for missing in disks.indices {
                let left = disks.enumerated().filter { $0.offset != missing }.map(\.element)
                let report = try await lab.boot(left, label: "without-\(missing)") { machine, host in
                    try await ImageVerification.answer(machine, on: host)
                }
                // What the missing disk is the cause of, and nothing else.
                let bad = report.results.filter { $0.status == .fail }
                lab.log("without disk \(missing): \(report.summary.ok) ok; \(bad.map { "\($0.name): \($0.actual)" })")
                try check(
                    bad.contains { $0.name == "zfs.pool.health" }
                        && bad.allSatisfy { $0.name.hasPrefix("zfs.pool.") || $0.name.hasPrefix("boot.esp") },
                    bad.map { "\($0.name): \($0.title): \($0.actual)" }.joined(separator: "\n"))
            }
        },
    ]

    private static func install(_ example: String, disks count: Int, _ lab: Laboratory) async throws {
        let disks = try await lab.disks(count)
        try await lab.install(lab.answers(example).forTest(), onto: disks)
        try await lab.verify(disks)
    }
}

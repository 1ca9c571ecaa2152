import KldCore
import KldExec
import KldFiles
import KldSystemd
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("What a boot must reach")
struct BootCheckTests {
    private static let manifest = [InstallManifest.path: #"{"units": ["ssh.service", "systemd-networkd.service"]}"#]
    private static let card = [
        "/sys/bus/pci/devices/0000:00:02.0/class": "0x020000\n", "/sys/bus/pci/devices/0000:00:1f.2/class": "0x010601\n",
        "/sys/bus/pci/devices/0000:00:02.0/vendor": "0x1af4\n", "/sys/bus/pci/devices/0000:00:02.0/device": "0x1041\n",
    ]
    private static let link = ["/sys/class/net/lo/address": "00:00:00:00:00:00\n", "/sys/class/net/enp0s2/device/uevent": ""]

    private func problems(
        _ files: [String: String], ssh: String = "ActiveState=active", pool: String = "ONLINE", limit: Duration = .zero
    ) async throws -> [String] {
        let runner = ScriptedRunner([
            { command in
                switch command.description {
                case Systemctl.show(["ssh.service", "systemd-networkd.service"]).description:
                    CommandOutput(
                        output: """
                            Id=ssh.service
                            Names=ssh.service sshd.service
                            LoadState=loaded
                            UnitFileState=enabled
                            \(ssh)

                            Id=systemd-networkd.service
                            Names=systemd-networkd.service
                            LoadState=loaded
                            ActiveState=active
                            UnitFileState=enabled

                            """)
                case ZPool.list().description: CommandOutput(output: "rpool\t1\t100\t10\t90\t\(pool)\toff\t-\t-\n")
                default: nil
                }
            }
        ])
        return try await BootCheck.run(runner: runner, files: MemoryFiles(Self.manifest.merging(files) { $1 }), limit: limit)
    }

    @Test("a machine whose units run, whose pool is there and whose card has a driver is good")
    func good() async throws {
        #expect(try await problems(Self.card.merging(Self.link) { $1 }) == [])
    }

    @Test("a machine without any network card is good")
    func alone() async throws {
        #expect(try await problems(["/sys/class/net/lo/address": "x"]) == [])
    }

    @Test("a network card that no driver has taken is a problem where it had one at the last good boot, and only there")
    func driver() async throws {
        let lost = Self.card.merging(["/sys/class/net/lo/address": "x"]) { $1 }
        #expect(try await problems(lost) == [])
        let good = MemoryFiles(Self.card.merging(Self.link) { $1 })
        try BootCheck.remember(good)
        let known = [BootCheck.cards.string: try good.readText(BootCheck.cards)]
        #expect(known.values.first == "0x1af4:0x1041\n")
        #expect(try await problems(lost.merging(known) { $1 }) == ["no driver has taken the network card 0000:00:02.0"])
        // The disk in another machine, whose card never had one.
        let other = lost.merging(["/sys/bus/pci/devices/0000:00:02.0/device": "0x4321\n"]) { $1 }
        #expect(try await problems(other.merging(known) { $1 }) == [])
        // What was known is not forgotten by a boot without a driver.
        let without = MemoryFiles(lost.merging(known) { $1 })
        try BootCheck.remember(without)
        #expect(try without.readText(BootCheck.cards) == "0x1af4:0x1041\n")
    }

    @Test("a kernel without its modules is a problem, whatever drivers its initramfs has loaded")
    func modules() async throws {
        let kernel = ["/proc/sys/kernel/osrelease": "6.12.9\n"]
        #expect(try await problems(kernel) == ["the running kernel, Linux 6.12.9, has no modules here"])
        #expect(try await problems(kernel.merging(["/usr/lib/modules/6.12.9/modules.dep": ""]) { $1 }) == [])
        #expect(try await problems(kernel.merging(["/usr/lib/modules/6.12.8/modules.dep": ""]) { $1 }).count == 1)
    }

    @Test("a unit that does not run, and a faulted pool, are problems; a degraded pool is not")
    func units() async throws {
        #expect(
            try await problems([:], ssh: "ActiveState=failed", pool: "SUSPENDED") == ["ssh.service is failed", "pool rpool is SUSPENDED"])
        #expect(try await problems([:], pool: "DEGRADED") == [])
    }

    @Test(
        "a unit that its owner uninstalled, masked or disabled is not asked for; one that is only not started is",
        arguments: [
            ("LoadState=not-found\nActiveState=inactive\nUnitFileState=", [String]()),
            ("LoadState=masked\nActiveState=inactive\nUnitFileState=masked", []),
            ("ActiveState=inactive\nUnitFileState=disabled", []), ("ActiveState=inactive", ["ssh.service is inactive"]),
        ])
    func turnedOff(_ ssh: String, _ expected: [String]) async throws {
        #expect(try await problems([:], ssh: ssh) == expected)
    }
}

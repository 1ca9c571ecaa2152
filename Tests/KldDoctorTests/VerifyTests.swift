import KldBlock
import KldBoot
import KldCore
@testable import KldDoctor
import KldExec
import KldFiles
import KldTestSupport
import Synchronization
import SystemPackage
import Testing

/// One thing that goes wrong, and the check that must see it.
struct Fault: Sendable, CustomTestStringConvertible {
    var check: String
    var name: String
    var status: VerifyReport.Status
    var inject: @Sendable (inout HealthyMachine) -> Void

    init(
        _ check: String, _ name: String, _ status: VerifyReport.Status = .fail, _ inject: @escaping @Sendable (inout HealthyMachine) -> Void
    ) {
        self.check = check
        self.name = name
        self.status = status
        self.inject = inject
    }
    var testDescription: String { "\(check): \(name)" }
}

@Suite struct `kldload verify` {
    /// The UKI carries the host id as the installer appends it.
    static func healthy() -> HealthyMachine {
        var machine = HealthyMachine()
        for path in [
            "/boot/efi/EFI/kldload/kldload-debian-7.2.12-amd64.1.efi",
            "/run/kldload/look/0/copy/EFI/kldload/kldload-debian-7.2.12-amd64.1.efi",
        ] {
            machine.files[path] = nil
            machine.bytes[path] = HostIDArchive.image(hostID: [0x02, 0x00, 0x7f, 0x00], signature: Signing.signature)
        }
        return machine
    }

    @Test func `is content with a healthy machine`() async throws {
        let report = try await Doctor.run(Self.healthy().context())
        #expect(report.results.filter { $0.status != .ok }.map { "\($0.name) \($0.status): \($0.actual)" } == [])
        #expect(report.exitStatus == .done && report.summary.ok == Check.all.count)
    }

    @Test(arguments: Fault.all) func `sees`(fault: Fault) async throws {
        var machine = Self.healthy()
        fault.inject(&machine)
        let result = try #require(try await machine.result(fault.check))
        #expect(result.status == fault.status, "\(result.actual)")
        #expect(result.remediation?.isEmpty == false || fault.status == .skip)
    }

    @Test func `has a fault for every check`() {
        #expect(Set(Check.all.map(\.id)) == Set(Fault.all.filter { $0.status != .skip }.map(\.check)))
    }

    @Test func `gives every check an id of its own`() { #expect(Set(Check.all.map(\.id)).count == Check.all.count) }

    @Test func `skips what needs a manifest when there is none`() async throws {
        var machine = Self.healthy()
        machine.manifest = nil
        let report = try await Doctor.run(machine.context())
        #expect(report.summary.fail == 0, "\(report.results.filter { $0.status == .fail })")
        let skipped = report.results.filter { $0.status == .skip }
        #expect(skipped.contains { $0.name == "users.admin" } && skipped.allSatisfy { !$0.actual.isEmpty })
        #expect(report.results.first { $0.name == "zfs.pool.health" }?.status == .ok)
    }

    /// What an image's clone owns is not compared with the image; everything else is.
    @Test func `judges a clone by what all clones have in common`() async throws {
        var machine = Self.healthy()
        machine.manifest = machine.manifest?.forClones
        machine.set("zpool list -vHPp -o name,bootfs,altroot rpool", "rpool\trpool/ROOT/debian\t-\n\t/dev/disk/by-id/virtio-A-part2\n")
        machine.manifest?.topology = "single"
        machine.commands["find /var/lib/dkms/mok.key '!' -newer /etc/cloud/cloud.cfg.d/98-kldload-zfs.cfg"] = CommandOutput(output: "")
        machine.files["/proc/sys/kernel/hostname"] = "clone\n"
        let report = try await Doctor.run(machine.context())
        let notWell = report.results.filter { $0.status != .ok }.map { "\($0.name) \($0.status): \($0.actual)" }.sorted()
        #expect(
            notWell == [
                "boot.esp.copies skip: the manifest names no disks", "network.hostname skip: a clone is named by its cloud-init data",
            ])
        machine.set("ip -json route show default", "[]")
        machine.change(Fault.packages, "hold\tinstalled\tlinux-image-7.2.12-amd64", "install\tinstalled\tlinux-image-7.2.12-amd64")
        let broken = try await Doctor.run(machine.context()).results.filter { $0.status == .fail }.map(\.name)
        #expect(Set(broken) == ["network.address", "packages.holds"])
    }

    @Test func `does not trust a manifest of another schema`() async throws {
        var machine = Self.healthy()
        machine.manifest?.schema = "install-manifest/9"
        let result = try #require(try await machine.result("users.admin"))
        #expect(result.status == .skip && result.actual.contains("install-manifest/9"))
    }

    @Test func `counts a check that cannot be run as failed, and goes on`() async throws {
        var machine = Self.healthy()
        machine.commands["dpkg --audit"] = CommandOutput(status: 2, errors: "dpkg: error: broken\n")
        let report = try await Doctor.run(machine.context(), only: ["packages"])
        #expect(report.results.map(\.status) == [.fail, .ok, .ok])
        #expect(report.results[0].actual.contains("dpkg: error: broken"))
        #expect(report.exitStatus == .problemsFound)
    }

    @Test func `asks for the character set of the locale that was wanted, not of its own`() async throws {
        let context = try Self.healthy().context()
        _ = try await Doctor.run(context, only: ["region.locale"])
        let runner = try #require(context.runner as? ScriptedRunner)
        #expect(runner.commands.first { $0.description == "locale charmap" }?.environment == ["LC_ALL": "de_DE.UTF-8"])
    }

    @Test func `runs only what is asked for`() async throws {
        let context = try Self.healthy().context()
        #expect(try await Doctor.run(context, only: ["ssh"]).results.map(\.name) == ["ssh.policy", "ssh.kex", "ssh.host-keys"])
        await #expect { try await Doctor.run(context, only: ["shh"]) } throws: {
            Diagnosis(of: $0).code == "verify.no-such-check"
        }
    }

    @Test func `unmounts the ESP it mounted, also when something goes wrong`() async throws {
        struct Unreadable: Error {}
        let context = try Self.healthy().context()
        let listed = try ListBlockDevices.parse(try await context.read(ListBlockDevices.command).output).flatMap(\.tree)
        let device = try #require(listed.first { $0.path == "/dev/vdb1" })
        await #expect(throws: Unreadable.self) { try await ESP.look(context, at: device, as: "copy") { _ in throw Unreadable() } }
        let runner = try #require(context.runner as? ScriptedRunner)
        #expect(runner.commands.last?.description == "umount --recursive /run/kldload/look/0/copy")
    }

    @Test func `ESPs that cannot be compared are no equal ones, and nothing stays mounted`() async throws {
        var machine = Self.healthy()
        for place in ["/boot/efi", "/run/kldload/look/0/copy"] {
            machine.bytes["\(place)/\(BootChain.grub.entryFolder)/broken.conf"] = [0xff, 0xfe]
        }
        let context = try machine.context()
        let report = try await Doctor.run(context, only: ["boot.esp.copies"])
        #expect(report.results.first?.status == .fail)
        #expect(report.results.first?.actual.contains("not UTF-8") == true)
        let runner = try #require(context.runner as? ScriptedRunner)
        #expect(runner.commands.last?.description == "umount --recursive /run/kldload/look/0/copy")
    }

    @Test func `changes nothing but that mount`() async throws {
        let context = try Self.healthy().context()
        _ = try await Doctor.run(context)
        let runner = try #require(context.runner as? ScriptedRunner)
        #expect(runner.commands.filter { $0.effect != .reads }.map(\.tool.name) == ["mount", "umount"])
    }

    @Test func `asks each question once, however many checks need the answer`() async throws {
        let context = try Self.healthy().context()
        _ = try await Doctor.run(context)
        let runner = try #require(context.runner as? ScriptedRunner)
        let asked = Dictionary(grouping: runner.commands, by: \.description).filter { $0.value.count > 1 }
        #expect(asked.keys.sorted() == [])
        _ = try await Doctor.run(context, only: ["zfs.versions"])
        #expect(runner.commands.filter { $0.description == "zfs --version" }.count == 2, "a second report asks anew")
    }

    @Test func `runs checks side by side, at most four, and reports in their order`() async throws {
        let running = Mutex((now: 0, most: 0))
        let checks = (0..<12).map { index in
            Check("x.\(index)", "", .low) { _ in
                running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                try await Task.sleep(for: .milliseconds(index.isMultiple(of: 3) ? 40 : 10))
                running.withLock { $0.now -= 1 }
                return .ok("\(index)")
            }
        }
        let report = try await Doctor.run(HealthyMachine().context(), checks: checks)
        #expect(report.results.map(\.actual) == (0..<12).map(String.init))
        #expect(running.withLock { $0.most } == 4)
    }

    @Test func `ends when it is interrupted`() async throws {
        let checks = [
            Check("x.y", "", .low) { _ in
                try await Task.sleep(for: .seconds(60)); return .ok("")
            }
        ]
        let context = try HealthyMachine().context()
        let task = Task { try await Doctor.run(context, checks: checks) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func `prints the document`() async throws {
        var machine = Self.healthy()
        machine.set("zfs --version", "zfs-2.4.4-1\nzfs-kmod-2.3.9-1\n")
        let report = try await Doctor.run(machine.context(), only: ["zfs.versions", "zfs.encryption"])
        #expect(
            try report.json == """
                {
                  "results" : [
                    {
                      "actual" : "tools 2.4.4-1, module 2.3.9-1",
                      "expected" : "the same version",
                      "name" : "zfs.versions",
                      "remediation" : "reboot; if that does not help, the module for this kernel was not built: dkms status",
                      "severity" : "medium",
                      "status" : "warn",
                      "subsystem" : "zfs",
                      "title" : "the OpenZFS module and tools are of one version"
                    },
                    {
                      "actual" : "encryption=off",
                      "name" : "zfs.encryption",
                      "severity" : "critical",
                      "status" : "ok",
                      "subsystem" : "zfs",
                      "title" : "the root file system is encrypted as intended"
                    }
                  ],
                  "summary" : {
                    "fail" : 0,
                    "ok" : 1,
                    "skip" : 0,
                    "warn" : 1
                  },
                  "version" : "verify/1"
                }

                """)
        #expect(report.exitStatus == .done)
        #expect(report.text.hasSuffix("1 ok, 0 failed, 1 warnings, 0 skipped\n"))
    }

    @Test func `works with OpenZFS that has no JSON`() async throws {
        var machine = Self.healthy()
        machine.set("zfs --version", "zfs-2.1.11-1\nzfs-kmod-2.1.11-1\n")
        machine.commands["zpool status -p -P"] = CommandOutput(
            output:
                "  pool: rpool\n state: ONLINE\nconfig:\n\n\tNAME  STATE READ WRITE CKSUM\n\trpool ONLINE 0 0 0\n\nerrors: No known data errors\n"
        )
        #expect(try await machine.result("zfs.pool.health")?.status == .ok)
        machine.commands["zpool status -p -P"]?.output.replace("No known data errors", with: "1 data errors, use '-v' for a list")
        #expect(try await machine.result("zfs.pool.health")?.status == .fail)
    }

    @Test func `accepts an initramfs that carries the host id itself`() async throws {
        var machine = Self.healthy()
        machine.bytes["/boot/efi/EFI/kldload/kldload-debian-7.2.12-amd64.1.efi"] = nil
        machine.change("lsinitramfs /boot/initrd.img-7.2.12-amd64", "scripts/zfs\n", "scripts/zfs\netc/hostid\n")
        #expect(try await machine.result("boot.hostid")?.status == .ok)
    }

    @Test func `waits for the machine to settle, but not for itself`() async throws {
        let quiet = ScriptedRunner([{ _ in CommandOutput(output: "7 kldload-verify.service start running\n9 late.target start waiting\n") }]
        )
        #expect(try await Settle.wait(quiet, atMost: .seconds(60)).isEmpty)
        let busy = ScriptedRunner([{ _ in CommandOutput(output: "8 cloud-final.service start running\n") }])
        #expect(try await Settle.wait(busy, atMost: .zero) == ["cloud-final.service"])
    }
}

/// An EFI program with a cpio archive in it, as far as the check looks.
enum HostIDArchive {
    /// - Parameter shift: by how much it misses a multiple of four, where the kernel begins to read.
    static func image(hostID: [UInt8], shift: Int = 0, signature: [UInt8] = []) -> [UInt8] {
        func hex(_ value: Int) -> String {
            let digits = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }
        let name = Array("etc/hostid".utf8) + [0]
        var entry = Array("070701".utf8)
        for field in [1, 0o100644, 0, 0, 1, 0, hostID.count, 0, 0, 0, 0, name.count, 0] { entry += Array(hex(field).utf8) }
        entry += name
        entry += [UInt8](repeating: 0, count: (4 - entry.count % 4) % 4)
        entry += hostID
        // A mention of the name alone is no entry.
        let initramfs = [UInt8](repeating: 0xa5, count: 304 + shift) + entry + [UInt8](repeating: 0, count: 64)
        let program = EFIProgram.bytes([(".osrel", Array("…/etc/hostid\0 ".utf8)), (".initrd", initramfs)])
        return signature.isEmpty ? program : EFIProgram.signed(program, signature)
    }
}

/// A certificate, as far as signatures name it, and one that does.
enum Signing {
    static let certificate: [UInt8] = [0x30, 0x0d, 0x30, 0x0b, 0x02, 0x01, 0x05, 0x30, 0x02, 0x05, 0x00, 0x30, 0x02, 0x31, 0x00]
    static let signature: [UInt8] = [0x30, 0x02, 0x31, 0x00, 0x02, 0x01, 0x05]
}

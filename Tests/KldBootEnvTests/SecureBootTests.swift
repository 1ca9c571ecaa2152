import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("Secure Boot: what is signed, and what the firmware will say")
struct SecureBootTests {
    static func machine(
        _ firmware: SecureBoot.Firmware, _ enrolment: KeyEnrolment.State = .enrolled, signed: Bool = true, key: Bool = true,
        configured: Bool = true, image: SecureBoot.Signature = .good, others: SecureBoot.Signature = .good, repeats: Bool = false
    ) -> SecureBoot {
        SecureBoot(
            firmware: firmware, certificate: configured ? "/var/lib/dkms/mok.pub" : nil, keyIsThere: key, enrolment: enrolment,
            modules: [.init(name: "\(Fixture.release)/zfs.ko.xz", signature: signed ? .good : .missing)],
            images: [
                .init(name: "/dev/vda1: EFI/kldload/x.efi", signature: image),
                .init(name: "/dev/vda1: EFI/kldload/recovery.efi", signature: others, bootsNext: false),
            ], repeats: repeats)
    }

    @Test("only what would start is called so")
    func verdicts() {
        for firmware in [SecureBoot.Firmware.off, .setup, .unchecked, .none] {
            #expect(Self.machine(firmware, .absent, signed: false, key: false, configured: false).verdict.starts, "\(firmware)")
        }
        #expect(Self.machine(.enforcing).verdict.starts)
        for bad in [
            Self.machine(.enforcing, signed: false), Self.machine(.enforcing, image: .broken), Self.machine(.enforcing, image: .missing),
            Self.machine(.enforcing, .absent, image: .missing), Self.machine(.enforcing, key: false, image: .missing),
        ] { #expect(!bad.verdict.starts, "\(bad)") }
        #expect(Self.machine(.enforcing, .absent, image: .missing).verdict.text.contains("does not know this machine's key"))
        #expect(Self.machine(.enforcing, signed: false).verdict.text.contains("zfs.ko.xz"))
        #expect(Self.machine(.off, .absent).verdict.text.contains("enrol the key before it is turned on"))
    }

    @Test("what the next start does not need is a warning, and so is a key that signs nothing that would start")
    func warnings() {
        #expect(Self.machine(.enforcing).warnings.isEmpty && Self.machine(.enforcing).verdict.text.contains("everything is signed"))
        let machines = [
            Self.machine(.enforcing, others: .missing), Self.machine(.enforcing, .absent), Self.machine(.enforcing, .requested),
            Self.machine(.enforcing, key: false), Self.machine(.enforcing, configured: false),
        ]
        for machine in machines { #expect(machine.verdict.starts && machine.warnings.count == 1, "\(machine)") }
        #expect(machines[0].warnings[0].contains("recovery.efi") && machines[0].verdict.text.contains("what boots next is signed"))
        #expect(machines[1].warnings[0].contains("kldload secure-boot reenroll"))
        #expect(machines[3].warnings[0].contains("kldload secure-boot enable"))
        for firmware in [SecureBoot.Firmware.off, .setup, .unchecked, .none] {
            let quiet = Self.machine(firmware, .absent, key: false, configured: false, others: .missing)
            #expect(quiet.warnings.isEmpty && quiet.verdict.starts)
        }
        #expect(Self.machine(.off, others: .broken).warnings.count == 1)
    }

    @Test("who signed a program is read from sbverify's list: the authority of each signature")
    func issuers() {
        // Of Debian 13's shim, sbsigntool 0.9.4.
        let shim = """
            warning: data remaining[908192 vs 1036152]: gaps between PE/COFF sections?
            signature 1
            image signature issuers:
             - /C=US/ST=Washington/L=Redmond/O=Microsoft Corporation/CN=Microsoft Corporation UEFI CA 2011
            image signature certificates:
             - subject: /C=US/ST=Washington/L=Redmond/O=Microsoft Corporation/CN=Microsoft Windows UEFI Driver Publisher
               issuer:  /C=US/ST=Washington/L=Redmond/O=Microsoft Corporation/CN=Microsoft Corporation UEFI CA 2011
            signature 2
            image signature issuers:
             - /C=US/O=Microsoft Corporation/CN=Microsoft UEFI CA 2023
            image signature certificates:
             - subject: /CN=Microsoft UEFI CA 2023 signer
               issuer:  /C=US/O=Microsoft Corporation/CN=Microsoft UEFI CA 2023

            """
        #expect(SignedPrograms.issuers(shim) == ["Microsoft Corporation UEFI CA 2011", "Microsoft UEFI CA 2023"])
        #expect(SignedPrograms.issuers("No signature table present\n").isEmpty)
    }

    @Test("enabling makes what is missing, and nothing else")
    func enabling() throws {
        let system = try Fixture.system()
        func ids(_ machine: SecureBoot, _ holding: MachineOwnerKey.Holding = .whole) throws -> [String] {
            try machine.enabling(system, name: "kldload x", holding: holding).steps.map(\.id)
        }
        let bare = Self.machine(.off, .absent, signed: false, key: false, configured: false)
        #expect(
            try ids(bare, .none) == [
                "trust.configuration", "trust.key", "trust.modules.\(Fixture.release)", "trust.esp.vda1", "trust.enrol",
            ])
        #expect(try ids(bare, .withoutPEM) == ids(bare, .none))
        #expect { try ids(bare, .withoutCertificate) } throws: { Diagnosis(of: $0).code == "trust.certificate-lost" }
        #expect(try ids(Self.machine(.off, .absent)) == ["trust.configuration", "trust.esp.vda1", "trust.enrol"])
        #expect(try ids(Self.machine(.enforcing)) == ["trust.configuration", "trust.esp.vda1"])
        #expect(try !ids(Self.machine(.none, .absent)).contains("trust.enrol"))
        // A new key, where the firmware knows the old one: what it accepts today keeps its signature.
        let changed = try ids(Self.machine(.enforcing, .absent, key: false), .none)
        #expect(changed.contains("trust.key") && !changed.contains { $0.hasPrefix("trust.modules.") })
        #expect(try ids(Self.machine(.off, .absent, key: false), .none).contains { $0.hasPrefix("trust.modules.") })
    }

    @Test("a key that is there is not written over, whatever else is lost")
    func kept() throws {
        for holding in [MachineOwnerKey.Holding.whole, .withoutPEM, .withoutDER] {
            let plan = try Self.machine(.off, .absent, key: false).enabling(Fixture.system(), name: "kldload x", holding: holding)
            #expect(!plan.steps.flatMap(\.actions).map(\.text).contains { $0.contains("-keyout") })
        }
    }

    @Test("it is not switched off while the firmware enforces")
    func disabling() throws {
        #expect(throws: Diagnosis.self) { try Self.machine(.enforcing).disabling() }
        let actions = try Self.machine(.off, .requested).disabling().steps.flatMap(\.actions).map(\.text)
        #expect(
            actions == [
                "remove /etc/dkms/framework.conf.d/kldload.conf", "remove /var/lib/kldload/secure-boot/wanted", "mokutil --revoke-import",
            ])
    }

    @Test("a request is made again until the firmware trusts the key")
    func repeating() {
        #expect(Self.machine(.off, .absent).repeating().steps.isEmpty)
        #expect(Self.machine(.off, .absent, repeats: true).repeating().steps.map(\.id) == ["trust.enrol"])
        #expect(Self.machine(.enforcing, repeats: true).repeating().steps.map(\.id) == ["trust.done"])
    }

    @Test("the firmware is asked as it tells it")
    func firmware() throws {
        func ask(_ values: [String: [UInt8]]) throws -> SecureBoot.Firmware {
            let files = MemoryFiles()
            for (name, value) in values {
                let vendor = name.hasPrefix("Mok") ? "605dab50-e046-4300-abb6-3dd810dd8b23" : "8be4df61-93ca-11d2-aa0d-00e098032b8c"
                try files.write([7, 0, 0, 0] + value, to: FilePath("/sys/firmware/efi/efivars/\(name)-\(vendor)"), mode: .file)
            }
            return SecureBoot.firmware(files)
        }
        #expect(try ask([:]) == .none)
        #expect(try ask(["SecureBoot": [0], "SetupMode": [0]]) == .off)
        #expect(try ask(["SecureBoot": [0], "SetupMode": [1]]) == .setup)
        #expect(try ask(["SecureBoot": [1], "SetupMode": [0]]) == .enforcing)
        #expect(try ask(["SecureBoot": [1], "SetupMode": [0], "MokSBStateRT": [1]]) == .unchecked)
    }
}

extension BootStagingTests {
    private static var signed: BootSystem {
        get throws {
            var system = try Fixture.system([Fixture.esp([Fixture.entry("debian", order: 100)])])
            let certificate: [UInt8] = [0x30, 0x0d, 0x30, 0x0b, 0x02, 0x01, 0x05, 0x30, 0x02, 0x05, 0x00, 0x30, 0x02, 0x31, 0x00]
            system.signing = .by(try CertificateIdentity(certificate))
            return system
        }
    }

    @Test("an image is signed, and the signature verified, before it goes to an ESP")
    func signing() throws {
        let steps = try BootEnvironments(Self.signed).activate(Fixture.target("test")).steps
        let image = try #require(steps.first { $0.id == "boot.image" })
        #expect(
            image.actions.suffix(2).map(\.text) == [
                "sbsign --key /var/lib/dkms/mok.key --cert /var/lib/dkms/mok.pem --output /run/kldload/boot/\(Self.id).efi /run/kldload/boot/\(Self.id).efi",
                "sbverify --cert /var/lib/dkms/mok.pem /run/kldload/boot/\(Self.id).efi",
            ])
        var target = try Fixture.target("test")
        target.kernels[0].donor = .init(device: "/dev/vda1", path: "EFI/kldload/other.efi")
        let rewritten = try #require(try BootEnvironments(Self.signed).activate(target).steps.first { $0.id == "boot.image" })
        #expect(rewritten.actions.suffix(2).map(\.text) == image.actions.suffix(2).map(\.text))
    }

    @Test("nothing unsigned is staged where the key is gone, or where the firmware would refuse the kernel's module")
    func unsignedRefused() throws {
        var system = try Self.signed
        system.signing = .keyless
        var problem = try #require(throws: Diagnosis.self) { _ = try BootEnvironments(system).activate(Fixture.target("test")) }
        #expect(problem.code == "trust.no-key")
        var target = try Fixture.target("test")
        target.kernels[0].unsigned = ["zfs.ko.xz"]
        problem = try #require(throws: Diagnosis.self) { _ = try BootEnvironments(Self.signed).activate(target) }
        #expect(problem.code == "boot.module-unsigned" && problem.remedies.first?.hasSuffix("kldload secure-boot sign test") == true)
        target.environment = try Fixture.dataset("debian")
        problem = try #require(throws: Diagnosis.self) { _ = try BootEnvironments(Self.signed).activate(target) }
        #expect(problem.remedies.first?.hasSuffix("kldload secure-boot enable") == true)
    }

    @Test(
        "with Secure Boot on nothing is built that the firmware would refuse; what lies there signed by an older key that it knows starts")
    func untrusted() throws {
        func code(_ change: (inout BootSystem) -> Void, unsigned: [String] = [], built: Bool = false) throws -> String? {
            var system = try Self.signed
            system.secureBoot = true
            change(&system)
            let id = Fixture.entry("test", order: 100).id
            var target = try Fixture.target("test", matching: built ? ["/dev/vda1": [id]] : [:])
            target.kernels[0].unsigned = unsigned
            return problem { _ = try BootEnvironments(system).activate(target) }?.code
        }
        #expect(try code { _ in } == nil)
        for enrolment in [KeyEnrolment.State.absent, .requested] {
            #expect(try code { $0.enrolment = enrolment } == "boot.key-not-enrolled")
            #expect(try code({ $0.enrolment = enrolment }, unsigned: ["zfs.ko.xz"]) == "boot.key-not-enrolled")
            #expect(try code({ $0.enrolment = enrolment }, built: true) == nil)
            #expect(try code { ($0.enrolment, $0.secureBoot) = (enrolment, false) } == nil)
        }
        #expect(try code { $0.signing = .off } == "boot.signing-off")
        #expect(try code({ $0.signing = .off }, built: true) == nil)
        #expect(try code { $0.signing = .keyless } == "trust.no-key")
    }

    @Test("which signatures count depends on whom the firmware knows")
    func signers() throws {
        var system = try Self.signed
        let own = try #require(system.signing.signer)
        let older = try #require(TrustedKey(certificate: [0x30, 13, 0x30, 11, 0x02, 1, 7, 0x30, 0, 0x30, 4, 0x31, 2, 0x30, 0]))
        system.trusted = [older]
        #expect(system.isTrusted && system.accepted == nil && system.imageSigners == [own])
        system.secureBoot = true
        #expect(system.isTrusted && system.accepted == [older.identity, own] && system.imageSigners == [own])
        system.enrolment = .absent
        #expect(!system.isTrusted && system.accepted == [older.identity] && system.imageSigners == [older.identity])
        system.signing = .off
        #expect(!system.isTrusted && system.imageSigners == [older.identity])
        system.secureBoot = false
        #expect(system.isTrusted && system.imageSigners == nil)
    }

    @Test("another environment's modules are signed in it, with the key of the one that runs")
    func signingInside() throws {
        let plan = try BootEnvironments(Self.signed).signing("test", releases: ["6.1"])
        #expect(
            plan.steps.flatMap(\.actions).map(\.text).dropFirst(2) == [
                "mount --bind /dev /run/kldload/boot/sign-test/dev", "mount --bind /proc /run/kldload/boot/sign-test/proc",
                "mount --bind /sys /run/kldload/boot/sign-test/sys",
                "modules.sign certificate=/var/lib/dkms/mok.pem initramfs=/run/kldload/boot/sign-test/boot/initrd.img-6.1 key=/var/lib/dkms/mok.key release=6.1 root=/run/kldload/boot/sign-test",
            ])
        #expect(plan.steps[0].release.map(\.text).first == "umount --recursive /run/kldload/boot/sign-test")
        func code(_ name: String, _ change: (inout BootSystem) -> Void = { _ in }, releases: [String] = ["6.1"]) throws -> String? {
            var system = try Self.signed
            change(&system)
            return problem { _ = try BootEnvironments(system).signing(name, releases: releases) }?.code
        }
        #expect(try code("debian") == "be.running" && code("other") == "be.unknown")
        #expect(try code("test", releases: []) == "trust.no-modules")
        #expect(try code("test", { $0.signing = .off }) == "trust.no-key")
        #expect(try code("test", { ($0.secureBoot, $0.enrolment) = (true, .absent) }) == "boot.key-not-enrolled")
        #expect(try code("test", { $0.environments[1].mountpoint = "/mnt" }) == "be.mounted")
    }
}

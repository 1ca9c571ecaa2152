import KldBlock
import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import KldZFS
import SystemPackage
import Testing

@testable import KldBootEnv

@Suite("What helps a machine that does not run, as whoever helps it has to type it")
struct VisitedRemedyTests {
    /// Its second disk's ESP cannot be mounted, or has lost its file system.
    private func gather(visiting: Bool, lost: Bool = false, alone: Bool = false) async throws -> BootSystem {
        let second = #"{"path":"/dev/vdb1","name":"vdb1","size":1073741824,"type":"part","#
        let listing = GatherTests.listing.replacing(
            second + #""fstype":"vfat","label":"EFI","#, with: second + #""fstype":null,"partlabel":"EFI system partition","#)
        let answers = [
            ListBlockDevices.command.description: lost ? listing : GatherTests.listing,
            "zpool list -vHPp -o name,bootfs,altroot rpool":
                "rpool\trpool/ROOT/debian\t/recovery\n" + (alone ? "" : "\t/dev/vda2\t7G\n") + "\t/dev/vdb2\t7G\n",
            ZFS.list(try DatasetName("rpool/ROOT"), columns: BootSystem.columns, types: ["filesystem"]).description:
                "rpool/ROOT\tfilesystem\t1\t1\t1\t-\tnone\toff\t-\t-\nrpool/ROOT/debian\tfilesystem\t9\t9\t5\t-\t/\tnoauto\t-\t-\n",
        ]
        let runner = ScriptedRunner([
            { command in
                command.tool.name == "mount" ? CommandOutput(status: 32, errors: "mount: /x: can't read superblock on /dev/vdb1.\n") : nil
            }, { answers[$0.description].map { CommandOutput(output: $0) } },
        ])
        let entry = Fixture.entry("debian", order: 100)
        let files = MemoryFiles([
            "/proc/self/mounts": "rpool/ROOT/debian / zfs rw 0 0\n/dev/vda1 /boot/efi vfat rw 0 0\n",
            "/proc/cmdline": "root=ZFS=rpool/ROOT/debian boot=zfs rw\n", "/proc/sys/kernel/osrelease": Fixture.release + "\n",
            "/boot/efi/\(entry.path)": entry.text, "/boot/efi/\(entry.imagePath)": "image",
        ])
        return try await BootSystem.gather(visiting: visiting, runner: runner, files: files)
    }

    @Test("an ESP is made anew from outside, and a disk is replaced when the machine runs", arguments: [false, true])
    func esps(lost: Bool) async throws {
        let outside = try #require(try await gather(visiting: true, lost: lost).damaged.first).remedies.joined(separator: "\n")
        #expect(outside.contains("krecovery reinstall-bootloader --format /dev/vdb1") && !outside.contains("kldload boot restore"))
        #expect(outside.contains("when the machine runs: kldload kdisk replace /dev/vdb NEW"))
        let inside = try #require(try await gather(visiting: false, lost: lost).damaged.first).remedies.joined(separator: "\n")
        #expect(inside.contains("kldload boot restore --format /dev/vdb1") && !inside.contains("krecovery"))
        #expect(!inside.contains("when the machine runs"))
    }

    @Test("so it is where no ESP is left")
    func alone() async throws {
        let problem = await KldTestSupport.problem { _ = try await gather(visiting: true, alone: true) }
        #expect(problem?.code == "boot.esp-damaged" && problem?.causes.contains { $0.contains("superblock") } == true)
        #expect(problem?.remedies.last == "or make it anew: krecovery reinstall-bootloader --format /dev/vdb1")
    }

    @Test("what the machine's own tools do is typed inside of it")
    func inside() throws {
        func remedies(_ change: (inout BootSystem, inout BootTarget) -> Void) throws -> [String] {
            var (system, target) = (try Fixture.system(), try Fixture.target("test"))
            change(&system, &target)
            let usual = KldTestSupport.problem { _ = try BootEnvironments(system).activate(target) }
            system.isVisited = true
            let told = KldTestSupport.problem { _ = try BootEnvironments(system).activate(target) }
            #expect(told?.code == usual?.code && told?.remedies == usual?.remedies.map { "krecovery chroot, and there: \($0)" })
            return try #require(told).remedies
        }
        let certificate: [UInt8] = [0x30, 13, 0x30, 11, 0x02, 1, 5, 0x30, 2, 0x05, 0, 0x30, 2, 0x31, 0]
        let identity = try CertificateIdentity(certificate)
        let foreign = try remedies { system, _ in system.environments[1].isForeign = true }
        #expect(foreign.first == "krecovery chroot, and there: kldload kbe adopt test")
        let unknown = try remedies { system, _ in
            (system.signing, system.secureBoot, system.enrolment) = (.by(identity), true, .absent)
        }
        #expect(unknown.first?.hasPrefix("krecovery chroot, and there: kldload secure-boot reenroll") == true)
        let unsigned = try remedies { system, target in
            (system.signing, system.secureBoot) = (.by(identity), true)
            target.kernels[0].unsigned = ["zfs.ko.xz"]
        }
        #expect(unsigned.first?.hasSuffix("kldload secure-boot sign test") == true)
        // This one says both ways.
        var none = try Fixture.system([])
        none.isVisited = true
        let lacking = none
        let problem = KldTestSupport.problem { _ = try BootEnvironments(lacking).activate(Fixture.target("test")) }
        #expect(problem?.code == "boot.no-esp" && problem?.remedies.first?.contains("krecovery reinstall-bootloader") == true)
    }
}

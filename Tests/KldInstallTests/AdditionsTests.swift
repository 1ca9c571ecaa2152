import KldAnswers
import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Packages that the root file system lacks")
struct AdditionsTests {
    static func plan(_ packages: [String]?, _ lines: String...) throws -> Plan {
        var request = try request(answers(lines.joined(separator: "\n")), Machines.virtual)
        request.payload.additions = packages.map {
            .init(packages: $0, mirror: "/run/initramfs/live/kldload/mirrors/debian-trixie")
        }
        return try InstallPlanner(request).plan
    }

    @Test("are installed by the new system's own apt, from the medium alone; nothing of that stays")
    func step() throws {
        let step = try #require(try Self.plan(["htop", "tmux"]).steps.first { $0.id == "payload.packages" })
        let lines = step.actions.map { action -> String in
            switch action {
            case .run(let command): command.description
            case .write(let path, _, _): "write \(path)"
            case .makeDirectory(let path, _): "make \(path)"
            case .remove(let path): "remove \(path)"
            default: "\(action)"
            }
        }
        #expect(
            lines == [
                "mount --bind /run/initramfs/live/kldload/mirrors/debian-trixie /target/mnt",
                "make /target/var/tmp/kldload-mirror/lists/partial", "make /target/var/tmp/kldload-mirror/cache/archives/partial",
                "write /target/var/tmp/kldload-mirror/sources.list", "write /target/var/tmp/kldload-mirror/preferences",
                "write /target/var/tmp/kldload-mirror/apt.conf", "write /target/usr/sbin/policy-rc.d",
                "chroot /target apt-get -q -o APT::Update::Error-Mode=any update",
                "chroot /target apt-get -q -y install -- htop tmux", "remove /target/usr/sbin/policy-rc.d",
                "remove /target/var/tmp/kldload-mirror", "umount --recursive /target/mnt",
            ])
        #expect(step.release == [step.actions[11]])
        guard case .run(let install) = step.actions[8] else { return }
        #expect(install.tellsOnBoth, "the log has what apt says")
        let sources = step.actions.compactMap { action -> String? in
            if case .write("/target/var/tmp/kldload-mirror/sources.list", .text(let text), _) = action { text } else { nil }
        }
        let options =
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-date=no check-valid-until=no by-hash=no target=Packages]"
        let components = "main contrib non-free-firmware"
        #expect(
            sources == [
                """
                \(options) file:/mnt/debian trixie \(components)
                \(options) file:/mnt/debian trixie-updates \(components)
                \(options) file:/mnt/debian-security trixie-security \(components)

                """
            ])
    }

    @Test("come before kldload itself, whose hooks would act on them, and after what a program needs to run there")
    func order() throws {
        let with = try Self.plan(["htop"]).steps.map(\.id), without = try Self.plan(nil).steps.map(\.id)
        #expect(!without.contains("payload.packages"))
        #expect(with.filter { !["payload.packages", "boot.initramfs"].contains($0) }.sorted() == without.sorted())
        let start = try #require(with.firstIndex(of: "payload.unpack"))
        #expect(with[start...].prefix(4) == ["payload.unpack", "target.mounts", "payload.packages", "payload.tool"])
    }

    @Test("hold GRUB where it is among them, and only there", arguments: [["grub-efi-amd64-signed", "htop"], ["htop"]])
    func grub(_ packages: [String]) throws {
        let plan = try Self.plan(packages, "KLDLOAD_BOOTLOADER=grub")
        let holds = plan.steps.flatMap(\.actions).filter { action in
            if case .run(let command) = action { command.description.contains("apt-mark hold") } else { false }
        }
        #expect(holds.count == packages.count - 1)
    }
}

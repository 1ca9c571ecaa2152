import FoundationEssentials
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// What becomes of a clone whose first boot meets a fault.
    static let firstBoots: [Scenario] = [
        Scenario(
            "image.first-boot-faults",
            "a first boot without ssh-keygen and with an ESP that cannot be opened does all else, and the second boot does what is left, and no more"
        ) { lab in
            let image = try await golden(lab)
            let place = lab.folder.appending("clone")
            try lab.files.makeDirectory(place, mode: 0o700)
            let overlay = place.appending("overlay.qcow2")
            try await lab.workshop.runner.run(QemuImg.createOverlay(overlay, backing: image, backingFormat: .qcow2))
            let seed = try await noCloudSeed("clone", progress, module: "bootcmd", in: place, lab)

            let faulty = try await start(overlay, seed, as: "first-boot", mac: mac, oemStrings: faults, lab) { machine, host in
                try await facts(machine, host)
            }
            lab.log("the first boot: \(faulty)")
            try check(faulty["status"] == "2" && faulty["ended"] == "failed", "nobody is told that something is left: \(faulty)")
            for name in ["ssh-keys", "esp-serial", "image"] {
                try check(faulty["failed-\(name)"] == "1" && faulty["done-\(name)"] == "0", "\(name) did not fail: \(faulty)")
            }
            try check(faulty["keys"] == "0", "there are keys, and who made them? \(faulty)")
            for name in ["pool-guid", "gpt-guids"] { try check(faulty["done-\(name)"] == "1", "\(name) was not done: \(faulty)") }
            try check(faulty["host-id"]?.count == 8, "the clone has no host id: \(faulty)")

            // Its power went when the facts were there.
            let (whole, report) = try await start(overlay, seed, as: "first-boot", mac: mac, lab) { machine, host in
                (try await facts(machine, host), try await ImageVerification.answer(machine, on: host))
            }
            lab.log("the second boot: \(whole)")
            try check(whole["status"] == "0" && whole["ended"] == "active", "something is left: \(whole)")
            for name in ["ssh-keys", "esp-serial", "image"] { try check(whole["done-\(name)"] == "1", "\(name) is not done: \(whole)") }
            for name in ["pool-guid", "gpt-guids"] { try check(whole["started-\(name)"] == "1", "\(name) was done twice: \(whole)") }
            // The host id is the second start's: the image that the first could not reach carried none, and the initramfs made up another.
            try check(whole["keys"] != "0" && whole["host-id"]?.count == 8 && whole["pool"] == faulty["pool"], "\(faulty) \(whole)")
            try lab.require(report)
        }
    ]

    /// Given to systemd from outside, for one start: the service does not see what it needs. Source: systemd.system-credentials(7), systemd-debug-
    /// generator(8), 257: `systemd.unit-dropin.*`.
    private static let faults: [String] = {
        let text = "[Service]\nInaccessiblePaths=/usr/bin/ssh-keygen /dev/vda1\n"
        return [
            "io.systemd.credential.binary:systemd.unit-dropin.kldload-firstboot.service=\(Data(text.utf8).base64EncodedString())"
        ]
    }()

    private static let mac = "52:54:00:00:00:06"

    /// What the first boot says of itself, and what there is: before cloud-init makes keys.
    private static let progress: [(String, String)] = {
        let journal = "/var/lib/kldload/firstboot/journal"
        return [
            ("status", "/usr/lib/kldload/kldload firstboot --status >/dev/null; echo $?"),
            ("ended", "systemctl show -P ActiveState kldload-firstboot.service"),
            ("keys", "ls /etc/ssh | grep -c '^ssh_host_.*_key$'"), ("host-id", "od -An -tx4 /etc/hostid | tr -d ' '"),
            ("pool", "zpool get -H -o value guid rpool"),
        ]
            + ["ssh-keys", "esp-serial", "image", "pool-guid", "gpt-guids"].flatMap { task in
                ["started", "failed", "done"].map { ("\($0)-\(task)", "grep -c '^\($0) firstboot.\(task)' \(journal)") }
            }
    }()
}

import KldAnswers
import KldCore
import KldExec
import KldImage
import KldVirt
import SystemPackage

extension Scenario {
    /// Kernel and OpenZFS change on a machine that runs: Debian's own packages, from its archive, through apt.
    static let updates: [Scenario] = [
        Scenario(
            "boot.kernel-update",
            "apt installs a newer kernel: DKMS signs its module, it is staged on trial and boots; the old one stays, and starts when asked for",
            limit: .seconds(10800)
        ) { lab in
            let wanted = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"] + lab.archive)
            let modules = try await lab.modules(wanted, serial: "modules0")
            let new = modules.kernel
            let kernels = try await lab.workshop.kernels(wanted, report: lab.report)
            guard let place = kernels.firstIndex(of: new), place > 0 else {
                throw ScenarioSkipped("the archive has no kernel before \(new): it has \(kernels.joined(separator: ", "))")
            }
            let old = kernels[place - 1]
            lab.log("from Linux \(old) to \(new)")

            try await withMachine(lab, lab.archive, kernel: old, more: [modules.disk]) { guest in
                try await guest.run(builtElsewhere)
                var said = try await guest.run("uname -r; kbe list")
                try check(said.lines.first?.trimmed == old, "it was installed with another kernel than \(old): \(said)")
                try await guest.told(apt("install linux-image-amd64 linux-headers-amd64"), within: .seconds(1800))

                said = try await guest.told(
                    """
                    dkms status; $tool doctor boot; kbe list; ls /boot/efi/loader/entries | cat
                    test "$(modinfo -F signer zfs)" = "$(modinfo -F signer -k \(new) zfs)" && echo "signed by $(modinfo -F signer zfs)"
                    """)
                try check(said.lines.contains { $0.contains("\(new), x86_64: installed") }, "DKMS has not installed OpenZFS: \(said)")
                try check(said.contains("\nsigned by ") && said.lines.last?.trimmed != "signed by", "DKMS has not signed OpenZFS: \(said)")
                try check(
                    said.contains("the next boot is debian, Linux \(new)") && said.contains(": it starts"),
                    "the doctor does not see the new kernel: \(said)")
                try check(
                    said.lines.contains { isEntry($0, new) && $0.contains("+3.conf") }
                        && said.lines.contains { isEntry($0, old, proven: true) },
                    "not both are staged, the new one on trial: \(said)")

                try await guest.restart()
                said = try await guest.told("uname -r; zfs version; kbe list; ls /boot/efi/loader/entries | cat; $tool doctor boot")
                try check(said.lines.first?.trimmed == new, "the new kernel did not boot: \(said)")
                try check(
                    [old, new].allSatisfy { release in said.lines.contains { isEntry($0, release, proven: true) } },
                    "not both kernels are in the menu for good: \(said)")
                try check(said.lines.contains { $0.hasPrefix("debian") && $0.contains("\(new),\(old)") && $0.contains("good") }, said)

                try await guest.tellLoader("LoaderEntryOneShot", "kldload-debian-\(old).*.conf")
                try await guest.restart()
                said = try await guest.told("uname -r; $tool doctor boot")
                try check(said.lines.first?.trimmed == old, "the old kernel did not boot: \(said)")
                try check(
                    said.contains("the next boot is debian, Linux \(new)") && said.contains(": it starts"),
                    "the old kernel was to be booted once: \(said)")

                // A kernel that goes takes its entry with it.
                try await guest.told(
                    apt("purge linux-image-amd64 linux-headers-amd64 linux-image-\(new) linux-headers-\(new)"), within: .seconds(600))
                said = try await guest.told("ls /boot/efi/loader/entries /boot/efi/EFI/kldload | cat; $tool doctor boot")
                try check(!said.contains("kldload-debian-\(new)"), "the entry of a kernel stays that was removed: \(said)")
                try check(said.contains("the next boot is debian, Linux \(old)") && said.contains(": it starts"), said)
            }
        },
        Scenario(
            "boot.full-upgrade",
            "apt full-upgrade to kernel and OpenZFS of backports, which boot; kbe rollback brings the old ones back, and the old package database",
            limit: .seconds(10800)
        ) { lab in
            let wanted = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"] + lab.archive)
            let old = try await lab.workshop.prepare(wanted, mirror: nil, report: lab.report).payload.info.kernel
            let newer = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core", "KLDLOAD_DEBIAN_BACKPORTS=1"] + lab.archive)
            // DKMS builds for every kernel that is there.
            let modules = [
                try await lab.modules(newer, serial: "modules0"), try await lab.modules(newer, kernel: old, serial: "modules1"),
            ]
            let new = modules[0].kernel
            lab.log("from Linux \(old) to \(new)")

            try await withMachine(lab, lab.archive, more: modules.map(\.disk)) { guest in
                let before = try await guest.told(
                    "uname -r; zfs version; zfs snapshot rpool/ROOT/debian@before && dpkg-query -W | sort >/var/log/packages-before")
                try check(before.lines.first?.trimmed == old, before)
                try await guest.run(builtElsewhere)
                // The newest kernel that this OpenZFS supports, which need not be the newest of backports.
                let series = new.prefix { $0 != "+" }
                try await guest.run(
                    """
                    . /etc/os-release
                    sed -e "s/^Suites: .*/Suites: $VERSION_CODENAME-backports/" -e '/^$/q' /etc/apt/sources.list.d/kldload.sources \
                    >/etc/apt/sources.list.d/backports.sources
                    { printf 'Package: src:zfs-linux src:linux-base src:dkms src:pahole\\nPin: release n=%s-backports\\nPin-Priority: 990\\n\\n' $VERSION_CODENAME
                    printf 'Package: src:linux src:linux-signed-amd64\\nPin: version \(series)-*\\nPin-Priority: 990\\n'; } >/etc/apt/preferences.d/backports
                    cat /etc/apt/sources.list.d/backports.sources; apt-mark showhold | xargs apt-mark unhold
                    """)
                try await guest.told(apt("full-upgrade linux-image-\(new) linux-headers-\(new)"), within: .seconds(2400))

                var said = try await guest.told("dkms status; kbe list; ls /boot/efi/loader/entries | cat; $tool doctor boot")
                for kernel in [old, new] {
                    try check(
                        said.lines.contains { $0.hasPrefix("zfs/") && $0.contains("\(kernel), x86_64: installed") },
                        "DKMS has not installed OpenZFS for Linux \(kernel): \(said)")
                }
                try check(
                    said.contains("the next boot is debian, Linux \(new)") && said.contains(": it starts"),
                    "the doctor does not see the new kernel: \(said)")
                try await guest.restart()
                said = try await guest.told("uname -r; zfs version; zpool status -x; kbe list")
                try check(said.lines.first?.trimmed == new, "the new kernel did not boot: \(said)")
                let versions = openZFS(said)
                try check(
                    versions.count == 2 && Set(versions).count == 1 && versions != openZFS(before),
                    "OpenZFS in the kernel and its tools are not both new: \(said)")

                // Back to what was.
                said = try await guest.told("kbe rollback debian@before --name back 2>&1; $tool doctor boot")
                try check(said.contains("the next boot is back, Linux \(old)") && said.contains(": it starts"), said)
                try await guest.restart()
                said = try await guest.told(
                    "uname -r; zfs version; kbe current; dpkg-query -W | sort | diff /var/log/packages-before - && echo the same packages; kbe list"
                )
                try check(said.lines.first?.trimmed == old, "the old kernel did not boot: \(said)")
                try check(openZFS(said) == openZFS(before), "OpenZFS is not the old one: \(said)")
                try check(said.contains("\nback\n") && said.contains("the same packages"), "it is another system than before: \(said)")
                try check(said.lines.contains { $0.hasPrefix("debian") && $0.contains(new) }, "the upgraded one is gone: \(said)")
            }
        },
    ]

    /// `zfs-2.3.9-…` of the tools, and that of the kernel's module without `kmod-`; OpenZFS 2.3:
    /// ```
    /// zfs-2.3.9-0+deb13u1
    /// zfs-kmod-2.3.9-0+deb13u1
    /// ```
    private static func openZFS(_ said: String) -> [String] {
        said.lines.filter { $0.hasPrefix("zfs-") }.map { $0.trimmed.replacing("zfs-kmod-", with: "zfs-") }
    }

    /// Whether a line names an entry of a kernel of the first environment. - Parameter proven: it is not on trial.
    private static func isEntry(_ line: String, _ release: String, proven: Bool = false) -> Bool {
        line.hasPrefix("kldload-debian-\(release).") && line.trimmed.hasSuffix(".conf")
            && !(proven && line.dropFirst("kldload-debian-\(release)".count).contains("+"))
    }

    /// apt as a script calls it, after it has read the archive's lists; what it says at its end.
    private static func apt(_ words: String) -> String {
        """
        { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold \(words); } >/run/apt.log 2>&1; status=$?
        grep -E '^(Setting up|Removing|Autoinstall|Signing|update-initramfs|kldload|error|E:|dpkg:|Building|Failed)' /run/apt.log | tail -n 60
        test $status = 0 || { tail -n 40 /run/apt.log; cat /var/lib/dkms/zfs/*/build/make.log; }; test $status = 0
        """
    }

    /// DKMS does all that it does on any machine, but for the compiler's hour in an emulated processor: what that would make is taken from
    /// disks, where DKMS on this host has made it of the same sources for the same kernel.
    ///
    /// Source: dkms(8), 3.2: `/etc/dkms/<module>.conf` is read after the module's own `dkms.conf`.
    private static let builtElsewhere = """
        printf '%s\\n' '#!/bin/sh -e' 'for disk in /dev/disk/by-id/virtio-modules?; do' \
        'tar -x -f $disk -C module --strip-components=8 --wildcards "var/lib/dkms/zfs/$1/$2/*/module/*.ko*" 2>/dev/null && break' 'done' \
        'for file in module/*.ko.xz; do test ! -e $file || xz -d -f $file; done' \
        'for file in module/*.ko.zst; do test ! -e $file || zstd -d -q -f --rm $file; done' 'test -s module/zfs.ko' >/usr/local/lib/built-elsewhere
        chmod 755 /usr/local/lib/built-elsewhere
        printf '%s\\n' PRE_BUILD= POST_BUILD= 'MAKE[0]="/usr/local/lib/built-elsewhere $module_version $kernelver"' >/etc/dkms/zfs.conf
        """
}

extension Laboratory {
    /// OpenZFS' modules for a kernel, as a disk of a machine.
    struct Modules: Sendable {
        var kernel: String
        var disk: MachineDisk
    }

    /// What DKMS makes on this host for the answers' kernel, or for another one: from the cache or built now.
    func modules(_ answers: Answers, kernel: String? = nil, serial: String) async throws -> Modules {
        let tar = try await workshop.modules(answers, kernel: kernel, report: report)
        let list = try await workshop.runner.run(Command("tar", ["--list", "--file", tar.string], effect: .reads)).output
        // usr/lib/modules/6.12.118+deb13-amd64/updates/dkms/zfs.ko.xz
        guard let line = list.lines.first(where: { $0.hasPrefix("usr/lib/modules/") && $0.contains("/updates/dkms/zfs.ko") }) else {
            throw CheckFailure("\(tar) holds no module of OpenZFS: \(list)")
        }
        return Modules(kernel: String(line.split(separator: "/")[3]), disk: MachineDisk(tar, serial: serial, readOnly: true))
    }
}

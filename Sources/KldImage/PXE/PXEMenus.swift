import KldBoot
import KldCore

/// What GRUB and iPXE are told: the menu for every machine, and the file that leads an armed one to its answers.
struct PXEMenus: Sendable, Hashable {
    var address: PXEAddress
    /// Of the squashfs, and of the list of what else there is.
    var live: FileDigest
    var list: FileDigest

    /// Below the HTTP tree.
    static let squashfs = "live.squashfs"
    static let machines = "machines"
    /// What signed GRUB asks for before its menu, and does without: of each that is not there it says so.
    static let lists = ["command", "fs", "crypto", "terminal"].map { "x86_64-efi/\($0).lst" }

    /// For every way to start the live environment.
    private var words: String {
        "root=live:\(address)/\(Self.squashfs) kldload.live-sha256=\(live.hex) kldload.medium-sha256=\(list.hex) \(ISOContents.consoles)"
    }

    /// Name in the menu, label, more words for the kernel.
    private static let entries = [
        ("kldload: live environment and installer", "live", "quiet loglevel=4"), ("Safe graphics", "safe", "nomodeset loglevel=4"),
        ("Maximum compatibility", "compatible", "nomodeset usbcore.autosuspend=-1 pcie_aspm=off iommu=soft loglevel=4"),
    ]
    private static let installing = "kldload: install as the answers for this machine say"
    private static let fromDisk = "Start from the disk"
    /// On the ESP of a machine that kldload installed.
    private static let diskLoader = "/EFI/\(ESPLayout.vendor)/shimx64.efi"

    /// The menu for GRUB.
    ///
    /// Source: GRUB manual 2.12, "Network", `regexp`, `smbios`; the system's serial number is string 7 of SMBIOS' type 1 (DSP0134 3.7).
    /// - Parameter overTFTP: the one that lies in the TFTP tree. The other has the server's path before each name, and asks TFTP all the same who
    ///   is armed: what leads to answers is never served over HTTP.
    func grub(overTFTP: Bool) -> String {
        let base = overTFTP ? "" : address.path
        let machines = overTFTP ? "/\(Self.machines)" : "(tftp,\(address.host))/\(Self.machines)"
        func entry(_ title: String, _ label: String, _ more: String) -> String {
            """
            menuentry '\(title)' --id \(label) {
                linux \(base)/vmlinuz \(words) \(more) BOOTIF=01-$mac
                initrd \(base)/initrd
            }
            """
        }
        return """
            # Written by kldload.
            set default=disk
            set timeout=20

            # Which machine this is.
            regexp --set=1:a --set=2:b --set=3:c --set=4:d --set=5:e --set=6:f '^(..):(..):(..):(..):(..):(..)$' "$net_default_mac"
            set mac="$a-$b-$c-$d-$e-$f"
            smbios --type 1 --get-string 7 --set serial

            # One that is armed has a file of its own. Others are told that there is none, which is no error.
            source "\(machines)/$mac.cfg"
            if [ -z "$answers" ]; then
                source "\(machines)/\(PXEMachine.serialPrefix)$serial.cfg"
            fi

            if [ -n "$answers" ]; then
            \(entry(Self.installing, "install", "quiet loglevel=4 $answers"))
            fi

            # What starts there finds its files on the device that root names.
            menuentry '\(Self.fromDisk)' --id disk {
                if search --no-floppy --file --set=root \(Self.diskLoader); then
                    chainloader \(Self.diskLoader)
                    boot
                fi
                exit
            }

            \(Self.entries.map(entry).joined(separator: "\n\n"))

            menuentry 'Firmware settings' --id firmware {
                fwsetup
            }

            """
    }

    /// The menu for iPXE. Source: ipxe.org/cmd, iPXE 1.21.1.
    var ipxe: String {
        let machines = "tftp://\(address.host)/\(Self.machines)"
        let items = Self.entries.map { "item \($0.1) \($0.0)" }.joined(separator: "\n")
        let targets = Self.entries.map { ":\($0.1)\nset more \($0.2)\ngoto start" }.joined(separator: "\n\n")
        return """
            #!ipxe
            # Written by kldload.
            set url \(address)
            set words \(words)
            set choice disk
            set wait 20000

            # A machine that is armed has a file of its own. Others are told that there is none, which is no error.
            chain --autofree \(machines)/${netX/mac:hexhyp}.ipxe ||
            isset ${answers} || chain --autofree \(machines)/\(PXEMachine.serialPrefix)${serial}.ipxe ||

            :menu
            menu kldload
            isset ${answers} && item install \(Self.installing) ||
            item disk \(Self.fromDisk)
            \(items)
            choose --default ${choice} --timeout ${wait} choice || goto disk
            goto ${choice}

            :install
            set more quiet loglevel=4 ${answers}
            goto start

            \(targets)

            :start
            imgfree
            kernel ${url}/vmlinuz || goto failed
            initrd ${url}/initrd || goto failed
            imgargs vmlinuz initrd=initrd ${words} ${more} BOOTIF=01-${netX/mac:hexhyp}
            boot || goto failed

            :failed
            echo kldload: this machine was not started; once more in 10 seconds
            sleep 10
            goto menu

            :disk
            exit 1

            """
    }
}

/// One armed machine: where its answers are, and what they are.
struct PXEArming: Sendable, Hashable {
    var machine: PXEMachine
    /// Nobody guesses it: 32 hexadecimal digits.
    var token: String
    var digest: FileDigest

    static let folder = "answers"
    /// Of the files for GRUB and for iPXE.
    static let menuEndings = [".cfg", ".ipxe"]

    /// Below the HTTP tree.
    var path: String { "\(Self.folder)/\(token)/\(machine.name).env" }

    private func words(_ address: PXEAddress) -> String {
        "kldload.answers=\(address)/\(Self.folder)/\(token)/\(machine.template).env kldload.answers-sha256=\(digest.hex)"
    }

    /// Below the TFTP tree: name and text of the files for GRUB and iPXE.
    func menus(_ address: PXEAddress) -> [(path: String, text: String)] {
        let mark = "# Written by kldload: this machine is armed."
        return [
            (
                "\(PXEMenus.machines)/\(machine.name).cfg",
                """
                \(mark)
                set answers='\(words(address))'
                set default=install
                set timeout=5

                """
            ),
            (
                "\(PXEMenus.machines)/\(machine.name).ipxe",
                """
                #!ipxe
                \(mark)
                set answers \(words(address))
                set choice install
                set wait 5000

                """
            ),
        ]
    }
}

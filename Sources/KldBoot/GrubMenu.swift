import KldCore

/// The menu of the GRUB chain: a text that is the same on every machine, and a file for each entry, which is an environment block of GRUB's.
///
/// Before it starts a kernel the menu writes into the entry's own file that a boot has begun; so an entry is one file, which kldload replaces
/// as a whole, and of which GRUB changes two digits in its first sector. Source: GRUB manual 2.12, `load_env`, `save_env`, "Environment block";
/// modules in Debian's signed images: grub2 2.06 and 2.12, `debian/build-efi-images`.
public enum GrubMenu {
    /// Below the ESP's root.
    public static let folder = "EFI/\(ESPLayout.vendor)/entries"
    public static let path = "EFI/\(ESPLayout.vendor)/menu.cfg"
    static let suffix = ".env"
    /// Reads the menu. Without this line a file is none of ours: `grub-install` writes such files.
    private static let sourcing = "source /\(path)"

    /// The file that the distribution's GRUB looks for; people may change it.
    public static func configuration(timeoutSeconds: Int) -> String {
        """
        # Written by kldload. Change what you like; keep the last line.
        set timeout=\(timeoutSeconds)
        # Nobody types commands or changes entries at the console. There is no such user.
        set superusers=nobody
        \(sourcing)

        """
    }

    static func isConfiguration(_ text: String) -> Bool { text.lines.contains { $0.trimmed == sourcing } }

    /// `name`: a digit, or none for an entry that is not counted. GRUB has no arithmetic.
    private static func step(_ name: String, _ pairs: [(from: Int, to: Int)], otherwise: Int) -> String {
        var text = ""
        for (index, pair) in pairs.enumerated() {
            text += "\t\t\(index == 0 ? "if" : "elif") [ \"$\(name)\" = \(pair.from) ]; then\n\t\t\tset \(name)=\(pair.to)\n"
        }
        return text + "\t\telse\n\t\t\tset \(name)=\(otherwise)\n\t\tfi\n"
    }

    private static let read = ["kld_left", "kld_done", "kld_order", "kld_id", "kld_title", "kld_kernel", "kld_initrd", "kld_options"]

    /// Starts the entry with the highest order that may still be tried, of two equal ones the greater name; where none may be tried, the
    /// highest. Titles and paths hold no quotes.
    public static let text = """
        # Written by kldload, which renews it. What you want otherwise belongs into the file that reads this one.
        #
        # Each file of /\(folder) is an entry, and an environment block: kld_left is how often it may still be tried.

        function kldload_read {
        \(read.map { "\tunset \($0)\n" }.joined())\tload_env --file "$1" \(read.joined(separator: " "))
        }

        function kldload_start {
        \tkldload_read "$1"
        \tif [ -n "$kld_left" ]; then
        \(step("kld_left", (2...BootEntry.tries).reversed().map { ($0, $0 - 1) }, otherwise: 0))\
        \(step("kld_done", (0..<(BootEntry.tries - 1)).map { ($0, $0 + 1) }, otherwise: BootEntry.tries))\
        \t\tsave_env --file "$1" kld_left kld_done
        \tfi
        \tunset kld_esp
        \tprobe --set=kld_esp --part-uuid ($root)
        \techo "Starting $kld_title"
        \tif linux $kld_kernel $kld_options kldload.entry=+$kld_left kldload.entry=$kld_id kldload.esp=$kld_esp; then
        \t\tif initrd $kld_initrd; then
        \t\t\tboot
        \t\tfi
        \tfi
        \techo "It cannot be started."
        \tsleep 10
        \tif [ -n "$kld_left" ]; then
        \t\treboot
        \tfi
        }

        set kld_best=
        set kld_best_order=-1
        set kld_spare=
        set kld_spare_order=-1
        for kld_file in ($root)/\(folder)/*\(suffix); do
        \tif [ -f "$kld_file" ]; then
        \t\tkldload_read "$kld_file"
        \t\tif [ -n "$kld_kernel" ]; then
        \t\t\tmenuentry "$kld_title" --id "$kld_id" --unrestricted "$kld_file" {
        \t\t\t\tkldload_start "$2"
        \t\t\t}
        \t\t\tif [ "$kld_left" = 0 ]; then
        \t\t\t\tif [ "$kld_order" -gt "$kld_spare_order" ]; then
        \t\t\t\t\tset kld_spare="$kld_id"
        \t\t\t\t\tset kld_spare_order="$kld_order"
        \t\t\t\tfi
        \t\t\telif [ "$kld_order" -gt "$kld_best_order" -o "$kld_order" -eq "$kld_best_order" -a "$kld_id" ">" "$kld_best" ]; then
        \t\t\t\tset kld_best="$kld_id"
        \t\t\t\tset kld_best_order="$kld_order"
        \t\t\tfi
        \t\tfi
        \tfi
        done
        if [ -z "$kld_best" ]; then
        \tset kld_best="$kld_spare"
        fi
        set default="$kld_best"

        if [ -f ($root)/\(RecoveryImage.imagePath) ]; then
        \tmenuentry "kldload recovery" --hotkey=r --id \(RecoveryImage.entryID) --unrestricted {
        \t\tchainloader /\(RecoveryImage.imagePath)
        \t}
        fi
        if [ -f ($root)/\(KeyEnrolment.certificateOnESP) ]; then
        \tmenuentry "Secure Boot: enrol this machine's key (\(KeyEnrolment.certificateOnESP))" --id secure-boot-key --unrestricted {
        \t\tchainloader /EFI/BOOT/mmx64.efi
        \t}
        fi
        menuentry "Settings of the firmware" --id firmware-settings --unrestricted {
        \tfwsetup
        }

        """

    // MARK: Environment blocks

    private static let head = "# GRUB Environment Block\n"
    /// A block is a multiple of this, filled up with `#`. What GRUB changes lies in the first half of it: one sector.
    private static let unit = 1024

    static func block(_ values: [(name: String, value: String)]) -> String {
        let text = head + values.map { "\($0.name)=\($0.value)\n" }.joined()
        let length = (text.utf8.count / unit + 1) * unit
        return text + String(repeating: "#", count: length - text.utf8.count)
    }

    /// - Returns: `nil` for what is no environment block.
    static func values(_ text: String) -> [String: String]? {
        guard text.hasPrefix(head) else { return nil }
        var values: [String: String] = [:]
        for line in text.lines where !line.hasPrefix("#") {
            guard let end = line.firstIndex(of: "=") else { continue }
            values[String(line[..<end])] = String(line[line.index(after: end)...])
        }
        return values
    }
}

extension BootEntry {
    /// As GRUB's menu reads it: what it changes comes first.
    func block(_ parts: KernelParts) -> String {
        GrubMenu.block([
            ("kld_left", counter.map { "\($0.left)" } ?? ""), ("kld_done", counter.map { "\($0.done)" } ?? ""), ("kld_order", "\(order)"),
            ("kld_id", id), ("kld_generation", "\(generation)"), ("kld_once", once ? "yes" : "no"), ("kld_dataset", dataset),
            ("kld_release", release), ("kld_title", title), ("kld_kernel", "/\(parts.kernel)"),
            ("kld_initrd", parts.initrds.map { "/\($0)" }.joined(separator: " ")), ("kld_options", parts.commandLine.description),
        ])
    }

    /// Reads an entry of GRUB's menu; `nil` for what is none.
    init?(fileName: String, block text: String) {
        guard let values = GrubMenu.values(text), let dataset = values["kld_dataset"], let release = values["kld_release"],
            let generation = values["kld_generation"].flatMap({ Int($0) }), let order = values["kld_order"].flatMap({ Int($0) }),
            let kernel = values["kld_kernel"], let initrds = values["kld_initrd"], let options = values["kld_options"],
            !kernel.isEmpty
        else { return nil }
        func path(_ text: some StringProtocol) -> String { String(text.drop { $0 == "/" }) }
        self.init(
            dataset: dataset, release: release, generation: generation, order: order, once: values["kld_once"] == "yes",
            title: values["kld_title"],
            parts: KernelParts(
                kernel: path(kernel), initrds: initrds.split(separator: " ").map { path($0) },
                commandLine: KernelCommandLine(running: options)))
        guard fileName == self.fileName else { return nil }
        if let left = values["kld_left"].flatMap({ Int($0) }) {
            counter = Counter(left: left, done: values["kld_done"].flatMap { Int($0) } ?? 0)
        }
    }
}

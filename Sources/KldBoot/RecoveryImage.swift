public import KldCore
public import KldFiles
public import SystemPackage

/// The boot image that helps a machine which does not start: kernel and initramfs of an environment that does, with kldload's console in it.
///
/// It needs nothing but the ESP that it lies on. Its names keep it from being a default, and from being counted as an environment's: see
/// ``ESPLayout/loaderConfiguration(timeoutSeconds:)``. Where no environment has an entry any more, the loader finds this one.
public enum RecoveryImage {
    /// The loader's name for it.
    public static let entryID = "recovery-kldload"
    /// Whether the loader's name of an entry is this one's. - Parameter name: in lower case.
    package static func isMeant(by name: String) -> Bool { name == "\(entryID).conf" }
    /// Below the ESP's root.
    public static let entryPath = "\(BootEntry.folder)/\(entryID).conf"
    public static let imagePath = "\(BootEntry.imageFolder)/recovery.efi"
    /// Where the tool lies in its initramfs.
    public static let tool = "usr/lib/kldload/kldload"
    /// What its console writes the chosen dataset into.
    public static let choice: FilePath = "/run/kldload/recovery-root"
    /// The value of `boot=`, which names the script.
    public static let method = "kldload"
    private static let mark = "# kldload-recovery "

    /// What the loader shows.
    ///
    /// - Parameter fingerprint: of what the image was made of.
    public static func entry(release: String, fingerprint: String) -> String {
        """
        # Written by kldload: kldload boot recovery makes it.
        \(mark)\(fingerprint)
        title kldload recovery (Linux \(release))
        sort-key kldload-recovery
        architecture x64
        efi /\(imagePath)

        """
    }

    /// - Parameter text: of an entry. - Returns: `nil` for any other text.
    public static func fingerprint(of text: String) -> String? {
        text.lines.first { $0.hasPrefix(mark) }.map { $0.dropFirst(mark.count).trimmed }
    }

    /// Changes when one of the files does, without reading all of them: FNV-1a, 64 bits, of each one's size, and of pieces from its first to its
    /// last byte. A kernel, a compressed initramfs and a program that differ do so nearly everywhere.
    ///
    /// - Parameter words: what else goes into the image. - Throws: ``FileError``.
    public static func fingerprint(of paths: [FilePath], _ words: [String], _ files: any FileSystem) throws -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ bytes: some Sequence<UInt8>) { for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 } }
        let (pieces, length): (UInt64, UInt64) = (64, 4096)
        for path in paths {
            let path = try files.resolve(path)
            guard let size = try files.status(path)?.size.bytes else { throw FileError.missing(path) }
            add("\(size)".utf8)
            let last = size > length ? size - length : 0
            for piece in 0..<pieces {
                let start = last / (pieces - 1) * piece
                add(try files.read(path, start..<min(size, start + length)))
            }
            add(try files.read(path, last..<size))
        }
        for word in words + [script] { add(word.utf8 + [0]) }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// What lies behind the distribution's initramfs: the machine's host id, the tool, the libraries that nothing else there needs, and the
    /// script that `boot=` names.
    public static func supplement(_ id: HostID, tool: [UInt8], libraries: [(path: String, content: [UInt8])]) -> [UInt8] {
        var archive = CPIOArchive()
        archive.add(directory: "etc")
        archive.add(file: "etc/hostid", content: id.fileContent)
        var folders = Set(["etc"])
        func add(_ path: String, _ mode: UInt32, _ content: [UInt8]) {
            let parts = path.split(separator: "/")
            for depth in 1..<parts.count {
                let folder = parts.prefix(depth).joined(separator: "/")
                if folders.insert(folder).inserted { archive.add(directory: folder) }
            }
            archive.add(file: path, mode: mode, content: content)
        }
        add("scripts/\(method)", 0o644, Array(script.utf8))
        add(Self.tool, 0o755, tool)
        for library in libraries { add(library.path, 0o644, library.content) }
        return archive.finished
    }

    /// Sourced by `/init` for `boot=kldload`: a person chooses, and OpenZFS' own script mounts the choice. The console leaves the pool imported
    /// and unlocked, below no folder; that script imports none when it is told so. Programs cannot be started from `/run` there otherwise.
    /// Source: initramfs-tools(7), `init` and `scripts/functions` of 0.142 to 0.148; zfs-initramfs `scripts/zfs`, OpenZFS 2.1 to 2.4.
    static let script = """
        # Written by kldload: what boot=kldload mounts is chosen at the console.
        mountroot()
        {
        	wait_for_udev 10
        	modprobe zfs
        	mkdir -p /run/kldload
        	mount -o remount,nosuid,nodev,exec /run
        	while [ ! -s \(choice) ]; do
        		/\(tool) recovery-console
        		[ -s \(choice) ] || panic "kldload: the recovery console ended; exit starts it again"
        	done
        	mount -o remount,nosuid,nodev,noexec /run
        	read -r chosen <\(choice)
        	rm -f \(choice)
        	ROOT="ZFS=$chosen"
        	POOL_IMPORTED=1
        	. /scripts/zfs
        	mountroot
        }

        """
}

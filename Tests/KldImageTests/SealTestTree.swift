import FoundationEssentials
import Glibc
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

/// A root tree as an installer leaves it, with files that sealing must not touch and files of which it changes lines.
struct SealTestTree {
    let root: FilePath
    let files: any FileSystem

    static let shadow = """
        root:*:19800:0:99999:7:::
        daemon:*:19800:0:99999:7:::
        admin:!:19800:0:99999:7:::

        """

    /// What sealing leaves as it is.
    static let kept: [String: String] = [
        "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n"
            + "postgres:x:110:110::/var/lib/postgresql:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
        "etc/group": "root:x:0:\nadmin:x:1000:\n",
        "etc/shadow": shadow,
        "etc/gshadow": "root:*::\nsudo:!::admin\n",
        "etc/fstab": "PARTLABEL=ESP /efi vfat umask=0077 0 1\n",
        "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
        "etc/hostname": "localhost\n",
        "etc/ssh/sshd_config": "PasswordAuthentication no\n",
        "etc/ssh/sshd_config.d/10-kldload.conf": "PermitRootLogin prohibit-password\n",
        "etc/ssl/certs/ca-certificates.crt": "bundle\n",
        "etc/pki/tls/certs/ca-bundle.crt": "bundle\n",
        "etc/kldload/edition": "free\n",
        "etc/kldload/profile": "server\n",
        "etc/NetworkManager/NetworkManager.conf": "[main]\nplugins=keyfile\n",
        "etc/systemd/network/20-wired.network": "[Match]\nName=en*\n[Network]\nDHCP=yes\n",
        "etc/modprobe.d/zfs.conf": "options zfs zfs_arc_max=1073741824\n",
        "etc/cloud/cloud.cfg": "users: [ default ]\n",
        "etc/nftables.conf": "table inet kldload { }\n",
        "etc/wpa_supplicant/functions.sh": "#!/bin/sh\n",
        "etc/apt/sources.list.d/debian.sources": "Types: deb\n",
        "etc/kernel/entry-token": "kldload\n",
        "etc/sudoers.d/kldload-admin": "admin ALL=(ALL) NOPASSWD: ALL\n",
        "home/admin/notes.txt": "buy milk\n",
        "home/admin/.bashrc": "alias ll='ls -l'\n",
        "root/.profile": "umask 077\n",
        "usr/bin/true": "\u{7f}ELF",
        "usr/lib/systemd/system/cloud-init-local.service": "[Unit]\n",
        "usr/lib/systemd/system/cloud-init-network.service": "[Unit]\n",
        "usr/lib/systemd/system/cloud-config.service": "[Unit]\n",
        "usr/lib/systemd/system/cloud-final.service": "[Unit]\n",
        "usr/lib/systemd/system/kldload-firstboot.service": "[Unit]\n",
        "var/lib/dpkg/status": "Package: zfsutils-linux\n",
        "var/lib/systemd/catalog/database": "catalog\n",
        "var/lib/dkms/dkms_dbversion": "3.0.0\n",
        "var/lib/cloud/scripts/per-boot/greet": "#!/bin/sh\n",
        "var/lib/kldload/platform-holds.list": "zfs-dkms\n",
        "efi/EFI/BOOT/BOOTX64.EFI": "MZ",
    ]

    init(root: FilePath, files: any FileSystem, kept: [String: String] = kept) throws {
        self.root = root
        self.files = files
        for (path, text) in kept { try files.write(text, to: root.pushing(FilePath(path))) }
    }

    static func inMemory() throws -> SealTestTree { try SealTestTree(root: "/target", files: MemoryFiles()) }

    /// A tree on a real file system.
    static func onDisk<Result>(_ body: (SealTestTree) throws -> Result) throws -> Result {
        try withTemporaryFolder { try body(SealTestTree(root: $0.appending("target"), files: LocalFiles())) }
    }

    func add(_ texts: [String: String]) throws {
        for (path, text) in texts { try files.write(text, to: root.pushing(FilePath(path)), mode: .secret) }
    }

    /// Every file and link below the root, by path relative to it. In memory: only files.
    func contents(_ below: String = "") throws -> [String: [UInt8]] {
        if let memory = files as? MemoryFiles {
            let start = "\(root)/"
            return Dictionary(
                uniqueKeysWithValues: memory.texts.filter { $0.key.hasPrefix(start) }.map {
                    (String($0.key.dropFirst(start.count)), Array($0.value.utf8))
                })
        }
        var found: [String: [UInt8]] = [:]
        let folder = below.isEmpty ? root : root.pushing(FilePath(below))
        for name in try files.list(folder) {
            let path = below.isEmpty ? name : "\(below)/\(name)"
            switch try files.status(folder.appending(name))?.kind {
            case .directory: found.merge(try contents(path)) { old, _ in old }
            case .file: found[path] = try files.read(folder.appending(name))
            case .symlink: found[path] = Array("link to \(try files.readLink(folder.appending(name)))".utf8)
            default: found[path] = []
            }
        }
        return found
    }

    func text(_ path: String) throws -> String { try files.readText(root.pushing(FilePath(path))) }
    func exists(_ path: String) throws -> Bool { try files.exists(root.pushing(FilePath(path))) }
    func seal(_ options: SealOptions = SealOptions(), only ids: String...) throws -> SealReport {
        let catalogue = ids.isEmpty ? SealCatalogue.classes : SealCatalogue.classes.filter { ids.contains($0.id) }
        return try Sealer(root: root, files: files, options: options, catalogue: catalogue).seal()
    }

    /// The marks that are still somewhere in a file.
    static func found(_ canaries: SealCanaries, in contents: [String: [UInt8]]) -> [String] {
        let markers = canaries.markers
        let search = PatternSearch(markers.map(\.bytes))
        var found: [String] = []
        for (path, bytes) in contents {
            bytes.withUnsafeBufferPointer { bytes in
                search.search(bytes) { index, _ in found.append("\(markers[index].name) in \(path)") }
            }
        }
        return found.sorted()
    }
}

/// A folder that goes away, in the memory file system where there is one: there fsync(2) costs nothing.
func withTemporaryFolder<Result>(_ body: (FilePath) throws -> Result) throws -> Result {
    let place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(place)/kldload-seal-XXXXXX".utf8CString)
    let name = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { try? LocalFiles().remove(FilePath(name)) }
    return try body(FilePath(name))
}

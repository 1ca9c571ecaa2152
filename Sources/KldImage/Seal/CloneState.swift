import KldFiles
import SystemPackage

/// What a sealed root holds so that a clone's first boot gives it an identity of its own.
struct CloneState {
    let options: SealOptions
    let catalogue: [SealClass]

    static let markerPath = ["var", "lib", "kldload", "firstboot", "sealed"]

    static func renewals(_ catalogue: [SealClass]) -> [String] {
        catalogue.compactMap(\.renewal).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }.sorted()
    }

    /// `/etc/machine-id` is there and empty, on purpose: neither missing nor `uninitialized`.
    ///
    /// Both of those make systemd take the boot as a first boot, and then it presets every unit: what the installer enabled and
    /// disabled would be undone in every clone. An empty file gets a new id all the same, and also works on a root that is read-only.
    /// Source: machine-id(5), "First Boot Semantics", systemd 252 to 257.
    private var wanted: [(names: [String], text: String)] {
        [
            (["etc", "machine-id"], ""),
            (
                ["etc", "cloud", "cloud.cfg.d", "99-kldload-datasource.cfg"],
                """
                # /etc/cloud/cloud.cfg.d/99-kldload-datasource.cfg
                # Written by kldload when this image was sealed for cloning.
                datasource_list: [ \(options.datasources.joined(separator: ", ")) ]

                """
            ),
            // cloud-init would resize the wrong thing: it takes the pool's device from `zpool status` and does not know of mirrors.
            // kldload grows partition and pool at first boot. Source: cloud-init modules growpart and resizefs.
            (
                ["etc", "cloud", "cloud.cfg.d", "98-kldload-zfs.cfg"],
                """
                # Written by kldload when this image was sealed: kldload-firstboot.service grows the partition and the pool.
                resize_rootfs: false
                growpart:
                  mode: "off"

                """
            ),
            // Without a datasource cloud-init stays off, instead of asking networks that are not there for minutes.
            // Source: cloud-init, "ds-identify", policy.
            (["etc", "cloud", "ds-identify.cfg"], "policy: search,found=all,maybe=none,notfound=disabled\n"),
            (Self.markerPath, "schema=seal/1\nrenew=\(Self.renewals(catalogue).joined(separator: " "))\n"),
        ]
    }

    func entry(_ tree: SealTree) throws -> SealPlan.Entry {
        var entry = SealPlan.Entry(id: "clone-state", title: "What a clone's first boot needs")
        for (names, text) in wanted {
            let path = tree.path(names)
            let content = Array(text.utf8)
            guard try tree.destination(of: Array(names.dropLast())) == tree.path(names.dropLast()) else {
                entry.left.append(SealLeft(path, "a folder on the way is a link; links are not followed"))
                continue
            }
            switch try tree.files.status(path)?.kind {
            case nil: entry.actions.append(.write(path, content: content, mode: names.last == "machine-id" ? 0o444 : .file))
            // The class machine-id empties the file that is there.
            case .file where names.last == "machine-id": continue
            case .file:
                if try tree.files.read(path) != content { entry.actions.append(.write(path, content: content, mode: .file)) }
            default: entry.left.append(SealLeft(path, "not a file"))
            }
        }
        return entry
    }

    /// Gives a clone what sealing has taken away.
    static let firstBoot = "kldload-firstboot.service"

    /// The units to enable: those of cloud-init's that are installed (24.3 renamed one of the four and added one), and our own, always:
    /// a copy without it is refused, for its clones would lack what is renewed at first boot.
    static func unitsToEnable(_ tree: SealTree) throws -> [String] {
        let candidates = [
            "cloud-init-local.service", "cloud-init-main.service", "cloud-init.service", "cloud-init-network.service",
            "cloud-config.service", "cloud-final.service",
        ]
        return try candidates.filter { try isInstalled($0, tree) } + [firstBoot]
    }

    /// Whether a unit can be enabled. A link is no unit's own file: it is an alias, which systemctl refuses, or the unit is masked.
    /// Source: systemd.unit(5), the order of the folders; systemd 252 to 257.
    static func isInstalled(_ unit: String, _ tree: SealTree) throws -> Bool {
        for folder in ["etc", "usr/local/lib", "usr/lib", "lib"] {
            if let kind = try tree.status(tree.path([folder, "systemd/system", unit]))?.kind { return kind == .file }
        }
        return false
    }
}

/// A class of identity or secret that clones of one image must not share.
package struct SealClass: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// Files below the root: this module's own work.
        case files([SealTarget])
        /// Something copied out of the file tree into a built file, which must be built again after the files are sealed.
        case rebuild(how: String)
        /// Something outside every file: partition tables, pool labels, free space. The code that owns the disk does it.
        case disk(DiskIdentity)
    }

    /// Stable, in lower case with hyphens: reports and documents refer to it.
    package var id: String
    package var title: String
    package var why: String
    package var kind: Kind
    /// The operations of libguestfs' virt-sysprep that this class takes the place of.
    package var sysprep: [String]
    /// What the first boot of a clone makes anew, when neither the system nor the service does it by itself.
    package var renewal: String?

    package init(_ id: String, _ title: String, _ why: String, _ kind: Kind, sysprep: [String] = [], renewal: String? = nil) {
        self.id = id
        self.title = title
        self.why = why
        self.kind = kind
        self.sysprep = sysprep
        self.renewal = renewal
    }

    package init(
        _ id: String, _ title: String, _ why: String, _ targets: [SealTarget], sysprep: [String] = [], renewal: String? = nil
    ) {
        self.init(id, title, why, .files(targets), sysprep: sysprep, renewal: renewal)
    }

    package var targets: [SealTarget] { if case .files(let targets) = kind { targets } else { [] } }
}

/// Identity outside the file tree.
package struct DiskIdentity: Sendable, Hashable {
    package enum Moment: String, Sendable, Hashable, Codable {
        /// While the image is made, after the files are sealed.
        case image
        /// When a clone starts for the first time.
        case firstBoot = "first boot"
        /// Nothing can change it; the text says why that is borne.
        case borne
    }

    package var moment: Moment
    package var how: String

    package init(_ moment: Moment, _ how: String) {
        self.moment = moment
        self.how = how
    }
}

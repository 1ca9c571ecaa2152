import KldCore

/// What sealing found, did and left, class by class (`seal/1`). Holds paths and never contents.
package struct SealReport: Sendable, Hashable, Codable {
    package enum State: String, Sendable, Hashable, Codable {
        /// Nothing of this class was there.
        case absent
        case sealed
        /// Something is still there; `left` says what and why.
        case left
        /// Must be built again from the sealed files.
        case rebuild
        /// Outside the file tree; `todo` says when and how.
        case disk
        /// A state that a newer kldload reports.
        case unknown

        package init(from decoder: any Decoder) throws {
            self = State(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unknown
        }
    }

    package struct Entry: Sendable, Hashable, Codable {
        package var id: String
        package var title: String
        package var state: State = .absent
        package var found: [String] = []
        package var done: [String] = []
        package var left: [SealLeft] = []
        package var todo: String?

        package init(id: String, title: String) {
            self.id = id
            self.title = title
        }

        mutating func conclude(_ kind: SealClass.Kind?) {
            switch kind {
            case .disk(let identity):
                state = .disk
                todo = "\(identity.moment.rawValue): \(identity.how)"
            case .rebuild(let how):
                state = .rebuild
                todo = how
            case .files, nil: state = !left.isEmpty ? .left : done.isEmpty ? .absent : .sealed
            }
        }
    }

    package var schema = "seal/1"
    package var classes: [Entry]
    /// The units that must be enabled in the root, because they give a clone its own identity.
    package var unitsToEnable: [String]
    /// What the first boot of a clone makes anew.
    package var renewals: [String] = []

    package init(classes: [Entry], unitsToEnable: [String]) {
        self.classes = classes
        self.unitsToEnable = unitsToEnable
    }

    /// Whether everything that lies in files is sealed. What `disk` and `rebuild` classes ask for is still to be done.
    package var isComplete: Bool { left.isEmpty }
    package var left: [SealLeft] { classes.flatMap(\.left) }
    package var changes: Int { classes.reduce(0) { $0 + $1.done.count } }

    /// What was done and what is left, a line each: for the log of a guest whose files are gone when it has powered off.
    package var lines: [String] {
        classes.flatMap { entry in
            entry.done.map { "sealed \(entry.id): \($0)" } + entry.left.map { "left \(entry.id): \($0.path): \($0.why)" }
        }
    }

    /// The report as JSON, keys in order: two equal reports are equal texts.
    package func json() throws -> String { try SortedJSON.document(self) }
}

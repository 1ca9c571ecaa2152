/// What is done to the files that belong to a class.
package enum SealOperation: Sendable, Hashable {
    /// Removes a file, a link or a folder with all it holds.
    case remove
    /// Removes everything inside a folder; the folder keeps its owner and mode.
    case clear
    /// Removes every file below a folder and keeps the folders: services expect theirs, with owner and mode.
    case clearFiles
    /// Leaves an empty file with the same owner and mode.
    case truncate
    /// Gives an existing file exactly this content.
    case content(String)
    /// Changes single lines of a file.
    case edit(LineEdit)
    /// Keeps the lines that ``SealOptions`` allows for the file's owner; removes a file of which nothing stays.
    case filterAuthorizedKeys

    /// A few words for tables and plans.
    package var text: String {
        switch self {
        case .remove: "remove"
        case .clear: "empty the folder"
        case .clearFiles: "remove the files, keep the folders"
        case .truncate: "empty"
        case .content(let text): "set to `\(text.split(whereSeparator: \.isNewline).joined(separator: " / "))`"
        case .edit(let edit): edit.text
        case .filterAuthorizedKeys: "keep only the keys of the answers"
        }
    }
}

/// Some files of a class, and what is done to them.
package struct SealTarget: Sendable, Hashable {
    package var operation: SealOperation
    package var patterns: [PathPattern]
    /// What stays although a pattern names it.
    package var excluding: [PathPattern]

    package init(_ operation: SealOperation, _ patterns: [PathPattern], except excluding: [PathPattern] = []) {
        self.operation = operation
        self.patterns = patterns
        self.excluding = excluding
    }

    package static func remove(_ patterns: PathPattern...) -> SealTarget { SealTarget(.remove, patterns) }
    package static func clear(_ patterns: PathPattern..., except: [PathPattern] = []) -> SealTarget {
        SealTarget(.clear, patterns, except: except)
    }
    package static func clearFiles(_ patterns: PathPattern..., except: [PathPattern] = []) -> SealTarget {
        SealTarget(.clearFiles, patterns, except: except)
    }
    package static func truncate(_ patterns: PathPattern...) -> SealTarget { SealTarget(.truncate, patterns) }
    package static func content(_ text: String, _ patterns: PathPattern...) -> SealTarget { SealTarget(.content(text), patterns) }
    package static func edit(_ edit: LineEdit, _ patterns: PathPattern...) -> SealTarget { SealTarget(.edit(edit), patterns) }
}

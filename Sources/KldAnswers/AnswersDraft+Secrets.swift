import KldCore
import KldFiles
import SystemPackage

extension AnswersDraft {
    /// Reads each secret that lies in a file: the first line, without its end. What is wrong with it is a problem of the key that names the
    /// file, in that key's line.
    ///
    /// The key stays given whatever comes of its file, so that no rule calls the secret missing.
    mutating func readSecrets(from files: any FileSystem) {
        for key in AnswerKey.secrets where !problems.isFull {
            let naming = key.stem + AnswerKey.fileSuffix
            guard let path = values[naming] else { continue }
            do {
                let value = try AnswersDraft.secret(key, in: FilePath(path), files)
                resolved[naming] = nil
                // What is written goes before: a rule reports that there are two.
                if resolved[key.stem] == nil { resolved[key.stem] = value }
            } catch {
                report(error.code, naming, error.message, remedy: error.remedy)
            }
        }
    }

    /// In bytes, of the line that holds a secret.
    private static let longestSecret = 4096

    private static func secret(_ key: AnswerKey, in path: FilePath, _ files: any FileSystem) throws(ValueFault) -> String {
        let bytes: [UInt8]
        do {
            // With the end of the line, and no more: a device may have no end.
            bytes = try files.read(path, 0..<UInt64(longestSecret + 2))
        } catch {
            throw ValueFault(.secretFile, Diagnosis(of: error).message)
        }
        var line = bytes.prefix { $0 != 0x0A }
        if line.last == 0x0D { line.removeLast() }
        guard line.count <= longestSecret, !line.isEmpty, let text = String(validating: line, as: UTF8.self) else {
            throw ValueFault(.secretFile, "the first line of \(path) is empty, too long, or not UTF-8")
        }
        return try ValueCheck(reference: .builtIn).canonical(text, of: key)
    }
}

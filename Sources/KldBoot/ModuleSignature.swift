/// The signature behind a kernel module. Source: Linux `include/linux/module_signature.h`, `scripts/sign-file.c` (6.12).
public enum ModuleSignature {
    private static let magic = Array("~Module signature appended~\n".utf8)
    /// Algorithm, hash, kind, two lengths, padding, and the length of the signature, big-endian.
    private static let descriptor = 12
    /// Of PKCS #7, which says everything else itself.
    private static let kind: UInt8 = 2

    /// The module without its signature, and the signature; `nil` where there is none, or one of another kind.
    public static func split(_ module: [UInt8]) -> (module: [UInt8], signature: [UInt8]?) {
        guard module.count > magic.count + descriptor, module.suffix(magic.count).elementsEqual(magic) else { return (module, nil) }
        let end = module.count - magic.count - descriptor
        let length = module[(end + 8)..<(end + 12)].reduce(0) { $0 << 8 | Int($1) }
        guard length > 0, length <= end else { return (module, nil) }
        let signature = Array(module[(end - length)..<end])
        return (Array(module[..<(end - length)]), module[end + 2] == kind ? signature : nil)
    }

    /// A module that has none, with a signature of PKCS #7 behind it.
    public static func append(_ signature: [UInt8], to module: [UInt8]) -> [UInt8] {
        let length = (0..<4).reversed().map { UInt8(truncatingIfNeeded: signature.count >> (8 * $0)) }
        return module + signature + [0, 0, kind, 0, 0, 0, 0, 0] + length + magic
    }
}

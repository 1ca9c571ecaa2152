import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBoot

/// With the real openssl and xz: a signature that only looks like one is refused by a kernel, not by a double.
@Suite("A machine's own key, and what it signs")
struct TrustTests {
    static let release = "6.12.48+deb13-amd64"
    static let content = [UInt8]("\u{7f}ELF a module\n".utf8) + (0..<4000).map { UInt8(truncatingIfNeeded: $0) }
    static let compressed: [UInt8] = [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]
    let files = LocalFiles()
    let runner = SubprocessRunner()

    private func apply(_ actions: [Action]) async throws {
        try await PlanRunner(runner: runner, files: files, performers: ModuleSigning.performers)
            .apply(Plan("t", [Phase("t", "T", [Step("t", "T", actions)])]))
    }

    /// A tree as DKMS leaves it: one module compressed, one not, with DKMS' own copies; and an initramfs.
    private func tree(_ root: FilePath) async throws -> (plain: FilePath, packed: FilePath, copy: FilePath, initramfs: FilePath) {
        let folder = root.appending("usr/lib/modules/\(Self.release)/updates/dkms")
        let kept = root.appending("var/lib/dkms/zfs/2.3.9/\(Self.release)/x86_64/module")
        for place in [folder, kept] { try files.makeDirectory(place, mode: .directory) }
        try files.write(Self.content, to: folder.appending("spl.ko"), mode: .file)
        try files.write(Self.content, to: folder.appending("zfs.ko"), mode: .file)
        try await runner.run(
            Command(Tool("xz", package: "xz-utils"), ["--check=crc32", folder.appending("zfs.ko").string], effect: .changes))
        try files.write(files.read(folder.appending("zfs.ko.xz")), to: kept.appending("zfs.ko.xz"), mode: .file)
        let initramfs = root.appending("boot/initrd.img-\(Self.release)")
        try files.makeDirectory(initramfs.removingLastComponent(), mode: .directory)
        var archive = CPIOArchive()
        archive.add(file: "before", content: [7])
        for name in ["spl.ko", "zfs.ko.xz"] {
            archive.add(file: "usr/lib/modules/\(Self.release)/updates/dkms/\(name)", content: [1, 2, 3, 4, 5])
        }
        archive.add(file: "after", content: [8, 8])
        try files.write(archive.finished + Self.compressed, to: initramfs, mode: 0o600)
        return (folder.appending("spl.ko"), folder.appending("zfs.ko.xz"), kept.appending("zfs.ko.xz"), initramfs)
    }

    @Test(
        "modules are replaced in an initramfs that is compressed as a whole, behind one that is not; where one is missing nothing changes")
    func compressedInitramfs() async throws {
        try await Scratch.with { folder in
            var early = CPIOArchive()
            early.add(file: "kernel/x86/microcode/AuthenticAMD.bin", content: [9, 9])
            var archive = CPIOArchive()
            archive.add(file: "usr/lib/modules/r/zfs.ko", content: Self.content)
            archive.add(file: "init", content: [1, 2])
            let (plain, packed, initramfs) = (folder.appending("plain"), folder.appending("packed"), folder.appending("initrd.img"))
            try files.write(archive.finished, to: plain, mode: .file)
            try await runner.run(Command("zstd", ["-q", "--stdout", plain.string], effect: .reads, outputFile: packed))
            let before = try early.finished + files.read(packed)
            try files.write(before, to: initramfs, mode: 0o600)
            func replace(_ path: String) async throws -> Bool {
                try await ModuleSigning.replace([path: [7, 7, 7]], in: initramfs, scratch: folder, runner: runner, files: files)
            }

            #expect(try await !replace("usr/lib/modules/r/spl.ko"))
            #expect(try files.read(initramfs) == before)

            #expect(try await replace("usr/lib/modules/r/zfs.ko"))
            #expect(try files.status(initramfs)?.mode == 0o600)
            #expect(try files.list(folder).sorted() == ["initrd.img", "packed", "plain"])
            let after = try files.read(initramfs)
            #expect(after.starts(with: early.finished))
            try files.write(Array(after[early.finished.count...]), to: packed, mode: .file)
            try await runner.run(
                Command("zstd", ["-q", "--decompress", "--stdout", packed.string], effect: .reads, outputFile: plain))
            let content = try files.read(plain)
            #expect(InitramfsSupplement.replacing(["init": [1, 2], "usr/lib/modules/r/zfs.ko": [7, 7, 7]], in: content) == content)
        }
    }

    @Test("key and certificate are made with the profile that every kernel takes, and the key is the owner's alone")
    func key() async throws {
        try await Scratch.with { folder in
            let key = MachineOwnerKey(root: folder)
            try await apply([.makeDirectory(key.home)] + key.creating(name: "kldload test 01234567", scratch: folder))
            #expect(try key.exists(files))
            #expect(try files.status(key.key)?.mode == 0o600)
            #expect(try files.list(folder.appending("var/lib/dkms")).sorted() == ["mok.key", "mok.pem", "mok.pub"])
            let text = try await runner.run(
                Command("openssl", ["x509", "-in", key.certificate.string, "-noout", "-text"], effect: .reads)
            ).output
            for part in [
                "CN = kldload test 01234567", "CA:TRUE", "Digital Signature, Certificate Sign", "Code Signing", "Public-Key: (2048 bit)",
            ] { #expect(text.replacing("CN=", with: "CN = ").contains(part), "\(part)\n\(text)") }
        }
    }

    @Test("a form of the certificate that is lost is made of the other one; a key that is there is never made anew")
    func completed() async throws {
        try await Scratch.with { folder in
            let key = MachineOwnerKey(root: folder)
            try await apply([.makeDirectory(key.home)] + key.creating(name: "x", scratch: folder))
            let (secret, der, pem) = (try files.read(key.key), try files.read(key.certificate), try files.read(key.pem))
            for lost in [key.pem, key.certificate] {
                try files.remove(lost)
                let holding = try key.holding(files)
                #expect(holding == (lost == key.pem ? .withoutPEM : .withoutDER))
                #expect(try !key.exists(files) && key.der(files) == der)
                try await apply(key.completing(holding, name: "x"))
                #expect(try key.holding(files) == .whole && files.read(key.certificate) == der && files.read(key.pem) == pem)
            }
            #expect(try key.completing(.whole, name: "x").isEmpty)
            for lost in [key.pem, key.certificate] { try files.remove(lost) }
            #expect(try key.holding(files) == .withoutCertificate && key.der(files) == nil)
            let problem = #expect(throws: Diagnosis.self) { _ = try key.completing(.withoutCertificate, name: "x") }
            #expect(problem?.code == "trust.certificate-lost" && problem?.remedies.count == 2)
            #expect(try files.read(key.key) == secret)
            try files.remove(key.key)
            #expect(try key.holding(files) == .none)
        }
    }

    @Test("whom the firmware trusts is read from shim's lists and its own; a certificate comes back in PEM as openssl has it")
    func trusted() async throws {
        try await Scratch.with { folder in
            let (key, other) = (MachineOwnerKey(root: folder.appending("a")), MachineOwnerKey(root: folder.appending("b")))
            for key in [key, other] { try await apply([.makeDirectory(key.home)] + key.creating(name: "x", scratch: folder)) }
            func list(_ certificate: [UInt8], type: UInt8 = 0xa1) -> [UInt8] {
                func number(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
                let kind: [UInt8] = [type, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]
                let each = 16 + certificate.count
                let owner = [UInt8](repeating: 7, count: 16)
                return [kind, number(28 + each), number(0), number(each), owner, certificate].flatMap { $0 }
            }
            let (first, second) = (try files.read(key.certificate), try files.read(other.certificate))
            let memory = MemoryFiles()
            let variables = "/sys/firmware/efi/efivars"
            func write(_ name: String, _ value: [UInt8]) throws {
                try memory.write([7, 0, 0, 0] + value, to: FilePath("\(variables)/\(name)"), mode: .file)
            }
            #expect(TrustedKey.all(memory).isEmpty)
            // Digests are no certificates; what is cut off is none either.
            let shim = "605dab50-e046-4300-abb6-3dd810dd8b23"
            let lists = [list([UInt8](repeating: 1, count: 32), type: 0x26), list(first), Array(list(second).dropLast())]
            try write("MokListRT-\(shim)", lists.flatMap { $0 })
            let (identity, text) = (try key.identity(files), try files.readText(key.pem))
            #expect(TrustedKey.all(memory).map(\.identity) == [identity])
            try write("db-d719b2cb-3d3a-4596-a3bc-dad00e67656f", list(second))
            #expect(TrustedKey.all(memory).map(\.certificate) == [first, second])
            #expect(KeyEnrolment.state(of: second, memory) == .enrolled)
            #expect(TrustedKey.all(memory).first?.pem == text)
        }
    }

    @Test("somebody's own key is taken over, and a file that is none ends the plan")
    func adopted() async throws {
        try await Scratch.with { folder in
            let given = MachineOwnerKey(root: folder.appending("given"))
            try await apply([.makeDirectory(given.home)] + given.creating(name: "mine", scratch: folder))
            let key = MachineOwnerKey(root: folder.appending("machine"))
            try await apply([.makeDirectory(key.home)] + key.adopting(key: given.key, certificate: given.pem))
            #expect(try key.identity(files) == given.identity(files))
            #expect(try files.status(key.key)?.mode == 0o600)
            await #expect(throws: Diagnosis.self) { try await apply(key.adopting(key: given.certificate, certificate: given.pem)) }
        }
    }

    @Test("somebody's own key is looked at before anything depends on it: it must be there, without a passphrase, and the certificate's")
    func pair() async throws {
        try await Scratch.with { folder in
            let (given, other) = (MachineOwnerKey(root: folder.appending("given")), MachineOwnerKey(root: folder.appending("other")))
            for key in [given, other] { try await apply([.makeDirectory(key.home)] + key.creating(name: "mine", scratch: folder)) }
            let locked = folder.appending("locked.pem")
            try await runner.run(
                Command(
                    "openssl", ["pkey", "-in", given.key.string, "-aes256", "-passout", "pass:secret", "-out", locked.string],
                    effect: .changes))
            func code(_ key: FilePath, _ certificate: FilePath) async -> String? {
                await problem { try await MachineOwnerKey.requirePair(key: key, certificate: certificate, runner: runner) }?.code
            }
            #expect(await code(given.key, given.pem) == nil)
            for (key, certificate) in [
                (given.key, other.pem), (locked, given.pem), (given.pem, given.pem), (given.key, given.key),
                (folder.appending("none"), given.pem),
                (given.key, folder.appending("none")),
            ] { #expect(await code(key, certificate) == "trust.key-files", "\(key) \(certificate)") }
        }
    }

    @Test(
        "nor is a key taken whose signatures shim refuses",
        arguments: [
            (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "it is no RSA key, and shim knows no other kind"),
            (["-newkey", "rsa:1024"], "it has 1024 bits, where 2048 to 4096 are known to shim and kernel"),
            (
                ["-newkey", "rsa:2048", "-addext", "extendedKeyUsage=codeSigning,1.3.6.1.4.1.2312.16.1.2"],
                "its certificate is for kernel modules only (1.3.6.1.4.1.2312.16.1.2)"
            ),
            (["-newkey", "rsa:3072", "-addext", "extendedKeyUsage=codeSigning"], nil), (["-newkey", "rsa:2048"], nil),
        ] as [([String], String?)])
    func unfit(_ words: [String], _ cause: String?) async throws {
        try await Scratch.with { folder in
            let (key, certificate) = (folder.appending("k.pem"), folder.appending("c.pem"))
            try await runner.run(
                Command(
                    "openssl",
                    ["req", "-x509", "-nodes", "-subj", "/CN=mine", "-keyout", key.string, "-out", certificate.string] + words,
                    effect: .changes))
            let found = await problem { try await MachineOwnerKey.requirePair(key: key, certificate: certificate, runner: runner) }
            #expect(found?.causes == cause.map { [$0] })
        }
    }

    @Test("modules are signed as the kernel reads it, DKMS' copies and the initramfs follow, and twice is as once")
    func modules() async throws {
        try await Scratch.with { folder in
            let root = folder.appending("root")
            let (plain, packed, copy, initramfs) = try await tree(root)
            let key = MachineOwnerKey(root: root)
            let sign = ModuleSigning.signing(root: root, release: Self.release, with: key, initramfs: initramfs)
            try await apply([.makeDirectory(key.home)] + key.creating(name: "one", scratch: folder) + [sign])

            let signed = ModuleSignature.split(try files.read(plain))
            #expect(signed.module == Self.content)
            let signature = try #require(signed.signature)
            #expect(try key.identity(files).signed(signature))
            // Independently of what has signed it.
            let (message, file) = (folder.appending("message"), folder.appending("signature"))
            try files.write(Self.content, to: message, mode: .file)
            try files.write(signature, to: file, mode: .file)
            try await runner.run(
                Command(
                    "openssl",
                    [
                        "cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in", file.string, "-content", message.string,
                        "-certfile", key.pem.string, "-out", "/dev/null",
                    ], effect: .reads))

            let whole = try #require(try await ModuleSigning.signature(of: packed, scratch: folder, runner: runner, files: files))
            #expect(try key.identity(files).signed(whole))
            #expect(try files.read(copy) == files.read(packed))
            // For the kernel it is one stream, whose last block is the signature.
            #expect(try await XZStreamTests.counted(packed, runner) == [1, 2])
            // Linux' own reader knows no other sum. Source: `lib/xz`, 6.12; xz(1), `--robot --list`.
            let list = try await runner.run(Command(Tool("xz", package: "xz-utils"), ["--robot", "--list", packed.string], effect: .reads))
            #expect(list.output.lines.first { $0.hasPrefix("file") }?.split(separator: "\t")[6] == "CRC32")
            let archive = try files.read(initramfs)
            var expected = CPIOArchive()
            expected.add(file: "before", content: [7])
            for module in [plain, packed] {
                let name = "usr/lib/modules/\(Self.release)/updates/dkms/\(module.lastComponent?.string ?? "")"
                expected.add(file: name, content: try files.read(module))
            }
            expected.add(file: "after", content: [8, 8])
            // The padding behind an archive stays as long as it was.
            func essence(_ bytes: [UInt8]) -> [UInt8] { Array(bytes.suffix(7)) + bytes.dropLast(7).reversed().drop { $0 == 0 } }
            #expect(essence(archive) == essence(expected.finished + Self.compressed))
            #expect(try files.status(initramfs)?.mode == 0o600)

            try await apply([sign])
            #expect(try files.read(initramfs) == archive)
            #expect(try files.list(plain.removingLastComponent()).sorted() == ["spl.ko", "zfs.ko.xz"])

            // Another key takes the place of the first one's signature.
            let other = MachineOwnerKey(root: folder.appending("other"))
            try await apply(
                [.makeDirectory(other.home)] + other.creating(name: "one", scratch: folder) + [
                    ModuleSigning.signing(root: root, release: Self.release, with: other)
                ])
            let again = ModuleSignature.split(try files.read(plain))
            #expect(again.module == Self.content)
            #expect(try other.identity(files).signed(again.signature ?? []))
            #expect(try !key.identity(files).signed(again.signature ?? []), "the same name, another serial number")
            // The root is signed anew; its initramfs still has what the first key signed, and that is what would start.
            func unsigned(_ key: MachineOwnerKey) async throws -> [String] {
                try await ModuleSigning.modules(
                    in: root, Self.release, initramfs: initramfs, notSignedBy: [key.identity(files)], scratch: folder, runner: runner,
                    files: files)
            }
            #expect(try await unsigned(key) == ["spl.ko", "zfs.ko.xz"])
            // An older key that is known still counts beside the new one.
            #expect(
                try await ModuleSigning.modules(
                    in: root, Self.release, initramfs: initramfs, notSignedBy: [key.identity(files), other.identity(files)],
                    scratch: folder, runner: runner, files: files
                ).isEmpty)
            #expect(try await unsigned(other) == ["spl.ko", "zfs.ko.xz"].map { "\($0) in initrd.img-\(Self.release)" })
            try await apply([ModuleSigning.signing(root: root, release: Self.release, with: other, initramfs: initramfs)])
            #expect(try await unsigned(other) == [])
            let third = try #require(try await ModuleSigning.signature(of: packed, scratch: folder, runner: runner, files: files))
            #expect(try other.identity(files).signed(third))
            #expect(try await XZStreamTests.counted(packed, runner) == [1, 1])
        }
    }

    @Test("several look at one module at the same time: each sees all of it, and nothing is left")
    func together() async throws {
        try await Scratch.with { folder in
            let (_, packed, _, _) = try await tree(folder.appending("root"))
            let scratch = folder.appending("scratch")
            try files.makeDirectory(scratch, mode: .directory)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        try await ModuleSigning.signature(of: packed, scratch: scratch, runner: runner, files: files) == nil
                    }
                }
                for try await unsigned in group { #expect(unsigned) }
            }
            #expect(try files.list(scratch).isEmpty)
        }
    }

    @Test("a kernel without modules is an error that says what to do")
    func none() async throws {
        try await Scratch.with { folder in
            let key = MachineOwnerKey(root: folder)
            let problem = await #expect(throws: Diagnosis.self) {
                try await apply(
                    [.makeDirectory(key.home)] + key.creating(name: "x", scratch: folder) + [
                        ModuleSigning.signing(root: folder, release: "1", with: key)
                    ])
            }
            #expect(problem?.code == "trust.no-modules")
        }
    }

    @Test("what is no certificate is refused", arguments: [[], [0x30], [0x30, 0x82, 0xff, 0xff], Array("-----BEGIN".utf8)])
    func malformed(bytes: [UInt8]) { #expect(throws: Diagnosis.self) { try CertificateIdentity(bytes) } }

    @Test("what is cut off, or of another kind, is no signature")
    func trailer() {
        let signed = ModuleSignature.append([9, 9, 9], to: Self.content)
        #expect(ModuleSignature.split(signed).signature == [9, 9, 9])
        #expect(ModuleSignature.split(Array(signed.dropLast())).signature == nil)
        #expect(ModuleSignature.split(Array(signed.suffix(42))).signature == nil)
        var other = signed
        other[other.count - 28 - 10] = 1
        #expect(ModuleSignature.split(other).signature == nil)
        #expect(ModuleSignature.split(other).module == Self.content)
    }
}

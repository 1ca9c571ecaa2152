import KldBoot
import KldCore
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@testable import KldBootEnv

/// The wish lies where all environments see it; the key lies in the one that asked.
@Suite("A request for a key that nobody has answered")
struct EnrolmentWishTests {
    private static let own: [UInt8] = [0x30, 13, 0x30, 11, 0x02, 1, 5, 0x30, 2, 0x05, 0, 0x30, 2, 0x31, 0]
    private static let other: [UInt8] = [0x30, 13, 0x30, 11, 0x02, 1, 6, 0x30, 2, 0x05, 0, 0x30, 2, 0x31, 0]

    /// What the next start does. - Parameters: wanted: `nil`: nothing is asked for; key: the certificate of this environment's.
    private func repeating(wanted: [UInt8]?, key: [UInt8]?, enrolled: [UInt8] = []) async throws -> [String] {
        let files = MemoryFiles([:])
        func write(_ bytes: [UInt8], _ path: String) throws { try files.write(bytes, to: FilePath(path), mode: .file) }
        if let wanted { try write(wanted, KeyEnrolment.wanted.string) }
        if let key {
            try write(key, "/var/lib/dkms/mok.pub")
            for name in ["mok.key", "mok.pem"] { try write([1], "/var/lib/dkms/\(name)") }
        }
        let variables = "/sys/firmware/efi/efivars"
        try write([7, 0, 0, 0, 0], "\(variables)/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
        try write([7, 0, 0, 0] + enrolled, "\(variables)/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23")
        return try await SecureBoot.gather(Fixture.system([]), runner: ScriptedRunner([:]), files: files).repeating().steps.map(\.id)
    }

    @Test("is made again by the environment whose certificate it is for, and remembered until that is enrolled")
    func own() async throws {
        #expect(try await repeating(wanted: nil, key: Self.own) == [])
        #expect(try await repeating(wanted: Self.own, key: Self.own) == ["trust.enrol"])
        #expect(try await repeating(wanted: Self.own, key: Self.own, enrolled: Self.other) == ["trust.enrol"])
        #expect(try await repeating(wanted: Self.own, key: Self.own, enrolled: Self.own) == ["trust.done"])
    }

    @Test("is not forgotten by an environment that has no key, or another one, whatever the firmware knows")
    func others() async throws {
        for wanted in [Self.own, []] { #expect(try await repeating(wanted: wanted, key: nil).isEmpty) }
        #expect(try await repeating(wanted: Self.own, key: Self.other).isEmpty)
        #expect(try await repeating(wanted: Self.own, key: Self.other, enrolled: Self.other).isEmpty)
    }

    @Test("that an older kldload made, or that was cut off, is for the key that is there")
    func unnamed() async throws {
        for wanted in [[], Array(Self.own.prefix(9))] as [[UInt8]] {
            #expect(try await repeating(wanted: wanted, key: Self.other) == ["trust.enrol"])
            #expect(try await repeating(wanted: wanted, key: Self.other, enrolled: Self.other) == ["trust.done"])
        }
    }

    @Test("keeps the certificate")
    func kept() {
        let texts = SecureBootTests.machine(.off, .absent).asking.flatMap(\.actions).map(\.text)
        #expect(
            texts.suffix(2) == [
                "mkdir /var/lib/kldload/secure-boot (755)", "cp /var/lib/dkms/mok.pub /var/lib/kldload/secure-boot/wanted",
            ])
    }
}

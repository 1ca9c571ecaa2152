import KldAnswers
import Testing

@Suite struct SSHKeys {
    static let ecdsa =
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIvX1PIQTavcUKjlEVfnlszw2tSNVqifJaQc6d"
        + "vXqX4PCHz+uBqlrpfpEebpsgkGmGIVPB+8Bsl3UceD4/ffMH0="
    static let rsa2048 =
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDgiA4GWiBG5+I/rYhnUuHve8dFrZUG/Hj0GD13DhfM7vMaJ/Op7VXEjtXiFedt00sowkM1Uw"
        + "dzSQ8i8q5PZfJ4wu15dekuIwIQe1e7tOPuok7otx0ryXOq2F5o24arbWQX29/vyP6iRuU4YsdMDQKAX35Nh+pjrl1auyu4Cw3s4uwJCllZS8U1"
        + "sBGQt2Ztwd9tku167tJQVHHbUAil+klAuO4QBvKxSGLx5u6fWbegIz03xmWgjvdPnRXggL0GtHnJB9ecTWXg04fOO+LYpWEiBqc+p18tfOGECm"
        + "qanZEv2G0QLt7o7d4uRtcsPrflLDZv9rlEHU6HoTj/CaXGIg/9"
    static let rsa1024 =
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCiMjNiFiks/sHmTDk8GZGhHVFTGWH30jzfNRP5JQRwLjgEosDxzMfSjyq8bSmBrXGZD2esEu"
        + "RWC0ws82auwK7kRRtl2CrjI7KmoHokgVpCRJc4hnXgHzILIjcBxMDOcnpIPUlvysTKDMFTKQy6bOTKTjdEDPrL08oeDAS7k3BfKQ== old@exa"
        + "mple"

    @Test(arguments: [ed25519, ecdsa, rsa2048])
    func keysOfTodayAreAccepted(line: String) throws {
        #expect(try SSHPublicKey(line).line == line)
    }

    @Test func aCommentMayHaveSpacesOrBeMissing() throws {
        let bare = ed25519.split(separator: " ").prefix(2).joined(separator: " ")
        #expect(try SSHPublicKey(bare).comment == "")
        #expect(try SSHPublicKey(bare + "  Ops   on call").comment == "Ops on call")
    }

    @Test(arguments: [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", SSHPublicKey.Fault.privateKey),
        ("ssh-ed25519", .incomplete),
        ("ssh-dss AAAA", .type("ssh-dss")),
        ("ssh-ed25519 AAAA...", .base64),
        ("ssh-ed25519 AAAA", .content),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIBHkFE8KXgo7egyjdBaDxjn7nr4M5BwRvnQIXUVliqqo", .content),
        (rsa1024, .weak(bits: 1024)),
    ])
    func othersAreRefusedWithTheReason(line: String, fault: SSHPublicKey.Fault) {
        #expect(throws: fault) { try SSHPublicKey(line) }
    }

    @Test func everyCutOfAKeyIsRefused() {
        let words = ed25519.split(separator: " ")
        for length in stride(from: 0, to: words[1].count, by: 4) {
            #expect(throws: SSHPublicKey.Fault.self) { try SSHPublicKey("\(words[0]) \(words[1].prefix(length))") }
        }
    }

    @Test func severalKeysAreKeptApartAndOnce() throws {
        let answers = try answers(
            "KLDLOAD_SSH_PUBKEY='\(ed25519); \(Self.ecdsa)'", "KLDLOAD_ADMIN_SSH_PUBKEY='\(ed25519)'",
            "KLDLOAD_ADMIN_SSH_KEYS='\(Self.rsa2048);\(ed25519)'")
        #expect(answers.sshKeys.user.map(\.type) == ["ssh-ed25519", "ecdsa-sha2-nistp256"])
        #expect(answers.sshKeys.root.map(\.type) == ["ssh-ed25519", "ssh-rsa"])
    }

    @Test func aPrivateKeyGetsItsOwnMessage() {
        #expect(codes("KLDLOAD_SSH_PUBKEY='-----BEGIN OPENSSH PRIVATE KEY-----'") == [.sshPrivateKey])
    }

    @Test func optionsBeforeAKeyAreExplained() {
        let found = problems(threeLines + "KLDLOAD_SSH_PUBKEY='from=\"10.0.0.1\" \(ed25519)'")
        #expect(found.first?.message == "options before a key are not accepted")
    }
}

import KldAnswers

/// Throws mutated answers at the parser, the same ones for the same seed.
///
/// Checked for each: the parser returns; what it accepts reads back equal from ``Answers/environmentText``; what it refuses has a
/// problem to show; and no printed form holds a secret.
enum AnswersFuzz {
    struct Report: Sendable, Hashable {
        var accepted = 0
        var refused = 0
        /// Inputs that broke a promise, with the promise; ten at most.
        var failures: [String] = []
        /// How often each problem was met.
        var codes: [AnswersProblem.Code: Int] = [:]
    }

    /// - Parameters:
    ///   - iterations: how many inputs; an optimised build does some ten thousand a second.
    ///   - seed: where the sequence of inputs begins.
    static func run(iterations: Int, seed: UInt64) -> Report {
        var report = Report()
        var random = SplitMix(state: seed)
        let seeds = samples.map { Array($0.utf8) }
        for _ in 0..<iterations {
            var input = seeds[random.below(seeds.count)]
            for _ in 0..<random.below(4) { mutate(&input, &random, seeds) }
            check(input, &report)
        }
        return report
    }

    private static func check(_ input: [UInt8], _ report: inout Report) {
        func fail(_ promise: String) {
            if report.failures.count < 10 { report.failures.append("\(promise): \(String(decoding: input, as: UTF8.self))") }
        }
        do {
            let answers = try Answers(bytes: input)
            report.accepted += 1
            if (try? Answers(answers.environmentText)) != answers { fail("accepted answers read back equal") }
            if !isRedacted(answers.redactedEnvironmentText) { fail("no secret is printed") }
        } catch {
            report.refused += 1
            for problem in error.problems {
                report.codes[problem.code, default: 0] += 1
                let isSecret = problem.key.flatMap { AnswerKey.named($0) }?.isSecret ?? false
                if isSecret, problem.message.contains(secret) { fail("no secret is in a message") }
            }
            if error.problems.isEmpty { fail("a refusal has a problem") }
        }
    }

    /// Every secret of the samples begins so.
    private static let secret = "correct-horse"

    private static func isRedacted(_ text: String) -> Bool {
        text.split(separator: "\n").allSatisfy { line in
            let parts = line.split(separator: "=", maxSplits: 1)
            return parts.count == 2 && (AnswerKey.named(String(parts[0]))?.isSecret != true || parts[1] == "<redacted>")
        }
    }

    private static func mutate(_ input: inout [UInt8], _ random: inout SplitMix, _ seeds: [[UInt8]]) {
        let position = random.below(input.count + 1)
        let end = min(input.count, position + random.below(24))
        switch random.below(9) {
        case 0 where position < input.count: input[position] = UInt8(truncatingIfNeeded: random.next())
        case 1 where position < input.count: input[position] ^= 1 << UInt8(random.below(8))
        case 2: input.removeSubrange(position..<end)
        case 3: input.insert(contentsOf: Array(input[position..<end]), at: random.below(input.count + 1))
        case 4: input.insert(contentsOf: tokens[random.below(tokens.count)].utf8, at: position)
        case 5, 6: replaceValue(&input, &random)
        case 7:
            let other = seeds[random.below(seeds.count)]
            input.replaceSubrange(position..., with: other[min(position, other.count)...])
        default:
            let key = AnswerKey.all[random.below(AnswerKey.all.count)].name
            input += Array("\n\(key)=\(tokens[random.below(tokens.count)])\n".utf8)
        }
    }

    /// Gives one of the assignments another value, so that later checks are reached as well.
    private static func replaceValue(_ input: inout [UInt8], _ random: inout SplitMix) {
        let signs = input.indices.filter { input[$0] == UInt8(ascii: "=") }
        guard !signs.isEmpty else { return }
        let start = signs[random.below(signs.count)] + 1
        let end = input[start...].firstIndex(of: 0x0A) ?? input.count
        input.replaceSubrange(start..<end, with: tokens[random.below(tokens.count)].utf8)
    }

    private static let samples = [
        """
        KLDLOAD_DISTRO=debian
        KLDLOAD_DISK=/dev/sda
        KLDLOAD_HOSTNAME=web-prod-01

        """,
        """
        # everything by hand
        export KLDLOAD_DISTRO=rocky # comment
        KLDLOAD_DISK=/dev/nvme0n1
        KLDLOAD_ZFS_TOPOLOGY=mirror
        KLDLOAD_ZFS_DATA_DISKS="/dev/nvme1n1"
        KLDLOAD_USERNAME=sysadmin
        KLDLOAD_PASSWORD='correct-horse$battery'
        KLDLOAD_NET_METHOD=static
        KLDLOAD_NET_IP=10.0.1.50
        KLDLOAD_NET_GW=10.0.1.1
        KLDLOAD_NET_DNS=10.0.1.1,2001:db8::1

        """,
        """
        KLDLOAD_DISTRO=debian
        KLDLOAD_DISK=auto
        KLDLOAD_ZFS_ENCRYPT=1
        KLDLOAD_ZFS_PASSPHRASE="correct-horse \\"it's\\" \\$5"
        KLDLOAD_EXPORT_FORMAT=qcow2,raw
        KLDLOAD_TIMEZONE=Europe/Berlin

        """,
        """
        {"action": "install", "distro": "fedora", "disk": "/dev/vda", "enable_kvm": false, "FEDORA_RELEASE": 44,
         "ZFS_TOPOLOGY": "raidz1", "zfs_data_disks": ["/dev/vdb", "/dev/vdc"], "password": "correct-horse \\u00e9'"}
        """,
    ]

    private static let tokens = [
        "", "\"", "'", "\\", "\\'", "$(", "`", "$", "#", " #", "=", "\n", "\r\n", "\t", "\0", "\u{FEFF}", "{", "}", "[", "]", ",", ":", ";",
        "\\u", "\\ud800", "null", "true", "0", "1", "99999999999999999999", "-1", "auto", "static", "dhcp", "mirror", "raidz3",
        "mirror-stripe",
        "/dev/sdb", "/dev/sda1", "/dev/sdb,/dev/sdc,/dev/sdd", "10.0.1.1", "10.0.1.50/24", "::1", "2001:db8::1", "fe80::1", "8G",
        "9999999T",
        "debian", "ubuntu", "alpine", "rhel", "trixie", "noble", "desktop", "de", "nodeadkeys", "de_DE.utf8", "UTC", "admin", "root",
        "'correct-horse'", "correct-horse", "'it'\\''s'", "\"a$b\\`c\"", "é", "𝄞", "KLDLOAD_", "export ", "all", "none", "qcow2",
        "$6$saltsalt$aaaa", "ssh-ed25519 AAAA", "'-----BEGIN OPENSSH PRIVATE KEY-----'", "https://[::1]:80/x",
        "a-very-long-name-a-very-long-name-a-very-long-name-a-very-long-name",
    ]
}

/// Sebastiano Vigna's SplitMix64: small, and the same on every machine.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// From 0 to one below `bound`, which is positive. The bias of the remainder does not matter here.
    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

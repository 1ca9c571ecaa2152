import KldAnswers
import KldCore
import KldImage

extension Scenario {
    /// What goes wrong on real machines.
    static let troubles: [Scenario] = [
        Scenario("trouble.installed-before", "a disk that carries an older installation, its pool and its ESP") { lab in
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            try await lab.install(answers, onto: disks)
            try await lab.install(answers, onto: disks)
            try await lab.verify(disks)
        },
        Scenario("trouble.refused", "a disk that is too small, or not there, is refused by name before anything is touched") { lab in
            let small = try await lab.disks(1, size: .gibibytes(2))
            try await expect("disk.too-small", lab) {
                try await lab.install(lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest(), onto: small)
            }
            try await expect("disk.missing", lab) {
                try await lab.install(lab.answers("mirror", ["KLDLOAD_PROFILE=core"]).forTest(), onto: lab.disks(1, prefix: "disk"))
            }
        },
        Scenario("trouble.power-cuts", "after a power cut at any of 20 random instants the next run succeeds") { lab in
            let seed = UInt64.random(in: 0 ... .max)
            lab.log("seed \(seed)")
            var random = SplitMix(state: seed)
            let disks = try await lab.disks(1)
            let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
            for cut in 1...20 {
                let instant = Duration.milliseconds(Int64.random(in: 15_000...120_000, using: &random))
                let attempt = Task { try await lab.install(answers, onto: disks) }
                let timer = Task {
                    try await Task.sleep(for: instant)
                    attempt.cancel()
                }
                let result = await attempt.result
                timer.cancel()
                if case .success = result { lab.log("cut \(cut): done before \(instant)") } else { lab.log("cut \(cut) after \(instant)") }
            }
            try await lab.install(answers, onto: disks)
            try await lab.verify(disks)
        },
    ]

    private static func expect(_ code: String, _ lab: Laboratory, _ body: () async throws -> Void) async throws {
        do { try await body() } catch {
            let found = Diagnosis(of: error)
            try check(found.code == code, "expected \(code), got \(found.rendered)")
            lab.log("refused: \(found.message)")
            return
        }
        throw CheckFailure("expected \(code), but nothing was refused")
    }
}

/// Random numbers that a seed in the log brings back.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

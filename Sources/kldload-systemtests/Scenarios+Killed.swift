import KldAnswers
import KldCore
import KldImage
import KldVirt

extension Scenario {
    /// Starts installers and watches them, in a shell of the live environment.
    private static let watching = """
        install() { rm -f rc /run/kldload/install.journal
            setsid sh -c 'kldload install --answers answers.env --payload /run/test --progress json "$@" >out 2>&1; echo $? >rc' sh "$@" & }
        reached() { until grep -q "started $1$" /run/kldload/install.journal 2>/dev/null || test -e rc; do sleep 0.05; done; }
        ended() { until test -s rc; do sleep 0.1; done; cat rc; }
        begun() { for step; do if grep -q "started $step$" /run/kldload/install.journal; then echo "begun $step"; fi; done; }
        left() { zpool list -H; grep -E ' (/target|/run/kldload/esp)' /proc/self/mounts; }
        """

    static func killed(_ lab: Laboratory) async throws {
        let disks = try await lab.disks(1)
        let answers = try lab.answers("three-lines", ["KLDLOAD_PROFILE=core"]).forTest()
        try await lab.live(answers, disks: disks.map { MachineDisk($0.file, serial: $0.serial) }) { shell in
            try await shell.run(watching)
            let plan = try await shell.run("kldload install --answers answers.env --payload /run/test --dry-run", within: .seconds(60))
            let steps = plan.lines.compactMap { line -> String? in
                guard line.hasPrefix("  + ") || line.hasPrefix("  ! "), let id = line.words.dropFirst().first else { return nil }
                return String(id.dropLast())
            }
            guard let last = steps.last, steps.count > 20 else { throw CheckFailure("the plan has few steps:\n\(plan)") }
            // Without any time to clean up in each of them; with all the time it wants in every third.
            let thirds = steps.indices.filter { $0.isMultiple(of: 3) }.map { steps[$0] }
            var (killed, interrupted) = (0, 0)
            for (step, polite) in steps.map({ ($0, false) }) + thirds.map({ ($0, true) }) {
                let wasInTime = try await signal(shell, step, last, polite, lab)
                if wasInTime { if polite { interrupted += 1 } else { killed += 1 } }
                let left = try await shell.run("left", accepting: [0, 1])
                if polite { try check(left.isEmpty, "interrupted in \(step), the installer left:\n\(left)") }
            }
            lab.log("killed \(killed) times of \(steps.count), interrupted \(interrupted) times of \(thirds.count)")
            // Only the last steps may be over before the signal is there.
            try check(killed >= steps.count - 5 && interrupted >= thirds.count - 2, "it was too late too often")
            let status = try await shell.run("install; ended", within: .seconds(180))
            let said = try await shell.run("tail -n 20 out")
            try check(status.lines.last?.trimmed == "0", "the last run failed with \(status):\n\(said)")
            let left = try await shell.run("left", accepting: [0, 1])
            try check(left.isEmpty, "left behind:\n\(left)")
        }
        try await lab.verify(disks)
    }

    /// Installs, and sends the installer a signal when a step has begun. It may be in a later one when the signal comes.
    ///
    /// - Parameters:
    ///   - last: the plan's last step. Once that has begun, the installer may end well before the signal comes.
    ///   - polite: SIGTERM, which it cleans up after; otherwise SIGKILL.
    /// - Returns: whether the signal ended it.
    private static func signal(
        _ shell: LiveShell, _ step: String, _ last: String, _ polite: Bool, _ lab: Laboratory
    ) async throws -> Bool {
        let said = try await shell.run(
            """
            install; reached \(step); pkill -\(polite ? "TERM" : "KILL") -x kldload; echo "pkill $?"; echo "status $(ended)"
            begun \(step) \(last); tail -n 1 /run/kldload/install.journal; true
            """, within: .seconds(120))
        let words = said.lines.map(\.words).filter { $0.count == 2 }
        let status = words.first { $0[0] == "status" }?[1]
        let begun = Set(words.filter { $0[0] == "begun" }.map { $0[1] })
        if status == "0", begun.contains(last) {
            lab.log("too late for \(step): the installer had done everything")
            return false
        }
        // 137 is what a shell makes of SIGKILL; the other is the installer's own word.
        guard status == (polite ? "130" : "137"), begun.contains(step) else {
            let output = try await shell.run("tail -n 20 out; true")
            throw CheckFailure("not ended in \(step) by the signal:\n\(said)\n\(output)")
        }
        lab.log("\(polite ? "interrupted" : "killed") once \(step) had begun; the journal ends with: \(said.lines.last ?? "nothing")")
        return true
    }
}

import KldPlan

/// `docs/events.md`, made from the kinds of events themselves.
enum PlanEventReference {
    /// What a kind means, and which of the optional keys it has.
    static func row(_ kind: PlanEvent.Kind) -> (keys: String, meaning: String) {
        switch kind {
        case .planStarted: ("`done`, `total`", "the plan begins; `message` is its title")
        case .stepStarted: ("`phase`, `step`, `done`, `total`", "a step begins; `message` is its title")
        case .stepDone: ("`phase`, `step`, `done`, `total`", "the step is done; its weight is in `done` now")
        case .stepFailed: ("`phase`, `step`, `done`, `total`, `diagnosis`", "the step failed; what was done is undone and released next")
        case .stepSkipped:
            (
                "`phase`, `step`, `done`, `total`",
                "the step is not done, for one that it needs failed, or not to its end, for one beside it failed; `message` says why"
            )
        case .undoing: ("`step`, `done`, `total`", "what this step did is taken back; only after a failure")
        case .releasing: ("`step`, `done`, `total`", "what this step holds is let go: mounts, pools, keys; always, newest step first")
        case .line: ("`step`, `diagnosis`, where they apply", "something that a person should read")
        case .output: ("", "a line that a tool printed: for the log, and as the last line for a person who waits")
        case .planDone: ("`done`, `total`", "everything is done and released; the last event")
        case .planFailed: ("`done`, `total`, `diagnosis`", "it failed and was cleaned up, or was refused before it began; the last event")
        case .unknown: ("", "stands for a kind that the reader does not know; never written")
        }
    }

    static var markdown: String {
        var lines = [
            "# Events", "",
            "Made from the sources; `swift test` compares. Installing, building and first boot tell what they do as one stream of events.",
            "`--progress json` writes them to standard error, one JSON object a line, and nothing else; the log (`install.jsonl`, and those in the",
            "cache's `logs`) holds the same objects. Kinds and keys are only ever added: pass over what you do not know.", "",
            "The last event of a run is `plan-done` or `plan-failed`. What is refused before it begins ends with `plan-failed` too, without a",
            "`plan-started` before it, and in no log where there is none yet. Two things are not told so: a command line that is not understood",
            "(exit status 64, in words), and, after `plan-done`, a machine that could not be restarted or switched off, which adds a `plan-failed`.",
            "",
            "An installation that begins anew keeps the log of the one before as `install.jsonl.1`; `--from` goes on with the log that is there.",
            "",
            "| key | type | what |", "|---|---|---|",
            "| `kind` | string | see below |",
            "| `phase`, `step` | string | where it happens: ids that `kldload plan` prints; absent outside of a step. Steps of phases beside each other overlap |",
            "| `message` | string | one sentence or line; secrets never appear |",
            "| `done`, `total` | integer | work done and in all, in weights of the plan; 0 and 0 outside of a plan |",
            "| `milliseconds` | integer | since the plan was started |",
            "| `diagnosis` | object | `code`, `message`, `causes`, `remedies`, `exit`: see [errors.md](errors.md) |", "",
            "| kind | beside `kind`, `message` and `milliseconds` | means |", "|---|---|---|",
        ]
        lines += PlanEvent.Kind.allCases.map { kind in
            let row = row(kind)
            return "| `\(kind.rawValue)` | \(row.keys) | \(row.meaning) |"
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

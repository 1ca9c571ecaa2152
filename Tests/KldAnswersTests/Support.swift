import FoundationEssentials
import KldAnswers
import KldCore
import SystemPackage

let threeLines = """
    KLDLOAD_DISTRO=debian
    KLDLOAD_DISK=/dev/sda
    KLDLOAD_HOSTNAME=web-prod-01

    """

/// What `ssh-keygen -t ed25519` printed; the private half was never kept.
let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBHkFE8KXgo7egyjdBaDxjn7nr4M5BwRvnQIXUVliqqo ops@example"

/// A hash of the right form, of no password.
let sha512 = "$6$saltsalt$" + String(repeating: "a", count: 86)

/// Three lines that are enough, with others after them.
func answers(_ lines: String..., overrides: [String] = []) throws -> Answers {
    try Answers(threeLines + lines.joined(separator: "\n"), overrides: overrides)
}

/// The problems of a whole text; none when it is accepted.
func problems(_ text: String, overrides: [String] = []) -> [AnswersProblem] {
    do {
        _ = try Answers(text, overrides: overrides)
        return []
    } catch {
        return error.problems
    }
}

/// The codes of the problems that lines have when they follow three that are enough.
func codes(_ lines: String...) -> [AnswersProblem.Code] {
    problems(threeLines + lines.joined(separator: "\n")).map(\.code)
}

/// The folder that holds Package.swift.
let projectRoot = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()

let isRecording = ProcessInfo.processInfo.environment["KLDLOAD_RECORD"] == "1"

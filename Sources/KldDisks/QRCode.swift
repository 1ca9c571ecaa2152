public import KldCore
public import KldExec
public import SystemPackage

/// A QR code, made by the program qrencode, which Debian, Enterprise Linux, Arch and Alpine have.
public struct QRCode: Sendable, Hashable {
    static let tool = Tool("qrencode")
    private static let words = ["--8bit", "--level=M"]

    /// Rows of modules; dark is `true`. As many rows as columns.
    public var modules: [[Bool]]
    public var size: Int { modules.count }

    /// The modules of a text, without a margin.
    ///
    /// Runs: `qrencode --8bit --level=M --margin=0 --type=ASCII --output=-`, the text on standard input; reads. Read by ``parse(_:)``.
    /// Source: qrencode(1) 4.1.1.
    public static func modules(of text: String) -> Command {
        Command(tool, words + ["--margin=0", "--type=ASCII", "--output=-"], effect: .reads, input: .text(text))
    }

    /// The same for a terminal, in half blocks. Runs: `qrencode --8bit --level=M --margin=2 --type=UTF8 --output=-`; reads.
    public static func terminal(_ text: String) -> Command {
        Command(tool, words + ["--margin=2", "--type=UTF8", "--output=-"], effect: .reads, input: .text(text))
    }

    /// The code alone, as a picture. Runs: `qrencode --8bit --level=M --size=6 --type=PNG --output=FILE`; changes.
    public static func picture(_ text: String, _ file: FilePath) -> Command {
        Command(tool, words + ["--size=6", "--type=PNG", "--output=\(file)"], effect: .changes, input: .text(text))
    }

    /// Reads two characters a module, `##` for a dark one. One row (qrencode 4.1.1):
    /// ```
    /// ##############    ########  ##############
    /// ```
    /// - Throws: ``Diagnosis`` `kdisk.qr-unreadable`.
    public static func parse(_ output: String) throws(Diagnosis) -> QRCode {
        let rows = output.split(separator: "\n").map { line in
            stride(from: 0, to: line.utf8.count, by: 2).map { line.utf8.dropFirst($0).first == UInt8(ascii: "#") }
        }
        guard let first = rows.first, rows.allSatisfy({ $0.count == first.count }), rows.count == first.count, first.first == true else {
            throw Diagnosis(
                "kdisk.qr-unreadable", "qrencode printed something that is not understood",
                remedies: ["report this as a defect of kldload, with the version of qrencode"], exit: .bug)
        }
        return QRCode(modules: rows)
    }

    /// What went wrong where the program is missing, or does not take the text.
    public static func explaining(_ error: any Error) -> any Error {
        guard let error = error as? CommandError else { return error }
        switch error {
        case .toolMissing:
            return Diagnosis(
                "kdisk.no-qrencode", "a label with a QR code needs the program qrencode",
                remedies: [
                    "install it: apt-get install qrencode (Debian), libqrencode-tools (Alpine), qrencode (others)",
                    "or print it without: kldload kdisk label DISK",
                ], exit: .unavailable)
        case .failed(_, let output):
            return Diagnosis(
                "kdisk.qr-failed", "qrencode could not make the code",
                remedies: ["shorten the passport: kldload kdisk label DISK --unset …"],
                causes: output.errors.lines)
        default: return error
        }
    }

    /// Runs of dark modules, as the path of an SVG.
    var path: String {
        var text = ""
        for (y, row) in modules.enumerated() {
            var x = 0
            while x < row.count {
                guard row[x] else {
                    x += 1
                    continue
                }
                let start = x
                while x < row.count, row[x] { x += 1 }
                text += "M\(start) \(y)h\(x - start)v1H\(start)z"
            }
        }
        return text
    }
}

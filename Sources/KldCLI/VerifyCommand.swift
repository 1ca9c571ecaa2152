import ArgumentParser
import KldCore
import KldDoctor
import KldExec
import KldFiles
import SystemPackage

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check this machine against what its installation meant to make.")

    @Option(help: "table or json.") var format = TableFormat.table
    @Option(help: ArgumentHelp("Only these checks or subsystems.", valueName: "name")) var only: [String] = []
    @Option(help: ArgumentHelp("Wait for the boot to settle first, at most this long.", valueName: "seconds")) var settle = 0
    @Option(help: ArgumentHelp("Write the report, as one line of JSON, into this file or port.", valueName: "file")) var output: String?

    func run() async throws {
        let (runner, files) = (SubprocessRunner(), LocalFiles())
        if settle > 0 { try await Settle.wait(runner, atMost: .seconds(settle)) }
        let report = try await Doctor.run(CheckContext(runner: runner, files: files), only: only)
        if let output {
            let port = try FileDescriptor.open(FilePath(output), .writeOnly, options: [.closeOnExec])
            defer { try? port.close() }
            try port.writeAll((SortedJSON.line(report) + "\n").utf8)
            return
        }
        Output.line(format == .json ? try report.json : report.text)
        if report.exitStatus != .done { throw ExitCode(report.exitStatus.rawValue) }
    }
}

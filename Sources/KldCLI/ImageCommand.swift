import ArgumentParser
import KldCore

struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "image", abstract: "Build and verify disk images.", subcommands: [])
}

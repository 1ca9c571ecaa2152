import ArgumentParser

/// The manual page and the completions of a tool, from the descriptions that its help is made of.
extension Applet {
    static let main = Applet(name: "kldload", command: Root.self)
    static let withPages = [main] + all

    /// By place below `/usr/share`: where man-db, and the shells of Debian, look.
    var pages: [(path: String, text: @Sendable () -> String)] {
        [
            ("man/man8/\(name).8", { manualPage }),
            ("bash-completion/completions/\(name)", { command.completionScript(for: .bash) }),
            ("zsh/vendor-completions/_\(name)", { command.completionScript(for: .zsh) }),
            ("fish/vendor_completions.d/\(name).fish", { command.completionScript(for: .fish) }),
        ]
    }

    /// Source: man(7), groff 1.22 to 1.23.
    var manualPage: String {
        var lines = [
            ".TH \(name.uppercased()) 8 \"\" \"kldload \(Version.number)\" \"kldload\"",
            ".SH NAME", "\(Self.roff(name)) \\- \(Self.roff(command.configuration.abstract))",
            ".SH DESCRIPTION",
        ]
        lines += help(command)
        let commands = commands(of: command, name)
        if !commands.isEmpty { lines += [".SH COMMANDS"] + commands }
        let others = Applet.withPages.map(\.name).filter { $0 != name }
        lines += [".SH SEE ALSO", others.map { ".BR \(Self.roff($0)) (8)" }.joined(separator: " ,\n")]
        return lines.joined(separator: "\n") + "\n"
    }

    private func commands(of parent: any ParsableCommand.Type, _ path: String) -> [String] {
        parent.configuration.subcommands.filter { $0.configuration.shouldDisplay }.flatMap { child -> [String] in
            let path = "\(path) \(child._commandName)"
            return [".SS \(Self.roff(path))"] + help(child) + commands(of: child, path)
        }
    }

    /// As it is shown, narrow enough for a page's margin.
    private func help(_ child: any ParsableCommand.Type) -> [String] {
        let text = command.helpMessage(for: child, includeHidden: false, columns: 72)
        return [".nf"] + text.split(separator: "\n", omittingEmptySubsequences: false).map { Self.roff(String($0)) } + [".fi"]
    }

    /// Text that is no request and keeps its hyphens.
    private static func roff(_ text: String) -> String {
        var escaped: [UInt8] = text.hasPrefix(".") || text.hasPrefix("'") ? Array("\\&".utf8) : []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): escaped += "\\e".utf8
            case UInt8(ascii: "-"): escaped += "\\-".utf8
            default: escaped.append(byte)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }
}

import ArgumentParser
import KldFiles
import KldInstall
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite struct CommandTests {
    @Test(arguments: [
        ["answers", "check", "my.env"], ["answers", "check", "my.env", "--format", "json"],
        ["answers", "check", "--show", "my.env", "--set", "KLDLOAD_PROFILE=core"],
        ["answers", "keys"], ["answers", "keys", "--format", "schema"],
        ["plan", "--answers", "my.env"], ["plan", "--answers", "my.env", "--format", "json", "--facts", "machine.json"],
        ["image", "build", "my.env", "--format", "qcow2,vmdk,vhd,ova,raw", "-o", "out/"], ["image", "verify", "out/x.qcow2"],
        ["image", "verify", "--once", "out/x.qcow2"],
        ["install", "--answers", "my.env", "--dry-run"], ["install", "--answers", "my.env", "--dry-run", "--format", "json"],
        ["install", "--answers", "my.env", "--from", "zfs.pool.create"],
        ["verify", "--format", "json"], ["firstboot", "--dry-run"], ["firstboot", "--status", "--format", "json"], ["facts"], ["applets"],
        ["applets", "--install", "/usr/local/bin"],
        ["ca", "init"], ["kldload-ca", "init", "--force", "--approve", "kldload-ca web-1", "--format", "json"],
        ["ca", "issue", "web", "--dns", "a.example", "*.b.example", "--ip", "10.0.0.1", "fd00::1", "--days", "30", "--eku", "serverAuth"],
        ["ca", "issue", "web", "--dns", "a.example", "--dns", "b.example", "--dry-run"], ["ca", "renew", "web"], ["ca", "renew", "--all"],
        ["ca", "info", "--format", "json"], ["ca", "trust-install", "--dry-run"],
        ["kexport", "/dev/sda", "qcow2", "/tmp/export/"], ["kexport", "--format", "qcow2", "--output", "/tmp/image.qcow2"],
        ["iso", "build", "--distro", "debian", "--profile", "server,core", "-o", "kldload.iso"], ["answers", "device-match", "auto"],
        ["seed", "create", "--answers", "my.env", "--device", "/dev/sdX1"], ["install-target", "--config", "my.env"],
        ["answers", "device-match", "--profile", "kvm"], ["kldload-install-target", "--guided", "--wait"],
        ["kldload-install-target", "--guided"], ["kbe", "list", "--format", "json"], ["kbe", "set-default", "rocky-v2"],
        ["kbe", "current"],
        ["kbe", "prune", "--older-than", "30d"], ["kbe", "import", "NAME", "-i", "FILE"], ["kbe", "unmount", "try-it"],
        ["krecovery", "import", "rpool"], ["krecovery", "list-snapshots", "rpool/home"],
        ["krecovery", "activate", "rpool/ROOT/debian@install"], ["krecovery", "rollback", "rpool/ROOT/debian@install"],
        ["krecovery", "reinstall-bootloader", "/dev/sda", "/target"], ["krecovery", "export-logs", "/mnt"],
        ["secure-boot", "status", "--format", "json"], ["doctor", "boot"], ["boot", "restore", "/dev/sda"],
        ["doctor"], ["doctor", "--fix", "--dry-run"], ["doctor", "--all", "--only", "zfs", "--format", "json"],
        ["kldload-doctor", "--quiet"],
        ["doctor", "boot", "--format", "json"], ["kldload-debug-bundle", "--out", "/run", "--quiet"], ["debug-bundle", "--dry-run"],
    ])
    func `the printed command lines are understood`(words: [String]) throws {
        _ = try Root.parseAsRoot(words)
    }

    @Test func `plan says that it does not know the payload, and what stands for it`() {
        let (text, payload) = (PlanCommand.configuration.discussion, PlanCommand.payload)
        #expect(payload.source == .stream(root: "root.zfs", rest: "rest.tar"))
        for word in ["looks for no payload", payload.kernel, "root.zfs", "rest.tar", "kldload install --dry-run"] {
            #expect(text.contains(word), "\(word)")
        }
    }

    @Test func `what the documents print is understood`() throws {
        let (files, root) = (LocalFiles(), FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent())
        let pages = try files.list(root.appending("docs")).filter { $0.hasSuffix(".md") }.map { "docs/\($0)" } + ["README.md"]
        var count = 0
        for page in pages {
            for (index, block) in try files.readText(root.appending(page)).split(separator: "```").enumerated() where index % 2 == 1 {
                for words in block.split(separator: "\n").map(Self.words) {
                    let tool: (any AsyncParsableCommand.Type)? =
                        words.first == "kldload" ? Root.self : words.first.flatMap(Applet.named)?.command
                    guard let tool else { continue }
                    #expect(throws: Never.self, "\(page): \(words)") { _ = try tool.parseAsRoot(Array(words.dropFirst())) }
                    count += 1
                }
            }
        }
        #expect(count > 50)
    }

    /// As a shell takes them, up to a comment or the next command.
    static func words(_ line: Substring) -> [String] {
        var (words, isQuoted) = ([""], false)
        for character in line {
            if character == "'" {
                isQuoted.toggle()
            } else if character == " ", !isQuoted {
                words.append("")
            } else {
                words[words.count - 1].append(character)
            }
        }
        return Array(words.filter { !$0.isEmpty }.prefix { !$0.hasPrefix("#") && !["&&", "|", ";"].contains($0) })
    }

    @Test(arguments: [
        ["image", "build"], ["plan"], ["install"], ["answers", "check", "a", "b"], ["nonsense"],
        ["answers", "check", "a", "--show", "--format", "json"], ["ca", "renew"], ["ca", "renew", "web", "--all"], ["ca", "issue"],
    ])
    func `incomplete and unknown command lines are refused with the usage exit status`(words: [String]) {
        do {
            _ = try Root.parseAsRoot(words)
            Issue.record("\(words) was accepted")
        } catch {
            #expect(Root.exitCode(for: error).rawValue == 64)
        }
    }

    @Test func `every applet is a subcommand of the same name`() {
        let names = Root.configuration.subcommands.flatMap { [$0._commandName] + $0.configuration.aliases }
        for applet in Applet.all {
            #expect(names.contains(applet.name))
            #expect(Applet.named(applet.name) != nil)
        }
        #expect(Applet.named("kldload") == nil)
    }

    @Test func `every command says what it is for`() {
        func check(_ command: any ParsableCommand.Type) {
            #expect(!command.configuration.abstract.isEmpty, "\(command)")
            for child in command.configuration.subcommands { check(child) }
        }
        check(Root.self)
    }
}

@Suite struct PageTests {
    @Test(arguments: Applet.withPages.map(\.name))
    func `every tool has a page of its own and completions for three shells, under its own name`(name: String) throws {
        let tool = try #require(Applet.withPages.first { $0.name == name })
        let pages = Dictionary(uniqueKeysWithValues: tool.pages.map { ($0.path, $0.text()) })
        #expect(pages.count == 4)
        let page = try #require(pages["man/man8/\(name).8"])
        #expect(page.hasPrefix(".TH \(name.uppercased()) 8 "))
        let words = page.replacing("\\-", with: "-")
        #expect(words.contains("USAGE: \(name)"))
        for child in tool.command.configuration.subcommands where child.configuration.shouldDisplay {
            #expect(words.contains(".SS \(name) \(child._commandName)\n"))
        }
        let macros = [".TH", ".SH", ".SS", ".nf", ".fi", ".BR"]
        for line in page.split(separator: "\n") where line.hasPrefix(".") || line.hasPrefix("'") {
            #expect(macros.contains { line.hasPrefix($0) }, "\(line)")
        }
        #expect(pages["bash-completion/completions/\(name)"]?.contains("complete -o filenames -F _\(name) \(name)") == true)
        #expect(pages["zsh/vendor-completions/_\(name)"]?.hasPrefix("#compdef \(name)\n") == true)
        #expect(pages["fish/vendor_completions.d/\(name).fish"]?.contains("complete -c '\(name)'") == true)
    }

    @Test func `pages are written for kldload, and for the tools whose names are there`() async throws {
        let files = MemoryFiles(["/usr/bin/kbe": ""])
        try await AppletsCommand.document("/usr", files)
        let pages = files.texts.keys.filter { $0.hasPrefix("/usr/share/man/") }.sorted()
        #expect(pages == ["/usr/share/man/man8/kbe.8", "/usr/share/man/man8/kldload.8"])
        #expect(files.texts["/usr/share/bash-completion/completions/kbe"] != nil)
    }

    @Test func `a tool under its own name takes what its subcommand takes`() throws {
        let parsed = try GuidedTool.parseAsRoot(["--answers", "my.env", "--dry-run"])
        let tool = try #require(parsed as? GuidedTool)
        #expect(tool.command.answers == "my.env" && tool.command.dryRun)
        #expect(try SecureBootTool.parseAsRoot([]) is SecureBootCommand.Status)
        #expect(try SecureBootTool.parseAsRoot(["enable", "--dry-run"]) is SecureBootCommand.Enable)
    }
}

@Suite struct VersionTests {
    @Test func `every tool is asked for it in the same way`() {
        #expect(Applet.asksVersion(["--version"]))
        for words in [[], ["list", "--version"], ["/dev/sda", "qcow2"]] { #expect(!Applet.asksVersion(words)) }
    }

    @Test func `the version names the build it is`() throws {
        let id = try #require(Version.buildID)
        #expect(id.count == 12 && id.allSatisfy(\.isHexDigit))
        #expect(Version.text == "kldload \(Version.number) (build \(id))")
    }
}

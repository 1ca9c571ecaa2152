import KldCore
import KldExec
import KldFiles
import KldTestSupport
import KldVirt
import SystemPackage
import Testing

@testable import KldImage

@Suite("Verifying an image")
struct ImageVerificationTests {
    @Test("an image that is not there is missed before anything is run or made")
    func missing() async throws {
        try await Scratch.with { folder in
            let runner = ScriptedRunner([])
            let workshop = Workshop(
                cache: ArtifactCache(root: folder.appending("cache"), runner: runner), runner: runner, executable: "/nowhere", root: false)
            let image = folder.appending("none.qcow2")
            let problem = await #expect(throws: ExportError.self) { try await ImageVerification(workshop: workshop) { _ in }.run(image) }
            #expect(problem == .sourceMissing(image))
            #expect(runner.commands.isEmpty)
            let left = try LocalFiles().list(folder)
            #expect(left.isEmpty)
        }
    }

    // MARK: what its disk is made of

    private struct Outcome {
        var name: String?
        var format: MachineDisk.Format?
        var problem: Diagnosis?
        var commands: [Command]
    }

    /// What qemu-img 10.0.2 says of a vmdk. - Parameter files: its extents.
    private static func vmdk(_ files: [FilePath], more: String = "") -> String {
        let extents = files.map { #"{"virtual-size": 8388608, "filename": "\#($0)", "format": "FLAT"}"# }.joined(separator: ", ")
        return #"{"virtual-size": 8388608, "filename": "x", "format": "vmdk", \#(more)"actual-size": 8192, "format-specific": "#
            + #"{"type": "vmdk", "data": {"cid": 1, "parent-cid": 2, "create-type": "monolithicFlat", "extents": [\#(extents)]}}}"#
    }

    /// Looks for the disk of an image, or takes it out of a package that has one.
    ///
    /// - Parameters:
    ///   - link: the package has a link in the disk's place.
    ///   - info: what qemu-img says of a file.
    private func find(_ name: String, link: Bool = false, info: @escaping @Sendable (FilePath) -> String) async throws -> Outcome {
        try await Scratch.with { folder in
            let (image, work) = (folder.appending(name), folder.appending("work"))
            let member = work.appending("disk.vmdk")
            try LocalFiles().write("image", to: image)
            try LocalFiles().makeDirectory(work, mode: 0o700)
            let runner = ScriptedRunner([
                { command in
                    switch command.arguments.first ?? "" {
                    case "--list": return CommandOutput(output: "disk.ovf\ndisk.vmdk\n")
                    case "--extract":
                        if link { try LocalFiles().symlink(member, to: image.string) } else { try LocalFiles().write("disk", to: member) }
                        return CommandOutput()
                    case "info": return CommandOutput(output: info(FilePath(command.arguments.last ?? "")))
                    default: return nil
                    }
                }
            ])
            let workshop = Workshop(
                cache: ArtifactCache(root: folder.appending("cache"), runner: runner), runner: runner, executable: "/nowhere", root: false)
            var outcome = Outcome(commands: [])
            outcome.problem = await problem {
                let found = try await ImageVerification(workshop: workshop) { _ in }.disk(of: image, in: work)
                (outcome.name, outcome.format) = (found.path.lastComponent?.string, found.format)
            }
            outcome.commands = runner.commands
            return outcome
        }
    }

    @Test("a disk that is all in its own file is taken, out of a package too", arguments: ["x.ova", "x.vmdk", "X.VMDK", "x.vhd"])
    func whole(_ name: String) async throws {
        let isVHD = name.hasSuffix("vhd")
        let outcome = try await find(name) { file in
            isVHD ? #"{"virtual-size": 8388608, "filename": "x", "format": "vpc", "dirty-flag": false}"# : Self.vmdk([file])
        }
        #expect(outcome.problem == nil)
        let format: MachineDisk.Format = isVHD ? .vpc : .vmdk
        #expect(outcome.name == (name == "x.ova" ? "disk.vmdk" : name) && outcome.format == format)
        #expect(outcome.commands.last?.description.contains("qemu-img info --output json -f \(format.rawValue) ") == true)
    }

    @Test(
        "one that takes content from another file of this machine is refused, in a package too",
        arguments: [("x.ova", "image.disk-elsewhere"), ("x.vmdk", "image.source-has-backing")])
    func elsewhere(_ name: String, _ code: String) async throws {
        let answers: [@Sendable (FilePath) -> String] = [
            { _ in Self.vmdk(["/etc/shadow"]) }, { Self.vmdk([$0, "/etc/shadow"]) }, { Self.vmdk(["/etc/shadow", $0]) },
            { Self.vmdk([$0], more: #""backing-filename": "/etc/shadow", "#) },
        ]
        for answer in answers {
            let problem = try await find(name, info: answer).problem
            #expect(problem?.code == code && problem?.remedies.isEmpty == false)
            #expect(([problem?.message ?? ""] + (problem?.causes ?? [])).contains { $0.contains("/etc/shadow") })
        }
        // Of a disk that is said to lie nowhere nobody knows where it lies.
        let nowhere = try await find(name) { _ in Self.vmdk([]) }
        #expect(nowhere.problem?.code == code)
    }

    @Test("a link in the disk's place is not followed: nothing opens what it leads to")
    func link() async throws {
        let outcome = try await find("x.ova", link: true) { Self.vmdk([$0]) }
        #expect(outcome.problem?.code == "image.disk-elsewhere" && outcome.problem?.exit == .inputMissing)
        #expect(outcome.commands.map(\.tool.name) == ["tar", "tar"])
    }
}

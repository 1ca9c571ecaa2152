import KldAnswers
import KldBlock
import KldBoot
import KldCore
import KldDistro
import KldExec
import KldFiles
@testable import KldInstall
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Before an installation touches anything")
struct PreflightTests {
    let plan = Plan(
        "p",
        [
            Phase(
                "a", "A",
                [
                    Step(
                        "a.b", "B", [.run(Command("zpool", ["list"], effect: .reads))],
                        release: [.run(Command(Tool("mkfs.vfat", package: "dosfstools"), [], effect: .changes))])
                ])
        ])

    func check(_ facts: MachineFacts, signed: Bool = true, tools: [String] = ["/usr/sbin/zpool", "/opt/x/mkfs.vfat"]) throws -> [String] {
        var notes: [String] = []
        let files = MemoryFiles(Dictionary(uniqueKeysWithValues: tools.map { ($0, "") }))
        try Preflight.check(plan, facts, signed: signed, path: "/opt/x:/usr/sbin", files: files) { notes.append($0) }
        return notes
    }

    @Test("a machine with UEFI and all tools passes without a word")
    func fine() throws { #expect(try check(MachineFacts(disks: [], firmwareEntries: true)).isEmpty) }

    @Test("missing tools are named all at once, with their packages")
    func tools() {
        let problem = #expect(throws: Diagnosis.self) { try check(MachineFacts(disks: [], firmwareEntries: true), tools: []) }
        #expect(problem?.code == "install.tools-missing" && problem?.message.hasSuffix("mkfs.vfat, zpool") == true)
        #expect(problem?.remedies == ["apt-get install dosfstools zpool"])
    }

    @Test("what a plan's work runs and its boot image begins with is looked for too, not met after the disks were wiped")
    func hidden() throws {
        var request = try request(answers(disk: "/dev/vda"), Machines.virtual)
        request.facts.secureBoot = true
        request.facts.firmwareEntries = true
        let plan = try InstallPlanner(request).plan
        let stub = "/\(request.spec.efi.stub)"
        let hidden = [stub, "mokutil", "xz", "zstd"]
        let all = plan.tools.map(\.name)
        #expect(Set(all).isSuperset(of: hidden + ["lsblk", "wipefs", "ukify"]))
        for gone in all {
            let files = MemoryFiles(
                Dictionary(
                    uniqueKeysWithValues: all.filter { $0 != gone }.map { ($0.hasPrefix("/") ? $0 : "/usr/bin/\($0)", "") }
                        + [("/usr/share/zfs/compatibility.d/\(request.spec.compatibility)", "")]))
            let problem = #expect(throws: Diagnosis.self) {
                try Preflight.check(plan, request.facts, signed: true, path: "/usr/bin", files: files) { _ in }
            }
            #expect(problem?.code == "install.tools-missing" && problem?.message.hasSuffix(": " + gone) == true)
            if gone == stub { #expect(problem?.remedies == ["apt-get install systemd-boot-efi"]) }
        }
    }

    @Test("a feature set that this system's OpenZFS does not know is named before the disks are wiped")
    func compatibility() throws {
        let create = Command("zpool", ["create", "-o", "compatibility=openzfs-2.4-linux", "rpool"], effect: .destroys)
        let plan = Plan("p", [Phase("a", "A", [Step("a.b", "B", [.run(create)], destroys: ["/dev/vda"])])])
        func check(_ sets: [String]) throws {
            let paths = ["/usr/sbin/zpool"] + sets.map { "/usr/share/zfs/compatibility.d/\($0)" }
            let files = MemoryFiles(Dictionary(uniqueKeysWithValues: paths.map { ($0, "") }))
            try Preflight.check(plan, MachineFacts(disks: []), signed: true, path: "/usr/sbin", files: files) { _ in }
        }
        #expect(throws: Never.self) { try check(["openzfs-2.4-linux"]) }
        #expect(#expect(throws: Diagnosis.self) { try check(["openzfs-2.3-linux"]) }?.code == "install.compatibility")
    }

    @Test("Secure Boot refuses what is not signed, so the installer refuses first")
    func secureBoot() {
        var facts = MachineFacts(disks: [], firmwareEntries: true)
        facts.secureBoot = true
        #expect(throws: Never.self) { try check(facts) }
        let problem = #expect(throws: Diagnosis.self) { try check(facts, signed: false) }
        #expect(problem?.code == "install.secure-boot" && problem?.exit == .unavailable)
    }

    @Test("without UEFI it is said that the new system needs it")
    func bios() throws { #expect(try check(MachineFacts(disks: [])).count == 1) }

    @Test("a system without OpenZFS is told where to find it")
    func openZFS() async {
        let runner = ScriptedRunner([
            { command in
                command.description == "modprobe zfs" ? CommandOutput(status: 1, errors: "modprobe: FATAL: Module zfs not found\n") : nil
            }
        ])
        let problem = await #expect(throws: Diagnosis.self) { try await Preflight.loadOpenZFS(runner) }
        #expect(problem?.code == "install.no-zfs" && problem?.causes == ["modprobe: FATAL: Module zfs not found"])
    }

    @Test("a pool of the same name on another disk stops it; on a disk that is wiped it does not")
    func samePool() throws {
        func facts(_ name: String) -> MachineFacts {
            Machines.plain(
                .disk("vda"),
                .disk(name) { disk in
                    var part = BlockDevice(path: "/dev/\(name)2", size: .gibibytes(50), type: "part")
                    (part.filesystem, part.label) = ("zfs_member", "rpool")
                    disk.children = [part]
                })
        }
        func check(_ pool: String, _ disk: String) throws {
            let facts = facts("vdb")
            let answers = try Answers("KLDLOAD_DISTRO=debian\nKLDLOAD_DISK=\(disk)\nKLDLOAD_HOSTNAME=h")
            try DiskSelection(answers, facts).checkPoolName(pool, facts)
        }
        let problem = #expect(throws: Diagnosis.self) { try check("rpool", "/dev/vda") }
        #expect(problem?.code == "disk.same-pool" && problem?.message.hasPrefix("/dev/vdb2 ") == true)
        #expect(throws: Never.self) { try check("tank", "/dev/vda") }
        #expect(throws: Never.self) { try check("rpool", "/dev/vdb") }
    }

    @Test("Secure Boot is read from the firmware's variable")
    func variable() async throws {
        let name = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        for (bytes, on) in [([6, 0, 0, 0, 1] as [UInt8], true), ([6, 0, 0, 0, 0], false), ([1], false)] {
            let files = MemoryFiles(["/proc/meminfo": "MemTotal: 2048 kB\n"])
            try files.write(bytes, to: FilePath(name), mode: 0o644)
            let runner = ScriptedRunner([{ $0.tool.name == "lsblk" ? CommandOutput(output: #"{"blockdevices": []}"#) : nil }])
            #expect(try await MachineFacts.gather(runner: runner, files: files).secureBoot == on)
        }
    }
}

import FoundationEssentials
import KldBlock
import KldCore
import KldExec
import KldFiles
import KldImage
import KldInstall
import KldTestSupport
import SystemPackage
import Testing

@Suite("Seed volumes")
struct SeedVolumeTests {
    static let mount = "mount -o ro,nosuid,nodev,noexec /dev/sdb1 /run/kldload/seed"
    static let unmount = "umount --recursive /run/kldload/seed"

    /// A stick with one partition. - Parameter labels: of the stick, of the partition, and the partition's name.
    func stick(_ path: String, _ labels: (disk: String?, part: String?, name: String?), filesystem: String = "vfat") -> BlockDevice {
        var part = BlockDevice(path: "\(path)1", size: .gibibytes(8), type: "part", filesystem: filesystem)
        (part.label, part.partitionLabel) = (labels.part, labels.name)
        var disk = BlockDevice(
            path: path, size: .gibibytes(8), filesystem: labels.disk == nil ? nil : filesystem, children: [part])
        disk.label = labels.disk
        return disk
    }

    func refusal(_ devices: [BlockDevice]) -> Diagnosis? { problem { _ = try SeedVolume.find(devices) } }

    @Test("each label is found, of a file system or of a partition, in capitals or not", arguments: SeedVolume.labels)
    func labels(_ label: String) throws {
        for name in [label, label.lowercased()] {
            #expect(try SeedVolume.find([stick("/dev/sdb", (name, nil, nil))])?.device == "/dev/sdb")
            #expect(try SeedVolume.find([stick("/dev/sdb", (nil, name, nil))])?.device == "/dev/sdb1")
            #expect(try SeedVolume.find([stick("/dev/sdb", (nil, nil, name))])?.device == "/dev/sdb1")
        }
    }

    @Test("one volume under two names is one, and so is a disc's image on a stick; without any there is none; other labels are others")
    func one() throws {
        let twice = stick("/dev/sdb", (nil, "KLDSEED", "KLDLOAD-SEED"))
        #expect(try SeedVolume.find([twice]) == SeedVolume(device: "/dev/sdb1", filesystem: "vfat"))
        // An array lies on both.
        #expect(try SeedVolume.find([twice, twice])?.device == "/dev/sdb1")
        let hybrid = stick("/dev/sdb", ("KLDLOAD-SEED", "KLDLOAD-SEED", nil), filesystem: "iso9660")
        #expect(try SeedVolume.find([hybrid]) == SeedVolume(device: "/dev/sdb", filesystem: "iso9660"))
        #expect(try SeedVolume.find([]) == nil)
        #expect(try SeedVolume.find([stick("/dev/sdb", (nil, "kldload-seed", nil), filesystem: "zfs_member")]) == nil)
        #expect(try SeedVolume.find([stick("/dev/sdb", (nil, "KLDSEED2", nil)), stick("/dev/sdc", ("CIDATA", nil, nil))]) == nil)
    }

    @Test("two volumes are refused, of one label too: nobody knows which one was meant")
    func two() {
        for names in [("KLDLOADSEED", "KLDLOADSEED"), ("KLDSEED", "KLDLOADSEED"), ("KLDLOADSEED", "kldloadseed")] {
            let problem = refusal([stick("/dev/sdb", (nil, names.0, nil)), stick("/dev/sdc", (nil, names.1, nil))])
            #expect(problem?.code == "autoinstall.several-seeds")
            #expect(problem?.causes == ["/dev/sdb1", "/dev/sdc1"])
        }
        // On one stick as well.
        let other = stick("/dev/sdb", ("KLDLOAD-SEED", "KLDSEED", nil))
        #expect(refusal([other])?.causes == ["/dev/sdb", "/dev/sdb1"])
        #expect(refusal([stick("/dev/sdb", (nil, nil, "KLDSEED")), stick("/dev/sdc", (nil, "KLDSEED", nil))]) != nil)
    }

    @Test("labels fit where they are put: FAT holds eleven characters")
    func fat() { #expect(SeedVolume.labels.contains { $0.utf8.count <= 11 }) }

    @Test("the answers are read from a volume that is mounted read-only, and stays so: they may name files on it")
    func answers() async throws {
        let runner = ScriptedRunner([Self.mount: ""])
        let files = MemoryFiles(["/run/kldload/seed/answers.env": "KLDLOAD_DISTRO=debian\n"])
        let text = try await SeedVolume(device: "/dev/sdb1").open(for: .init(), runner: runner, files: files)
        #expect(String(decoding: text, as: UTF8.self) == "KLDLOAD_DISTRO=debian\n")
        #expect(runner.commands.map(\.description) == [Self.mount])
    }

    @Test("what lies on a FAT is root's alone", arguments: [("vfat", true), ("exfat", true), ("iso9660", false), ("ext4", false)])
    func masked(_ filesystem: String, _ isMasked: Bool) async throws {
        let files = MemoryFiles(["/run/kldload/seed/answers.env": ""])
        let runner = ScriptedRunner.accepting
        _ = try await SeedVolume(device: "/dev/sdb1", filesystem: filesystem).open(for: .init(), runner: runner, files: files)
        #expect(runner.commands.first?.arguments.contains("ro,nosuid,nodev,noexec\(isMasked ? ",umask=0077" : "")") == true)
    }

    @Test("a seed volume without answers is an error, and is unmounted")
    func empty() async throws {
        let runner = ScriptedRunner([Self.mount: "", Self.unmount: ""])
        let problem = await problem {
            _ = try await SeedVolume(device: "/dev/sdb1").open(for: .init(), runner: runner, files: MemoryFiles())
        }
        #expect(problem?.code == "autoinstall.no-answers")
        #expect(runner.commands.last?.description == Self.unmount)
    }

    static let machine = MachineIdentity(serial: "ABC-1234", addresses: ["52:54:00:12:34:56"])

    /// What opening a volume says on which an installation of ``machine`` was written down.
    func opening(by machine: MachineIdentity, result: String = "installed\n", facts: Bool = true) async throws -> String? {
        var known = MachineFacts(disks: [])
        known.identity = Self.machine
        let report = "/run/kldload/seed/kldload-web-1-20260101000000"
        let files = MemoryFiles(["/run/kldload/seed/answers.env": "x", "\(report)/result.txt": result])
        if facts { try files.write(Array(JSONEncoder().encode(known)), to: FilePath("\(report)/facts.json"), mode: 0o644) }
        let runner = ScriptedRunner([Self.mount: "", Self.unmount: ""])
        let found = await problem { _ = try await SeedVolume(device: "/dev/sdb1").open(for: machine, runner: runner, files: files) }
        guard let refusal = found else {
            #expect(runner.commands.count == 1)
            return nil
        }
        #expect(runner.commands.last?.description == Self.unmount)
        #expect(refusal.remedies.last?.contains("kldload-web-1-20260101000000") == true)
        return refusal.code
    }

    @Test("a stick that was left in does not install its machine again, and does install the next one")
    func left() async throws {
        #expect(try await opening(by: Self.machine) == "autoinstall.installed-before")
        #expect(try await opening(by: .init(serial: "ABC-1234")) == "autoinstall.installed-before")
        #expect(try await opening(by: .init(serial: "ABC-1235", addresses: ["52:54:00:12:34:57"])) == nil)
        #expect(try await opening(by: .init()) == nil)
        #expect(try await opening(by: Self.machine, result: "failed\nerror[x]: installed\n") == nil)
        #expect(try await opening(by: Self.machine, facts: false) == nil)
    }

    @Test("the result alone says which machine that was, and how it is started; what earlier versions wrote down counts as before")
    func remembered() async throws {
        let result = SeedVolume.result(of: Self.machine, saying: "\nSecure Boot: type the password: sesame\n") + "\n"
        #expect(
            result == """
                installed
                machine: {"addresses":["52:54:00:12:34:56"],"serial":"ABC-1234"}

                Secure Boot: type the password: sesame

                """)
        #expect(try await opening(by: Self.machine, result: result, facts: false) == "autoinstall.installed-before")
        #expect(try await opening(by: .init(serial: "ABC-1235"), result: result, facts: false) == nil)
        #expect(try await opening(by: Self.machine, result: SeedVolume.result(of: Self.machine), facts: false) != nil)
        #expect(try await opening(by: Self.machine, result: "failed\n" + result, facts: false) == nil)
        // Facts of the same report are not asked then: they might be cut off.
        #expect(try await opening(by: Self.machine, result: SeedVolume.result(of: .init(serial: "ABC-1235"))) == nil)
    }

    static let writing = [
        unmount: "", "mount -o rw,nosuid,nodev,noexec /dev/sdb1 /run/kldload/seed": "", "sync --file-system /run/kldload/seed": "",
    ]

    @Test("a seed volume gets a folder with what became of it, and is unmounted whatever happens")
    func report() async throws {
        let runner = ScriptedRunner(Self.writing)
        let files = MemoryFiles()
        let lost = try await SeedVolume(device: "/dev/sdb1").report(
            [("result.txt", [7])], in: "kldload-web-1", runner: runner, files: files)
        #expect(lost.isEmpty)
        #expect(try files.read("/run/kldload/seed/kldload-web-1/result.txt") == [7])
        #expect(runner.commands.map(\.tool.name) == ["umount", "mount", "sync", "umount"])
    }

    @Test("on a full stick what fits is written, and what does not is told")
    func full() async throws {
        let runner = ScriptedRunner(Self.writing)
        let files = SmallFiles(inner: MemoryFiles(), most: 10)
        let lost = try await SeedVolume(device: "/dev/sdb1").report(
            [("result.txt", [7]), ("install.jsonl", Array(repeating: 0, count: 11)), ("answers.env", [8])], in: "kldload-web-1",
            runner: runner, files: files)
        #expect(lost.map(\.name) == ["install.jsonl"])
        #expect(lost.first?.problem.code == "file.no-space")
        #expect(try files.read("/run/kldload/seed/kldload-web-1/answers.env") == [8])
        #expect(runner.commands.last?.description == Self.unmount)
    }

    @Test("a full stick on which the result alone finds room knows which machine it has installed")
    func almostFull() async throws {
        let inner = MemoryFiles(["/run/kldload/seed/answers.env": "x"])
        let result = Array(SeedVolume.result(of: Self.machine).utf8)
        let lost = try await SeedVolume(device: "/dev/sdb1").report(
            [(SeedVolume.resultName, result), (SeedVolume.factsName, Array(repeating: 0, count: 1000))], in: "kldload-web-1",
            runner: ScriptedRunner(Self.writing), files: SmallFiles(inner: inner, most: 300))
        #expect(lost.map(\.name) == [SeedVolume.factsName])
        let runner = ScriptedRunner([Self.mount: "", Self.unmount: ""])
        await #expect {
            _ = try await SeedVolume(device: "/dev/sdb1").open(for: Self.machine, runner: runner, files: inner)
        } throws: { Diagnosis(of: $0).code == "autoinstall.installed-before" }
    }

    /// What is there at each look, in their order; the last of them again and again.
    private func wait(_ looks: [String]) async throws -> (found: SeedVolume?, commands: [String]) {
        let counter = Fuse(at: nil)
        let runner = ScriptedRunner([
            { command in
                switch command.tool.name {
                case "udevadm": return CommandOutput()
                case "lsblk":
                    try counter.tick()
                    return CommandOutput(output: looks[min(counter.count, looks.count) - 1])
                default: return nil
                }
            }
        ])
        let found = try await SeedVolume.wait(every: .zero, again: .zero, runner: runner)
        return (found, runner.commands.map(\.tool.name))
    }

    /// lsblk of util-linux 2.41, as far as it is read.
    private static func listing(_ names: String...) -> String {
        let disks = names.map {
            #"{"path":"/dev/\#($0)","name":"\#($0)","type":"disk","size":4194304,"fstype":"vfat","label":"KLDLOADSEED"}"#
        }
        return #"{"blockdevices":["# + disks.joined(separator: ",") + "]}"
    }

    @Test("a volume that appears is not taken at once: another one that appears after it is seen, and both are refused")
    func later() async throws {
        let (none, one, both) = (Self.listing(), Self.listing("sdb"), Self.listing("sdb", "sdc"))
        let seed = try await wait([none, one])
        #expect(seed.found?.device == "/dev/sdb")
        #expect(seed.commands == ["udevadm", "lsblk", "lsblk", "udevadm", "lsblk"])
        await #expect { _ = try await wait([one, both]) } throws: { Diagnosis(of: $0).code == "autoinstall.several-seeds" }
        // One that is taken out meanwhile is none.
        #expect(try await wait([one, none]).found == nil)
        #expect(try await wait([none]).commands.count { $0 == "lsblk" } == 20)
    }
}

/// Files of a volume on which nothing large has room.
private struct SmallFiles: FileSystemDecorator {
    var inner: any FileSystem
    var most: Int
    func write(_ bytes: [UInt8], to path: FilePath, mode: ModeBits) throws {
        guard bytes.count <= most else { throw FileError.noSpace(path) }
        try inner.write(bytes, to: path, mode: mode)
    }
}

import FoundationEssentials
import KldAnswers
import KldCore
import KldFiles
import KldImage
import KldInstall
import KldTestSupport
import SystemPackage
import Testing

@testable import KldCLI

@Suite("The root file system that is installed")
struct PayloadCheckTests {
    static func answers(_ lines: String...) throws -> Answers {
        try Answers((["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=/dev/vda", "KLDLOAD_HOSTNAME=host"] + lines).joined(separator: "\n"))
    }

    static func info(_ answers: Answers, _ change: (inout PayloadSpec) -> Void = { _ in }) -> PayloadInfo {
        var spec = PayloadSpec(answers, buildMirror: "")
        change(&spec)
        return PayloadInfo(spec: spec, kernel: "6.12", openZFS: "2.3", packageCount: 300)
    }

    @Test("is taken when it was built from the same answers, or holds more than they ask for")
    func same() throws {
        for answers in [
            try Self.answers(), try Self.answers("KLDLOAD_PROFILE=core", "KLDLOAD_LOCALE=de_DE.UTF-8", "KLDLOAD_EXTRA_PACKAGES='htop vim'"),
            try Self.answers("KLDLOAD_WIFI_SSID=x"), try Self.answers("KLDLOAD_DEBIAN_MIRROR=http://deb.example.org/debian"),
        ] { try PayloadCheck.check(Self.info(answers), for: answers) }
        let more = try Self.info(Self.answers()) {
            $0.extraPackages = ["htop"]
            $0.groups = ["wifi"]
            $0.installedMirror = "http://elsewhere.example.org/debian"
            // Made while it is installed.
            $0.locale = "de_AT.UTF-8"
        }
        try PayloadCheck.check(more, for: Self.answers())
    }

    static let differences: [(String, String, @Sendable (inout PayloadSpec) -> Void)] = [
        ("kind: it has live, the answers say target", "", { $0.kind = .live }),
        ("distribution: it has ubuntu, the answers say debian", "", { $0.distro = "ubuntu" }),
        ("release: it has bookworm, the answers say trixie", "", { $0.suite = "bookworm" }),
        ("backports: it has 1, the answers say 0", "", { $0.backports = true }),
        ("profile: it has core, the answers say server", "", { $0.profile = "core" }),
        (
            "mirror: it has http://a.example.org, the answers say http://b.example.org", "KLDLOAD_CUSTOM_MIRROR_URL=http://b.example.org",
            { $0.installedMirror = "http://a.example.org" }
        ),
    ]

    @Test("is refused when it is another, and the difference is named", arguments: differences.indices)
    func different(_ index: Int) throws {
        let (cause, line, change) = Self.differences[index]
        let answers = try Self.answers(line)
        let problem = problem { try PayloadCheck.check(Self.info(answers, change), for: answers) }
        #expect(problem?.code == "install.payload-differs")
        #expect(problem?.exit == .inputMissing)
        #expect(problem?.causes == [cause])
    }

    @Test("what it lacks is added from the mirror beside it; what its profile has, or it was built with, is not")
    func additions() throws {
        let mirror = MirrorInfo(packages: ["core": ["awscli", "htop"], "server": ["awscli", "bpfcc-tools", "bpftool", "bpftrace"]])
        let answers = try Self.answers("KLDLOAD_EXTRA_PACKAGES='zsh awscli htop'", "KLDLOAD_ENABLE_EBPF=1")
        let info = Self.info(answers) {
            $0.extraPackages = ["zsh"]
            $0.groups = []
        }
        // htop is a tool of the profile server.
        #expect(try PayloadCheck.check(info, for: answers, mirror: mirror) == ["awscli", "bpfcc-tools", "bpftool", "bpftrace"])
        #expect(try PayloadCheck.check(Self.info(answers), for: answers, mirror: mirror) == [])
        let core = try Self.answers("KLDLOAD_EXTRA_PACKAGES=htop", "KLDLOAD_PROFILE=core")
        #expect(try PayloadCheck.check(Self.info(core) { $0.extraPackages = [] }, for: core, mirror: mirror) == ["htop"])
    }

    @Test("what other packages brought along is there: it is neither missed nor added; without a list of it, only what was asked for is")
    func broughtAlong() throws {
        let answers = try Self.answers("KLDLOAD_EXTRA_PACKAGES='python3 libc6 cowsay'", "KLDLOAD_PROFILE=core")
        let info = Self.info(answers) { $0.extraPackages = [] }
        // dpkg-query 1.22.21
        let list = ["libc6:amd64 2.41-12 amd64 glibc 2.41-12 M", "python3 3.13.5-1 amd64 python3-defaults 3.13.5-1 M"]
            .map { $0.replacing(" ", with: "\t") + "\n" }.joined()
        let installed = try PayloadCheck.installed("/p", MemoryFiles(["/p/packages.tsv": list]))
        #expect(installed.sorted() == ["libc6", "python3"])
        let missed = problem { try PayloadCheck.check(info, for: answers, installed: installed) }
        #expect(missed?.code == "install.packages-missing" && missed?.message.hasSuffix(" ask for: cowsay") == true)
        let mirror = MirrorInfo(packages: ["core": ["cowsay", "python3"]])
        #expect(try PayloadCheck.check(info, for: answers, installed: installed, mirror: mirror) == ["cowsay"])
        #expect(try PayloadCheck.installed("/p", MemoryFiles()).isEmpty)
        let broken = problem { _ = try PayloadCheck.installed("/p", MemoryFiles(["/p/packages.tsv": "python3\t3.13\n"])) }
        #expect(broken?.code == "install.payload-unreadable" && broken?.causes == ["python3\t3.13"])
    }

    @Test("packages that neither it nor the mirror has are named, with the medium that would have them", arguments: [true, false])
    func missing(_ mirrored: Bool) throws {
        let answers = try Self.answers("KLDLOAD_EXTRA_PACKAGES='awscli cowsay'", "KLDLOAD_PROFILE=core")
        // Of another profile it was never tried.
        let mirror = MirrorInfo(packages: ["core": ["awscli"], "server": ["awscli", "cowsay"]])
        let problem = problem {
            try PayloadCheck.check(Self.info(answers) { $0.extraPackages = [] }, for: answers, mirror: mirrored ? mirror : nil)
        }
        let names = mirrored ? ["cowsay"] : ["awscli", "cowsay"]
        #expect(problem?.code == "install.packages-missing" && problem?.exit == .inputMissing)
        #expect(problem?.message.hasSuffix(" ask for: \(names.joined(separator: ", "))") == true)
        #expect(problem?.remedies.first?.hasSuffix("kldload iso build --with-packages \(names.joined(separator: ","))") == true)
    }

    @Test("what the answers switch on is looked for too")
    func groups() throws {
        let answers = try Self.answers("KLDLOAD_WIFI_SSID=x", "KLDLOAD_PROFILE=core")
        let problem = problem { try PayloadCheck.check(Self.info(answers) { $0.groups = [] }, for: answers) }
        #expect(problem?.code == "install.packages-missing" && problem?.message.contains("firmware-iwlwifi") == true)
    }

    @Test("what a mirror says of itself is read; where there is none nothing can be added; what is not understood is refused")
    func mirror() throws {
        let info = MirrorInfo(packages: ["core": ["htop"]])
        let text = String(decoding: try JSONEncoder().encode(info), as: UTF8.self)
        #expect(try PayloadCheck.mirror("/m", MemoryFiles(["/m/mirror.json": text])) == info)
        #expect(try PayloadCheck.mirror("/m", MemoryFiles()) == nil)
        for text in Self.broken {
            let problem = problem { _ = try PayloadCheck.mirror("/m", MemoryFiles(["/m/mirror.json": text])) }
            #expect(problem?.code == "install.mirror-unreadable", "\(text)")
        }
    }

    @Test("what a medium or an export holds of it is asked before a machine starts from there; what it does not hold is named")
    func onMedium() throws {
        let core = try Self.answers("KLDLOAD_PROFILE=core")
        func text(_ value: some Encodable) throws -> String { String(decoding: try JSONEncoder().encode(value), as: UTF8.self) }
        let folder = "/m/kldload/payloads/debian-trixie-core"
        let files = MemoryFiles([
            "\(folder)/payload.json": try text(Self.info(core)),
            "/m/kldload/mirrors/debian-trixie/mirror.json": try text(MirrorInfo(packages: ["core": ["htop"]])),
        ])
        func problem(_ lines: String...) throws -> Diagnosis? {
            let answers = try Answers(
                (["KLDLOAD_DISTRO=debian", "KLDLOAD_DISK=auto", "KLDLOAD_HOSTNAME=host"] + lines).joined(separator: "\n"))
            return KldTestSupport.problem { try PayloadCheck.check(answers, on: "/m", files) }
        }
        #expect(try problem("KLDLOAD_PROFILE=core", "KLDLOAD_EXTRA_PACKAGES=htop") == nil)
        #expect(try problem("KLDLOAD_PROFILE=core", "KLDLOAD_EXTRA_PACKAGES=cowsay")?.code == "install.packages-missing")
        #expect(try problem("KLDLOAD_PROFILE=core", "KLDLOAD_DEBIAN_BACKPORTS=1")?.code == "install.payload-differs")
        let server = try problem("KLDLOAD_PROFILE=server")
        #expect(server?.code == "install.no-payload" && server?.message.contains("debian trixie, profile server") == true)
        #expect(server?.remedies.first?.contains("kldload iso build --profile server") == true)
    }

    @Test("is refused with every difference at once")
    func several() throws {
        let answers = try Self.answers()
        let info = Self.info(answers) {
            $0.suite = "bookworm"
            $0.profile = "core"
        }
        #expect(problem { try PayloadCheck.check(info, for: answers) }?.causes.count == 2)
    }

    // MARK: files

    static let broken = [
        "", "{", "[]", "{}", "\u{1}", #"{"schema":"payload/9"}"#, #"{"schema":"payload/1"}"#, #"{"schema":"machine-facts/1"}"#,
    ]

    @Test("is refused when its description cannot be read, or follows another schema", arguments: broken)
    func unreadable(_ text: String) {
        let problem = problem { _ = try PayloadCheck.read("/x/payload.json", MemoryFiles(["/x/payload.json": text])) }
        #expect(problem?.code == "install.payload-unreadable")
        #expect(problem?.causes.count == 1)
        #expect(problem?.remedies.isEmpty == false)
    }

    @Test("a newer schema is named")
    func schema() {
        let files = MemoryFiles(["/x/payload.json": #"{"schema":"payload/9"}"#])
        #expect(problem { _ = try PayloadCheck.read("/x/payload.json", files) }?.causes == ["its schema is payload/9, not payload/2"])
    }

    @Test("its description is read whole")
    func whole() throws {
        let info = try Self.info(Self.answers("KLDLOAD_EXTRA_PACKAGES=htop"))
        let text = String(decoding: try JSONEncoder().encode(info), as: UTF8.self)
        #expect(try PayloadCheck.read("/x/payload.json", MemoryFiles(["/x/payload.json": text])) == info)
    }

    @Test("saved facts that are none are refused with a remedy", arguments: broken)
    func facts(_ text: String) throws {
        let problem = problem { _ = try SavedFacts.read("/x/facts.json", MemoryFiles(["/x/facts.json": text])) }
        #expect(problem?.code == "plan.facts-unreadable")
        #expect(problem?.remedies.first?.contains("kldload facts") == true)
    }

    @Test("saved facts are read back, and a file that is not there is called that")
    func savedFacts() throws {
        let facts = MachineFacts(disks: [], interfaces: ["eno1"])
        let text = String(decoding: try JSONEncoder().encode(facts), as: UTF8.self)
        #expect(try SavedFacts.read("/f", MemoryFiles(["/f": text])) == facts)
        #expect(problem { _ = try SavedFacts.read("/f", MemoryFiles()) }?.code == "file.missing")
    }
}

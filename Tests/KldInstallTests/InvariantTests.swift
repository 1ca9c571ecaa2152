import FoundationEssentials
import KldAnswers
import KldBlock
import KldCore
import KldDistro
import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Suite("What holds for every plan")
struct InvariantTests {
    /// In parts, so that they are checked at the same time.
    static let parts = 10

    /// Ten thousand where the compiler optimizes, or when asked for: an unoptimized build is slow at it, most of all with `FilePath`.
    static let plans: Int = {
        #if DEBUG
            let usual = 600
        #else
            let usual = 10_000
        #endif
        return ProcessInfo.processInfo.environment["KLDLOAD_PLANS"].flatMap { Int($0) } ?? usual
    }()

    @Test("plans at random", arguments: 0..<parts)
    func all(_ part: Int) throws {
        var requests = try RandomRequests(seed: 0x6b6c_646c + UInt64(part), sheets: 40)
        var broken: Set<String> = []
        for number in 0..<(Self.plans / Self.parts) {
            let request = try requests.next()
            for kind in PlanView.parts(request) {
                let view = try PlanView(request, part: kind)
                for invariant in Invariant.all where !broken.contains(invariant.name) {
                    guard let offender = invariant.check(view) else { continue }
                    broken.insert(invariant.name)
                    Issue.record("part \(part), plan \(number): \(invariant.name): \(offender)\n\(request.answers)\n\(view.plan.text())")
                }
            }
        }
    }

    @Test("the same request gives the same plan, and no form of it tells a secret")
    func sample() throws {
        var requests = try RandomRequests(seed: 7, sheets: 30)
        for _ in 0..<60 {
            let request = try requests.next()
            for kind in PlanView.parts(request) {
                let plan = try PlanView.plan(InstallPlanner(request), kind)
                #expect(try PlanView.plan(InstallPlanner(request), kind) == plan)
                let json = String(decoding: try JSONEncoder().encode(plan.json), as: UTF8.self)
                for secret in RandomRequests.secrets + [String(RandomRequests.hash.suffix(40))] {
                    #expect(!plan.text(contents: true).contains(secret))
                    #expect(!json.contains(secret))
                    #expect(!"\(request)".contains(secret))
                }
            }
        }
    }

    @Test("there are many, each with a name of its own")
    func many() {
        #expect(Invariant.all.count >= 50)
        #expect(Set(Invariant.all.map(\.name)).count == Invariant.all.count)
        for parts in [Set<PlanView.Part>.template, .image] {
            let known = Invariant.all.filter { !$0.parts.isDisjoint(with: parts) }
            #expect(known.count >= 30)
        }
    }

    @Test("the random requests meet every topology, release, profile, way in, network, firmware and old content")
    func coverage() throws {
        var requests = try RandomRequests(seed: 1, sheets: 150)
        var seen: Set<String> = []
        for _ in 0..<600 {
            let request = try requests.next()
            let answers = request.answers
            seen.insert(answers.topology.rawValue)
            seen.insert("\(request.spec.suite) \(request.spec.backports)")
            seen.insert("sealed \(request.sealed), encrypted \(answers.encrypt)")
            seen.insert("profile \(request.profile.id), sealed \(request.sealed)")
            seen.insert("signed \(answers.secureBoot), enforced \(request.facts.secureBoot)")
            seen.insert("loader \(answers.bootloader.rawValue), sealed \(request.sealed)")
            if answers.mokFiles != nil { seen.insert("own key") }
            if answers.mokPassword != nil { seen.insert("own key password") }
            if let wifi = answers.wifi { seen.insert("wireless, passphrase \(wifi.passphrase != nil)") }
            seen.insert("special \(!answers.specialDisks.isEmpty), entries \(request.facts.firmwareEntries)")
            switch answers.credentials {
            case .defaultExpired: seen.insert("default password")
            case .hash: seen.insert("hash")
            case .password: seen.insert("password")
            case .file: seen.insert("file")
            }
            if case .fixed = answers.network { seen.insert("static") } else { seen.insert("dhcp") }
            for device in request.facts.disks.flatMap(\.tree) {
                seen.insert(device.type)
                if let filesystem = device.filesystem { seen.insert(filesystem) }
            }
        }
        let wanted = [
            "single", "mirror", "raidz1", "raidz2", "raidz3", "mirror-stripe", "bookworm false", "trixie false", "trixie true",
            "sealed true, encrypted false", "sealed false, encrypted true", "sealed false, encrypted false", "profile core, sealed false",
            "profile server, sealed false", "profile kvm, sealed false", "profile desktop, sealed false", "profile server, sealed true",
            "signed true, enforced true", "signed true, enforced false", "signed false, enforced true", "signed false, enforced false",
            "own key", "own key password", "wireless, passphrase true", "wireless, passphrase false", "special true, entries true",
            "special true, entries false", "loader grub, sealed false", "loader grub, sealed true", "loader systemd-boot, sealed false",
            "default password", "hash", "password", "static", "dhcp", "disk", "part", "crypt", "lvm", "raid0", "raid1", "zfs_member",
        ]
        #expect(Set(wanted).subtracting(seen).isEmpty)
    }
}

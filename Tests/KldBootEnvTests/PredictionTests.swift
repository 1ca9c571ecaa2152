import KldBoot
import KldCore
import KldTestSupport
import KldZFS
import Testing

@testable import KldBootEnv

@Suite("What the next boot will do")
struct BootPredictionTests {
    static let next = Fixture.entry("debian", order: 100)

    /// A machine on which all is well; tests break one thing at a time.
    static func predict(
        _ entries: [BootEntry] = [next], firmware: SecureBoot.Firmware = .off, enrolment: KeyEnrolment.State = .enrolled,
        _ change: (inout BootSystem, inout BootPrediction.Facts) throws -> Void = { _, _ in }
    ) throws -> BootPrediction {
        var system = try Fixture.system([Fixture.esp(entries), Fixture.esp(entries, "/dev/vdb1", mounted: false)])
        system.signing = .by(try CertificateIdentity([0x30, 13, 0x30, 11, 0x02, 1, 7, 0x30, 0, 0x30, 4, 0x31, 2, 0x30, 0]))
        let matching: [String: Set<String>] = ["/dev/vda1": Set(entries.map(\.id)), "/dev/vdb1": Set(entries.map(\.id))]
        var facts = BootPrediction.Facts(
            target: try Fixture.target("debian", matching: matching), module: true, signatures: ["/dev/vda1": .good, "/dev/vdb1": .good],
            firmware: firmware, enrolment: enrolment)
        try change(&system, &facts)
        return BootPrediction(system, facts)
    }

    @Test("a machine on which all is well starts, and every finding is content")
    func well() throws {
        for firmware in [SecureBoot.Firmware.off, .enforcing, .none] {
            let prediction = try Self.predict(firmware: firmware)
            #expect(prediction.starts && prediction.findings.allSatisfy { $0.status == .ok && $0.remedy == nil }, "\(prediction)")
            #expect(prediction.environment == "debian" && prediction.entry == Self.next.id)
        }
    }

    @Test("what would not start is called so, with a remedy")
    func broken() throws {
        let predictions = [
            try Self.predict([]), try Self.predict([Fixture.entry("debian", order: 100, left: 0, done: 3)]),
            try Self.predict { $1.target = nil }, try Self.predict { $1.target?.kernels = [] }, try Self.predict { $1.module = false },
            try Self.predict { system, _ in for index in system.esps.indices { system.esps[index].images = [:] } },
            try Self.predict { system, _ in system.hostID = nil },
            try Self.predict(firmware: .enforcing, enrolment: .absent) { $1.signatures["/dev/vda1"] = .missing },
            try Self.predict(firmware: .enforcing, enrolment: .absent) {
                $0.signing = .off
                $1.signatures["/dev/vda1"] = .missing
            },
            try Self.predict(firmware: .enforcing) { $1.signatures["/dev/vdb1"] = .missing },
            try Self.predict(firmware: .enforcing) { $1.signatures["/dev/vdb1"] = .broken },
            try Self.predict(firmware: .enforcing) { $1.target?.kernels[0].unsigned = ["zfs.ko.xz"] },
        ]
        for (index, prediction) in predictions.enumerated() {
            #expect(!prediction.starts, "\(index): \(prediction)")
            #expect(prediction.findings.allSatisfy { ($0.status == .ok) == ($0.remedy == nil) })
        }
    }

    @Test("what starts, and is not as it should be, is a warning")
    func warnings() throws {
        for (name, prediction) in [
            ("image", try Self.predict { $1.target?.kernels[0].matching = [:] }),
            ("newer kernel", try Self.predict { $1.target?.kernels.insert(.init(release: "7.0.0-amd64", size: .mebibytes(1)), at: 0) }),
            ("ESP", try Self.predict { system, _ in system.esps[1].entries = [] }),
            // An older key that the firmware knows has signed what boots next.
            ("signing", try Self.predict(firmware: .enforcing, enrolment: .absent)),
            ("signing", try Self.predict(firmware: .enforcing) { system, _ in system.signing = .off }),
        ] {
            #expect(prediction.starts)
            #expect(prediction.findings.filter { $0.status == .warn }.map(\.name) == [name])
        }
    }

    @Test("each ESP is asked what would start from it alone: the loader counts on the one that it starts from")
    func eachESP() throws {
        let (failed, fresh) = (Fixture.entry("test", order: 200, left: 0, done: 3), Fixture.entry("test", order: 200, left: 3))
        func warnings(_ second: [BootEntry], told: LoaderChoice = LoaderChoice()) throws -> [String] {
            let prediction = try Self.predict([Self.next, failed]) { system, _ in
                system.esps[1].entries = second
                system.told = told
            }
            #expect(prediction.starts && prediction.environment == "debian")
            return prediction.findings.filter { $0.status == .warn && $0.name == "ESP" }.map(\.text)
        }
        #expect(try warnings([Self.next, failed]) == [])
        #expect(try warnings([Self.next, fresh]) == ["/dev/vdb1 would start test, by \(fresh.fileName)"])
        let none = [Fixture.entry("debian", order: 100, left: 0, done: 3), failed]
        #expect(try warnings(none) == ["/dev/vdb1 has nothing that may still be tried"])
        // What somebody chose in the menu counts on each.
        #expect(try warnings([Self.next, fresh], told: LoaderChoice(always: Self.next.fileName.lowercased())) == [])
    }

    @Test("an entry whose image an ESP lacks is not what would start from it")
    func lackingImage() throws {
        let other = Fixture.entry("test", order: 200)
        var esp = Fixture.esp([Self.next, other])
        esp.images[other.imagePath] = nil
        var system = try Fixture.system([esp])
        #expect(system.choice(on: esp) == Self.next)
        // GRUB's menu does not look.
        system.chain = .grub
        #expect(system.choice(on: esp) == other)
    }

    @Test("modules that were signed anew since are not those that boot next")
    func later() throws {
        let prediction = try Self.predict(firmware: .enforcing) {
            $1.target?.kernels[0].unsigned = ["zfs.ko.xz"]
            $1.target?.kernels[0].matching = [:]
        }
        #expect(prediction.starts && prediction.findings.filter { $0.status == .warn }.map(\.name) == ["image"])
    }

    @Test("the entry is the loader's choice: the highest that may still be tried")
    func choice() throws {
        let test = Fixture.entry("test", order: 200, left: 0, done: 3)
        #expect(try Self.predict([Self.next, test]).environment == "debian")
        let trial = try Self.predict([Self.next, Fixture.entry("test", order: 200, left: 2, done: 1)])
        #expect(trial.environment == "test" && trial.findings.first?.text.contains("2 of its tries are left") == true)
    }
}

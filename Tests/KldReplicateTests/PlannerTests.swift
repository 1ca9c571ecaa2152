import KldCore
import KldExec
import KldPlan
import KldSSH
import KldTestSupport
import KldZFS
import Testing

@testable import KldReplicate

enum Sample {
    static let now = Timestamp(seconds: 1_786_000_000)
    /// Of the snapshot that is taken at ``now``.
    static let label = "kreplicate-off-site-20260806-070640"
    static let over =
        "ssh -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o ConnectTimeout=20 -o ServerAliveInterval=15 -o BatchMode=yes -- "

    static func request(_ source: String = "rpool/srv", _ target: String = "tank/srv") throws -> ReplicationRequest {
        try ReplicationRequest(from: ReplicaPlace(source), to: ReplicaPlace(target), name: "off-site")
    }

    static func snapshot(_ name: String, _ guid: UInt64, holds: Int = 0, ours: Bool = false) -> ReplicaSnapshot {
        let mark = name.contains("#") ? "#" : "@"
        let parts = name.split(separator: Character(mark)).map(String.init)
        return ReplicaSnapshot(
            dataset: parts[0], label: parts[1], isBookmark: mark == "#", guid: guid, transaction: guid, holds: holds,
            replication: ours ? "off-site" : nil)
    }

    static func planner(
        _ request: ReplicationRequest, source: [ReplicaDataset]? = nil, target: [ReplicaDataset] = [], here: [ReplicaSnapshot] = [],
        there: [ReplicaSnapshot] = [], tokens: [String: ResumeToken] = [:], meter: Bool = false
    ) -> ReplicationPlanner {
        ReplicationPlanner(
            request,
            ReplicationFacts(
                source: source ?? [ReplicaDataset(name: "rpool/srv")], target: target, sourceSnapshots: here, targetSnapshots: there,
                tokens: tokens, ancestors: ["tank"]), now: now, meter: meter)
    }

    /// What the plan runs, pipes as a person types them.
    static func lines(_ plan: Plan) -> [String] { plan.steps.flatMap(\.actions).map(\.text) }
    static func sends(_ planner: ReplicationPlanner, _ index: Int = 0) throws -> [String] {
        try lines(planner.plan(for: planner.datasets[index])).filter { $0.contains(" | ") }
    }
}

@Suite struct ReplicationRequestTests {
    @Test(
        arguments: [
            ("rpool/home", nil, "rpool/home"), ("backup-host:backup/home", "backup-host", "backup/home"),
            ("root@backup.infra.local:backup/web-01/srv", "root@backup.infra.local", "backup/web-01/srv"),
            ("root@[fd00::1]:tank/my data", "root@fd00::1", "tank/my data"), ("tank/a:b", nil, "tank/a:b"),
        ] as [(String, String?, String)])
    func `ends are read as syncoid reads them`(text: String, host: String?, dataset: String) throws {
        let place = try ReplicaPlace(text)
        #expect(place.host?.description == host && place.dataset.text == dataset)
    }

    @Test func `a replication has a name of its own that does not change`() throws {
        func name(_ source: String, _ target: String) throws -> String {
            try ReplicationRequest(from: ReplicaPlace(source), to: ReplicaPlace(target)).name
        }
        let first = try name("rpool/home", "backup-host:backup/home")
        #expect(first.count == 8 && first.allSatisfy(\.isHexDigit))
        #expect(try name("rpool/home", "backup-host:backup/home") == first && name("rpool/home", "other:backup/home") != first)
    }

    @Test(arguments: [("rpool/a", "rpool/a"), ("rpool/a", "rpool/a/b"), ("rpool/a/b", "rpool/a")])
    func `ends within each other are refused`(source: String, target: String) {
        #expect(problem { _ = try Sample.request(source, target) }?.code == "replicate.same")
    }

    @Test(arguments: ["", "a b", "a/b", "-x", ".x", "a@b"]) func `names that no snapshot can carry are refused`(name: String) {
        let problem = problem { _ = try ReplicationRequest(from: ReplicaPlace("a/b"), to: ReplicaPlace("c/d"), name: name) }
        #expect(problem?.code == "replicate.name")
    }

    @Test func `rates are read as pv takes them`() {
        #expect(ByteCount(rate: "512k") == ByteCount(524_288) && ByteCount(rate: "10M") == .mebibytes(10))
        #expect(ByteCount(rate: "1.5g") == .mebibytes(1536) && ByteCount(rate: "700") == ByteCount(700))
        for text in ["", "k", "-1m", "0", "1t", "nan", "inf", "1e99"] { #expect(ByteCount(rate: text) == nil, "\(text)") }
    }
}

@Suite struct ReplicationPlannerTests {
    @Test func `the first time everything is sent from the oldest snapshot on, read-only and not mounted`() throws {
        let planner = Sample.planner(
            try Sample.request(), here: [Sample.snapshot("rpool/srv@old", 10), Sample.snapshot("rpool/srv@new", 20)])
        #expect(
            Sample.lines(try planner.preparation()) == [
                "zfs snapshot -o com.kldload:replica=off-site rpool/srv@\(Sample.label)",
                "zfs hold kreplicate-off-site rpool/srv@\(Sample.label)",
            ])
        #expect(
            Sample.lines(try planner.plan(for: planner.datasets[0])) == [
                "zfs send -L -c rpool/srv@old | zfs receive -u -s -o readonly=on -o canmount=noauto tank/srv",
                "zfs send -L -c -I @old rpool/srv@\(Sample.label) | zfs receive -u -s tank/srv",
                "zfs set com.kldload:replica=off-site tank/srv@\(Sample.label)", "zfs hold kreplicate-off-site tank/srv@\(Sample.label)",
                "zfs bookmark rpool/srv@\(Sample.label) 'rpool/srv#\(Sample.label)'",
            ])
    }

    @Test func `the next time only what is new; what the last time was held for goes at both ends`() throws {
        let last = "kreplicate-off-site-20260805-070640"
        let planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv")],
            here: [
                Sample.snapshot("rpool/srv@old", 10, holds: 1), Sample.snapshot("rpool/srv@\(last)", 20, holds: 1, ours: true),
                Sample.snapshot("rpool/srv#\(last)", 20), Sample.snapshot("rpool/srv@hourly", 30),
            ],
            there: [Sample.snapshot("tank/srv@old", 10), Sample.snapshot("tank/srv@\(last)", 20, holds: 1, ours: true)])
        let plan = try planner.plan(for: planner.datasets[0])
        #expect(
            Sample.lines(plan) == [
                "zfs send -L -c -I @\(last) rpool/srv@\(Sample.label) | zfs receive -u -s tank/srv",
                "zfs set com.kldload:replica=off-site tank/srv@\(Sample.label)", "zfs hold kreplicate-off-site tank/srv@\(Sample.label)",
                "zfs bookmark rpool/srv@\(Sample.label) 'rpool/srv#\(Sample.label)'",
                "zfs release kreplicate-off-site rpool/srv@old rpool/srv@\(last)", "zfs destroy rpool/srv@\(last)",
                "zfs destroy 'rpool/srv#\(last)'", "zfs release kreplicate-off-site tank/srv@\(last)", "zfs destroy tank/srv@\(last)",
            ])
        #expect(plan.destroys == ["rpool/srv@\(last)", "rpool/srv#\(last)", "tank/srv@\(last)"])
    }

    @Test func `snapshots of others, and of other replications, are never destroyed`() throws {
        let planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv")],
            here: [
                Sample.snapshot("rpool/srv@kreplicate-off-site-by-hand", 5), Sample.snapshot("rpool/srv@kreplicate-other-1", 6),
                Sample.snapshot("rpool/srv#kreplicate-other-1", 6), Sample.snapshot("rpool/srv@a", 10),
            ],
            there: [Sample.snapshot("tank/srv@kreplicate-off-site-by-hand", 7), Sample.snapshot("tank/srv@a", 10)])
        #expect(try planner.plan(for: planner.datasets[0]).destroys == [])
    }

    @Test func `a snapshot that the source has pruned is replaced by its bookmark`() throws {
        let last = "kreplicate-off-site-20260805-070640"
        let here = [Sample.snapshot("rpool/srv#\(last)", 20), Sample.snapshot("rpool/srv@hourly", 30)]
        var planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv")], here: here, there: [Sample.snapshot("tank/srv@\(last)", 20)])
        #expect(
            try Sample.sends(planner) == [
                "zfs send -L -c -i '#\(last)' rpool/srv@hourly | zfs receive -u -s tank/srv",
                "zfs send -L -c -I @hourly rpool/srv@\(Sample.label) | zfs receive -u -s tank/srv",
            ])
        planner.request.withSnapshotsBetween = false
        #expect(
            try Sample.sends(planner) == ["zfs send -L -c -i '#\(last)' rpool/srv@\(Sample.label) | zfs receive -u -s tank/srv"])
    }

    @Test func `what was cut off goes on first; the first stream's settings are set afterwards`() throws {
        let planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv", token: "1-abc")],
            here: [Sample.snapshot("rpool/srv@old", 10)], tokens: ["tank/srv": .to(label: "old", guid: 10)])
        #expect(
            Sample.lines(try planner.plan(for: planner.datasets[0])).prefix(3) == [
                "zfs send -t 1-abc | zfs receive -u -s tank/srv", "zfs set readonly=on canmount=noauto tank/srv",
                "zfs send -L -c -I @old rpool/srv@\(Sample.label) | zfs receive -u -s tank/srv",
            ])
        // The same snapshot from another point of it.
        let later = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv", token: "1-abc")],
            here: [Sample.snapshot("rpool/srv@old", 10), Sample.snapshot("rpool/srv@new", 20)],
            there: [Sample.snapshot("tank/srv@old", 10)], tokens: ["tank/srv": .to(label: "new", guid: 20)])
        #expect(
            try Sample.sends(later) == [
                "zfs send -t 1-abc | zfs receive -u -s tank/srv",
                "zfs send -L -c -I @new rpool/srv@\(Sample.label) | zfs receive -u -s tank/srv",
            ])
    }

    @Test func `what cannot go on is given up, and nothing else of the target`() throws {
        let planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv", token: "1-abc")], tokens: ["tank/srv": .useless("gone")])
        let plan = try planner.plan(for: planner.datasets[0])
        #expect(
            Sample.lines(plan).prefix(2) == [
                "zfs receive -A tank/srv",
                "zfs send -L -c rpool/srv@\(Sample.label) | zfs receive -u -s -o readonly=on -o canmount=noauto tank/srv",
            ])
        #expect(plan.destroys == ["what had arrived of tank/srv"])
    }

    @Test func `a target that was changed, or is somebody else's, is refused with the choices`() throws {
        let there = [Sample.snapshot("tank/srv@a", 10), Sample.snapshot("tank/srv@autosnap", 99)]
        let here = [Sample.snapshot("rpool/srv@a", 10)]
        func refusal(_ planner: ReplicationPlanner) -> Diagnosis? { problem { _ = try planner.plan(for: planner.datasets[0]) } }
        let target = [ReplicaDataset(name: "tank/srv")]
        let newer = refusal(Sample.planner(try Sample.request(), target: target, here: here, there: there))
        #expect(newer?.code == "replicate.diverged" && newer?.message.contains("1 snapshots newer than @a") == true)
        #expect(newer?.remedies.contains { $0.contains("ksnap destroy tank/srv@autosnap") } == true)
        #expect(newer?.remedies.last?.contains("zfs rename tank/srv tank/srv-kept") == true)
        let stranger = refusal(Sample.planner(try Sample.request(), target: target, here: here, there: [Sample.snapshot("tank/srv@x", 7)]))
        #expect(stranger?.code == "replicate.diverged" && stranger?.message.contains("no snapshot in common") == true)
        #expect(refusal(Sample.planner(try Sample.request(), target: target, here: here))?.code == "replicate.taken")
    }

    @Test func `nothing that is planned forces anything`() throws {
        let planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv", token: "1-abc")], here: [Sample.snapshot("rpool/srv@old", 10)],
            tokens: ["tank/srv": .useless("gone")])
        for command in try planner.preparation().commands + planner.plan(for: planner.datasets[0]).commands {
            #expect(!command.arguments.contains { ["-F", "-f", "-R", "-r"].contains($0) }, "\(command)")
        }
    }

    @Test func `without a snapshot of its own the newest is sent, held and remembered`() throws {
        var planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv")],
            here: [Sample.snapshot("rpool/srv@a", 10, holds: 1), Sample.snapshot("rpool/srv@b", 20)],
            there: [Sample.snapshot("tank/srv@a", 10, holds: 1)])
        planner.request.takesSnapshot = false
        #expect(try planner.preparation().steps.isEmpty)
        #expect(
            Sample.lines(try planner.plan(for: planner.datasets[0])) == [
                "zfs send -L -c -I @a rpool/srv@b | zfs receive -u -s tank/srv", "zfs hold kreplicate-off-site tank/srv@b",
                "zfs hold kreplicate-off-site rpool/srv@b", "zfs bookmark rpool/srv@b 'rpool/srv#kreplicate-off-site-b'",
                "zfs release kreplicate-off-site rpool/srv@a", "zfs release kreplicate-off-site tank/srv@a",
            ])
    }

    @Test func `with everything below: parents and origins first, clones as changes of their origin`() throws {
        var request = try Sample.request("rpool/ROOT", "tank/web-01/ROOT")
        request.recursive = true
        let planner = Sample.planner(
            request,
            source: [
                ReplicaDataset(name: "rpool/ROOT"), ReplicaDataset(name: "rpool/ROOT/a", origin: "rpool/ROOT/b@x"),
                ReplicaDataset(name: "rpool/ROOT/b"), ReplicaDataset(name: "rpool/ROOT/v", isVolume: true),
            ], here: [Sample.snapshot("rpool/ROOT/b@x", 10)])
        #expect(planner.datasets.map(\.name) == ["rpool/ROOT", "rpool/ROOT/b", "rpool/ROOT/a", "rpool/ROOT/v"])
        #expect(
            Sample.lines(try planner.preparation()) == [
                "zfs snapshot -r -o com.kldload:replica=off-site rpool/ROOT@\(Sample.label)",
                "zfs hold -r kreplicate-off-site rpool/ROOT@\(Sample.label)", "zfs create -o canmount=off tank/web-01",
            ])
        #expect(
            try Sample.sends(planner, 2) == [
                "zfs send -L -c -i rpool/ROOT/b@x rpool/ROOT/a@\(Sample.label) | zfs receive -u -s -o origin=tank/web-01/ROOT/b@x "
                    + "-o readonly=on -o canmount=noauto tank/web-01/ROOT/a"
            ])
        #expect(try Sample.sends(planner, 3)[0].hasSuffix("| zfs receive -u -s -o readonly=on tank/web-01/ROOT/v"))
        request.skipParent = true
        #expect(Sample.planner(request, source: planner.facts.source).datasets.first?.name == "rpool/ROOT/b")
    }

    @Test func `an encrypted dataset goes raw, unless its target was begun otherwise`() throws {
        let source = [ReplicaDataset(name: "rpool/srv", isEncrypted: true, isEncryptionRoot: true, isLocked: true)]
        let planner = Sample.planner(try Sample.request(), source: source)
        #expect(try Sample.sends(planner)[0].hasPrefix("zfs send -w rpool/srv@"))
        var plain = Sample.planner(
            try Sample.request(), source: source, target: [ReplicaDataset(name: "tank/srv")], here: [Sample.snapshot("rpool/srv@a", 1)],
            there: [Sample.snapshot("tank/srv@a", 1)])
        #expect(problem { _ = try plain.plan(for: plain.datasets[0]) }?.code == "replicate.locked")
        plain.facts.source[0].isLocked = false
        #expect(try Sample.sends(plain)[0].hasPrefix("zfs send -L -c -I @a "))
    }

    @Test func `both ends over ssh, with pv between them to count and to hold back`() throws {
        var request = try Sample.request("root@web:rpool/srv", "backup-host:tank/srv")
        request.rate = .mebibytes(10)
        let planner = Sample.planner(request, meter: true)
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8"
        #expect(
            try Sample.sends(planner) == [
                "\(Sample.over)root@web 'env \(path) zfs send -L -c rpool/srv@\(Sample.label)' | pv -n -b -i 1 -L 10485760 | "
                    + "\(Sample.over)backup-host 'env \(path) zfs receive -u -s -o readonly=on -o canmount=noauto tank/srv'"
            ])
    }

    @Test func `snapshots that were never sent do not pile up; what the target has, or waits for, stays`() throws {
        func own(_ number: UInt64) -> ReplicaSnapshot {
            Sample.snapshot("rpool/srv@kreplicate-off-site-\(number)", number, holds: 1, ours: true)
        }
        let planner = Sample.planner(
            try Sample.request(), target: [ReplicaDataset(name: "tank/srv", token: "1-abc")], here: (1...5).map(own),
            there: [Sample.snapshot("tank/srv@kreplicate-off-site-1", 1)],
            tokens: ["tank/srv": .to(label: "kreplicate-off-site-3", guid: 3)])
        #expect(
            Sample.lines(try planner.preparation()).suffix(3) == [
                "zfs release kreplicate-off-site rpool/srv@kreplicate-off-site-2 rpool/srv@kreplicate-off-site-4",
                "zfs destroy rpool/srv@kreplicate-off-site-2", "zfs destroy rpool/srv@kreplicate-off-site-4",
            ])
    }

    @Test func `a name that is taken within the same second is counted up`() throws {
        #expect(Sample.planner(try Sample.request(), here: [Sample.snapshot("rpool/srv@\(Sample.label)", 3)]).label == "\(Sample.label)-2")
    }
}

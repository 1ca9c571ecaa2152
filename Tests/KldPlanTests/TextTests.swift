import FoundationEssentials
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldTestSupport
import SystemPackage
import Testing

@Suite("Plans and events as text")
struct TextTests {
    static let hush = "correct horse battery staple"

    /// One action of each kind, with a secret wherever one can be.
    static let plan = Plan(
        "everything",
        [
            Phase(
                "only", "The only phase",
                [
                    Step("look", "Look", [.run(Command("ls", ["/"], effect: .reads)), .waitFor("/dev/vda", seconds: 3)]),
                    Step(
                        "change", "Change",
                        [
                            .run(Command("chpasswd", [], effect: .changes, input: .secret(Secret(hush)))),
                            .pipeline([
                                Command("zstd", ["-d"], effect: .reads, input: .file("/a b.zst")), Command("tar", ["-x"], effect: .changes),
                            ]),
                            .write("/etc/motd", content: .text("hello\nthere\n")),
                            .write("/etc/key", content: .secret(Secret(hush)), mode: .secret),
                            .write("/etc/hostid", content: .bytes([1, 2, 3, 4])), .makeDirectory("/x", mode: 0o700), .remove("/y"),
                            .symlink("/z", to: "../y"), .perform("seal", ["user": "admin", "root": "/target"], effect: .changes),
                        ], undo: [.remove("/x")], release: [.run(Command("umount", ["/x"], effect: .changes))], weight: 4),
                    Step("wipe", "Wipe", [.run(Command("wipefs", ["/dev/vda"], effect: .destroys))], destroys: ["/dev/vda"]),
                ])
        ])

    @Test("the whole plan as a person reads it")
    func text() {
        #expect(
            Self.plan.text() == """
                plan: everything
                  WIPES /dev/vda
                only: The only phase
                    look: Look
                      ls /
                      wait for /dev/vda (at most 3 s)
                  + change: Change
                      chpasswd < <redacted>
                      zstd -d < '/a b.zst' | tar -x
                      write /etc/motd (644, 12 bytes)
                      write /etc/key (600, <redacted>)
                      write /etc/hostid (644, 4 bytes)
                      mkdir /x (700)
                      remove /y
                      link /z -> ../y
                      seal root=/target user=admin
                      undo: remove /x
                      release: umount /x
                  ! wipe: Wipe
                      wipefs /dev/vda

                """)
    }

    @Test("with contents, each line of a written text is shown, and no secret")
    func contents() {
        let text = Self.plan.text(contents: true)
        #expect(text.contains("      write /etc/motd (644, 12 bytes)\n        | hello\n        | there\n        | \n"))
        #expect(!text.contains("horse"))
    }

    @Test("no form of a plan shows a secret: text, JSON, description, dump")
    func secrets() throws {
        var dumped = ""
        dump(Self.plan, to: &dumped)
        let json = String(decoding: try JSONEncoder().encode(Self.plan.json), as: UTF8.self)
        for text in [Self.plan.text(), Self.plan.text(contents: true), json, "\(Self.plan)", String(reflecting: Self.plan), dumped] {
            #expect(!text.contains("horse"))
        }
        #expect(dumped.contains("redacted"))
    }

    @Test("the JSON document names schema, wipes, phases, steps and effects")
    func json() throws {
        let document = Self.plan.json
        #expect(document.schema == "plan/1")
        #expect(document.wipes == ["/dev/vda"])
        #expect(document.phases[0].steps.map(\.effect) == ["reads", "changes", "destroys"])
        #expect(document.phases[0].steps[1].undo == ["remove /x"])
        #expect(document.phases[0].steps[1].release == ["umount /x"])
        #expect(document.phases[0].steps[1].weight == 4)
        let encoded = try JSONEncoder().encode(document)
        #expect(try JSONDecoder().decode(PlanDocument.self, from: encoded) == document)
    }

    @Test("events survive JSON whole")
    func events() throws {
        let event = PlanEvent(
            .stepFailed, phase: "p", step: "s", message: "no", done: 1, total: 2, milliseconds: 3,
            diagnosis: Diagnosis("a.b", "no", remedies: ["r"], exit: .tryAgain, causes: ["c"]))
        #expect(try JSONDecoder().decode(PlanEvent.self, from: JSONEncoder().encode(event)) == event)
    }

    @Test("the kind of an event is its dashed name")
    func kindNames() throws {
        let json = String(decoding: try JSONEncoder().encode(PlanEvent(.stepStarted)), as: UTF8.self)
        #expect(json.contains(#""kind":"step-started""#))
    }

    @Test("an event of a newer kldload reads as unknown instead of failing")
    func unknownKind() throws {
        let text = #"{"kind":"step-paused","message":"m","done":1,"total":2,"milliseconds":3,"colour":"blue"}"#
        let event = try JSONDecoder().decode(PlanEvent.self, from: Data(text.utf8))
        #expect(event.kind == .unknown)
        #expect(event.message == "m")
        #expect(event.total == 2)
    }

    @Test("a failing command with a secret in its input does not tell it in its diagnosis")
    func diagnosis() async throws {
        let log = EventLog()
        let runner = ScriptedRunner([{ _ in CommandOutput(status: 1, errors: "bad password\n") }])
        let plan = Plan(
            "p", [Phase("p", "p", [Step("s", "s", [.run(Command("chpasswd", [], effect: .changes, input: .secret(Secret(Self.hush))))])])])
        try? await PlanRunner(runner: runner, files: MemoryFiles(), report: log.report).apply(plan)
        let told = String(decoding: try JSONEncoder().encode(log.events), as: UTF8.self)
        #expect(told.contains("<redacted>"))
        #expect(!told.contains("horse"))
    }
}

import KldCore
import KldExec
import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Suite("Where the tools of an installation are looked for")
struct ToolFolderTests {
    @Test("a tool counts where commands are run from, and not where the caller's PATH leads", arguments: ["/usr/local/sbin", "/usr/bin"])
    func folders(_ folder: String) {
        let plan = Plan("p", [Phase("a", "A", [Step("a.b", "B", [.run(Command("zpool", ["list"], effect: .reads))])])])
        func problem(_ folder: String) -> Diagnosis? {
            KldTestSupport.problem {
                try Preflight.check(
                    plan, MachineFacts(disks: [], firmwareEntries: true), signed: true, files: MemoryFiles(["\(folder)/zpool": ""])
                ) { _ in }
            }
        }
        #expect(problem(folder) == nil)
        #expect(problem("/opt/zfs/sbin")?.code == "install.tools-missing")
    }
}

import KldBoot
import KldBootEnv
import KldCore
import KldTestSupport
import KldZFS
import Testing

@testable import KldCLI

@Suite("Destroying boot environments that somebody was asked about")
struct KbeDestroyTests {
    private func machine(created: Int64 = 5, origin: String = "kbe-test-1") throws -> BootSystem {
        let (debian, test) = (try DatasetName("rpool/ROOT/debian"), try DatasetName("rpool/ROOT/test"))
        return BootSystem(
            pool: try PoolName("rpool"), running: debian, release: "6.12", hostID: nil, commandLine: KernelCommandLine(running: ""),
            environments: [
                BootEnvironment(dataset: debian, mountpoint: "/"),
                BootEnvironment(
                    dataset: test, created: Timestamp(seconds: created), origin: try SnapshotName("rpool/ROOT/debian@\(origin)")),
            ], esps: [])
    }

    @Test("what would be destroyed now is what was looked at before the question, or nothing is")
    func changed() throws {
        let seen = try KbeCommand.Destroy.Approved("test", machine())
        try seen.require(KbeCommand.Destroy.Approved("test", machine()), "test")
        for other in [try machine(created: 6), try machine(origin: "kbe-test-2")] {
            let now = try KbeCommand.Destroy.Approved("test", other)
            let refusal = KldTestSupport.problem { try seen.require(now, "test") }
            #expect(refusal?.code == "be.changed")
        }
    }

    @Test("who does not approve of one is asked for the next all the same")
    func each() async throws {
        var (asked, stayed): ([String], [String]) = ([], [])
        try await KbeCommand.Prune.each(["a", "b", "c"]) { name in
            asked.append(name)
            return name != "b"
        } staying: {
            stayed.append($0)
        }
        #expect(asked == ["a", "b", "c"] && stayed == ["b"])
    }
}

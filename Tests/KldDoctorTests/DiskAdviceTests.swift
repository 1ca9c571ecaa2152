import KldExec
import KldTestSupport
import Testing

@testable import KldDoctor

/// A pool's trouble is about a disk, and whoever stands before the rack needs its place.
@Suite struct DiskAdviceTests {
    static let status = "zpool status -j --json-int -p -P"
    static let path = "/dev/disk/by-id/virtio-B-part2"

    static func ill() -> HealthyMachine {
        var machine = HealthyMachine()
        let indent = String(repeating: " ", count: 9)
        let member = "\"path\": \"\(path)\",\n\(indent)\"class\": \"normal\",\n\(indent)\"state\": "
        machine.change(status, member + "\"ONLINE\"", member + "\"FAULTED\"")
        return machine
    }

    @Test func `an ill disk is told with its slot, and with what finds and replaces it`() async throws {
        var machine = Self.ill()
        machine.commands["zfs get -Hp -o name,property,value,source all rpool"] = CommandOutput(output: "rpool\ttype\tfilesystem\t-\n")
        machine.commands["zpool get -Hp -o name,property,value,source all rpool all-vdevs"] = CommandOutput(
            output: "b\tguid\t1527839927278881561\t-\nb\tcom.kldload:disk.slot\tSLOT07\tlocal\nb\tcom.kldload:disk.serial\tWD-2\tlocal\n")
        let result = try #require(try await machine.result("zfs.pool.health"))
        #expect(result.status == .fail)
        #expect(
            result.remediation?.hasSuffix(
                "; \(Self.path) (slot SLOT07, serial WD-2): kldload kdisk locate \(Self.path), kldload kdisk replace \(Self.path) NEW")
                == true)
    }

    @Test func `passports that cannot be read take nothing from the remedy`() async throws {
        let result = try #require(try await Self.ill().result("zfs.pool.health"))
        #expect(result.remediation?.contains("replace what failed") == true)
        #expect(
            result.remediation?.hasSuffix("; \(Self.path): kldload kdisk locate \(Self.path), kldload kdisk replace \(Self.path) NEW")
                == true)
    }
}

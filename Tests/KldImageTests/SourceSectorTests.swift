import KldBlock
import KldCore
import KldImage
import KldTestSupport
import SystemPackage
import Testing

@Suite("Sectors of disks that are exported")
struct SourceSectorTests {
    private func problem(_ bytes: Int, _ path: String = "/dev/sdz", isDevice: Bool = true, mounted: [String] = []) -> Diagnosis? {
        var disk = BlockDevice(path: "/dev/sdz", size: .gibibytes(8), mountpoints: mounted)
        disk.logicalSectorBytes = bytes
        let facts = SourceGuard.Facts(devices: [disk])
        return KldTestSupport.problem { try SourceGuard.check(FilePath(path), isDevice: isDevice, facts) }
    }

    @Test("a disk with sectors of 4 KiB is refused, sealed or not: what its image starts from counts in them")
    func large() {
        #expect(problem(512) == nil)
        let found = problem(4096)
        #expect(found?.code == "image.source-sectors" && found?.message.contains("/dev/sdz has sectors of 4096 bytes") == true)
        // Who uses it is more urgent, and a file counts in what it holds.
        #expect(problem(4096, mounted: ["/mnt"])?.code == "image.source-busy")
        #expect(problem(4096, "/srv/a.raw", isDevice: false) == nil)
    }
}

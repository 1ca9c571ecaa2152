import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldImage

@Suite("Network trees on file systems of their own")
struct PXEMountPointTests {
    @Test("a mount point is refused before anything is copied; a folder below it is taken")
    func mountPoint() throws {
        let files = MemoryFiles(["/proc/self/mounts": "/dev/sdb1 /srv/net\\040boot ext4 rw 0 0\n"])
        try files.makeDirectory("/srv/net boot", mode: .directory)
        let medium = PXEExport.Medium(list: MediumList(bases: [:]), listDigest: try PXETests.list)
        func problem(_ output: FilePath) -> Diagnosis? {
            KldTestSupport.problem {
                let address = try PXEAddress("http://10.0.1.5")
                try PXEExport.check(.init(iso: "/k.iso", address: address, output: output, version: "1"), medium, files: files)
            }
        }
        let refused = problem("/srv/net boot")
        #expect(refused?.code == "pxe.mount-point" && refused?.remedies == ["name a folder below it: -o /srv/net boot/pxe"])
        #expect(problem("/srv/net boot/pxe") == nil)
    }
}

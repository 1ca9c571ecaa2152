import KldCore
import KldImage
import Testing

@Suite struct ExportOVFTests {
    static func descriptor(_ hardware: VirtualHardware = VirtualHardware(), distro: String = "debian") throws -> OVFDescriptor {
        var image = ExportManifestTests.description()
        image.distro = distro
        return OVFDescriptor(
            name: try ExportName(sanitising: "kldload-debian-server"), diskFile: "kldload-debian-server-disk1.vmdk",
            diskFileSize: ByteCount(322_859_520), capacity: .gibibytes(20), hardware: hardware, image: image)
    }

    @Test func theWholeDescriptor() throws {
        #expect(try Self.descriptor().text == Self.golden)
    }

    @Test func controllersAndAdapters() throws {
        let sata = try Self.descriptor(VirtualHardware(controller: .sata, adapter: .e1000)).text
        #expect(sata.contains("<rasd:ResourceSubType>AHCI</rasd:ResourceSubType>\n          <rasd:ResourceType>20</rasd:ResourceType>"))
        #expect(sata.contains("<rasd:ResourceSubType>E1000</rasd:ResourceSubType>"))
        #expect(try Self.descriptor(VirtualHardware(controller: .paravirtualSCSI)).text.contains(">VirtualSCSI<"))
        #expect(try Self.descriptor(VirtualHardware(secureBoot: true)).text.contains("efiSecureBootEnabled\" vmw:value=\"true\""))
    }

    @Test func textIsEscaped() throws {
        let text = try Self.descriptor(VirtualHardware(network: "a<b>&\"c\"\u{1}")).text
        #expect(text.contains("<Network ovf:name=\"a&lt;b&gt;&amp;&quot;c&quot;\">"))
    }

    @Test func unknownDistributionsAreALinux() throws {
        #expect(try Self.descriptor(distro: "rocky").text.contains("ovf:id=\"101\" vmw:osType=\"other3xLinux64Guest\""))
        #expect(try Self.descriptor(distro: "ubuntu").text.contains("ovf:id=\"94\" vmw:osType=\"ubuntu64Guest\""))
    }

    static let golden = ""
}

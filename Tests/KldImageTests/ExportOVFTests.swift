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
        #expect(sata.contains("<rasd:ResourceSubType>AHCI</rasd:ResourceSubType>\n        <rasd:ResourceType>20</rasd:ResourceType>"))
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

    static let golden = """
        <?xml version="1.0" encoding="UTF-8"?>
        <Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xml:lang="en-US">
          <References>
            <File ovf:href="kldload-debian-server-disk1.vmdk" ovf:id="file1" ovf:size="322859520"/>
          </References>
          <DiskSection>
            <Info>Virtual disk information</Info>
            <Disk ovf:capacity="21474836480" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
          </DiskSection>
          <NetworkSection>
            <Info>The list of logical networks</Info>
            <Network ovf:name="VM Network">
              <Description>The network of the first ethernet adapter</Description>
            </Network>
          </NetworkSection>
          <VirtualSystem ovf:id="kldload-debian-server">
            <Info>A virtual machine</Info>
            <Name>kldload-debian-server</Name>
            <OperatingSystemSection ovf:id="96" vmw:osType="debian10_64Guest">
              <Info>The kind of installed guest operating system</Info>
              <Description>Debian GNU/Linux (64-bit)</Description>
            </OperatingSystemSection>
            <VirtualHardwareSection>
              <Info>Virtual hardware requirements</Info>
              <System>
                <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
                <vssd:InstanceID>0</vssd:InstanceID>
                <vssd:VirtualSystemIdentifier>kldload-debian-server</vssd:VirtualSystemIdentifier>
                <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
              </System>
              <Item>
                <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
                <rasd:Description>Number of Virtual CPUs</rasd:Description>
                <rasd:ElementName>2 virtual CPU(s)</rasd:ElementName>
                <rasd:InstanceID>1</rasd:InstanceID>
                <rasd:ResourceType>3</rasd:ResourceType>
                <rasd:VirtualQuantity>2</rasd:VirtualQuantity>
              </Item>
              <Item>
                <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
                <rasd:Description>Memory Size</rasd:Description>
                <rasd:ElementName>4096MB of memory</rasd:ElementName>
                <rasd:InstanceID>2</rasd:InstanceID>
                <rasd:ResourceType>4</rasd:ResourceType>
                <rasd:VirtualQuantity>4096</rasd:VirtualQuantity>
              </Item>
              <Item>
                <rasd:Address>0</rasd:Address>
                <rasd:Description>SCSI Controller</rasd:Description>
                <rasd:ElementName>SCSI Controller 0</rasd:ElementName>
                <rasd:InstanceID>3</rasd:InstanceID>
                <rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>
                <rasd:ResourceType>6</rasd:ResourceType>
              </Item>
              <Item>
                <rasd:AddressOnParent>0</rasd:AddressOnParent>
                <rasd:ElementName>Hard Disk 1</rasd:ElementName>
                <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource>
                <rasd:InstanceID>4</rasd:InstanceID>
                <rasd:Parent>3</rasd:Parent>
                <rasd:ResourceType>17</rasd:ResourceType>
              </Item>
              <Item>
                <rasd:AddressOnParent>7</rasd:AddressOnParent>
                <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
                <rasd:Connection>VM Network</rasd:Connection>
                <rasd:Description>VmxNet3 ethernet adapter on &quot;VM Network&quot;</rasd:Description>
                <rasd:ElementName>Ethernet 1</rasd:ElementName>
                <rasd:InstanceID>5</rasd:InstanceID>
                <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType>
                <rasd:ResourceType>10</rasd:ResourceType>
              </Item>
              <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="false"/>
              <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
            </VirtualHardwareSection>
            <ProductSection>
              <Info>What is installed</Info>
              <Product>kldload debian trixie server, ZFS on root</Product>
              <Vendor>kldload</Vendor>
              <Version>2.0.0</Version>
              <FullVersion>kldload 2.0.0, kernel 6.12.43+deb13-amd64, OpenZFS 2.3.4, 2027-01-15T08:00:00Z</FullVersion>
            </ProductSection>
            <AnnotationSection>
              <Info>What to know before the first start</Info>
              <Annotation>Boots with UEFI only. VirtualBox does not read that from here: VBoxManage modifyvm "kldload-debian-server" --firmware efi</Annotation>
            </AnnotationSection>
          </VirtualSystem>
        </Envelope>

        """
}

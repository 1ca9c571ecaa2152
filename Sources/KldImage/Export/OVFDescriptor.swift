package import KldCore

/// An OVF 1.1 descriptor of a machine with one disk, for strict importers: VMware OVF Tool, VirtualBox, virt-v2v.
///
/// Sections and items stand in the order of the schema, the elements of an item in alphabetical order, as its type demands.
/// Source: DMTF DSP0243 1.1.0 and DSP8023 1.1.1 (the schema); the `vmw` elements as VMware's open-vmdk writes them.
package struct OVFDescriptor: Sendable, Hashable {
    package var name: ExportName
    /// The VMDK's name within the package.
    package var diskFile: String
    package var diskFileSize: ByteCount
    /// What the guest sees.
    package var capacity: ByteCount
    package var hardware: VirtualHardware
    package var image: ImageDescription

    package init(
        name: ExportName, diskFile: String, diskFileSize: ByteCount, capacity: ByteCount, hardware: VirtualHardware, image: ImageDescription
    ) {
        self.name = name
        self.diskFile = diskFile
        self.diskFileSize = diskFileSize
        self.capacity = capacity
        self.hardware = hardware
        self.image = image
    }

    /// The whole descriptor.
    package var text: String {
        let guest = GuestSystem(distro: image.distro)
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" \
            xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" \
            xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" \
            xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" \
            xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xml:lang="en-US">
              <References>
                <File ovf:href="\(escaped(diskFile))" ovf:id="file1" ovf:size="\(diskFileSize.bytes)"/>
              </References>
              <DiskSection>
                <Info>Virtual disk information</Info>
                <Disk ovf:capacity="\(capacity.bytes)" ovf:capacityAllocationUnits="byte" ovf:diskId="vmdisk1" ovf:fileRef="file1" \
            ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
              </DiskSection>
              <NetworkSection>
                <Info>The list of logical networks</Info>
                <Network ovf:name="\(escaped(hardware.network))">
                  <Description>The network of the first ethernet adapter</Description>
                </Network>
              </NetworkSection>
              <VirtualSystem ovf:id="\(escaped(name.text))">
                <Info>A virtual machine</Info>
                <Name>\(escaped(name.text))</Name>
                <OperatingSystemSection ovf:id="\(guest.cimNumber)" vmw:osType="\(guest.vmware)">
                  <Info>The kind of installed guest operating system</Info>
                  <Description>\(escaped(guest.title))</Description>
                </OperatingSystemSection>
                <VirtualHardwareSection>
                  <Info>Virtual hardware requirements</Info>
                  <System>
                    <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
                    <vssd:InstanceID>0</vssd:InstanceID>
                    <vssd:VirtualSystemIdentifier>\(escaped(name.text))</vssd:VirtualSystemIdentifier>
                    <vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType>
                  </System>
            \(items.map(\.text).joined(separator: "\n"))
                  <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="\(hardware.secureBoot)"/>
                  <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
                </VirtualHardwareSection>
                <ProductSection>
                  <Info>What is installed</Info>
                  <Product>kldload \(escaped(image.distro)) \(escaped(image.suite)) \(escaped(image.profile)), ZFS on root</Product>
                  <Vendor>kldload</Vendor>
                  <Version>\(escaped(image.kldload))</Version>
                  <FullVersion>\(escaped(fullVersion))</FullVersion>
                </ProductSection>
                <AnnotationSection>
                  <Info>What to know before the first start</Info>
                  <Annotation>Boots with UEFI only. VirtualBox does not read that from here: \
            VBoxManage modifyvm "\(escaped(name.text))" --firmware efi</Annotation>
                </AnnotationSection>
              </VirtualSystem>
            </Envelope>

            """
    }

    private var fullVersion: String {
        "kldload \(image.kldload), " + (image.kernel.map { "kernel \($0), " } ?? "") + (image.openzfs.map { "OpenZFS \($0), " } ?? "")
            + image.created.description
    }

    /// CPU, memory, disk controller, disk, network adapter. Resource types: DSP0243 1.1.0, after CIM_ResourceAllocationSettingData.
    private var items: [OVFItem] {
        let controller: [String: String] =
            switch hardware.controller {
            case .lsiLogic:
                ["Description": "SCSI Controller", "ElementName": "SCSI Controller 0", "ResourceSubType": "lsilogic", "ResourceType": "6"]
            case .paravirtualSCSI:
                [
                    "Description": "SCSI Controller", "ElementName": "SCSI Controller 0", "ResourceSubType": "VirtualSCSI",
                    "ResourceType": "6",
                ]
            case .sata:
                ["Description": "SATA Controller", "ElementName": "SATA Controller 0", "ResourceSubType": "AHCI", "ResourceType": "20"]
            }
        let mebibytes = hardware.memory.bytes >> 20
        return [
            OVFItem([
                "AllocationUnits": "hertz * 10^6", "Description": "Number of Virtual CPUs",
                "ElementName": "\(hardware.processors) virtual CPU(s)", "InstanceID": "1", "ResourceType": "3",
                "VirtualQuantity": "\(hardware.processors)",
            ]),
            OVFItem([
                "AllocationUnits": "byte * 2^20", "Description": "Memory Size", "ElementName": "\(mebibytes)MB of memory",
                "InstanceID": "2",
                "ResourceType": "4", "VirtualQuantity": "\(mebibytes)",
            ]),
            OVFItem(controller.merging(["Address": "0", "InstanceID": "3"]) { $1 }),
            OVFItem([
                "AddressOnParent": "0", "ElementName": "Hard Disk 1", "HostResource": "ovf:/disk/vmdisk1", "InstanceID": "4", "Parent": "3",
                "ResourceType": "17",
            ]),
            OVFItem([
                "AddressOnParent": "7", "AutomaticAllocation": "true", "Connection": hardware.network,
                "Description": "\(hardware.adapter.rawValue) ethernet adapter on \"\(hardware.network)\"", "ElementName": "Ethernet 1",
                "InstanceID": "5", "ResourceSubType": hardware.adapter.rawValue, "ResourceType": "10",
            ]),
        ]
    }

    private func escaped(_ text: String) -> String { XMLText.escaped(text) }
}

/// One `Item` of the hardware section: elements of CIM_ResourceAllocationSettingData, which the schema wants in alphabetical order.
private struct OVFItem {
    let elements: [String: String]

    init(_ elements: [String: String]) { self.elements = elements }

    var text: String {
        let lines = elements.sorted { $0.key < $1.key }.map { "        <rasd:\($0.key)>\(XMLText.escaped($0.value))</rasd:\($0.key)>" }
        return (["      <Item>"] + lines + ["      </Item>"]).joined(separator: "\n")
    }
}

/// Text for XML 1.0: the five special characters escaped, characters that XML cannot hold left out.
enum XMLText {
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&apos;"
            case "\t", "\n", "\r": result += " "
            case _ where scalar.value < 0x20 || scalar.value == 0xfffe || scalar.value == 0xffff: break
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

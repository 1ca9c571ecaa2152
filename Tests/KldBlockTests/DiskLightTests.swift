import KldBlock
import KldExec
import KldTestSupport
import Testing

@Suite struct DiskLightTests {
    /// A SAS enclosure as Linux 6.12 shows it: links are relative to the device's folder.
    static func files(locate: Bool = true) -> MemoryFiles {
        var texts = ["/sys/devices/host0/target/sda/model": "ST4000\n", "/sys/class/enclosure/0:0:8:0/Slot 01/slot": "1\n"]
        if locate { texts["/sys/class/enclosure/0:0:8:0/Slot 01/locate"] = "0\n" }
        return MemoryFiles(
            texts,
            links: [
                "/sys/block/sda/device": "/sys/devices/host0/target/sda",
                "/sys/devices/host0/target/sda/enclosure_device:Slot 01": "/sys/class/enclosure/0:0:8:0/Slot 01",
            ])
    }

    @Test func `the light is the enclosure's own where the kernel knows it`() throws {
        let light = try DiskLight.find("/dev/sda", files: Self.files())
        #expect(light.slotName == "Slot 01")
        let (on, off) = (light.turned(on: true), light.turned(on: false))
        #expect(on.description == "tee '/sys/class/enclosure/0:0:8:0/Slot 01/locate'" && on.input == .text("1\n"))
        #expect(off.input == .text("0\n") && on.effect == .changes)
    }

    @Test(arguments: ["/dev/sda", "/dev/vda"]) func `else ledctl is asked`(disk: String) throws {
        let light = try DiskLight.find(disk, files: Self.files(locate: false))
        #expect(light.way == .ledctl && light.slotName == nil)
        #expect(light.turned(on: true).description == "ledctl locate=\(disk)")
        #expect(light.turned(on: false).description == "ledctl locate_off=\(disk)")
    }

    @Test func `blinking reads, and writes nothing`() {
        let command = DiskLight.blink("/dev/sda")
        #expect(command.description == "timeout 1 dd if=/dev/sda of=/dev/null bs=1M iflag=direct status=none")
        #expect(command.effect == .reads && command.acceptedExitStatuses == [0, 124])
    }
}

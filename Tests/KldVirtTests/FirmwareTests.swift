import KldCore
import KldTestSupport
import KldVirt
import SystemPackage
import Testing

@Suite("UEFI firmware")
struct FirmwareTests {
    @Test func isFoundOnDebian() throws {
        let files = MemoryFiles(
            [
                "/usr/share/OVMF/OVMF_CODE_4M.fd": "c", "/usr/share/OVMF/OVMF_VARS_4M.fd": "v",
                "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd": "c", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd": "keys",
            ], links: ["/usr/share/OVMF/OVMF_CODE_4M.ms.fd": "OVMF_CODE_4M.secboot.fd"])
        #expect(try Firmware.find(.uefi, files: files).code == "/usr/share/OVMF/OVMF_CODE_4M.fd")
        let secure = try Firmware.find(.secureBoot, files: files)
        #expect(secure.code == "/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
        try secure.copyVariables(to: "/s/vars.fd", files: files)
        #expect(files.texts["/s/vars.fd"] == "keys")
    }

    @Test func isFoundElsewhere() throws {
        let files = MemoryFiles(["/usr/share/edk2/ovmf/OVMF_CODE.fd": "c", "/usr/share/edk2/ovmf/OVMF_VARS.fd": "v"])
        #expect(try Firmware.find(.uefi, files: files).variablesTemplate == "/usr/share/edk2/ovmf/OVMF_VARS.fd")
    }

    @Test(arguments: Firmware.Kind.allCases)
    func isMissedWithARemedy(kind: Firmware.Kind) throws {
        // The code without its variables is not firmware.
        let files = MemoryFiles(["/usr/share/OVMF/OVMF_CODE_4M.fd": "c", "/usr/share/OVMF/OVMF_CODE_4M.ms.fd": "c"])
        let error = #expect(throws: Diagnosis.self) { try Firmware.find(kind, files: files) }
        #expect(error?.code == "vm.firmware-missing")
        #expect(error?.remedies.first?.contains("ovmf") == true)
    }
}

import KldInstall
import KldTestSupport
import Testing

@Suite("By what a machine is known again")
struct MachineIdentityTests {
    @Test("firmware and network cards say it; what has no device behind it is no card")
    func read() {
        let files = MemoryFiles([
            "/sys/class/dmi/id/product_serial": "ABC-1234\n", "/sys/class/dmi/id/product_uuid": "4C4C4544-0042-4B10-8038-C7C04F463358\n",
            "/sys/class/net/lo/address": "00:00:00:00:00:00\n", "/sys/class/net/eno1/address": "52:54:00:AB:34:56\n",
            "/sys/class/net/eno1/device": "", "/sys/class/net/bond0/address": "52:54:00:12:34:57\n",
        ])
        #expect(
            MachineIdentity.read(files)
                == MachineIdentity(
                    serial: "ABC-1234", uuid: "4c4c4544-0042-4b10-8038-c7c04f463358", addresses: ["52:54:00:ab:34:56"]))
        #expect(MachineIdentity.read(MemoryFiles(["/sys/class/dmi/id/product_serial": "\n"])) == MachineIdentity())
    }

    @Test("one of them in common is enough")
    func same() {
        let machine = MachineIdentity(serial: "ABC-1234", uuid: "4c4c4544-0042-4b10-8038-c7c04f463358", addresses: ["52:54:00:ab:cd:ef"])
        #expect(machine.isSame(as: machine))
        #expect(machine.isSame(as: .init(serial: "ABC-1234", uuid: "x", addresses: ["52:54:00:12:34:57"])))
        #expect(machine.isSame(as: .init(uuid: "4c4c4544-0042-4b10-8038-c7c04f463358")))
        #expect(machine.isSame(as: .init(addresses: ["52:54:00:00:00:01", "52:54:00:ab:cd:ef"])))
        #expect(!machine.isSame(as: .init(serial: "ABC-12345", addresses: ["52:54:00:12:34:57"])))
    }

    @Test(
        "what is empty, or what many boards say, is nobody's",
        arguments: [
            MachineIdentity(), MachineIdentity(serial: ""), MachineIdentity(serial: "To Be Filled By O.E.M."),
            MachineIdentity(serial: "Default string"), MachineIdentity(serial: "0"), MachineIdentity(serial: "00000000"),
            MachineIdentity(serial: "0123456789"), MachineIdentity(uuid: "00000000-0000-0000-0000-000000000000"),
            MachineIdentity(uuid: "ffffffff-ffff-ffff-ffff-ffffffffffff"), MachineIdentity(uuid: "03000200-0400-0500-0006-000700080009"),
            MachineIdentity(addresses: ["00:00:00:00:00:00"]),
        ])
    func nobody(_ machine: MachineIdentity) { #expect(!machine.isSame(as: machine)) }
}

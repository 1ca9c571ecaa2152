import FoundationEssentials
import KldBlock
import KldCore
import KldExec
import KldTestSupport
import Testing

@Suite("lsblk's listing")
struct ListingTests {
    /// Recorded on Debian 12, util-linux 2.38.1: every value that is not known is null.
    static let recorded = """
        {
           "blockdevices": [
              {
                 "path": "/dev/zram0",
                 "name": "zram0",
                 "size": 0,
                 "type": "disk",
                 "ro": false,
                 "rm": false,
                 "serial": null,
                 "model": null,
                 "wwn": null,
                 "tran": null,
                 "fstype": null,
                 "label": null,
                 "partlabel": null,
                 "pttype": null,
                 "mountpoints": [
                     null
                 ],
                 "log-sec": 4096
              },{
                 "path": "/dev/vda",
                 "name": "vda",
                 "size": 274877906944,
                 "type": "disk",
                 "ro": false,
                 "rm": false,
                 "serial": null,
                 "model": null,
                 "wwn": null,
                 "tran": null,
                 "fstype": null,
                 "label": null,
                 "partlabel": null,
                 "pttype": null,
                 "mountpoints": [
                     "/"
                 ],
                 "log-sec": 512
              }
           ]
        }
        """

    /// In the form of util-linux 2.41: a disk with LUKS, LVM and an array shared with a second disk; names with blanks at their ends.
    static let stacked = """
        {"blockdevices":[
          {"path":"/dev/sda","name":"sda","size":500107862016,"type":"disk","ro":false,"rm":false,"serial":"WD-WX21  ",
           "model":"WDC WD5000 ",
           "wwn":"0x50014ee2","tran":"sata","fstype":null,"label":null,"partlabel":null,"pttype":"gpt","mountpoints":[],"log-sec":512,
           "children":[
            {"path":"/dev/sda1","name":"sda1","size":536870912,"type":"part","ro":false,"rm":false,"fstype":"vfat","label":"EFI",
             "partlabel":"EFI system partition","pttype":"gpt","mountpoints":["/boot/efi","/boot/efi2"],"log-sec":512},
            {"path":"/dev/sda2","name":"sda2","size":400000000000,"type":"part","fstype":"crypto_LUKS","mountpoints":[],"children":[
              {"path":"/dev/mapper/luks-84257c20","name":"luks-84257c20","size":399983222784,"type":"crypt","fstype":"LVM2_member",
               "mountpoints":[null],
               "children":[
                {"path":"/dev/mapper/vg-root","name":"vg-root","size":107374182400,"type":"lvm","fstype":"ext4","mountpoints":["/"]},
                {"path":"/dev/mapper/vg-swap","name":"vg-swap","size":8589934592,"type":"lvm","fstype":"swap","mountpoints":["[SWAP]"]}]}]},
            {"path":"/dev/sda3","name":"sda3","size":90000000000,"type":"part","fstype":"linux_raid_member","label":"host:0",
             "mountpoints":[null],"children":[
              {"path":"/dev/md0","name":"md0","size":89999015936,"type":"raid1","fstype":"xfs","mountpoints":["/srv"]}]}]},
          {"path":"/dev/sdb","name":"sdb","size":90001981440,"type":"disk","ro":true,"rm":true,"fstype":"linux_raid_member",
           "mountpoints":[null],"children":[
            {"path":"/dev/md0","name":"md0","size":89999015936,"type":"raid1","fstype":"xfs","mountpoints":["/srv"]}]},
          {"path":"/dev/sr0","name":"sr0","size":1073741312,"type":"rom","ro":false,"rm":true,"fstype":"iso9660","label":"KLDLOAD",
           "mountpoints":[]}
        ]}
        """

    @Test("a real listing is read, nulls and all")
    func real() throws {
        let devices = try ListBlockDevices.parse(Self.recorded)
        #expect(devices.map(\.path) == ["/dev/zram0", "/dev/vda"])
        let disk = devices[1]
        #expect(disk.size == ByteCount(274_877_906_944))
        #expect(disk.type == "disk")
        #expect(!disk.readOnly && !disk.removable)
        #expect(disk.serial == nil && disk.filesystem == nil && disk.partitionTable == nil)
        #expect(disk.mountpoints == ["/"])
        #expect(disk.logicalSectorBytes == 512)
        #expect(devices[0].mountpoints.isEmpty)
        #expect(devices[0].logicalSectorBytes == 4096)
    }

    @Test("stacks are read as trees")
    func tree() throws {
        let devices = try ListBlockDevices.parse(Self.stacked)
        #expect(
            devices[0].tree.map(\.name) == ["sda", "sda1", "sda2", "luks-84257c20", "vg-root", "vg-swap", "sda3", "md0"])
        #expect(devices[0].tree.map(\.type) == ["disk", "part", "part", "crypt", "lvm", "lvm", "part", "raid1"])
        #expect(devices[0].allMountpoints == ["/boot/efi", "/boot/efi2", "/", "[SWAP]", "/srv"])
        #expect(devices[1].allMountpoints == ["/srv"])
        #expect(devices[1].readOnly && devices[1].removable)
    }

    @Test("blanks around serial number and model are not part of them")
    func blanks() throws {
        let disk = try ListBlockDevices.parse(Self.stacked)[0]
        #expect(disk.serial == "WD-WX21")
        #expect(disk.model == "WDC WD5000")
        #expect(disk.wwn == "0x50014ee2")
        #expect(disk.transport == "sata")
    }

    @Test("an empty disk has no table, no signature and nothing on it")
    func empty() throws {
        let devices = try ListBlockDevices.parse(Self.recorded)
        #expect(devices[1].isEmpty)
        for change in [
            { $0.filesystem = "ext4" }, { $0.partitionTable = "gpt" },
            { $0.children = [BlockDevice(path: "/dev/vda1", size: ByteCount(1))] },
        ] as [(inout BlockDevice) -> Void] {
            var disk = devices[1]
            change(&disk)
            #expect(!disk.isEmpty)
        }
    }

    @Test("a blank value is no value")
    func blankValue() throws {
        let text = #"{"blockdevices":[{"path":"/dev/a","name":"a","size":1,"type":"disk","serial":"  ","fstype":""}]}"#
        let disk = try ListBlockDevices.parse(text)[0]
        #expect(disk.serial == nil && disk.filesystem == nil)
        #expect(disk.isEmpty)
    }

    @Test("a listing without devices is empty")
    func none() throws { #expect(try ListBlockDevices.parse(#"{"blockdevices": []}"#).isEmpty) }

    @Test(
        "what is not lsblk's JSON is an error that says so",
        arguments: ["", "lsblk: unknown column: LOG-SEC", "{}", #"{"blockdevices":[{"name":"a"}]}"#, #"{"blockdevices":[{"path":1}]}"#])
    func unreadable(_ text: String) {
        #expect(problem { _ = try ListBlockDevices.parse(text) }?.code == "block.unreadable")
    }

    @Test("devices survive JSON whole, in lsblk's own words")
    func json() throws {
        let devices = try ListBlockDevices.parse(Self.stacked)
        let data = try JSONEncoder().encode(devices)
        #expect(try JSONDecoder().decode([BlockDevice].self, from: data) == devices)
        #expect(String(decoding: data, as: UTF8.self).contains(#""log-sec":512"#))
    }

    @Test("a partition's GUID is read, and where lsblk did not tell it there is none")
    func partitionID() throws {
        let row = #"{"path":"/dev/vda1","name":"vda1","size":512,"type":"part""#
        for (rest, id) in [(#","partuuid":"0fc6-1""#, "0fc6-1"), (#","partuuid":null"#, nil), ("", nil)] as [(String, String?)] {
            #expect(try ListBlockDevices.parse(#"{"blockdevices":[\#(row)\#(rest)}]}"#).map(\.partitionID) == [id])
        }
    }

    @Test("the command asks for bytes, as a tree, in every column that is read")
    func command() {
        #expect(
            ListBlockDevices.command.description
                == "lsblk --json --bytes --tree --output "
                + "PATH,NAME,SIZE,TYPE,RO,RM,SERIAL,MODEL,WWN,TRAN,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS,LOG-SEC,PARTUUID")
        #expect(ListBlockDevices.command.effect == .reads)
    }
}

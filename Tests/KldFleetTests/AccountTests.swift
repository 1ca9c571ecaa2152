import KldCore
import KldTestSupport
import Testing

@testable import KldFleet

@Suite struct AccountTests {
    private let here = AccountTables(
        passwd: "root:x:0:0:root:/root:/bin/bash\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\nann:x:1000:1000::/home/ann:/bin/bash\n",
        group: "root:x:0:\nsudo:x:27:ann\nann:x:1000:\n", shadow: "root:!:1:0:99999:7:::\nsshd:!*:1::::::\nann:$y$own:1:0:99999:7:::\n",
        gshadow: "root:*::\nsudo:*::ann\nann:!::\n")

    @Test func `services of the other tree come along, its people and its passwords do not`() throws {
        let there = AccountTables(
            passwd: """
                root:x:0:0:root:/root:/bin/sh
                sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
                redis:x:105:110::/var/lib/redis:/usr/sbin/nologin
                bob:x:1000:1000::/home/bob:/bin/bash

                """,
            group: "root:x:0:\nsudo:x:27:bob\nredis:x:110:bob,redis\nbob:x:1000:\n",
            shadow: "root:$y$theirs:1:0:99999:7:::\nsshd:!*:1::::::\nredis:$y$theirs:20000::::::\nbob:$y$theirs:1:0:99999:7:::\n",
            gshadow: "root:*::\nsudo:*::bob\nredis:!::bob\nbob:!::\n")
        let joined = try here.taking(from: there)
        #expect(joined.passwd == here.passwd + "redis:x:105:110::/var/lib/redis:/usr/sbin/nologin\n")
        #expect(joined.group == here.group + "redis:x:110:redis\n")
        #expect(joined.shadow == here.shadow + "redis:!*:20000::::::\n")
        #expect(joined.gshadow == here.gshadow + "redis:!::\n")
    }

    @Test func `a service with another number is refused: its files would be somebody else's`() {
        var there = here
        there.passwd = "sshd:x:102:65534::/run/sshd:/usr/sbin/nologin\nredis:x:101:110::/:/usr/sbin/nologin\n"
        there.group = "sudo:x:28:\n"
        let problem = problem { _ = try here.taking(from: there) }
        #expect(problem?.code == "fleet.accounts")
        #expect(
            problem?.causes == [
                "the user sshd is 102 there, and 101 here", "the user redis is 101 there, and that is sshd here",
                "the group sudo is 28 there, and 27 here",
            ])
    }

    @Test func `a service of a package that has its number once and for all is none of the people`() throws {
        let there = AccountTables(
            passwd: """
                libvirt-qemu:x:64055:994:Libvirt Qemu,,,:/var/lib/libvirt:/usr/sbin/nologin
                first:x:60000:60000::/:/bin/sh
                last:x:64999:64999::/:/bin/sh
                below:x:59999:59999::/:/bin/sh
                above:x:65000:65000::/:/bin/sh

                """, group: "kvm:x:994:\nlibvirt-qemu:x:64055:libvirt-qemu,bob\n", shadow: "", gshadow: "")
        let joined = try here.taking(from: there)
        #expect(joined.passwd.dropFirst(here.passwd.count).lines.map { $0.prefix { $0 != ":" } } == ["libvirt-qemu", "first", "last"])
        #expect(joined.group == here.group + "kvm:x:994:\nlibvirt-qemu:x:64055:libvirt-qemu\n")
    }

    @Test func `a service that comes along keeps its groups that are here too, unless they rule the machine`() throws {
        var own = here
        own.group += "ssl-cert:x:111:\ntape:x:26:sshd\ndocker:x:120:\nkldload-web:x:121:\n"
        own.gshadow += "ssl-cert:!::\ntape:*:ann:sshd\ndocker:!::\nkldload-web:!::\n"
        let there = AccountTables(
            passwd: "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\npostgres:x:106:113::/var/lib/postgresql:/bin/bash\n",
            group: """
                root:x:0:postgres
                sudo:x:27:postgres
                ssl-cert:x:111:postgres,bob,sshd
                tape:x:26:postgres
                docker:x:120:postgres
                kldload-web:x:121:postgres
                ann:x:1000:postgres
                postgres:x:113:

                """, shadow: "postgres:!:20000:0:99999:7:::\n", gshadow: "ssl-cert:!::postgres\n")
        let joined = try own.taking(from: there)
        // The machine's own services stay in the groups that they are in here.
        let lines = ["ssl-cert:x:111:postgres", "tape:x:26:sshd,postgres", "docker:x:120:", "kldload-web:x:121:", "postgres:x:113:"]
        #expect(joined.group == here.group + lines.map { $0 + "\n" }.joined())
        let shadows = ["ssl-cert:!::postgres", "tape:*:ann:sshd,postgres", "docker:!::", "kldload-web:!::", "postgres:!::"]
        #expect(joined.gshadow == here.gshadow + shadows.map { $0 + "\n" }.joined())
        // The same once more changes nothing.
        #expect(try joined.taking(from: there) == joined)
    }

    @Test func `the same accounts stay as they are`() throws {
        #expect(try here.taking(from: here) == here)
    }
}

import KldExec
import KldPackages
import Testing

@Suite("Words of package managers")
struct PackageHoldTests {
    let packages = [PackageHold.Package("linux-lts", version: "6.12.60-r0"), .init("zfs", version: "2.3.4-r1")]

    @Test(
        "each family's command that holds packages",
        arguments: [
            (PackageFamily.apt, "apt-mark hold linux-lts zfs"), (.dnf, "dnf versionlock add linux-lts zfs"),
            (.zypper, "zypper --non-interactive addlock linux-lts zfs"), (.apk, "apk add linux-lts=6.12.60-r0 zfs=2.3.4-r1"),
        ])
    func commands(_ family: PackageFamily, _ line: String) throws {
        let command = try #require(PackageHold.command(family, packages))
        #expect(command.description == line)
        #expect(command.effect == .changes)
    }

    @Test("every family holds packages one way or the other")
    func whole() { #expect(PackageFamily.allCases.filter { PackageHold.command($0, packages) == nil } == [.pacman]) }

    static let configuration = """
        # pacman.conf(5)
        [options]
        HoldPkg = pacman glibc
        IgnorePkg = mine

        [core]
        Include = /etc/pacman.d/mirrorlist

        """

    @Test("pacman's configuration gets a line of its own, once, and keeps what a person wrote")
    func pacman() throws {
        let once = try #require(PackageHold.pacman(["linux-lts", "zfs-dkms"], in: Self.configuration))
        #expect(once.contains("[options]\n# held by kldload:\nIgnorePkg = linux-lts zfs-dkms\nHoldPkg = pacman glibc\nIgnorePkg = mine\n"))
        #expect(PackageHold.pacman(["linux-lts", "zfs-dkms"], in: once) == once)
        #expect(PackageHold.pacman(["linux"], in: once)?.contains("IgnorePkg = linux\n") == true)
        #expect(PackageHold.pacman(["linux"], in: once)?.contains("zfs-dkms") == false)
        #expect(PackageHold.pacman([], in: once) == Self.configuration)
        #expect(PackageHold.pacman(["linux"], in: "[core]\n") == nil)
    }

    @Test("repositories of rpm, pacman and apk are written with their signatures checked")
    func repositories() {
        #expect(
            RPMRepository(
                id: "fedora", title: "Fedora 44", address: "https://mirror.example/$basearch", keys: ["/etc/pki/rpm-gpg/KEY"],
                signedIndex: false
            ).stanza == """
                [fedora]
                name=Fedora 44
                baseurl=https://mirror.example/$basearch
                enabled=1
                gpgcheck=1
                repo_gpgcheck=0
                gpgkey=file:///etc/pki/rpm-gpg/KEY

                """)
        #expect(
            PacmanRepository(name: "core", servers: ["https://mirror.example/$repo/os/$arch"]).stanza
                == "[core]\nSigLevel = Required DatabaseOptional\nServer = https://mirror.example/$repo/os/$arch\n")
        #expect(APKRepository(address: "https://mirror.example/v3.21/main").line == "https://mirror.example/v3.21/main")
        #expect(APKRepository(address: "https://mirror.example/edge/main", tag: "edge").line == "@edge https://mirror.example/edge/main")
    }
}

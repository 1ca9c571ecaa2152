import KldCore
import KldExec
import KldPackages
import SystemPackage
import Testing

@Suite("Package managers")
struct ManagerTests {
    typealias Change = PackageTransaction.Change

    // MARK: apt, recorded with apt 2.6.1 and dpkg 1.21.22

    @Test("apt's preview is an upgrade, a new package and a removal")
    func aptTransaction() {
        let transaction = Apt().transaction(
            """
            Reading package lists...
            The following NEW packages will be installed:
              hello
            0 upgraded, 1 newly installed, 0 to remove and 123 not upgraded.
            Inst unzip [6.0-28] (6.0-28+deb12u1 Debian-Security:12/oldstable-security [amd64])
            Inst hello (2.10-3 Debian:12.15/oldstable [amd64])
            Conf hello (2.10-3 Debian:12.15/oldstable [amd64])
            Remv zstd [1.5.4+dfsg2-5]
            """)
        #expect(
            transaction.changes == [
                Change("unzip", old: "6.0-28", new: "6.0-28+deb12u1"), Change("hello", old: nil, new: "2.10-3"),
                Change("zstd", old: "1.5.4+dfsg2-5", new: nil),
            ])
        #expect(transaction.removals == ["zstd"])
        #expect(Apt().transaction("Reading package lists...\n0 upgraded, 0 newly installed").isEmpty)
    }

    @Test("apt asks nothing, keeps changed settings, and takes names for nothing else")
    func aptCommands() {
        let line = Apt().apply(.install(["nginx"])).description
        #expect(line.contains("--force-confdef") && line.contains("--force-confold") && line.hasSuffix("install -- nginx"))
        #expect(Apt().apply(.upgrade).environment["DEBIAN_FRONTEND"] == "noninteractive")
        #expect(Apt().preview(.remove(["nginx"])).description == "apt-get -s -q -y remove -- nginx")
        #expect(Apt().preview(.upgrade).effect == .reads && Apt().apply(.upgrade).effect == .changes)
        #expect(Apt().refresh.description.contains("APT::Update::Error-Mode=any"), "an archive that does not answer is no success")
    }

    @Test("apt says how much is downloaded")
    func aptSize() {
        let output = """
            Need to get 53.1 kB of archives.
            'http://deb.debian.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb' hello_2.10-3_amd64.deb 53080 MD5Sum:d04c2e9639dee67aa836d8232b1ca658
            'file:/usr/share/repo/./good_1.deb' good_1_all.deb 756 
            """
        #expect(Apt().downloadSize(output) == ByteCount(53_836))
    }

    @Test("a maintainer script that failed is named, with how")
    func aptReasons() {
        let output = CommandOutput(
            status: 100, output: "Setting up bad (1) ...\n",
            errors: """
                it cannot be
                dpkg: error processing package bad (--configure):
                 installed bad package post-installation script subprocess returned error exit status 1
                Errors were encountered while processing:
                 bad
                E: Sub-process /usr/bin/dpkg returned an error code (1)
                """)
        #expect(
            Apt().reasons(output) == [
                "dpkg: error processing package bad (--configure): installed bad package post-installation script subprocess returned error exit status 1",
                "E: Sub-process /usr/bin/dpkg returned an error code (1)",
            ])
    }

    @Test("apt says what it does; other lines are none")
    func aptProgress() {
        let apt = Apt()
        #expect(apt.progress("Setting up hello (2.10-5) ...") == "Setting up hello (2.10-5) ...")
        #expect(
            apt.progress("Get:1 http://deb.debian.org/debian trixie/main amd64 hello amd64 2.10-5 [53.2 kB]")?.hasPrefix("Get:1") == true)
        #expect(apt.progress("dpkg: error processing package bad (--configure):") == nil)
        #expect(apt.progress("Reading package lists...") == nil)
    }

    @Test("dpkg's list leaves out what was removed")
    func dpkg() {
        #expect(
            Apt().installed("ii \topenssh-server\t1:10.0p1-7\nrc \tnano\t8.4-1\nhi \tzfs-dkms\t2.3.2-2\n")
                == [.init("openssh-server", version: "1:10.0p1-7"), .init("zfs-dkms", version: "2.3.2-2")])
    }

    @Test("dpkg is asked in few ways, each read by one reader")
    func dpkgQueries() {
        #expect(Apt().listInstalled.arguments == Dpkg.listInstalled().arguments)
        #expect(Dpkg.listInstalled(in: "/be/var/lib/dpkg").arguments.first == "--admindir=/be/var/lib/dpkg")
        let details = #"-f=${binary:Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Maintainer}"#
        #expect(Dpkg.details(states: false).arguments == ["-W", details + #"\n"#])
        #expect(Dpkg.details(states: true).arguments == ["-W", details + #"\t${db:Status-Status}\n"#])
        let packages = DpkgPackage.parse("hold\tinstalled\tzfs-dkms\t2.3.2-2\ndeinstall\tconfig-files\tnano\t8.4-1\n")
        #expect(packages.map(\.name) == ["zfs-dkms", "nano"] && packages.map(\.isHeld) == [true, false])
        #expect(packages.map(\.status) == ["installed", "config-files"] && packages[1].want == "deinstall")
    }

    // MARK: dnf, recorded with dnf 4.14.0 and its plugins 4.3.1; dnf 5: Dnf5Tests

    @Test("dnf 4's table: what comes, and what goes because something else takes its place")
    func dnf4() {
        let transaction = Dnf().transaction(Recorded.dnfUpgrade)
        #expect(
            transaction.changes == [
                Change("kld-new", old: nil, new: "2-1"), Change("kld-old", old: "1-1", new: nil), Change("kld-bad", old: nil, new: "2-1"),
                Change("kld-late", old: nil, new: "2-1"), Change("kld-plain", old: nil, new: "2-1"),
                Change("kld-library", old: nil, new: "1-1"),
            ])
        #expect(transaction.removals == ["kld-old"])
        #expect(transaction.filled(from: ["kld-bad": "1-1", "kld-old": "1-1"]).changes[1...2].map(\.old) == ["1-1", "1-1"])
        #expect(
            Dnf().transaction(Recorded.dnfRemove).changes
                == [Change("kld-late", old: "2-1", new: nil), Change("kld-needs", old: "1-1", new: nil)])
    }

    @Test("what dnf skips is no change; long names and epochs are read")
    func dnfSkips() {
        #expect(
            Dnf().transaction(Recorded.dnfSkips).changes == [
                Change("kld-bad", old: nil, new: "2-1"),
                Change("kld-kernel-modules-extra-matched-longer", old: nil, new: "2:6.12.58.503.12-1.fc42_5.longer"),
            ])
        #expect(Dnf().failures(CommandOutput(status: 1, output: Recorded.dnfSkips, errors: Recorded.dnfSkipsErrors)) == [])
    }

    @Test("a row that goes on in the next line is one row")
    func dnfWraps() {
        let output = """
            Upgrading:
             kernel-modules-extra-matched
                           x86_64  6.12.58-200.fc42  updates
                                                            8.2 M
             nano          x86_64  8.3-1.fc42        fedora 2.8 M

            """
        #expect(
            Dnf().transaction(output).changes
                == [Change("kernel-modules-extra-matched", old: nil, new: "6.12.58-200.fc42"), Change("nano", old: nil, new: "8.3-1.fc42")])
    }

    @Test("a kernel that goes because a newer one comes beside it is no removal")
    func dnfKernels() {
        let output = "Installing:\n kernel x86_64 6.3-1 updates 2 M\nRemoving:\n kernel x86_64 6.1-1 @updates 2 M\n"
        #expect(Dnf().transaction(output).changes.count == 2)
        #expect(Dnf().transaction(output).removals == [])
    }

    @Test("dnf ends its preview with 1 both when there is something to do and when it cannot be done")
    func dnfFailures() {
        func failures(_ status: Int32, _ said: (output: String, errors: String)) -> [String] {
            Dnf().failures(CommandOutput(status: status, output: said.output, errors: said.errors))
        }
        #expect(failures(1, (Recorded.dnfUpgrade, Recorded.dnfAborted)) == [])
        #expect(failures(0, ("Dependencies resolved.\nNothing to do.\nComplete!\n", "")) == [])
        #expect(failures(1, Recorded.dnfUnknown) == ["No match for argument: nosuch"])
        #expect(
            failures(1, Recorded.dnfImpossible)
                == ["Problem: conflicting requests", "- nothing provides nosuch needed by kld-broken-2-1.noarch"])
        #expect(failures(0, Recorded.dnfRemoveUnknown) == ["No match for argument: nosuch"])
    }

    @Test("a script that fails is said, where dnf fails and where it does not")
    func dnfScripts() {
        #expect(
            Dnf().reasons(CommandOutput(status: 1, errors: Recorded.dnfBadScript)) == [
                "error: lua script failed: [string \"%prein(kld-bad-2-1.noarch)\"]:1: it cannot be",
                "Error in PREIN scriptlet in rpm package kld-bad", "Error: Transaction failed",
            ])
        let late = CommandOutput(errors: Recorded.dnfLateScript)
        #expect(Dnf().failures(late) == ["Error in POSTIN scriptlet in rpm package kld-late"])
        #expect(late.errors.lines.compactMap(Dnf().progress) == ["Installing kld-late-2-1.noarch"])
    }

    @Test("dnf's locks are names; what is only excluded is none")
    func dnfLocks() {
        #expect(Dnf().held(Recorded.dnfLocks) == ["kld-kernel", "kld-kernel-modules-extra-matched-longer"])
        #expect(Dnf().held("zfs*\n") == ["zfs*"], "a pattern of a person's")
        #expect(Dnf().refresh.description.contains("skip_if_unavailable=0"), "an archive that does not answer is no success")
        #expect(Dnf().refresh.description.contains("metadata_expire=0"), "lists are read anew wherever they lie")
    }

    // MARK: pacman, recorded with pacman 6.0.2

    @Test("pacman's preview is in our own words")
    func pacman() {
        #expect(Pacman().preview(.upgrade).description == "pacman --sync --sysupgrade --print --print-format '+ %n %v'")
        #expect(Pacman().preview(.upgrade).acceptedExitStatuses == [0], "1 is a failure")
        #expect(
            Pacman().transaction(Recorded.pacmanUpgrade).changes
                == ["kld-bad 2-1", "kld-new 2-1", "kld-library 1-1", "kld-plain 2-1"].map {
                    Change($0.words[0], old: nil, new: $0.words[1])
                })
        #expect(Pacman().transaction("- nano 8.6-1\n").changes == [Change("nano", old: "8.6-1", new: nil)])
    }

    @Test("a script that fails is said, though pacman ends with 0")
    func pacmanScripts() {
        let output = CommandOutput(errors: Recorded.pacmanBadScript)
        #expect(Pacman().failures(output) == ["error: command failed to execute correctly"])
        #expect(
            output.errors.lines.compactMap(Pacman().progress) == [
                "removing kld-old...", "upgrading kld-bad...", "installing kld-new...", "installing kld-library...",
                "upgrading kld-plain...",
            ])
        let needed = CommandOutput(status: 1, output: Recorded.pacmanNeeded.output, errors: Recorded.pacmanNeeded.errors)
        #expect(Pacman().reasons(needed).joined(separator: "\n") == Recorded.pacmanNeeded.output + Recorded.pacmanNeeded.errors.trimmed)
    }

    @Test("a name is never an option or a path")
    func names() {
        for good in ["nginx", "libc6:i386", "hello=2.10-3", "linux-image-amd64/trixie-backports", "g++", "@core"] {
            #expect(PackageName.isPlain(good), "\(good)")
        }
        for bad in ["-y", "--force", "/tmp/x.deb", "./x.deb", "", "a b", "a;b", "x/../y", "$(id)"] {
            #expect(!PackageName.isPlain(bad), "\(bad)")
        }
    }

    @Test("patterns match whole names, or what they begin with")
    func patterns() {
        #expect(
            PackageName.matching(["zfs-dkms", "linux-image-*"], in: ["zfs-dkms-x", "linux-image-amd64", "zfs-dkms", "nano"])
                == ["linux-image-amd64", "zfs-dkms"])
    }
}

import KldCore
import KldExec
import KldPackages
import Testing

@Suite("dnf 5")
struct Dnf5Tests {
    typealias Change = PackageTransaction.Change
    let dnf = Dnf()

    private func output(_ status: Int32, _ said: (output: String, errors: String)) -> CommandOutput {
        CommandOutput(status: status, output: said.output, errors: said.errors.asRead)
    }

    @Test("its table: what takes the place of what, in rpm's versions; what is skipped is no change")
    func table() {
        let transaction = dnf.transaction(Recorded.dnf5Upgrade.output)
        #expect(
            transaction.changes == [
                Change("kld-kernel", old: "1-1", new: "3:2-1"), Change("kld-plain", old: "1-1", new: "2-1"),
                Change("kld-new", old: nil, new: "2-1"), Change("kld-old", old: "1-1", new: nil),
                Change("kld-library", old: nil, new: "1-1"),
            ])
        #expect(transaction.removals == ["kld-old"])
        #expect(dnf.failures(output(1, Recorded.dnf5Upgrade)) == [], "what is skipped is no failure")
        #expect(
            dnf.transaction(Recorded.dnf5Remove).changes
                == [Change("kld-library", old: "1-1", new: nil), Change("kld-plain", old: "2-1", new: nil)])
        #expect(
            dnf.transaction(Recorded.dnf5Long).changes
                == [
                    Change("kld-kernel-modules-extra-matched-longer", old: nil, new: "2:6.12.58.503.11-1.fc42_5.longer"),
                    Change("kld-needs", old: nil, new: "1-1"),
                ])
        #expect(dnf.transaction(Recorded.dnf5OnlySkips.output).isEmpty)
        #expect(dnf.failures(output(0, Recorded.dnf5OnlySkips)) == [])
    }

    @Test("what cannot be done is no empty preview, and says why")
    func refusals() {
        #expect(dnf.failures(output(1, Recorded.dnf5Unknown)) == ["No match for argument: nosuch"])
        #expect(
            dnf.failures(output(1, Recorded.dnf5Impossible))
                == ["Problem: conflicting requests", "- nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small"])
        #expect(
            dnf.failures(output(1, Recorded.dnf5Locked)) == ["Argument 'kld-kernel-2' matches only packages excluded by versionlock."])
        #expect(dnf.failures(output(0, Recorded.dnf5RemoveUnknown)) == ["No packages to remove for argument: nosuch"])
        #expect(
            dnf.reasons(output(1, ("", Recorded.dnf5NoArchive))).last
                == "Failed to download metadata (baseurl: \"file:///tmp/t/f/archive\") for repository \"small\": Usable URL not found")
    }

    @Test("a script that fails is said, before its package is unpacked and after; why others are skipped is no reason")
    func scripts() {
        #expect(
            dnf.reasons(CommandOutput(status: 1, errors: Recorded.dnf5BadScript.asRead)) == [
                ">>> Error in %pre scriptlet: kld-bad-0:1-1.noarch",
                ">>> [RPM] lua script failed: [string \"%prein(kld-bad-1-1.noarch)\"]:1: it cannot be",
                "Transaction failed: Rpm transaction failed.",
            ])
        let late = CommandOutput(status: 1, errors: Recorded.dnf5LateScript.asRead)
        #expect(dnf.failures(late) == [">>> Non-critical error in %post scriptlet: kld-late-0:1-1.noarch"])
        #expect(late.errors.lines.compactMap(dnf.progress) == ["Installing kld-late-0:1-1.noarch"])
        #expect(
            dnf.reasons(CommandOutput(status: 1, errors: Recorded.dnf5Unsigned.asRead)) == [
                "Transaction failed: Signature verification failed.",
                "OpenPGP check for package \"kld-plain-2-1.noarch\" (/tmp/t/f/root/var/cache/libdnf5/small-97b1315d47d68266/packages/kld-plain-2.rpm)"
                    + " from repo \"small\" has failed: The package is not signed.",
            ])
    }

    @Test("it says what it does, with numbers in columns, and names that are cut")
    func progress() {
        #expect(
            Recorded.dnf5Apply.lines.compactMap(dnf.progress) == [
                "Installing kld-library-0:1-1.noar", "Upgrading kld-plain-0:2-1.noarch", "Installing kld-new-0:2-1.noarch",
                "Removing kld-old-0:1-1.noarch", "Removing kld-plain-0:1-1.noarch",
            ])
        #expect(dnf.failures(CommandOutput(errors: Recorded.dnf5Apply)) == [])
        #expect(
            dnf.progress("[ 3/13] Installing kld-k-0:1-1.noarch   100% |   7.5 KiB/s | 100.0   B |  00m00s")
                == "Installing kld-k-0:1-1.noarch")
    }

    @Test("its locks are names")
    func locks() {
        #expect(dnf.held(Recorded.dnf5Locks) == ["kld-plain", "kld-kernel"])
        #expect(dnf.held("") == [])
    }
}

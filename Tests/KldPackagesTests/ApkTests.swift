import KldCore
import KldExec
import KldPackages
import Testing

@Suite("apk")
struct ApkTests {
    typealias Change = PackageTransaction.Change
    let apk = Apk()

    @Test("its simulation, with numbers in columns and tags behind names")
    func simulation() {
        #expect(
            apk.transaction(Recorded.apkUpgrade).changes == [
                Change("kld-old", old: "1-r0", new: nil), Change("kld-new", old: nil, new: "2-r0"),
                Change("kld-library", old: nil, new: "1-r0"), Change("kld-plain", old: "1-r0", new: "2-r0"),
            ])
        #expect(
            apk.transaction(Recorded.apkColumns).changes
                == ["kld-a", "kld-j", "kld-k"].map { Change($0, old: nil, new: "1-r0") })
        #expect(apk.transaction("OK: 0 MiB in 4 packages\n").isEmpty)
        #expect(
            (Recorded.apkUpgrade + Recorded.apkColumns).lines.compactMap(apk.progress).prefix(5) == [
                "Purging kld-old (1-r0)", "Installing kld-new (2-r0)", "Installing kld-library (1-r0)",
                "Upgrading kld-plain (1-r0 -> 2-r0)", "Installing kld-a (1-r0)",
            ])
    }

    @Test("what waits for a held package")
    func waiting() {
        #expect(apk.previewUpgrade(moving: ["kld-kernel"])?.effect == .reads)
        #expect(
            apk.transaction(Recorded.apkWaiting).changes == [
                Change("kld-kernel", old: "1-r0", new: "2-r0"),
                Change("kld-kernel-modules-extra", old: "6.12.1_git20250101-r10", new: "6.12.2-r0"),
                Change("kld-plain", old: "1-r0", new: "2-r0"),
            ])
    }

    @Test("its list and its world: names for some packages are none, and what comes from a file is no hold")
    func lists() {
        #expect(
            apk.installed(Recorded.apkInstalled) == [
                .init("kld-other", version: "1-r0"), .init("kld-kernel-modules-extra", version: "6.12.1_git20250101-r10"),
            ])
        #expect(apk.held(Recorded.apkWorld) == ["kld-b", "kld-kernel"])
        #expect(apk.held("alpine-base\nzfs~2.3\nnano>2\nvim>=9\n") == [])
        #expect(apk.refresh.description == "apk --update-cache update", "2.14 keeps young lists without the option")
    }

    @Test("what cannot be done says why, also where apk ends with 0")
    func refusals() {
        #expect(apk.failures(CommandOutput(output: Recorded.apkStays)) == ["still needed: kld-library: kld-plain"])
        #expect(apk.failures(CommandOutput(output: Recorded.apkUpgrade)) == [])
        #expect(
            apk.reasons(CommandOutput(status: 1, errors: Recorded.apkUnknown.asRead))
                == ["ERROR: unable to select packages:", "nosuch (no such package):", "required by: world[nosuch]"])
        #expect(apk.reasons(CommandOutput(status: 1, errors: Recorded.apkRemoveUnknown.asRead)) == ["ERROR: No such package: nosuch"])
    }

    @Test("a script that fails is said, and what follows from it; so is a trigger, with which 2.14 ends well")
    func scripts() {
        #expect(
            apk.reasons(CommandOutput(status: 1, errors: Recorded.apkBadScript.asRead))
                == ["ERROR: kld-bad-1-r0.pre-install: script exited with error 1", "1 error; 0 MiB in 4 packages"])
        #expect(
            apk.reasons(CommandOutput(status: 1, errors: Recorded.apk3BadScript.asRead)) == [
                "* it cannot be", "ERROR: lib/apk/exec/kld-bad-1-r0.pre-install: exited with error 1", "1 error; 16 B in 4 packages",
            ])
        #expect(
            apk.failures(CommandOutput(errors: Recorded.apkTrigger.asRead))
                == ["ERROR: kld-trigger-1-r0.trigger: script exited with error 1"])
        #expect(
            apk.reasons(CommandOutput(status: 1, output: Recorded.apkBroken))
                == ["1 error; 0 MiB in 2 packages", "scripts of packages failed earlier: apk fix runs them again"])
    }

    @Test("an archive that is not trusted, is not there, or answers no longer is no success, whatever the exit status")
    func archives() {
        func failures(_ said: (output: String, errors: String)) -> [String] {
            apk.failures(CommandOutput(output: said.output, errors: said.errors.asRead))
        }
        #expect(failures(Recorded.apkUntrusted) == [Recorded.apkUntrusted.errors.trimmed])
        #expect(failures(Recorded.apkMissing) == [Recorded.apkMissing.errors.trimmed])
        #expect(failures(("OK: 1 distinct packages available\n", "")) == [])
        #expect(
            apk.reasons(CommandOutput(status: 1, output: Recorded.apkStale.output, errors: Recorded.apkStale.errors.asRead))
                == [Recorded.apkStale.errors.trimmed])
    }
}

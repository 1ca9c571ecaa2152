import KldCore
import KldExec
import KldTestSupport
import KldVirt
import Testing

@Suite("The version of QEMU")
struct QEMUVersionTests {
    /// The first and the fifth as Debian's 1:10.0.2+ds-2+deb13u1~bpo12+1 prints them; the others made after vl.c's format
    /// `QEMU emulator version MAJOR.MINOR.MICRO (PACKAGE)`.
    @Test(arguments: [
        ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright (c) 2003-2025 Fabrice …", QEMUVersion(10, 0, 2)),
        ("QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7+deb12u12)", QEMUVersion(7, 2, 15)),
        ("QEMU emulator version 8.2.6 (qemu-8.2.6-3.fc40)", QEMUVersion(8, 2, 6)),
        ("QEMU emulator version 10.1.50 (v10.1.0-1-gabc)", QEMUVersion(10, 1, 50)),
        ("qemu-img version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)", QEMUVersion(10, 0, 2)),
        ("QEMU emulator version 11.0", QEMUVersion(11, 0, 0)),
    ])
    func isRead(output: String, version: QEMUVersion) { #expect(QEMUVersion(output: output) == version) }

    @Test(arguments: ["", "bash: no", "QEMU emulator version", "version x.y"])
    func isNotInvented(output: String) { #expect(QEMUVersion(output: output) == nil) }

    @Test func decidesWhatIsTooOld() throws {
        try QEMUVersion(7, 2).check(for: .kvm)
        try QEMUVersion(10, 0).check(for: .tcg)
        #expect(throws: Diagnosis.self) { try QEMUVersion(7, 1, 9).check(for: .kvm) }
        let error = #expect(throws: Diagnosis.self) { try QEMUVersion(9, 2, 4).check(for: .tcg) }
        #expect(
            error?.rendered == """
                error[vm.qemu-too-old]: QEMU 9.2.4 is too old: emulation needs 10.0.0 or newer
                  because: older versions emulate cmpxchg16b wrongly, and Linux kernels panic
                  remedy: install a newer one: apt-get install -t bookworm-backports qemu-system-x86
                """)
    }

    @Test func isMissedWithARemedy() async throws {
        let error = await #expect(throws: Diagnosis.self) { try await QEMU.find(runner: ScriptedRunner([:]), path: "/nowhere") }
        #expect(error?.code == "vm.qemu-missing")
        #expect(error?.remedies == ["install it: apt-get install qemu-system-x86"])
    }

    @Test(.enabled(if: Here.hasQEMU, "qemu-system-x86_64 is not installed"))
    func isReadFromTheOneHere() async throws {
        #expect(try await Here.qemu.version > QEMUVersion(5, 0))
    }
}

import KldCore

/// The version of QEMU.
package struct QEMUVersion: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    package var major: Int
    package var minor: Int
    package var patch: Int

    package init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
        self.major = major
        self.minor = minor
        self.patch = patch
    }

    /// Reads what `qemu-system-x86_64 --version` or `qemu-img --version` prints.
    ///
    /// For instance, from Debian's 1:10.0.2+ds-2+deb13u1~bpo12+1:
    /// `QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)`
    package init?(output: String) {
        let words = output.lines.first?.words ?? []
        guard let place = words.firstIndex(of: "version"), place + 1 < words.count else { return nil }
        let numbers = words[place + 1].split(separator: ".", omittingEmptySubsequences: false)
            .map { Int($0.prefix { $0.isASCII && $0.isNumber }) }
        guard numbers.count >= 2, let major = numbers[0], let minor = numbers[1] else { return nil }
        self.init(major, minor, numbers.count > 2 ? numbers[2] ?? 0 : 0)
    }

    package static func < (a: QEMUVersion, b: QEMUVersion) -> Bool { (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch) }
    package var description: String { "\(major).\(minor).\(patch)" }

    /// The oldest that works.
    ///
    /// Emulation by Debian 12's QEMU 7.2 corrupts the flags after `cmpxchg16b`, and kernel 6.12 panics in udev; Debian's 10.0 does not. With
    /// KVM the processor runs that instruction itself, and 7.2 is the oldest we allow.
    package static func minimum(for accelerator: Accelerator) -> QEMUVersion {
        switch accelerator {
        case .kvm: QEMUVersion(7, 2)
        case .tcg: QEMUVersion(10, 0)
        }
    }

    /// - Throws: ``Diagnosis`` `vm.qemu-too-old`.
    package func check(for accelerator: Accelerator) throws {
        let minimum = Self.minimum(for: accelerator)
        guard self < minimum else { return }
        let why =
            switch accelerator {
            case .kvm: "older versions are not tested"
            case .tcg: "older versions emulate cmpxchg16b wrongly, and Linux kernels panic"
            }
        throw Diagnosis(
            "vm.qemu-too-old", "QEMU \(self) is too old: \(accelerator == .tcg ? "emulation" : "KVM") needs \(minimum) or newer",
            remedies: ["install a newer one: apt-get install -t bookworm-backports qemu-system-x86"], exit: .unavailable, causes: [why])
    }
}

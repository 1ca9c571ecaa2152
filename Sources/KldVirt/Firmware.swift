import KldCore
package import KldFiles
package import SystemPackage

/// UEFI firmware for guests: the code that is shared, and the template of the variables of which each guest needs a copy of its own.
package struct Firmware: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Without Secure Boot, with no keys.
        case uefi
        /// With System Management Mode and the keys of Microsoft and the distribution enrolled.
        case secureBoot
    }

    package var code: FilePath
    package var variablesTemplate: FilePath

    package init(code: FilePath, variablesTemplate: FilePath) {
        self.code = code
        self.variablesTemplate = variablesTemplate
    }

    /// Where distributions put the files: Debian's and Ubuntu's `ovmf` 2022.11 and later; Fedora's `edk2-ovmf`; Arch's `edk2-ovmf`.
    static let places: [Kind: [(code: String, variables: String)]] = [
        .uefi: [
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
            ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
        ],
        .secureBoot: [
            ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
            ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
        ],
    ]

    /// The first pair of which both files are there.
    ///
    /// - Throws: ``Diagnosis`` `vm.firmware-missing`; ``FileError``.
    package static func find(_ kind: Kind, files: any FileSystem) throws -> Firmware {
        for place in places[kind] ?? [] where try files.exists(FilePath(place.code)) && files.exists(FilePath(place.variables)) {
            return Firmware(code: FilePath(place.code), variablesTemplate: FilePath(place.variables))
        }
        throw Diagnosis(
            "vm.firmware-missing", "there is no UEFI firmware \(kind == .secureBoot ? "with Secure Boot " : "")for virtual machines here",
            remedies: ["install it: apt-get install ovmf (elsewhere: edk2-ovmf)"], exit: .unavailable)
    }

    /// Makes the guest's own copy of the variables. - Returns: `copy`, for ``MachineSpec/Boot``.
    @discardableResult
    package func copyVariables(to copy: FilePath, files: any FileSystem) throws -> FilePath {
        try files.write(try files.read(variablesTemplate), to: copy, mode: .file)
        return copy
    }
}

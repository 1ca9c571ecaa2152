import KldBoot
import KldCore
import KldExec
import KldFiles
import KldImage
import KldVirt
import SystemPackage

/// The firmware of a scenario's machines, the keys that it trusts, and what lies on their disks' ESPs.
extension Laboratory {
    /// - Throws: ``ScenarioSkipped`` where no firmware is installed that can enforce Secure Boot; other machines need none.
    func firmware() throws -> Firmware {
        guard isSecure else { return try Firmware.find(.uefi, files: files) }
        do {
            return try Firmware.find(.secureBoot, files: files)
        } catch let problem as Diagnosis where problem.code == "vm.firmware-missing" {
            throw ScenarioSkipped(([problem.message] + problem.remedies).joined(separator: "; "))
        }
    }

    /// New firmware's variables; where Secure Boot enforces, with keys in shim's list that the owner enrolled before: those of installed disks,
    /// and that of a medium. How a person enrols one is `secure-boot.install`'s.
    ///
    /// Runs: `virt-fw-vars --inplace FILE --add-mok GUID CERTIFICATE`; virt-firmware 24.2.
    func variables(at place: FilePath, trusting disks: [Factory.Disk], medium: FilePath? = nil) async throws -> FilePath {
        try firmware().copyVariables(to: place, files: files)
        guard isSecure else { return place }
        var certificates: [FilePath] = []
        for (file, path, name) in disks.map({ ($0.file, KeyEnrolment.certificateOnESP, $0.serial) })
            + [medium].compactMap({ $0 }).map({ ($0, LiveMedium.certificateOnESP, "medium") })
        {
            guard let esp = try await esp(of: file) else { continue }
            certificates.append(try await copy(path, fromESP: "\(file)@@\(esp.lowerBound)", as: "\(name).der"))
        }
        for certificate in certificates {
            let text = certificate.removingLastComponent().appending("\(certificate.stem ?? "").pem")
            try await workshop.runner.run(
                Command("openssl", ["x509", "-inform", "der", "-in", certificate.string, "-out", text.string], effect: .changes))
            // The owner's name in the list: shim's own. Source: shim 16.1, `SHIM_LOCK_GUID`.
            try await workshop.runner.run(
                Command(
                    Tool("virt-fw-vars", package: "python3-virt-firmware"),
                    ["--inplace", place.string, "--add-mok", "605dab50-e046-4300-abb6-3dd810dd8b23", text.string], effect: .changes))
        }
        return place
    }

    /// Where the ESP of a disk or of a hybrid ISO lies, in bytes; `nil`: it has none.
    ///
    /// Runs: `sgdisk --print FILE`, reads; gdisk 1.0:
    /// ```
    ///    1            2048         2099199   1024.0 MiB  EF00  esp
    /// ```
    func esp(of file: FilePath) async throws -> Range<UInt64>? {
        let said = try await workshop.runner.run(
            Command(Tool("sgdisk", package: "gdisk"), ["--print", file.string], effect: .reads)
        ).output
        for line in said.lines where line.words.count > 5 && line.words[5] == "EF00" {
            if let first = UInt64(line.words[1]), let last = UInt64(line.words[2]) { return first * 512..<(last + 1) * 512 }
        }
        return nil
    }

    /// Copies a file of an ESP out. Runs: `mcopy`; mtools 4.0.
    /// - Parameter image: a file that is one, or a disk with the place of its ESP, as mtools has it: `disk.raw@@1048576`.
    func copy(_ path: String, fromESP image: String, as name: String) async throws -> FilePath {
        let place = folder.appending(name)
        try await workshop.runner.run(
            Command(
                "mcopy", ["-n", "-o", "-i", image, "::/\(path)", place.string], effect: .changes, environment: ["MTOOLS_SKIP_CHECK": "1"]))
        return place
    }
}

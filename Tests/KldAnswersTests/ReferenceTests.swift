import KldFiles
import KldTestSupport
import Testing

@testable import KldAnswers

@Suite struct Reference {
    @Test func builtInListsAreComplete() {
        let reference = AnswersReference.builtIn
        #expect(reference.timezones.count > 590)
        #expect(reference.timezones.isSuperset(of: ["UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kolkata"]))
        #expect(reference.locales.isSuperset(of: ["en_US.UTF-8", "de_DE.UTF-8", "C.UTF-8", "zh_CN.UTF-8"]))
        #expect(reference.keyboards["us"]?.contains("dvorak") == true)
        #expect(reference.keyboards["jp"] != nil)
    }

    @Test func theListsOfTheSystemAreRead() {
        let files = MemoryFiles([
            "/usr/share/zoneinfo/tzdata.zi": "# version 2025b\nR d 1916 o - Jun 14 23s 1 S\nZ Africa/Abidjan -0:16:8 - LMT 1912\n0 - GMT\n"
                + "L Africa/Abidjan Africa/Accra\n",
            "/usr/share/i18n/SUPPORTED": "aa_DJ.UTF-8 UTF-8\naa_DJ ISO-8859-1\naa_ER@saaho UTF-8\n",
            "/usr/share/X11/xkb/rules/base.lst":
                "! model\n  pc86            Generic 86-key PC\n\n! layout\n  us              English (US)\n\n! variant\n"
                + "  intl            us: English (US, intl., with dead keys)\n",
        ])
        let reference = AnswersReference.system(files)
        #expect(reference.timezones == ["Africa/Abidjan", "Africa/Accra"])
        #expect(reference.locales == ["aa_DJ.UTF-8", "aa_ER@saaho", "C.UTF-8"])
        #expect(reference.keyboards == ["us": ["intl"]])
    }

    @Test func aSystemWithoutListsUsesTheBuiltInOnes() {
        #expect(AnswersReference.system(MemoryFiles()) == .builtIn)
    }

    /// glibc 2.36 and 2.41, xkeyboard-config 2.35 and 2.42.
    @Test(arguments: [
        ("LOCALE=tok", ["bookworm"], AnswersProblem.Code.locale), ("LOCALE=ltg_LV.utf8", ["bookworm"], .locale),
        ("LOCALE=aa_ER@saaho", ["trixie"], .locale), ("LOCALE=de_DE.UTF-8", [], .locale),
        ("KEYBOARD_LAYOUT=eg", ["bookworm"], .keyboardLayout), ("KEYBOARD_LAYOUT=mao", ["trixie"], .keyboardLayout),
        ("KEYBOARD_VARIANT=colemak_dh_ortho", ["bookworm"], .keyboardVariant), ("KEYBOARD_VARIANT=intl", [], .keyboardVariant),
    ])
    func aReleaseHasItsOwnNames(line: String, lacking: [String], code: AnswersProblem.Code) {
        // What this machine knows does not count, nor where the release stands.
        var newer = AnswersReference.builtIn
        newer.locales = ["tok"]
        newer.keyboards = ["eg": []]
        for suite in ["bookworm", "trixie"] {
            for text in ["KLDLOAD_\(line)\nKLDLOAD_SUITE=\(suite)\n", "KLDLOAD_SUITE=\(suite)\nKLDLOAD_\(line)\n"] {
                let accepted = (try? Answers(threeLines + text, reference: newer)) != nil
                #expect(accepted == !lacking.contains(suite), "\(suite)")
            }
            let override = problems(threeLines + "KLDLOAD_\(line)\n", overrides: ["KLDLOAD_DEBIAN_SUITE=\(suite)"])
            #expect(override.map(\.code) == (lacking.contains(suite) ? [code] : []))
            #expect(override.allSatisfy { $0.code == .keyboardVariant || $0.message.hasSuffix(" in debian \(suite)") })
        }
    }

    /// The factory's guest knows fewer names than the machine that checked them.
    @Test func whatWasCheckedIsNotRefusedAgain() throws {
        var newer = AnswersReference.builtIn
        newer.timezones.insert("Mars/Olympus_Mons")
        newer.releases = [:]
        newer.keyboards["martian"] = ["red"]
        newer.locales.insert("xx_MARS")
        let text =
            threeLines + "KLDLOAD_TIMEZONE=Mars/Olympus_Mons\nKLDLOAD_LOCALE=xx_MARS\nKLDLOAD_KEYBOARD_LAYOUT=martian\n"
            + "KLDLOAD_KEYBOARD_VARIANT=red\n"
        let checked = try Answers(text, reference: newer)
        #expect(problems(checked.environmentText).map(\.code) == [.timezone, .locale, .keyboardLayout])
        let other = try checked.replacing(["KLDLOAD_DISK=/dev/vdb", "KLDLOAD_FORCE_WIPE=1"])
        #expect(other.timezone == "Mars/Olympus_Mons" && other.keyboard.variant == "red" && other["KLDLOAD_DISK"] == "/dev/vdb")
        #expect(try Answers(other.environmentText, reference: .checkedBefore) == other)
        #expect(throws: AnswersError.self) { try checked.replacing(["KLDLOAD_DISK=vdb"]) }
    }

    @Test func nothingIsAcceptedThatTheReferenceLacks() {
        let empty = AnswersReference(timezones: [], locales: [], keyboards: [:])
        let error = #expect(throws: AnswersError.self) {
            try Answers(threeLines + "KLDLOAD_TIMEZONE=UTC\nKLDLOAD_LOCALE=C.UTF-8\nKLDLOAD_KEYBOARD_LAYOUT=us\n", reference: empty)
        }
        #expect(error?.problems.map(\.code) == [.timezone, .locale, .keyboardLayout])
    }
}

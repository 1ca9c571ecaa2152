import KldAnswers
import KldFiles
import KldTestSupport
import Testing

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

    @Test func nothingIsAcceptedThatTheReferenceLacks() {
        let empty = AnswersReference(timezones: [], locales: [], keyboards: [:])
        let error = #expect(throws: AnswersError.self) {
            try Answers(threeLines + "KLDLOAD_TIMEZONE=UTC\nKLDLOAD_LOCALE=C.UTF-8\nKLDLOAD_KEYBOARD_LAYOUT=us\n", reference: empty)
        }
        #expect(error?.problems.map(\.code) == [.timezone, .locale, .keyboardLayout])
    }
}

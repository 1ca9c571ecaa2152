import KldDistro
import Testing

@Suite("Data of locales")
struct LocaleGenerationTests {
    @Test(
        "each locale is made in UTF-8, with a character set in its name or without one",
        arguments: ["hi_IN", "vi_VN", "ca_ES@valencia", "de_AT.UTF-8", "sr_RS.UTF-8@latin"])
    func charset(_ locale: String) { #expect(LocaleGeneration.configuration(locale) == "\(locale) UTF-8\n") }
}

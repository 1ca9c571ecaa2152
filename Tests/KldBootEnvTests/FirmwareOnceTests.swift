import KldBoot
import KldTestSupport
import Testing

@testable import KldBootEnv

@Suite("What the firmware was told to start once")
struct FirmwareOnceTests {
    private static func files(next: String?, current: String = "\u{1}\0") -> MemoryFiles {
        let (place, global) = ("/sys/firmware/efi/efivars", "8be4df61-93ca-11d2-aa0d-00e098032b8c")
        let title = "Windows".map { "\($0)\0" }.joined()
        var texts = [
            "\(place)/BootCurrent-\(global)": "\u{6}\0\0\0\(current)",
            "\(place)/Boot001A-\(global)": "\u{7}\0\0\0\u{1}\0\0\0\u{4}\0\(title)\0\0rest",
        ]
        if let next { texts["\(place)/BootNext-\(global)"] = "\u{7}\0\0\0\(next)" }
        return MemoryFiles(texts)
    }

    @Test("another entry than the one that was started is named, with its title")
    func other() throws {
        let found = try #require(FirmwareOnce.read(Self.files(next: "\u{1A}\0")))
        #expect(found == FirmwareOnce(number: "001A", title: "Windows") && found.text.contains("Boot001A (Windows)"))
        // An entry that there is not.
        #expect(FirmwareOnce.read(Self.files(next: "\u{2}\0")) == FirmwareOnce(number: "0002", title: ""))
        for files in [Self.files(next: nil), Self.files(next: "\u{1}\0"), Self.files(next: "\u{1}"), MemoryFiles()] {
            #expect(FirmwareOnce.read(files) == nil)
        }
    }

    @Test("the prediction says that nothing of it holds for the next boot then")
    func predicted() throws {
        let prediction = try BootPredictionTests.predict { $1.instead = FirmwareOnce(number: "001A", title: "Windows") }
        #expect(prediction.starts && prediction.findings.filter { $0.status == .warn }.map(\.name) == ["firmware"])
    }
}

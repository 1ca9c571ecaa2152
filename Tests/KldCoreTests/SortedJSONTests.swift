import KldCore
import Testing

@Suite("Values as JSON")
struct SortedJSONTests {
    private struct Pool: Encodable {
        var name = "rpool"
        var disks = ["/dev/vdb", "/dev/vda"]
        var altroot: String?
    }

    @Test("keys are in order, lists and slashes stay as they are, and a line has no end")
    func line() throws {
        #expect(try SortedJSON.line(Pool()) == #"{"disks":["/dev/vdb","/dev/vda"],"name":"rpool"}"#)
    }

    @Test("what people read is indented, and a document ends in a newline")
    func document() throws {
        let text = """
            {
              "altroot" : "/mnt",
              "disks" : [
                "/dev/vda"
              ],
              "name" : "rpool"
            }
            """
        let pool = Pool(disks: ["/dev/vda"], altroot: "/mnt")
        #expect(try SortedJSON.pretty(pool) == text)
        #expect(try SortedJSON.document(pool) == text + "\n")
    }
}

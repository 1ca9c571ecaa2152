import KldCore
import KldZFS
import Testing

@Suite struct `names` {
    @Test(arguments: ["rpool", "tank", "R", "my-pool_1.2:3", "two words", "cpool", "loggy"])
    func `accepts pools that zpool create accepts`(name: String) throws { #expect(try PoolName(name).text == name) }

    @Test(arguments: [
        ("", NameProblem.empty), ("1pool", .firstLetter), ("-f", .firstLetter), ("mirror", .reserved), ("mirrored", .reserved),
        ("raidz2", .reserved), ("draid", .reserved), ("spare1", .reserved), ("log", .reserved), ("c0t0", .reserved),
        ("a/b", .character("/")), ("a@b", .character("@")), ("pööl", .character("ö")), ("a%b", .character("%")), ("a\tb", .character("\t")),
        ("end ", .spaceAtEdge), (String(repeating: "a", count: 240), .tooLong(bytes: 240, most: 239)),
    ])
    func `refuses pools that it refuses`(name: String, problem: NameProblem) {
        #expect(throws: NameError(.pool, name, problem)) { try PoolName(name) }
    }

    @Test func `accepts a pool name of 239 bytes`() throws { _ = try PoolName(String(repeating: "a", count: 239)) }

    @Test(arguments: [
        ("rpool//a", NameProblem.emptyComponent), ("/rpool", .emptyComponent), ("rpool/", .emptyComponent), ("rpool/..", .relative),
        ("rpool/./a", .relative), ("rpool/a@b", .character("@")), ("rpool/a#b", .character("#")), ("rpool/%recv", .character("%")),
        ("rpool/ a", .spaceAtEdge), ("mirror/a", .reserved), ("rpool/a\nb", .character("\n")),
        ("r/" + String(repeating: "a", count: 254), .tooLong(bytes: 256, most: 255)),
        ("r" + String(repeating: "/a", count: 50), .tooDeep(most: 50)),
    ])
    func `refuses datasets that zfs create refuses`(name: String, problem: NameProblem) {
        #expect(throws: NameError(.dataset, name, problem)) { try DatasetName(name) }
    }

    @Test func `knows parent, leaf and pool`() throws {
        let name = try DatasetName("rpool/ROOT/debian 13")
        #expect(name.leaf == "debian 13" && name.pool == "rpool")
        #expect(name.parent?.text == "rpool/ROOT" && name.parent?.parent?.text == "rpool" && name.parent?.parent?.parent == nil)
        let root = try DatasetName("rpool/ROOT")
        #expect(name.isWithin(root))
        #expect(try !DatasetName("rpool/ROOT2").isWithin(root))
    }

    @Test func `counts the whole name of a snapshot`() throws {
        let dataset = try DatasetName("rpool/a")
        #expect(try SnapshotName(dataset, String(repeating: "s", count: 247)).description.utf8.count == 255)
        #expect(throws: NameError.self) { try SnapshotName(dataset, String(repeating: "s", count: 248)) }
        #expect(try SnapshotName("rpool/a@install").label == "install")
        #expect(throws: NameError(.snapshot, "rpool/a", .delimiters)) { try SnapshotName("rpool/a") }
        #expect(throws: NameError(.snapshot, "rpool/a@b@c", .delimiters)) { try SnapshotName("rpool/a@b@c") }
        #expect(throws: NameError(.snapshot, "rpool/a@b/c", .character("/"))) { try SnapshotName("rpool/a@b/c") }
    }

    @Test func `says what is wrong and what to do`() {
        let problem = Diagnosis(of: NameError(.pool, "log", .reserved))
        #expect(problem.code == "zfs.name.pool" && problem.exit == .usage && !problem.remedies.isEmpty)
    }
}

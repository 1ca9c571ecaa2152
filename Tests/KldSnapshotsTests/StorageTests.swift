import KldCore
import KldFiles
import KldTestSupport
import SystemPackage
import Testing

@testable import KldSnapshots

@Suite struct StorageTests {
    let storage: Storage
    init() throws { storage = try Machine.storage() }

    @Test(
        arguments: [
            ("/home/my data/letter", "rpool/home/my data", nil), ("/home/Jörg", "rpool/home/J_rg", nil), ("/srv/www", "rpool/srv", nil),
            ("rpool/home/my data", "rpool/home/my data", nil), ("rpool/home@a b", "rpool/home", "a b"), ("rpool", "rpool", nil),
            ("/home/my data/.zfs/snapshot/x/letter", "rpool/home/my data", "x"), ("/.zfs/snapshot/install", "rpool/ROOT/debian", "install"),
            ("/etc/fstab", "rpool/ROOT/debian", nil), ("./letter", "rpool/home/my data", nil),
            ("/dev/zvol/rpool/vms/web+server", "rpool/vms/web server", nil),
            ("/dev/zvol/rpool/vms/web server", "rpool/vms/web server", nil), ("/homework", "rpool/ROOT/debian", nil),
        ] as [(String, String, String?)])
    func `a word means the dataset that is named, or holds the path`(word: String, dataset: String, label: String?) throws {
        let place = try storage.place(word, in: "/home/my data", Machine.files())
        #expect(place.dataset == dataset && place.label == label)
    }

    @Test(arguments: [
        ("/tmp/x", "dataset.not-zfs"), ("/boot/efi/EFI", "dataset.not-zfs"), ("rpool/hme", "dataset.unknown"),
        ("rpool/none@x", "dataset.unknown"), ("/dev/zvol/rpool/vms/none", "dataset.unknown"), ("rpool/home@a@b", "zfs.name.snapshot"),
    ])
    func `what is no dataset is refused`(word: String, expected: String) {
        #expect(problem { _ = try storage.place(word, in: "/", Machine.files()) }?.code == expected)
    }

    @Test func `a name that is nearly right is offered`() {
        #expect { try storage.known("rpool/hme") } throws: { Diagnosis(of: $0).remedies.first == "did you mean rpool/home?" }
    }

    @Test func `boot environments are what holds the root, and whatever would be mounted there`() throws {
        for name in ["rpool/ROOT", "rpool/ROOT/debian", "rpool/ROOT/next", "rpool/ROOT/next/usr"] {
            #expect(storage.isBootEnvironment(name))
        }
        for name in ["rpool", "rpool/home", "rpool/ROOTS", "tank"] { #expect(!storage.isBootEnvironment(name)) }
        // On the live medium nothing of it is mounted at /.
        let live = try Machine.storage(mounts: "22 1 0:21 / / rw - overlay overlay rw\n")
        #expect(live.root == nil && live.isBootEnvironment("rpool/ROOT/next") && !live.isBootEnvironment("rpool/home"))
    }

    @Test func `a mount on top of another hides it`() throws {
        let covered = try Machine.storage(mounts: Machine.mounts + "40 33 0:40 / /srv rw - tmpfs tmpfs rw\n")
        #expect(problem { _ = try covered.place("/srv/www", in: "/", Machine.files()) }?.code == "dataset.not-zfs")
    }

    @Test func `it is read in one call`() async throws {
        let runner = Machine.runner()
        let gathered = try await Storage.gather(runner: runner, files: Machine.files())
        #expect(gathered == storage && runner.commands.count == 1)
        #expect(gathered.dataset("rpool/locked")?.isLocked == true && gathered.dataset("rpool/vms/web server")?.isVolume == true)
    }
}

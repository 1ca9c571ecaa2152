import FoundationEssentials
import KldCore
import KldExec
import KldImage
import Testing

/// The manifest and what it is made of.
@Suite struct ExportManifestTests {
    static func description(payload: FileDigest? = FileDigest(hex: String(repeating: "0f", count: 32))) -> ImageDescription {
        ImageDescription(
            distro: "debian", suite: "trixie", profile: "server", kernel: "6.12.43+deb13-amd64", openzfs: "2.3.4", payload: payload,
            mirrors: [.init(url: "http://mirror.example/debian", suite: "trixie", date: Timestamp(seconds: 1_799_000_000))],
            inputs: [
                "KLDLOAD_DISTRO": "debian", "KLDLOAD_PASSWORD": "admin", "KLDLOAD_EXPORT_SCP_PASS": "x", "KLDLOAD_SSH_KEY": "ssh-ed25519 A",
                "KLDLOAD_MIRROR": "https://me:word@mirror.example/debian", "KLDLOAD_HOSTNAME": "template", "KLDLOAD_EMPTY": "",
            ], created: Timestamp(seconds: 1_800_000_000), kldload: "2.0.0")
    }

    static func manifest(_ formats: [ExportFormat]) throws -> ImageManifest {
        let digest = try #require(FileDigest(hex: String(repeating: "ab", count: 32)))
        return ImageManifest(
            name: try ExportName(sanitising: "kldload-debian-server"), image: description(), virtualSize: .gibibytes(20),
            outputs: formats.map { .init(format: $0, file: "kldload-debian-server.\($0.suffix)", size: .mebibytes(1), digest: digest) })
    }

    @Test func timesAreWrittenAndReadInUTC() throws {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_800_000_000, "2027-01-15T08:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"), (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] as [(Int64, String)] {
            #expect(Timestamp(seconds: seconds).description == text)
            #expect(Timestamp(text)?.seconds == seconds)
        }
        for text in ["2027-02-30T00:00:00Z", "2027-01-15", "2027-01-15T08:00:00", "yesterday", "2027-01-15T25:00:00Z"] {
            #expect(Timestamp(text) == nil)
        }
    }

    @Test func theTimeComesFromSourceDateEpochWhenItIsSet() {
        let now = Timestamp(seconds: 5)
        #expect(Timestamp(environment: ["SOURCE_DATE_EPOCH": "1800000000"], now: now).seconds == 1_800_000_000)
        #expect(Timestamp(environment: [:], now: now) == now)
        #expect(Timestamp(environment: ["SOURCE_DATE_EPOCH": "soon"], now: now) == now)
    }

    @Test func noSecretGetsIn() throws {
        let text = try Self.manifest([.qcow2]).json()
        for word in ["admin", "PASS", "KEY", "word@", "ssh-ed25519"] { #expect(!text.contains(word)) }
        #expect(Self.description().inputs.values == ["KLDLOAD_DISTRO": "debian", "KLDLOAD_HOSTNAME": "template"])
    }

    @Test func theWholeManifest() throws {
        var manifest = try Self.manifest([.vhd, .qcow2])
        manifest.sbom = .init(
            file: "kldload-debian-server.spdx.json", digest: try #require(FileDigest(hex: String(repeating: "cd", count: 32))))
        let text = try manifest.json()
        #expect(text == Self.golden)
        #expect(try ImageManifest.parse(text) == manifest)
    }

    @Test func anotherSchemaIsRefused() throws {
        let text = try Self.manifest([.raw]).json().replacing("image-manifest/1", with: "image-manifest/2")
        let problem = try #require(throws: Diagnosis.self) { try ImageManifest.parse(text) }
        #expect(problem.code == "image.manifest-unreadable")
    }

    @Test func formatsOfTheSameImageAreAdded() throws {
        let (first, second) = (try Self.manifest([.qcow2, .raw]), try Self.manifest([.vmdk, .raw]))
        #expect(second.adding(first)?.outputs.map(\.format) == [.qcow2, .vmdk, .raw])
        var other = first
        other.image.payload = FileDigest(hex: String(repeating: "00", count: 32))
        #expect(second.adding(other) == nil)
        var unknown = second
        unknown.image.payload = nil
        #expect(unknown.adding(unknown) == nil)
    }

    static let golden = """
        {
          "architecture" : "amd64",
          "created" : "2027-01-15T08:00:00Z",
          "distro" : "debian",
          "formats" : [
            {
              "digest" : "sha256:abababababababababababababababababababababababababababababababab",
              "file" : "kldload-debian-server.qcow2",
              "format" : "qcow2",
              "size" : 1048576
            },
            {
              "digest" : "sha256:abababababababababababababababababababababababababababababababab",
              "file" : "kldload-debian-server.vhd",
              "format" : "vhd",
              "size" : 1048576
            }
          ],
          "inputs" : {
            "KLDLOAD_DISTRO" : "debian",
            "KLDLOAD_HOSTNAME" : "template"
          },
          "kernel" : "6.12.43+deb13-amd64",
          "kldload" : "2.0.0",
          "mirrors" : [
            {
              "date" : "2027-01-03T18:13:20Z",
              "suite" : "trixie",
              "url" : "http://mirror.example/debian"
            }
          ],
          "name" : "kldload-debian-server",
          "openzfs" : "2.3.4",
          "payload" : "sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",
          "profile" : "server",
          "sbom" : {
            "digest" : "sha256:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
            "file" : "kldload-debian-server.spdx.json"
          },
          "schema" : "image-manifest/1",
          "sealed" : true,
          "suite" : "trixie",
          "virtualSize" : 21474836480
        }

        """
}

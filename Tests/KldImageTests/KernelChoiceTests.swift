import KldBoot
import KldCore
import KldDistro
import KldTestSupport
import Testing

@testable import KldImage

@Suite("Which kernel a payload gets")
struct KernelChoiceTests {
    let naming = DistroSpec.debian13.kernel
    let images = [
        "linux-image-amd64", "linux-image-6.12.107+deb13-amd64", "linux-image-7.2.9+deb13-amd64", "linux-image-7.2.12+deb13-amd64",
        "linux-image-7.2.13+deb13-cloud-amd64", "linux-image-7.2.13+deb13-rt-amd64", "linux-image-7.2.14+deb13-amd64",
        "linux-image-7.3.4+deb13-amd64", "linux-image-7.2.15+deb13-amd64-unsigned",
    ]
    // 7.2.14 has no headers: its module cannot be built.
    let headers = ["linux-headers-6.12.107+deb13-amd64", "linux-headers-7.2.9+deb13-amd64", "linux-headers-7.2.12+deb13-amd64"]

    @Test("the newest, where OpenZFS supports it", arguments: ["7.2", "7.3", "10.0"])
    func newest(supported: String) throws {
        let choice = try KernelChoice(
            naming, standard: "7.2.12-1~bpo13+1", images: images, headers: headers, supported: KernelSeries(supported))
        #expect(choice.release == nil)
        #expect(choice.note == nil)
    }

    @Test("the newest that OpenZFS supports and a module can be built for, of the same flavour; and it is said")
    func older() throws {
        let choice = try KernelChoice(naming, standard: "7.3.4-1~bpo13+1", images: images, headers: headers, supported: KernelSeries("7.2"))
        #expect(choice.release == "7.2.12+deb13-amd64")
        #expect(
            choice.note
                == "the newest kernel, 7.3.4-1~bpo13+1, is newer than OpenZFS supports (7.2): taking 7.2.12+deb13-amd64")
    }

    @Test("kernels are listed the oldest first, without those that a module cannot be built for")
    func listed() {
        #expect(
            KernelChoice.releases(naming, images: images.reversed(), headers: headers) == [
                "6.12.107+deb13-amd64", "7.2.9+deb13-amd64", "7.2.12+deb13-amd64",
            ])
    }

    @Test("series are compared as numbers")
    func numbers() throws {
        #expect(try KernelChoice(naming, standard: "6.9.7-1", images: [], headers: [], supported: KernelSeries("6.12")).release == nil)
        #expect(
            try KernelChoice(naming, standard: "7.10.1-1", images: images, headers: headers, supported: KernelSeries("7.9")).release
                == "7.2.12+deb13-amd64")
    }

    @Test("no kernel at all is an error that names both sides")
    func none() {
        let problem = problem {
            _ = try KernelChoice(naming, standard: "7.3.4-1", images: images, headers: headers, supported: KernelSeries("5.10"))
        }
        #expect(problem?.code == "payload.no-kernel")
        #expect(problem?.causes == ["the newest kernel is 7.3.4-1"])
    }

    @Test("the highest kernel is read from OpenZFS' own META")
    func meta() {
        #expect(
            KernelSeries.supported(meta: "Name:          zfs\nVersion:       2.4.4\nLinux-Maximum: 7.2\nLinux-Minimum: 4.18\n")
                == KernelSeries("7.2"))
        #expect(KernelSeries.supported(meta: "Name: zfs\n") == nil)
    }

    @Test("Debian 12 names its kernels otherwise")
    func bookworm() throws {
        let choice = try KernelChoice(
            DistroSpec.debian12.kernel, standard: "6.4.1-1", images: ["linux-image-6.1.0-9-amd64", "linux-image-6.1.0-49-amd64"],
            headers: ["linux-headers-6.1.0-9-amd64", "linux-headers-6.1.0-49-amd64"], supported: KernelSeries("6.2"))
        #expect(choice.release == "6.1.0-49-amd64")
    }

    @Test("a release with a chosen kernel asks for that one everywhere")
    func spec() throws {
        let spec = DistroSpec.debian13Backports.with(kernel: "7.2.12+deb13-amd64")
        #expect(spec.kernelPackages == ["linux-image-7.2.12+deb13-amd64"])
        #expect(spec.headerPackages == ["linux-headers-7.2.12+deb13-amd64"])
        #expect(spec.livePackages.contains("linux-image-7.2.12+deb13-amd64"))
        #expect(!spec.livePackages.contains("linux-image-amd64"))
    }

    @Test("the date of an index")
    func date() {
        #expect(Timestamp(aptDate: "Fri, 20 Nov 2026 02:11:10 UTC")?.description == "2026-11-20T02:11:10Z")
        #expect(Timestamp(aptDate: "Sat, 5 Sep 2026 07:55:41 UTC")?.description == "2026-09-05T07:55:41Z")
        #expect(Timestamp(aptDate: "yesterday") == nil)
    }
}

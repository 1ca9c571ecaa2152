import KldBoot
import KldCore
import KldDistro

/// Which kernel a payload gets: the release's newest where its OpenZFS supports it, else the newest that it does.
struct KernelChoice: Sendable, Hashable {
    /// As `uname -r` prints it; `nil`: the release's newest, and what follows it.
    var release: String?
    /// What a person should know about the choice.
    var note: String?

    /// - Parameters:
    ///   - standard: the version of the package that follows the newest kernel: `7.3.4-1~bpo13+1`.
    ///   - images: package names of kernels.
    ///   - headers: package names of kernel headers.
    ///   - supported: the highest that OpenZFS supports.
    /// - Throws: ``Diagnosis`` `payload.no-kernel`.
    init(_ naming: DistroSpec.KernelNaming, standard: String, images: [String], headers: [String], supported: KernelSeries) throws {
        guard KernelSeries(standard) > supported else { return }
        guard let best = Self.releases(naming, images: images, headers: headers).last(where: { KernelSeries($0) <= supported }) else {
            throw Diagnosis(
                "payload.no-kernel", "the archive has no kernel that its OpenZFS supports: that reaches to Linux \(supported)",
                remedies: ["install without backports: remove KLDLOAD_DEBIAN_BACKPORTS=1", "wait until OpenZFS' package follows"],
                exit: .unavailable, causes: ["the newest kernel is \(standard)"])
        }
        release = best
        note = "the newest kernel, \(standard), is newer than OpenZFS supports (\(supported)): taking \(best)"
    }

    /// The releases of kernels that a module can be built for, the oldest first.
    static func releases(_ naming: DistroSpec.KernelNaming, images: [String], headers: [String]) -> [String] {
        let headers = Set(headers)
        return images.compactMap { name -> String? in
            let release = String(name.dropFirst(naming.image.count))
            guard name.hasPrefix(naming.image), release.first?.isNumber == true, release.hasSuffix(naming.flavour),
                !naming.otherFlavours.contains(where: release.hasSuffix), headers.contains(naming.headers + release)
            else { return nil }
            return release
        }.sorted(by: KernelRelease.precedes)
    }
}

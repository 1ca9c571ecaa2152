
@testable import KldInstall
import KldPlan
import KldZFS
import KldTestSupport
import Testing

@Test func timing() throws {
    let clock = ContinuousClock()
    var requests: RandomRequests?
    requests = try RandomRequests(seed: 1, sheets: 40)
    var all: [InstallPlanner] = []
    for _ in 0..<100 { all.append(try InstallPlanner(try requests!.next())) }
    print("boot", clock.measure { for one in all { _ = one.boot } })
    print("system", clock.measure { for one in all { _ = one.system } })
    print("finish", try clock.measure { for one in all { _ = try one.finish } })
    print("manifest", clock.measure { for one in all { _ = one.manifest } })
    print("render", try clock.measure { for one in all { _ = try InstallManifestText.render(one.manifest) } })
    print("commands", clock.measure { for one in all { _ = one.tree.commands } })
}

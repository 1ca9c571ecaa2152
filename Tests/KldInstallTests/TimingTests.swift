
@testable import KldInstall
import KldPlan
import KldTestSupport
import Testing

@Test func timing() throws {
    let clock = ContinuousClock()
    var requests = try RandomRequests(seed: 1, sheets: 40)
    var all: [InstallRequest] = []
    print("100 requests", try clock.measure { for _ in 0..<100 { all.append(try requests.next()) } })
    var plans: [Plan] = []
    print("100 planners", try clock.measure { for one in all { _ = try InstallPlanner(one) } })
    print("100 plans", try clock.measure { for one in all { plans.append(try InstallPlanner(one).plan) } })
    print("boot", try clock.measure { for one in all { _ = try InstallPlanner(one).boot } })
    print("system", try clock.measure { for one in all { _ = try InstallPlanner(one).system } })
    print("finish", try clock.measure { for one in all { _ = try InstallPlanner(one).finish } })
    print("disks", all.reduce(0) { $0 + $1.facts.disks.count })
    var views: [PlanView] = []
    print("100 views", try clock.measure { for one in all { views.append(try PlanView(one)) } })
    print("100 commands", views.reduce(0) { $0 + $1.commands.count })
    var sum = Duration.zero
    for invariant in Invariant.all {
        let took = clock.measure { for view in views { _ = invariant.check(view) } }
        sum += took
        if took > .milliseconds(10) { print(took, invariant.name) }
    }
    print("invariants", sum)
}

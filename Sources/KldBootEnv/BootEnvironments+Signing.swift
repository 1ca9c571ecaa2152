import KldBlock
import KldBoot
import KldCore
import KldExec
public import KldPlan
import SystemPackage

extension BootEnvironments {
    /// Signs OpenZFS' modules in an environment that does not run, and in its initramfs, with the key of the machine that does. An older
    /// environment has what an older key signed, and that key itself: what runs in it would sign with it again.
    ///
    /// Runs: `mount -t zfs -o zfsutil …`, `mount --bind …`, what ``ModuleSigning`` runs, `umount --recursive …`; changes.
    /// - Parameter releases: of its kernels that have such modules.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.running`, `be.mounted`, `trust.no-key`, `trust.no-modules`, `boot.signing-off`,
    ///   `boot.key-not-enrolled`.
    public func signing(_ name: String, releases: [String]) throws -> Plan {
        let environment = try system.environment(name)
        guard environment.dataset != system.running else {
            throw Diagnosis("be.running", "\(name) is running", remedies: ["kldload secure-boot enable signs what is there"])
        }
        try system.requireTrust()
        guard system.signing.signer != nil else {
            throw Diagnosis(
                "trust.no-key", "this machine has no key to sign with", remedies: ["kldload secure-boot enable"], exit: .unavailable)
        }
        guard !releases.isEmpty else {
            throw Diagnosis(
                "trust.no-modules", "there is no module of DKMS in \(name)",
                remedies: ["dkms status in it says what was built: kldload kbe mount \(name), and chroot there"])
        }
        // Who is killed leaves nothing there: see TemporaryMount.sweep.
        let place = BootStaging.scratch.appending("sign-\(environment.name)")
        // Where an initramfs has to be built anew, it is built in there.
        let binds = ["/dev", "/proc", "/sys"].map { Action.run(MountCommand.bind($0, at: FilePath(place.string + $0))) }
        var steps = try mount(name, at: place).plan.steps
        for index in steps.indices { steps[index].release = [.run(MountCommand.unmount(place)), .remove(place)] }
        steps.append(Step("trust.inside", "Make ready what builds an initramfs in it", binds))
        steps += releases.map { release in
            let initramfs = place.appending("boot/initrd.img-\(release)")
            return Step(
                "trust.modules.\(release)", "Sign OpenZFS' modules of \(release) in \(name)",
                [ModuleSigning.signing(root: place, release: release, with: MachineOwnerKey(), initramfs: initramfs)], weight: 5)
        }
        return Plan("sign boot environment \(name)", [Phase("trust", "Trust", steps)])
    }
}

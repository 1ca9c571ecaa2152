public import KldCore
import KldExec
public import KldPlan
import KldZFS
public import SystemPackage

extension BootEnvironments {
    /// A stream of an environment, as it is on disk: compressed blocks stay compressed, an encrypted one is sent as plain text.
    ///
    /// - Parameter source: `NAME`, of which a snapshot is made now, or `NAME@LABEL`.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.no-snapshot`, `be.deep`.
    ///
    /// Runs: `zfs snapshot NAME@kbe-export-TIME`, changes; `zfs send -L -c NAME@LABEL > FILE`, reads.
    public func export(_ source: String, to file: FilePath, now: Timestamp) throws -> Plan {
        let (environment, label) = try origin(source)
        guard environment.children.isEmpty else {
            throw Diagnosis(
                "be.deep", "\(environment.name) has datasets of its own below it, and one stream holds one dataset",
                remedies: ["zfs send -R \(environment.dataset)@SNAPSHOT sends all of them"], exit: .failed)
        }
        let snapshot = try SnapshotName(environment.dataset, label ?? "kbe-export-\(now.digits)")
        // An encrypted pool receives no embedded blocks.
        var options = SendOptions()
        options.embedded = false
        var send = ZFS.send(snapshot, options)
        send.outputFile = file
        var actions: [Action] = label == nil ? [.run(ZFS.snapshot(snapshot))] : []
        actions.append(.run(send))
        return Self.plan("export boot environment \(environment.name)", [Step("be.export", "Send \(snapshot)", actions)])
    }

    /// A stream becomes an environment that is not booted by itself.
    ///
    /// - Parameter own: this machine exported it itself; of any other stream it is another machine's until it was adopted.
    /// - Throws: ``Diagnosis`` `be.name`, `be.exists`.
    ///
    /// Runs: `zfs receive -u -o canmount=noauto -o mountpoint=/ … [-o com.kldload:identity=foreign] POOL/ROOT/NAME < FILE`, changes.
    public func importing(_ name: String, from file: FilePath, own: Bool = false) throws -> Plan {
        try BootEnvironment.check(name: name, taken: names)
        let dataset = try system.top.appending(name)
        let receive = ZFS.receive(
            dataset, properties: Self.properties.merging(own ? [:] : [KldProperty.identity: KldProperty.foreign]), input: .file(file))
        return Self.plan("import boot environment \(name)", [Step("be.import", "Receive \(dataset)", [.run(receive)])])
    }
}

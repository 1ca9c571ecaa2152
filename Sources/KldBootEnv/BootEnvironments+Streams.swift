public import KldCore
import KldExec
package import KldFiles
public import KldPlan
import KldZFS
public import SystemPackage

/// Where a stream goes.
public enum StreamTarget: Sendable, Hashable {
    /// A file that appears when it is whole; one that is there stays until then.
    case file(FilePath)
    /// What is there and no file: standard output, a pipe, a device.
    case open(FilePath)

    /// - Throws: ``FileError``.
    package init(_ path: FilePath, _ files: any FileSystem) throws {
        // Behind those names may be a file that a shell has opened already.
        let isOpened = ["/dev/", "/proc/"].contains { path.string.hasPrefix($0) }
        let place = try !isOpened && files.status(path)?.kind == .symlink ? files.resolve(path) : path
        let kind = try files.status(place)?.kind ?? .file
        self = isOpened || kind != .file ? .open(path) : .file(place)
    }
}

extension BootEnvironments {
    /// A stream of an environment, as it is on disk: compressed blocks stay compressed, an encrypted one is sent as plain text.
    ///
    /// - Parameter source: `NAME`, of which a snapshot is made now, or `NAME@LABEL`.
    /// - Throws: ``Diagnosis`` `be.unknown`, `be.no-snapshot`, `be.half-made`, `be.deep`.
    ///
    /// Runs: `zfs snapshot NAME@kbe-export-TIME`, changes; `zfs send -L -c NAME@LABEL > FILE.partial`, reads; `sync FILE.partial`,
    /// `mv FILE.partial FILE`, changes; `zfs destroy -r NAME@kbe-export-TIME`, destroys. - Parameter target: a file is root's alone, for passwords
    /// and keys are in it.
    public func export(_ source: String, to target: StreamTarget, now: Timestamp) throws -> Plan {
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
        var step = Step("be.export", "Send \(snapshot)", [])
        if label == nil {
            // It was taken for this stream alone.
            step.actions = [.run(ZFS.snapshot(snapshot))]
            step.release = [Self.forgetting(snapshot)]
        }
        switch target {
        case .open(let file):
            send.outputFile = file
            send.followsOutputLink = true
            step.actions.append(.run(send))
        case .file(let file):
            let fresh = FilePath("\(file.string).partial")
            send.outputFile = fresh
            step.actions += [
                .write(fresh, content: .text(""), mode: .secret), .run(send),
                .run(FileCommand.sync([fresh])), .run(FileCommand.renameExactly(fresh, to: file)),
            ]
            step.undo = [.remove(fresh)]
        }
        return Self.plan("export boot environment \(environment.name)", [step])
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

package import SystemPackage

/// Where the host's ends of a guest's serial console, channels and QMP monitor are.
package struct MachineWiring: Sendable, Hashable {
    package enum Endpoint: Sendable, Hashable {
        /// A connected socket that QEMU inherits under this number. No path, no race, no limit of 107 bytes.
        case descriptor(Int32)
        /// A Unix socket on which QEMU listens; what the guest says before somebody connects is lost.
        case socket(FilePath)
        /// Output only, appended to nothing: the file is begun anew.
        case file(FilePath)

        func chardev(id: String) -> String {
            switch self {
            case .descriptor(let number): "socket,id=\(id),fd=\(number)"
            case .socket(let path): "socket,id=\(id),path=\(escaped(path)),server=on,wait=off"
            case .file(let path): "file,id=\(id),path=\(escaped(path))"
            }
        }
    }

    package var console: Endpoint?
    package var monitor: Endpoint?
    /// One per name in ``MachineSpec/channels``; a channel without an endpoint is left out of the machine.
    package var channels: [String: Endpoint]

    package init(console: Endpoint? = nil, monitor: Endpoint? = nil, channels: [String: Endpoint] = [:]) {
        self.console = console
        self.monitor = monitor
        self.channels = channels
    }
}

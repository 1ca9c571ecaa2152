import FoundationEssentials
import KldCore
import KldInstall

/// What the host asks of the live environment in a factory guest. It travels in QEMU's firmware configuration, never on a command line.
struct FactoryJob: Sendable, Hashable, Codable {
    static let schema = "factory-job/1"
    /// Names below `/sys/firmware/qemu_fw_cfg/by_name/`.
    static let jobFile = "opt/com.kldload/job"
    static let answersFile = "opt/com.kldload/answers"
    /// The virtio-serial port on which the guest writes one ``KldPlan/PlanEvent`` a line.
    static let channel = "com.kldload.events"
    static let payloadSerial = "kldload-payload"
    static let streamSerial = "kldload-stream"
    static let restSerial = "kldload-rest"
    static let baseSerial = "kldload-base"
    static let incrementSerial = "kldload-increment"
    static let scratchSerial = "kldload-scratch"
    static let liveSerial = "kldload-live"

    enum Work: String, Sendable, Hashable, Codable {
        case install
        /// The first part of a sealed image, and the second, on a copy of the first.
        case template, image
        /// Make a stream of a payload's archive.
        case pack
        /// Make a stream of what one payload's stream has beyond another's.
        case increment
        /// Seal the copy of an installed disk.
        case seal
    }

    var schema = FactoryJob.schema
    var work = Work.install
    var payload: PayloadSpec?
    var kernel = ""
    var openZFS = ""
    /// What would be random on a machine; an image's, which no clone keeps, follows from what it is made of. `nil`: random.
    var identity: InstallRequest.Identity?
    var version: String
}

import KldCore
import Synchronization
import SystemPackage

/// Keeps the end of a stream in memory and all of it in a file: QEMU's standard error.
final class TailLog: StreamSink {
    private let file: FileDescriptor
    private let bytes = Mutex<[UInt8]>([])

    init(_ path: FilePath) throws { file = try openLog(path) }
    deinit { try? file.close() }

    func received(_ bytes: some Collection<UInt8>) {
        _ = try? file.writeAll(bytes)
        self.bytes.withLock { appendTail(bytes, to: &$0) }
    }
    func ended() {}
    var wantsMore: Bool { true }

    func lines(_ count: Int) -> [String] { bytes.withLock { lastLines($0, count) } }
}

/// Keeps at most 64 KiB.
func appendTail(_ bytes: some Collection<UInt8>, to tail: inout [UInt8]) {
    tail += bytes
    if tail.count > 1 << 16 { tail.removeFirst(tail.count - 1 << 15) }
}

func lastLines(_ bytes: [UInt8], _ count: Int) -> [String] {
    String(decoding: bytes, as: UTF8.self).lines.map(\.trimmed).filter { !$0.isEmpty }.suffix(count)
}

/// Begins a log file anew. - Throws: `Errno`.
func openLog(_ path: FilePath) throws -> FileDescriptor {
    try FileDescriptor.open(
        path, .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: [.ownerReadWrite, .groupRead, .otherRead])
}

import Glibc
import SystemPackage

extension FileDescriptor {
    /// Two connected Unix stream sockets that no other child process inherits, not even one that another thread starts in this moment.
    /// Also used where a pipe would do: there is no pipe2(2) in Swift's Glibc module.
    ///
    /// - Throws: `Errno`.
    static func socketPair() throws(Errno) -> (FileDescriptor, FileDescriptor) {
        var numbers: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &numbers) == 0 else {
            throw Errno(rawValue: errno)
        }
        return (FileDescriptor(rawValue: numbers[0]), FileDescriptor(rawValue: numbers[1]))
    }
}

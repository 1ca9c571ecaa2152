import KldFiles
import KldVirt
import SystemPackage

/// A QEMU for which KVM is broken, whatever this machine can do; everything else goes to the real one.
enum BrokenQEMU {
    enum Fault {
        /// As seen with QEMU 10.0.2 on a host that opens `/dev/kvm` and creates a virtual machine.
        case aborts
        /// As seen on the same host with `-cpu qemu64`: no instruction is ever executed.
        case hangs
    }

    static func make(_ fault: Fault, in folder: FilePath) async throws -> QEMU {
        let real = try await Here.qemu
        let file = folder.appending("qemu-system-x86_64")
        let reaction =
            switch fault {
            case .aborts: "echo 'qemu-system-x86_64: error: failed to set MSR 0x10a to 0xc000069' >&2; kill -ABRT $$"
            // The real one, with stopped processors: it answers the monitor, and the guest never says a word.
            case .hangs:
                "exec \(real.executable) -S -accel tcg -no-user-config -nodefaults -display none "
                    + "-chardev socket,id=qmp,fd=3 -mon chardev=qmp,mode=control"
            }
        let script = """
            #!/bin/sh
            for word; do
                if [ "$word" = kvm ]; then \(reaction); fi
            done
            exec \(real.executable) "$@"

            """
        try LocalFiles().write(script, to: file, mode: .script)
        return QEMU(executable: file, version: real.version)
    }
}

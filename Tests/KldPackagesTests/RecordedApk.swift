/// What apk prints: apk-tools 2.14.10 and 3.0.6, with no terminal.
extension Recorded {
    /// `apk --simulate upgrade`: kld-new takes the place of kld-old, kld-kernel is held. 3.0 differs in the last line.
    static let apkUpgrade = """
        (1/4) Purging kld-old (1-r0)
        (2/4) Installing kld-new (2-r0)
        (3/4) Installing kld-library (1-r0)
        (4/4) Upgrading kld-plain (1-r0 -> 2-r0)
        OK: 0 MiB in 4 packages

        """
    /// 3.0, `apk --simulate add …` of eleven; 2.14 sets no spaces.
    static let apkColumns = """
        ( 1/11) Installing kld-a (1-r0)
        (10/11) Installing kld-j@edge (1-r0)
        (11/11) Installing kld-k (1-r0)
        OK: 44 B in 11 packages

        """
    /// `apk version --limit '<'`, kld-kernel held. 2.14 and 3.0.
    static let apkWaiting = """
        Installed:                                        Available:
        kld-kernel-1-r0                                 < 2-r0 
        kld-kernel-modules-extra-6.12.1_git20250101-r10 < 6.12.2-r0 
        kld-plain-1-r0                                  < 2-r0 

        """
    /// `apk list --installed`. 2.14 and 3.0.
    static let apkInstalled = """
        .my-deps-20261129.233656 noarch {.my-deps} () [installed]
        kld-other-1-r0 x86_64 {kld-other} (MIT) [installed]
        kld-kernel-modules-extra-6.12.1_git20250101-r10 x86_64 {kld-kernel-modules-extra} (MIT) [installed]

        """
    /// `/etc/apk/world`, by 2.14 and 3.0.
    static let apkWorld =
        "!kld-d\n.my-deps=20261129.233656\nkld-a\nkld-b@edge=1-r0\nkld-c><Q1fURk4dU7XbiyBozTsaTscYhGI8s=\nkld-kernel=1-r0\n"

    /// `apk --simulate del kld-library`, standard output. Exit status 0. 2.14; 3.0 differs in the last line.
    static let apkStays = """
        World updated, but the following packages are not removed due to:
          kld-library: kld-plain

        OK: 0 MiB in 4 packages

        """
    /// `apk --simulate add nosuch`, standard error. Exit status 1. 2.14 and 3.0.
    static let apkUnknown = "ERROR: unable to select packages:\n  nosuch (no such package):\n    required by: world[nosuch]\n"
    /// `apk --simulate del nosuch`, standard error. Exit status 1. 2.14 and 3.0.
    static let apkRemoveUnknown = "ERROR: No such package: nosuch\n"

    /// `apk add kld-bad`, both outputs. Exit status 1. 2.14.
    static let apkBadScript = """
        (1/1) Installing kld-bad (1-r0)
        Executing kld-bad-1-r0.pre-install
        it cannot be
        ERROR: kld-bad-1-r0.pre-install: script exited with error 1
        1 error; 0 MiB in 4 packages

        """
    /// The same. 3.0.
    static let apk3BadScript = """
        (1/1) Installing kld-bad (1-r0)
          Executing kld-bad-1-r0.pre-install
          * it cannot be
        ERROR: lib/apk/exec/kld-bad-1-r0.pre-install: exited with error 1
        1 error; 16 B in 4 packages

        """
    /// `apk add kld-trigger`, both outputs. Exit status 0. 2.14; 3.0 ends with 1.
    static let apkTrigger = """
        (1/1) Installing kld-trigger (1-r0)
        Executing kld-trigger-1-r0.trigger
        it cannot be
        ERROR: kld-trigger-1-r0.trigger: script exited with error 1
        OK: 0 MiB in 1 packages

        """
    /// `apk --simulate upgrade` after one of these, standard output; nothing on standard error. Exit status 1. 2.14.
    static let apkBroken = "1 error; 0 MiB in 2 packages\n"

    /// `apk update`, of a folder that is not signed by a trusted key. Exit status 0. 3.0.
    static let apkUntrusted = (
        output: "OK: 0 distinct packages available\n",
        errors: "WARNING: opening /tmp/t/archive/x86_64/APKINDEX.tar.gz: UNTRUSTED signature\n"
    )
    /// `apk update`, of a folder that is not there, beside one that is. Exit status 0. 2.14.
    static let apkMissing = (
        output: "OK: 1 distinct packages available\n", errors: "WARNING: opening /tmp/t/nowhere: No such file or directory\n"
    )
    /// `apk --update-cache update`, of a server that answers no longer. Exit status 1. 2.14.
    static let apkStale = (
        output: "fetch http://127.0.0.1:8765/x86_64/APKINDEX.tar.gz\n0 unavailable, 1 stale; 1 distinct packages available\n",
        errors: "WARNING: updating http://127.0.0.1:8765: could not connect to server (check repositories file)\n"
    )
}

/// What dnf 5 prints: dnf5 5.4.6.0, rpm 6.1.0, with no terminal.
extension Recorded {
    /// `dnf --disableplugin=versionlock --setopt=disable_excludes=* --assumeno upgrade`; kld-kernel is locked. Exit status 1.
    static let dnf5Upgrade = (
        output: """
        Package                 Arch   Version Repository      Size
        Upgrading:
         kld-kernel             noarch 3:2-1   small        2.0   B
           replacing kld-kernel noarch 0:1-1   small        2.0   B
         kld-plain              noarch 0:2-1   small        2.0   B
           replacing kld-plain  noarch 0:1-1   small        2.0   B
        Installing:
         kld-new                noarch 0:2-1   small        2.0   B
           replacing kld-old    noarch 0:1-1   small        2.0   B
        Installing dependencies:
         kld-library            noarch 0:1-1   small        2.0   B
        Skipping packages with broken dependencies:
         kld-torn               noarch 2-1     small        2.0   B

        Transaction Summary:
         Installing:         2 packages
         Upgrading:          2 packages
         Replacing:          3 packages
         Skipping:           1 package


        """,
        errors: """
        No matches were found for the following plugin name patterns while disabling libdnf plugins: versionlock
        Updating and loading repositories:
        Repositories loaded.
        Problem: cannot install the best update candidate for package kld-torn-1-1.noarch
          - nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small

        Total size of inbound packages is 26 KiB. Need to download 26 KiB.
        After this operation, 2 B extra will be used (install 8 B, remove 6 B).
        Operation aborted by the user.

        """
    )

    /// `dnf --assumeno remove kld-library`, standard output. Exit status 1.
    static let dnf5Remove = """
        Package      Arch   Version Repository      Size
        Removing:
         kld-library noarch 0:1-1   small        2.0   B
        Removing dependent packages:
         kld-plain   noarch 0:2-1   small        2.0   B

        Transaction Summary:
         Removing:           2 packages


        """

    /// `dnf --assumeno install kld-kernel-modules-extra-matched-longer kld-needs-1`, standard output. Exit status 1. No row is cut.
    static let dnf5Long = """
        Package                                  Arch   Version                          Repository      Size
        Installing:
         kld-kernel-modules-extra-matched-longer noarch 2:6.12.58.503.11-1.fc42_5.longer small       15.0   B
         kld-needs                               noarch 0:1-1                            small        2.0   B

        Transaction Summary:
         Installing:         2 packages


        """

    /// `dnf --assumeno upgrade`. Exit status 0.
    static let dnf5OnlySkips = (
        output: """
        Package   Arch   Version Repository      Size
        Skipping packages with broken dependencies:
         kld-torn noarch 2-1     small        2.0   B

        Nothing to do.

        """,
        errors: """
        Updating and loading repositories:
        Repositories loaded.
        Problem: cannot install the best update candidate for package kld-torn-1-1.noarch
          - nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small


        """
    )

    private static func refused(_ lines: String) -> (output: String, errors: String) {
        ("", "Updating and loading repositories:\nRepositories loaded.\nFailed to resolve the transaction:\n" + lines)
    }
    private static let hint = "You can try to add to command line:\n"
    /// `dnf --assumeno install nosuch`. Exit status 1.
    static let dnf5Unknown = refused("No match for argument: nosuch\n\(hint)  --skip-unavailable to skip unavailable packages\n")
    /// `dnf --assumeno install kld-torn-2`. Exit status 1.
    static let dnf5Impossible = refused(
        """
        Problem: conflicting requests
          - nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small
        \(hint)  --skip-broken to skip uninstallable packages

        """)
    /// `dnf --assumeno install kld-kernel-2`, with kld-kernel locked. Exit status 1.
    static let dnf5Locked = refused("Argument 'kld-kernel-2' matches only packages excluded by versionlock.\n")
    /// `dnf --assumeno remove nosuch`. Exit status 0.
    static let dnf5RemoveUnknown = (output: "Nothing to do.\n", errors: "No packages to remove for argument: nosuch\n\n")

    /// `dnf … makecache --refresh` without its archive, standard error. Exit status 1.
    static let dnf5NoArchive = """
        Updating and loading repositories:
         small                                  ???% |   0.0   B/s |  -1.0   B |  ?     
        >>> Curl error (37): Could not read a file:// file for file:///tmp/t/f/archive/repodata/repomd.xml [Could not open file /tmp/t/f/archive/repodata/repomd.xml] - file:///tmp/t/f/archive/repodata/repomd.xml
        >>> Usable URL not found
        Failed to download metadata (baseurl: "file:///tmp/t/f/archive") for repository "small": Usable URL not found

        """

    /// `dnf --assumeyes upgrade`, standard error. Exit status 0.
    static let dnf5Apply = """
        Updating and loading repositories:
        Repositories loaded.
        Problem: cannot install the best update candidate for package kld-torn-1-1.noarch
          - nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small

        Total size of inbound packages is 19 KiB. Need to download 19 KiB.
        After this operation, 2 B extra will be used (install 6 B, remove 4 B).
        [1/3] kld-new-0:2-1.noarch              100% |   6.3 MiB/s |   6.4 KiB |  00m00s
        [2/3] kld-library-0:1-1.noarch          100% |   6.2 MiB/s |   6.4 KiB |  00m00s
        [3/3] kld-plain-0:2-1.noarch            100% |   2.1 MiB/s |   6.4 KiB |  00m00s
        --------------------------------------------------------------------------------
        [3/3] Total                             100% |   4.7 MiB/s |  19.1 KiB |  00m00s
        Running transaction
        [1/7] Verify package files              100% |   0.0   B/s |   3.0   B |  00m00s
        [2/7] Prepare transaction               100% |   0.0   B/s |   5.0   B |  00m00s
        [3/7] Installing kld-library-0:1-1.noar 100% |  24.4 KiB/s | 100.0   B |  00m00s
        [4/7] Upgrading kld-plain-0:2-1.noarch  100% |  97.7 KiB/s | 100.0   B |  00m00s
        >>> [RPM] /etc/kld-plain.conf created as /etc/kld-plain.conf.rpmnew
        [5/7] Installing kld-new-0:2-1.noarch   100% |  48.8 KiB/s | 100.0   B |  00m00s
        [6/7] Removing kld-old-0:1-1.noarch     100% | 500.0   B/s |   1.0   B |  00m00s
        [7/7] Removing kld-plain-0:1-1.noarch   100% |  47.0   B/s |   1.0   B |  00m00s
        Warning: skipped OpenPGP checks for 3 packages from repository: small
        Complete!

        """

    /// `dnf --assumeyes install kld-bad`, whose script fails before it is unpacked; both outputs. Exit status 1. The problem of another package
    /// is that of ``dnf5Apply``.
    static let dnf5BadScript = """
        Updating and loading repositories:
        Repositories loaded.
        Problem: cannot install the best update candidate for package kld-torn-1-1.noarch
          - nothing provides nothing-has-it needed by kld-torn-2-1.noarch from small

        Total size of inbound packages is 6 KiB. Need to download 6 KiB.
        After this operation, 2 B extra will be used (install 2 B, remove 0 B).
        [1/1] kld-bad-0:1-1.noarch              100% |   1.6 MiB/s |   6.4 KiB |  00m00s
        --------------------------------------------------------------------------------
        [1/1] Total                             100% |   1.6 MiB/s |   6.4 KiB |  00m00s
        Running transaction
        [1/3] Verify package files              100% |   0.0   B/s |   1.0   B |  00m00s
        [2/3] Prepare transaction               100% |  27.0   B/s |   1.0   B |  00m00s
        >>> Running %pre scriptlet: kld-bad-0:1-1.noarch
        >>> Error in %pre scriptlet: kld-bad-0:1-1.noarch
        >>> [RPM] lua script failed: [string "%prein(kld-bad-1-1.noarch)"]:1: it cannot be
        Transaction failed: Rpm transaction failed.
        Warning: skipped OpenPGP checks for 1 package from repository: small

        """

    /// `dnf --assumeyes install kld-late`, whose script fails afterwards: it is installed; both outputs. Exit status 1.
    static let dnf5LateScript = """
        Running transaction
        [1/3] Verify package files              100% |   0.0   B/s |   1.0   B |  00m00s
        [2/3] Prepare transaction               100% |   0.0   B/s |   1.0   B |  00m00s
        [3/3] Installing kld-late-0:1-1.noarch  100% |   2.2 KiB/s | 100.0   B |  00m00s
        >>> Running %post scriptlet: kld-late-0:1-1.noarch
        >>> Non-critical error in %post scriptlet: kld-late-0:1-1.noarch
        >>> [RPM] lua script failed: [string "%post(kld-late-1-1.noarch)"]:1: too late
        Transaction failed: Rpm transaction failed.
        Warning: skipped OpenPGP checks for 1 package from repository: small

        """

    /// `dnf --assumeyes install kld-plain`, with `gpgcheck=1`; the end of both outputs. Exit status 1.
    static let dnf5Unsigned = """
        Running transaction
        Transaction failed: Signature verification failed.
        OpenPGP check for package "kld-plain-2-1.noarch" (/tmp/t/f/root/var/cache/libdnf5/small-97b1315d47d68266/packages/kld-plain-2.rpm) from repo "small" has failed: The package is not signed.

        """

    /// `dnf versionlock list`.
    static let dnf5Locks = """
        # Added by 'versionlock add' command on 2026-11-29 23:25:10
        Package name: kld-plain
        evr = 1-1

        # Added by 'versionlock add' command on 2026-11-29 23:25:10
        Package name: kld-kernel
        evr = 1-1

        """
}

import KldCore

/// What package managers print, with the tool and the version that printed it. The packages are those of a test's own archive.
enum Recorded {
    // MARK: dnf 4.14.0, rpm 4.18.0

    /// `dnf --assumeno upgrade`, standard output. Exit status 1.
    static let dnfUpgrade = """
        Last metadata expiration check: 0:00:20 ago on Sun Nov 29 17:43:02 2026.
        Dependencies resolved.
        ================================================================================
         Package                Architecture      Version          Repository      Size
        ================================================================================
        Installing:
         kld-new                noarch            2-1              kld            6.3 k
             replacing  kld-old.noarch 1-1
        Upgrading:
         kld-bad                noarch            2-1              kld            6.3 k
         kld-late               noarch            2-1              kld            6.3 k
         kld-plain              noarch            2-1              kld            6.3 k
        Installing dependencies:
         kld-library            noarch            1-1              kld            6.3 k

        Transaction Summary
        ================================================================================
        Install  2 Packages
        Upgrade  3 Packages

        Total size: 31 k

        """
    static let dnfAborted = "Operation aborted.\n"

    /// The same with a long name, a conflict and a dependency that nothing provides.
    static let dnfSkips = """
        Last metadata expiration check: 0:00:04 ago on Sun Nov 29 17:46:00 2026.
        Dependencies resolved.
        ==============================================================================================
         Package                                   Arch    Version                          Repo
                                                                                                  Size
        ==============================================================================================
        Upgrading:
         kld-bad                                   noarch  2-1                              kld  6.3 k
         kld-kernel-modules-extra-matched-longer   noarch  2:6.12.58.503.12-1.fc42_5.longer kld  6.3 k
        Skipping packages with conflicts:
        (add '--best --allowerasing' to command line to force their upgrade):
         kld-late                                  noarch  3-1                              kld  5.4 k
        Skipping packages with broken dependencies:
         kld-broken                                noarch  2-1                              kld  5.4 k

        Transaction Summary
        ==============================================================================================
        Upgrade  2 Packages
        Skip     2 Packages

        Total size: 13 k

        """
    static let dnfSkipsErrors = """

         Problem 1: cannot install the best update candidate for package kld-broken-1-1.noarch
          - nothing provides nosuch needed by kld-broken-2-1.noarch
         Problem 2: package kld-needs-1-1.noarch requires kld-late = 2, but none of the providers can be installed
          - cannot install both kld-late-3-1.noarch and kld-late-2-1.noarch
          - cannot install the best update candidate for package kld-needs-1-1.noarch
          - cannot install the best update candidate for package kld-late-2-1.noarch
        Operation aborted.

        """

    /// `dnf --assumeno remove kld-late`, standard output. Exit status 1.
    static let dnfRemove = """
        Dependencies resolved.
        ================================================================================
         Package              Architecture      Version           Repository       Size
        ================================================================================
        Removing:
         kld-late             noarch            2-1               @kld              4  
        Removing dependent packages:
         kld-needs            noarch            1-1               @kld              0  

        Transaction Summary
        ================================================================================
        Remove  2 Packages

        Freed space: 4  

        """

    /// `dnf --assumeno install nosuch`. Exit status 1.
    static let dnfUnknown = (
        output: "Last metadata expiration check: 0:00:16 ago on Sun Nov 29 17:43:02 2026.\nNo match for argument: nosuch\n",
        errors: "Error: Unable to find a match: nosuch\n"
    )
    /// `dnf --assumeno install kld-broken-2`. Exit status 1.
    static let dnfImpossible = (
        output: """
        Last metadata expiration check: 0:00:06 ago on Sun Nov 29 17:46:00 2026.
        (try to add '--skip-broken' to skip uninstallable packages)

        """,
        errors: "Error: \n Problem: conflicting requests\n  - nothing provides nosuch needed by kld-broken-2-1.noarch\n"
    )
    /// `dnf --assumeno remove nosuch`. Exit status 0.
    static let dnfRemoveUnknown = (
        output: "No match for argument: nosuch\nDependencies resolved.\nNothing to do.\nComplete!\n",
        errors: "No packages marked for removal.\n"
    )

    /// `dnf --assumeyes upgrade kld-bad`, whose script fails before it is unpacked; both outputs. Exit status 1.
    static let dnfBadScript = """
        Running transaction
          Preparing        :                                                        1/1 
          Running scriptlet: kld-bad-2-1.noarch                                     1/2 
        error: lua script failed: [string "%prein(kld-bad-2-1.noarch)"]:1: it cannot be

          Verifying        : kld-bad-2-1.noarch                                     1/2 
          Verifying        : kld-bad-1-1.noarch                                     2/2 

        Failed:
          kld-bad-1-1.noarch                     kld-bad-2-1.noarch                    

        Error in PREIN scriptlet in rpm package kld-bad
        Error: Transaction failed

        """
    /// `dnf --assumeyes install kld-late`, whose script fails afterwards; both outputs. Exit status 0.
    static let dnfLateScript = """
        Running transaction
          Preparing        :                                                        1/1 
          Installing       : kld-late-2-1.noarch                                    1/1 
          Running scriptlet: kld-late-2-1.noarch                                    1/1 
        error: lua script failed: [string "%post(kld-late-2-1.noarch)"]:1: too late

        Error in POSTIN scriptlet in rpm package kld-late
          Verifying        : kld-late-2-1.noarch                                    1/1 
        New leaves:
          kld-late.noarch

        Installed:
          kld-late-2-1.noarch                                                           

        Complete!

        """

    /// `dnf versionlock list`, with the plugin of dnf-plugins-core 4.3.1.
    static let dnfLocks = """
        Last metadata expiration check: 0:00:05 ago on Sun Nov 29 17:44:24 2026.
        kld-kernel-0:1-1.*
        kld-kernel-modules-extra-matched-longer-2:6.12.58.503.11-1.fc42_5.longer.*
        !kld-plain-0:2-1.*
        !kld-plain-0:1-1.*

        """

    // MARK: pacman 6.0.2

    /// `pacman --sync --sysupgrade --print --print-format '+ %n %v'`: kld-new takes the place of kld-old, kld-kernel is in `IgnorePkg`.
    static let pacmanUpgrade = "+ kld-bad 2-1\n+ kld-new 2-1\n+ kld-library 1-1\n+ kld-plain 2-1\n"

    /// `pacman --noconfirm --sync --sysupgrade` of the same; both outputs. Exit status 0.
    static let pacmanBadScript = """
        :: Starting full system upgrade...
        warning: kld-kernel: ignoring package upgrade (1-1 => 2-1)
        :: Replace kld-old with kld/kld-new? [Y/n] 
        resolving dependencies...
        looking for conflicting packages...

        Packages (5) kld-bad-2-1  kld-library-1-1  kld-new-2-1  kld-old-1-1 [removal]  kld-plain-2-1

        :: Proceed with installation? [Y/n] 
        checking for file conflicts...
        :: Processing package changes...
        removing kld-old...
        upgrading kld-bad...
        it cannot be
        error: command failed to execute correctly
        installing kld-new...
        installing kld-library...
        upgrading kld-plain...
        warning: /etc/kld-plain.conf installed as /etc/kld-plain.conf.pacnew

        """

    /// `pacman --remove kld-library --print …`. Exit status 1.
    static let pacmanNeeded = (
        output: ":: removing kld-library breaks dependency 'kld-library' required by kld-plain\n",
        errors: "error: failed to prepare transaction (could not satisfy dependencies)\n"
    )
}

extension String {
    /// As we read standard error: line by line, without white space at both ends.
    var asRead: String { lines.map { $0.trimmed + "\n" }.joined() }
}

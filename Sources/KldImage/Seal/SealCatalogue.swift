/// Every class of identity and secret that sealing knows, as data.
///
/// The order matters where two classes name one file: the first that removes it decides.
/// Source: libguestfs' virt-sysprep operations as of guestfs-tools 1.57 (named in each class), the manual pages of the programs that own
/// the files, and for the storage classes OpenZFS 2.4.
package enum SealCatalogue {
    package static let classes: [SealClass] =
        identity + hostKeys + trust + kldload + accounts + histories + userCredentials + network + storage + services + cluster + packages
        + logs + scratch + rebuilt + disk

    /// What virt-sysprep does and sealing does not, with the reason.
    package static let sysprepNotTaken: [String: String] = [
        "customize": "a hook for the caller's own changes: in kldload those are answers and profiles, applied before sealing",
        "script": "runs a script of the caller's: the same",
        "firewall-rules": "removes the firewall's rules: a clone without the rules it was built with would be open",
        "flag-reconfiguration": "asks questions on the console at the first boot: clones start unattended",
        "user-account": "deletes accounts: the administrator of the answers stays, without a password (class passwords)",
    ]
}

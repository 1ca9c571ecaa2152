import KldCore
import SystemPackage

/// Examples of what the servers around the two trees are told. A person reads, changes and installs them.
struct PXEServers: Sendable, Hashable {
    var address: PXEAddress
    /// Where the trees lie.
    var tree: FilePath

    /// The first three numbers of the server's address, where it is one.
    private var network: String {
        let parts = address.host.split(separator: ".")
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil } ? parts.prefix(3).joined(separator: ".") : "10.0.1"
    }

    private var tftp: String {
        """
        enable-tftp
        tftp-root=\(tree.appending("tftp"))

        """
    }

    /// For a network that has a DHCP server. Source: dnsmasq(8) 2.90; client architectures: IANA, "Processor Architecture Types", RFC 5970.
    var dnsmasqProxy: String {
        """
        # Written by kldload: an example for dnsmasq, as /etc/dnsmasq.d/kldload-pxe.conf.
        # The network keeps its DHCP server; this one only says what to start, and serves it over TFTP.
        # UEFI HTTP boot needs more than that: see dnsmasq-full.conf.
        port=0
        log-dhcp
        # An address of the network that is served.
        dhcp-range=\(network).0,proxy
        \(tftp)
        dhcp-userclass=set:ipxe,iPXE
        # UEFI on x86-64 calls itself 7, or 9.
        pxe-service=tag:!ipxe,7,"kldload",shimx64.efi
        pxe-service=tag:!ipxe,9,"kldload",shimx64.efi
        pxe-service=tag:ipxe,7,"kldload",boot.ipxe
        pxe-service=tag:ipxe,9,"kldload",boot.ipxe

        """
    }

    /// For a network without one.
    var dnsmasqFull: String {
        """
        # Written by kldload: an example for dnsmasq, as /etc/dnsmasq.d/kldload-pxe.conf.
        # Only for a network that has no other DHCP server.
        port=0
        log-dhcp
        # First and last address to give away, and for how long; then the router and who answers for names.
        dhcp-range=\(network).100,\(network).200,255.255.255.0,1h
        dhcp-option=option:router,\(network).1
        dhcp-option=option:dns-server,\(network).1
        \(tftp)
        dhcp-userclass=set:ipxe,iPXE
        # UEFI on x86-64 calls itself 7, or 9.
        dhcp-match=set:uefi,option:client-arch,7
        dhcp-match=set:uefi,option:client-arch,9
        dhcp-boot=tag:uefi,tag:!ipxe,shimx64.efi
        dhcp-boot=tag:uefi,tag:ipxe,boot.ipxe
        # UEFI that starts over HTTP calls itself 16, and listens only to who says HTTPClient too.
        dhcp-vendorclass=set:httpclient,HTTPClient
        dhcp-match=set:http,option:client-arch,16
        dhcp-boot=tag:httpclient,tag:http,\(address)/shimx64.efi
        dhcp-option-force=tag:httpclient,60,HTTPClient

        """
    }

    private var listen: String {
        guard address.scheme == "https" else { return "listen \(address.port ?? 80);" }
        let lines = [
            "listen \(address.port ?? 443) ssl;",
            "# To fill in: of an authority that Debian knows, for curl in the live environment verifies it.",
            "ssl_certificate /etc/ssl/certs/kldload-pxe.pem;", "ssl_certificate_key /etc/ssl/private/kldload-pxe.key;",
        ]
        return lines.joined(separator: "\n    ")
    }

    /// A web server that lists no folder. Source: nginx.org/en/docs, nginx 1.22 to 1.26.
    var nginx: String {
        let http = tree.appending("http")
        let menu =
            address.path.isEmpty
            ? ""
            : """

                # GRUB that was started over HTTP looks for its menu here, whatever the path is.
                location = /grub/grub.cfg {
                    alias \(http.appending("grub/grub.cfg"));
                }

            """
        return """
            # Written by kldload: an example for nginx, as /etc/nginx/sites-enabled/kldload-pxe. \(address)
            server {
                \(listen)
                server_name \(address.host);
                autoindex off;

                location \(address.path)/ {
                    alias \(http)/;
                    limit_except GET { deny all; }
                }
            \(menu)
                # Answers of machines that are armed, each in a folder that nobody guesses. Only the network of those machines:
                location \(address.path)/\(PXEArming.folder)/ {
                    alias \(http.appending(PXEArming.folder))/;
                    limit_except GET { deny all; }
                    add_header Cache-Control no-store;
                    allow \(network).0/24;
                    deny all;
                }
            }

            """
    }
}

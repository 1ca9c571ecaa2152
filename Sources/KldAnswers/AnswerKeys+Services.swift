extension AnswerKey {
    static let clusterKeys: [AnswerKey] = [
        AnswerKey(
            "INFRA_MODE", .cluster, .choice(Answers.Infrastructure.Mode.allCases.map(\.rawValue)), default: "standalone", since: "1.0.3",
            valueAliases: ["cluster-manager": "cluster"], effect: .later("clusters"),
            "`standalone` is a machine by itself, `cluster` the first of a WireGuard cluster, `join` a further one."),
        AnswerKey(
            "CLUSTER_CIDR", .cluster, .cidr, since: "1.0.3", effect: .later("clusters"),
            "The cluster's WireGuard network, such as `10.100.0.0/24`. Required with `cluster`."),
        AnswerKey(
            "CLUSTER_DOMAIN", .cluster, .domainName, default: "infra.local", since: "1.0.3", effect: .later("clusters"),
            "The cluster's DNS domain."),
        AnswerKey(
            "CLUSTER_SIZE", .cluster, .integer(1...4096), default: "16", since: "1.0.3", effect: .later("clusters"),
            "The most nodes the cluster may grow to."),
        AnswerKey(
            "HUB_LAN", .cluster, .interface, since: "1.0.3", effect: .later("clusters"), "The hub's interface towards the local network."),
        AnswerKey(
            "NODE_INDEX", .cluster, .integer(1...65534), since: "1.1.0", effect: .later("clusters"),
            "This node's number in the cluster, from which its addresses follow."),
        AnswerKey(
            "ENABLE_K8S", .cluster, .bool, default: "0", since: "1.1.0", effect: .later("Kubernetes"),
            "`1` installs what Kubernetes nodes need."),
        AnswerKey(
            "K8S_BOOTSTRAP", .cluster, .bool, default: "0", since: "1.1.0", effect: .later("Kubernetes"),
            "`1` makes a Kubernetes cluster at the first boot."),
        AnswerKey(
            "K8S_CONTROL_PLANES", .cluster, .integer(1...9), default: "1", since: "1.1.0", effect: .later("Kubernetes"),
            "How many control-plane nodes that cluster has."),
        AnswerKey(
            "K8S_WORKERS", .cluster, .integer(0...100), default: "3", since: "1.1.0", effect: .later("Kubernetes"),
            "How many workers it has."),
        AnswerKey(
            "KEEP_CPS", .cluster, .integer(0...9), since: "1.1.0", effect: .later("Kubernetes"),
            "How many control-plane nodes stay up when the host is idle."),
        AnswerKey(
            "KEEP_WORKERS", .cluster, .integer(0...100), since: "1.1.0", effect: .later("Kubernetes"),
            "How many workers stay up when the host is idle."),
    ]

    static let laboratoryKeys: [AnswerKey] = [
        AnswerKey(
            "BUILD_IMAGES", .laboratory, .bool, default: "0", since: "1.1.0", effect: .later("the laboratory"),
            "`1` builds golden images at the first boot."),
        AnswerKey(
            "KLAB_ZFS_DEV", .laboratory, .bool, default: "0", since: "1.1.0", effect: .later("the laboratory"),
            "`1` adds the tools to develop OpenZFS."),
        AnswerKey(
            "ZFSLAB_MODE", .laboratory, .bool, default: "0", since: "1.1.0", effect: .later("the laboratory"),
            "`1` makes the machine an OpenZFS test lab."),
        AnswerKey(
            "BUILD_ZTEST_GOLDENS", .laboratory, .bool, default: "0", since: "1.1.0", effect: .later("the laboratory"),
            "`1` builds golden images for the OpenZFS test suite."),
        AnswerKey(
            "KLAB_NO_AUTO", .laboratory, .bool, default: "0", since: "1.1.0", effect: .later("the laboratory"),
            "`1` builds no golden image by itself."),
    ]

    static let assistantKeys: [AnswerKey] = [
        AnswerKey(
            "AI_MODEL", .assistant, .text(128), since: "1.1.0", effect: .later("the assistant"),
            "The assistant's language model; chosen by the memory at hand when absent."),
        AnswerKey(
            "AI_PULL_MODEL", .assistant, .bool, default: "1", since: "1.1.0", effect: .later("the assistant"),
            "`1` may fetch the model over the network."),
        AnswerKey("BOB_MODEL", .assistant, .text(128), since: "1.1.0", effect: .later("the assistant"), "Another model for Bob alone."),
        AnswerKey(
            "BOB_DARKSITE", .assistant, .bool, default: "0", since: "1.1.0", effect: .later("the assistant"),
            "`1` takes Bob's model from the offline mirror."),
        AnswerKey(
            "FORCE_AI", .assistant, .bool, default: "0", since: "1.1.0", effect: .later("the assistant"),
            "`1` installs the assistant even below the memory it wants."),
        AnswerKey(
            "MIN_AI_VRAM_GB", .assistant, .integer(0...1024), default: "6", since: "1.1.0", effect: .later("the assistant"),
            "Graphics memory in GB below which the smallest model is taken."),
        AnswerKey(
            "PULL_VISION_MODEL", .assistant, .bool, default: "0", since: "1.1.0", effect: .later("the assistant"),
            "`1` fetches a model that sees pictures as well."),
        AnswerKey(
            "AUTODEPLOY_PARALLEL_AI", .assistant, .bool, default: "1", since: "1.1.0", effect: .later("the assistant"),
            "`1` sets the assistant up beside the other work of the first boot, `0` after it."),
        AnswerKey(
            "INCLUDE_OLLAMA_DARKSITE", .assistant, .bool, default: "0", since: "1.1.0", effect: .later("the assistant"),
            "`1` expects model weights in the offline mirror."),
    ]

    static let exportKeys: [AnswerKey] = [
        AnswerKey(
            "DISK_SIZE", .export, .size, default: "8G", since: "2.0",
            "The size of an image's disk, in K, M, G or T (powers of 1024). A machine's own disk keeps its size."),
        AnswerKey(
            "EXPORT_FORMAT", .export, .choices(Answers.Export.Format.allCases.map(\.rawValue), alone: ["none", "all"]), default: "none",
            since: "1.0.3",
            "The formats that `kldload image build` makes, separated by commas; `all` means every one, `none` the command's own choice: "
                + "`qcow2`. An installed machine is not exported."),
        AnswerKey("EXPORT_DIR", .export, .path, since: "2.0", "The folder for exported images; `out` when absent."),
        AnswerKey("EXPORT_SCP_HOST", .export, .host, since: "1.0.3", "A machine to copy the images to, by name or address."),
        AnswerKey("EXPORT_SCP_USER", .export, .remoteUser, default: "root", since: "1.0.3", "The account there."),
        AnswerKey("EXPORT_SCP_PATH", .export, .path, default: "/root/", since: "1.0.3", "The folder there."),
        AnswerKey("EXPORT_SCP_KEY", .export, .path, since: "1.0.3", "The file of an SSH private key that may log in there."),
        AnswerKey(
            "EXPORT_SCP_KNOWN_HOSTS", .export, .path, since: "2.0",
            "The only file of known host keys that counts for it; the building user's own when absent."),
        AnswerKey("EXPORT_SCP_PASS", .export, .secretText(256), secret: true, since: "1.0.3", "A password, where no key can be used."),
    ]
}

extension MountInfo {
    /// A file system of ZFS that is going to be mounted, for planning with it.
    package init(dataset: String, at place: String) {
        self.init(id: 0, parent: 0, place: place, type: "zfs", source: dataset, options: [])
    }
}

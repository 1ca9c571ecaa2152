public import KldFiles

extension FileSystem {
    /// The dataset that is mounted at `/`; `nil` where the root file system is not ZFS.
    public func rootDataset() throws -> DatasetName? { try mounts().first(where: \.isZFSRoot).flatMap { try? DatasetName($0.source) } }
}

/// Answers of qemu-img 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1), as they came.
enum RecordedImages {
    /// `qemu-img info --output json ov.qcow2`
    static let overlayInfo = """
        {
            "children": [
                {
                    "name": "file",
                    "info": {
                        "children": [
                        ],
                        "virtual-size": 197120,
                        "filename": "ov.qcow2",
                        "format": "file",
                        "actual-size": 200704,
                        "format-specific": {
                            "type": "file",
                            "data": {
                            }
                        },
                        "dirty-flag": false
                    }
                }
            ],
            "backing-filename-format": "qcow2",
            "virtual-size": 8388608,
            "filename": "ov.qcow2",
            "cluster-size": 65536,
            "format": "qcow2",
            "actual-size": 200704,
            "format-specific": {
                "type": "qcow2",
                "data": {
                    "compat": "1.1",
                    "compression-type": "zlib",
                    "lazy-refcounts": false,
                    "refcount-bits": 16,
                    "corrupt": false,
                    "extended-l2": false
                }
            },
            "full-backing-filename": "a.qcow2",
            "backing-filename": "a.qcow2",
            "dirty-flag": false
        }
        """

    /// `qemu-img info --output json a.vmdk`
    static let vmdkInfo = """
        {
            "children": [
                {
                    "name": "file",
                    "info": {
                        "children": [
                        ],
                        "virtual-size": 131072,
                        "filename": "a.vmdk",
                        "format": "file",
                        "actual-size": 81920,
                        "format-specific": {
                            "type": "file",
                            "data": {
                            }
                        },
                        "dirty-flag": false
                    }
                }
            ],
            "virtual-size": 8388608,
            "filename": "a.vmdk",
            "cluster-size": 65536,
            "format": "vmdk",
            "actual-size": 81920,
            "format-specific": {
                "type": "vmdk",
                "data": {
                    "cid": 1121407883,
                    "parent-cid": 4294967295,
                    "create-type": "streamOptimized",
                    "extents": [
                        {
                            "compressed": true,
                            "virtual-size": 8388608,
                            "filename": "a.vmdk",
                            "cluster-size": 65536,
                            "format": ""
                        }
                    ]
                }
            },
            "dirty-flag": false
        }
        """
}

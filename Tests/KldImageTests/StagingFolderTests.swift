import Glibc
import KldCore
import KldFiles
import KldImage
import KldTestSupport
import SystemPackage
import Testing

@Suite("The folder in which an export is made")
struct StagingFolderTests {
    let files = LocalFiles()

    private func refusal(_ folder: FilePath) -> String? {
        problem {
            let lock = try StagingFolder.take(folder)
            withExtendedLifetime(lock) {}
        }?.code
    }

    @Test("it is its maker's alone, and one at a time works in it; what a killed export left is taken")
    func made() async throws {
        try await Scratch.with { folder in
            let staging = folder.appending("out/.img.partial")
            let lock = try StagingFolder.take(staging)
            #expect(try files.status(staging)?.mode == 0o700)
            #expect(refusal(staging) == "lock.held")
            withExtendedLifetime(lock) {}
        }
        try await Scratch.with { folder in
            let staging = folder.appending(".img.partial")
            try files.makeDirectory(staging, mode: 0o700)
            try files.write("half", to: staging.appending("img.raw"))
            #expect(refusal(staging) == nil)
        }
    }

    @Test("a link is not followed, wherever it leads")
    func link() async throws {
        try await Scratch.with { folder in
            try files.makeDirectory(folder.appending("etc"), mode: 0o700)
            for target in ["etc", "none"] {
                try files.symlink(folder.appending(".img.partial"), to: folder.appending(target).string)
                #expect(refusal(folder.appending(".img.partial")) == "image.staging")
            }
            #expect(try files.list(folder.appending("etc")) == [])
            #expect(try files.list(folder) == [".img.partial", "etc"])
        }
    }

    @Test("a folder in which others may read or write, another user's, and a file are refused as they are")
    func foreign() async throws {
        try await Scratch.with { folder in
            let staging = folder.appending(".img.partial")
            for mode: ModeBits in [0o777, 0o750, 0o701] {
                try files.makeDirectory(staging, mode: mode)
                #expect(refusal(staging) == "image.staging")
                #expect(try files.list(staging) == [])
                try files.remove(staging)
            }
            if geteuid() == 0 {
                try files.makeDirectory(staging, mode: 0o700)
                #expect(chown(staging.string, 12345, 12345) == 0)
                #expect(refusal(staging) == "image.staging")
                try files.remove(staging)
            }
            try files.write("mine", to: staging)
            #expect(refusal(staging) == "image.staging")
            #expect(try files.readText(staging) == "mine")
        }
    }
}

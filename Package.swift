// swift-tools-version: 6.2
import PackageDescription

// lld links a debug build four times faster than the default linker, and ThreadSanitizer detects nothing with the default one.
let linker: [LinkerSetting] = [.unsafeFlags(["-use-ld=lld"])]

// A static executable exports its symbols by default: a megabyte of names that nobody looks up.
let executable: [LinkerSetting] =
    linker + [
        .unsafeFlags(["-Xlinker", "--no-export-dynamic"]),
        .unsafeFlags(
            ["-Xlinker", "--no-eh-frame-hdr", "-Xlinker", "-T\(Context.packageDirectory)/tools/no-unwind-tables.ld"],
            .when(configuration: .release)),
    ]

let features: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    // What ships is optimised for its size: it waits for disks and other programs, and goes onto every initramfs and image.
    .unsafeFlags(["-Osize"], .when(configuration: .release)),
]

let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")

/// A library target; `layers.txt` says which other targets it may import.
func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: features)
}

/// - Parameter recorded: whether the folder `Golden` beside the tests holds texts that they compare.
func tests(_ name: String, _ dependencies: [Target.Dependency], recorded: Bool = false) -> Target {
    let base = ["KldCore", "KldExec", "KldFiles", "KldPlan"].filter { $0 != name }.map { Target.Dependency.byName(name: $0) }
    return .testTarget(
        name: name + "Tests",
        dependencies: base + [.byName(name: name), "KldTestSupport", systemPackage] + dependencies,
        exclude: recorded ? ["Golden"] : [],
        swiftSettings: features,
        linkerSettings: linker
    )
}

let mechanisms: [Target.Dependency] = ["KldCore", "KldExec", "KldFiles", "KldPlan", systemPackage]
let outside: [Target.Dependency] = ["KldZFS", "KldBlock", "KldBoot", "KldPackages", "KldSSH", "KldVirt", "KldSystemd"]

let package = Package(
    name: "kldload",
    platforms: [.macOS(.v26)],
    products: [
        .executable(name: "kldload", targets: ["kldload"]),
        .executable(name: "kldload-systemtests", targets: ["kldload-systemtests"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // L0 values
        library("KldCore", []),
        // L1 mechanisms
        library("KldExec", ["KldCore", subprocess, systemPackage]),
        library("KldFiles", ["KldCore", systemPackage]),
        library("KldPlan", ["KldCore", "KldExec", "KldFiles", systemPackage]),
        library("KldTerminal", ["KldCore", "KldPlan"]),
        // L2 outside tools
        library("KldZFS", mechanisms),
        library("KldBlock", mechanisms),
        library("KldBoot", mechanisms),
        library("KldPackages", mechanisms),
        library("KldSSH", mechanisms),
        library("KldVirt", mechanisms),
        library("KldSystemd", ["KldCore", "KldExec"]),
        // L3 definitions
        library("KldDistro", mechanisms + outside),
        library("KldAnswers", mechanisms),
        // L4 operations
        library("KldInstall", mechanisms + outside + ["KldDistro", "KldAnswers"]),
        library("KldBootEnv", mechanisms + outside + ["KldDistro", "KldAnswers", "KldInstall"]),
        library("KldSnapshots", mechanisms + outside),
        library("KldReplicate", mechanisms + outside),
        library("KldDisks", mechanisms + outside + ["KldInstall"]),
        library("KldImage", mechanisms + outside + ["KldDistro", "KldAnswers", "KldInstall", "KldDoctor"]),
        library("KldDoctor", mechanisms + outside + ["KldDistro", "KldAnswers", "KldReplicate", "KldTrust"]),
        library("KldTrust", mechanisms + ["KldAnswers"]),
        library("KldUpkeep", mechanisms + outside + ["KldDistro", "KldInstall", "KldBootEnv"]),
        library(
            "KldFleet",
            mechanisms + outside + ["KldInstall", "KldBootEnv", "KldSnapshots", "KldReplicate", "KldImage", "KldDoctor"]),
        // L5 faces
        library(
            "KldCLI",
            mechanisms + outside + [
                "KldTerminal", "KldDistro", "KldAnswers", "KldInstall", "KldBootEnv", "KldSnapshots", "KldReplicate", "KldImage",
                "KldDisks", "KldDoctor", "KldTrust", "KldUpkeep", "KldFleet", "CKldCompat", argumentParser,
            ]),
        // L6 executables
        .target(name: "CKldCompat"),
        .executableTarget(name: "kldload", dependencies: ["KldCLI", "CKldCompat"], swiftSettings: features, linkerSettings: executable),
        .executableTarget(
            name: "kldload-systemtests",
            dependencies: mechanisms + outside + ["KldAnswers", "KldInstall", "KldImage", "KldDoctor", argumentParser],
            swiftSettings: features, linkerSettings: linker),
        // tests
        library("KldTestSupport", mechanisms),
        tests("KldCore", []),
        tests("KldExec", []),
        tests("KldFiles", []),
        tests("KldPlan", []),
        tests("KldTerminal", []),
        tests("KldZFS", []),
        tests("KldBlock", []),
        tests("KldBoot", []),
        tests("KldPackages", []),
        tests("KldSSH", []),
        tests("KldVirt", []),
        tests("KldSystemd", []),
        tests("KldDistro", ["KldPackages", "KldBoot"]),
        tests("KldAnswers", []),
        tests("KldInstall", ["KldAnswers", "KldDistro", "KldZFS", "KldBlock", "KldBoot", "KldPackages"], recorded: true),
        tests("KldBootEnv", ["KldZFS", "KldBlock", "KldBoot", "KldInstall"]),
        tests("KldSnapshots", ["KldZFS", "KldBoot"]),
        tests("KldReplicate", ["KldZFS", "KldSSH"]),
        tests("KldDisks", ["KldZFS", "KldBlock", "KldInstall"], recorded: true),
        tests("KldImage", ["KldAnswers", "KldDistro", "KldInstall", "KldVirt", "KldPackages", "KldSSH", "KldZFS"], recorded: true),
        tests("KldDoctor", ["KldZFS", "KldBlock", "KldDistro", "KldTrust"]),
        tests("KldTrust", ["KldAnswers"]),
        tests("KldFleet", ["KldZFS", "KldSSH", "KldBlock", "KldBoot", "KldBootEnv", "KldImage", "KldReplicate"]),
        tests("KldUpkeep", ["KldPackages", "KldZFS", "KldBoot", "KldBootEnv", "KldDistro"]),
        tests(
            "KldCLI",
            ["KldAnswers", "KldInstall", "KldImage", "KldReplicate", "KldDisks", "KldFleet", "KldBlock", "KldSSH", argumentParser],
            recorded: true),
    ],
    swiftLanguageModes: [.v6]
)

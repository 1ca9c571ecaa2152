import KldBoot
import KldCore
import KldExec
import KldFiles
import KldPlan
import KldZFS
import SystemPackage

/// Lines of the boot menu that cost no image: what runs starts them as it is.
extension BootEnvironments {
    /// A line for a clone of what runs, to be chosen by hand: it comes last, and nothing falls back to it before all else has failed.
    ///
    /// Nothing where the running image starts only its own environment.
    func entering(_ name: String) throws -> [Step] {
        guard let current = system.current, let entry = try line(for: name, as: current, generation: 1, order: 0, counter: nil) else {
            return []
        }
        return system.esps.filter { esp in entry.files.allSatisfy { esp.images[$0] != nil } }.map {
            $0.writing(entry, "be.entry.\($0.name)", "A line for \(name) in the boot menu of \($0.device)")
        }
    }

    /// The lines of an environment that gets another name, of those that the running image or GRUB starts: the new ones, then the old ones go.
    ///
    /// - Returns: what enters them, and the files that they need.
    func renaming(_ environment: BootEnvironment, to name: String) throws -> (steps: [Step], files: Set<String>) {
        var (steps, files): ([Step], Set<String>) = ([], [])
        let highest = system.entries.filter { $0.dataset == environment.dataset.text }.map(\.generation).max() ?? 0
        for esp in system.esps {
            for old in esp.entries where old.dataset == environment.dataset.text && !old.isExhausted && !old.once {
                // To FAT both are one name where only the case of letters changes.
                let generation = old.generation + (name.lowercased() == environment.name.lowercased() ? highest : 0)
                guard let entry = try line(for: name, as: old, generation: generation, order: old.order, counter: old.counter) else {
                    continue
                }
                steps.append(esp.writing(entry, "be.entry.\(esp.name).\(entry.id)", "Enter \(entry.fileName) on \(esp.device)"))
                files.formUnion(entry.files)
            }
        }
        return (steps, files)
    }

    /// What starts another dataset with what an entry starts; `nil`: its image starts nobody else.
    /// - Parameter generation: counted from what that dataset has already.
    private func line(
        for name: String, as source: BootEntry, generation: Int, order: Int, counter: BootEntry.Counter?
    ) throws -> BootEntry? {
        let dataset = try system.top.appending(name).text
        let known = system.entries.filter { $0.dataset == dataset && $0.release == source.release }.map(\.generation).max() ?? 0
        var entry = BootEntry(
            dataset: dataset, release: source.release, generation: known + generation, order: order, counter: counter, parts: source.parts)
        if source.parts == nil {
            guard source.imagePath == system.shareable, EnvironmentChoice.isPossible(name + source.release) else { return nil }
            entry.sharedImage = source.imagePath
        }
        return entry.rooted
    }
}

extension BootEntry {
    /// The same, and GRUB's command line starts its own dataset. Older releases gave the line of a clone, or of a new name, the root of
    /// what they had copied it from.
    var rooted: BootEntry {
        guard var parts = self.parts else { return self }
        parts.commandLine = parts.commandLine.rooted(at: dataset)
        var copy = self
        copy.parts = parts
        return copy
    }
}

extension BootTrial {
    /// A line for which nobody has tried anything, of an image that starts nothing else any more: it would keep that image for ever.
    func isIdle(_ entry: BootEntry, among entries: [BootEntry]) -> Bool {
        entry.order == 0 && !entries.contains { $0.order > 0 && $0.files == entry.files }
    }
}

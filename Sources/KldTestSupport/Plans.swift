public import KldExec
public import KldPlan

extension Plan {
    /// Everything that is run, in order, both ends of each pipe.
    public var commands: [Command] {
        steps.flatMap(\.actions).flatMap { action -> [Command] in
            switch action {
            case .run(let command): [command]
            case .pipeline(let commands): commands
            default: []
            }
        }
    }
    public var commandLines: [String] { commands.map(\.description) }

    public subscript(step id: String) -> Step? { steps.first { $0.id == id } }
}

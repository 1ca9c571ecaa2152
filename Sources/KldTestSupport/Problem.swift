public import KldCore

/// What a body fails with, as a person is told it; `nil` when it does not fail.
public func problem(of body: () throws -> Void) -> Diagnosis? {
    do {
        try body()
        return nil
    } catch { return Diagnosis(of: error) }
}

/// What a body fails with, as a person is told it; `nil` when it does not fail.
public func problem(of body: () async throws -> Void) async -> Diagnosis? {
    do {
        try await body()
        return nil
    } catch { return Diagnosis(of: error) }
}

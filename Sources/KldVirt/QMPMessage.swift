import FoundationEssentials
import KldCore

/// One line of the QEMU Machine Protocol, from QEMU.
///
/// Source: QEMU Machine Protocol Specification 1.1, QEMU 10.0. Lines of QEMU 10.0.2:
/// `{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian 1:10.0.2+ds-2+deb13u1~bpo12+1"}, "capabilities": ["oob"]}}`
/// `{"return": {"status": "running", "running": true}, "id": 2}`
/// `{"timestamp": {"seconds": 1795230927, "microseconds": 43854}, "event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}`
enum QMPMessage: Sendable, Hashable {
    case greeting
    case answer(id: Int64, value: JSONValue)
    case refusal(id: Int64, reason: String)

    /// - Returns: `nil` for a line that is none of these: an event, which nothing here waits for.
    init?(line: some Sequence<UInt8>) {
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(line)) else { return nil }
        if value["QMP"] != nil {
            self = .greeting
        } else if let answer = value["return"], let id = value["id"]?.integer {
            self = .answer(id: id, value: answer)
        } else if let error = value["error"] {
            // An error without an id answers a line that QEMU could not read; ours always have one.
            self = .refusal(id: value["id"]?.integer ?? 0, reason: error["desc"]?.text ?? "no reason given")
        } else {
            return nil
        }
    }

    /// The line of a command, with its line end.
    static func command(_ name: String, _ arguments: [String: JSONValue], id: Int64) throws -> [UInt8] {
        var message: [String: JSONValue] = ["execute": .string(name), "id": .int(id)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        return Array((try SortedJSON.line(JSONValue.object(message)) + "\n").utf8)
    }
}

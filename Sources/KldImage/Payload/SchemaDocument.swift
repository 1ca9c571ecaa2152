import FoundationEssentials
package import KldCore
package import KldFiles
package import SystemPackage

/// A JSON document that says which schema it follows.
package enum SchemaDocument {
    private struct Head: Decodable { var schema: String }

    /// - Parameter problem: makes an error of what is wrong with it.
    package static func read<Value: Decodable>(
        _ file: FilePath, _ files: any FileSystem, schema: String, problem: (String) -> Diagnosis
    ) throws -> Value {
        let data = Data(try files.read(file))
        do {
            let found = try JSONDecoder().decode(Head.self, from: data).schema
            guard found == schema else { throw problem("its schema is \(found), not \(schema)") }
            return try JSONDecoder().decode(Value.self, from: data)
        } catch let error as DecodingError { throw problem("\(error)") }
    }
}

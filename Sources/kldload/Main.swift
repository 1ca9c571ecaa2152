import KldCLI

@main
enum Main {
    static func main() async { await CommandLineTool.main() }
}

//! `vantage`: see `vantage --help`.

fn main() -> std::process::ExitCode {
    vantage_node::cli::main()
}

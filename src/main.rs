//! The `dsnd` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    dsnd::cli::main()
}

//! The `dsnd` command.

use std::process::ExitCode;

/// What large messages took goes back to the system when they are stored; glibc's allocator would keep most of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dsnd::cli::main()
}

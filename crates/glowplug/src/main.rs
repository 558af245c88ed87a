//! The program `glowplug`: command line in, tables or JSON out, an exit code that scripts can trust.

#[cfg(target_os = "linux")]
mod commands;
#[cfg(target_os = "linux")]
mod console;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "linux")]
mod platforms;
mod printer;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod settings;
#[cfg(target_os = "linux")]
mod signals;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    console::run()
}

/// Everywhere else one sentence says what is needed, with the exit code of failing surroundings.
#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "error: glowplug runs functions as Lambda does and needs Linux: use a Linux machine or a container"
    );
    std::process::ExitCode::from(3)
}

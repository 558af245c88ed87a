//! What a function is and what it is made of: its configuration, its events, its interpreter, its dependencies in a
//! tree laid out as Lambda's `/var/task`.
//!
//! [`load`] reads what the user has into a [`Function`]; [`runtime`] finds the interpreter and fetches the runtime
//! client for it; [`assemble`] makes the [`Tree`]. What is fetched goes by name through pip and uv into the cache, whole
//! or not at all; what the user has is only read. [`memory_edits`] says what would change in it for another memory size.

mod assemble;
mod dependencies;
mod elf;
mod emulated;
mod interpreter;
mod listing;
mod load;
mod memory;
mod model;
mod natives;
mod needs;
mod poetry;
mod process;
mod requirements;
mod runtime;
mod store;
mod suggest;
mod user_files;
mod uv;

pub use assemble::{assemble, collect};
pub use emulated::Emulated;
pub use load::load;
pub use memory::{FileEdit, memory_edits};
pub use model::{
    Event, Function, Interpreter, LoadOptions, Network, PackageConfig, Runtime, Tree, VerifyConfig,
};
pub use natives::{NativeFault, NativeFile, NativeTarget, natives};
pub use runtime::runtime;
pub use user_files::never_ships;

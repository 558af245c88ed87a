//! What is read off a trace: who asked for what, what to do next, what has changed.

mod advice;
mod compare;
mod samples;
mod tree;

//! The pages are part of the program: without them there is nothing to embed, and the compiler's own message for that
//! would name a macro instead of the missing step.

use std::path::Path;

fn main() {
    let dist = Path::new("../../web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    if !dist.join("index.html").is_file() {
        println!(
            "cargo::error=the pages are not built (web/dist/index.html is missing): \
             use ./run, or npm --prefix web ci && npm --prefix web run build"
        );
    }
}

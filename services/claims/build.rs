//! The embedded migrations are part of the program: a new folder means a new build.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}

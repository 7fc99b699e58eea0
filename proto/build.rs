//! Compiles the protos without protoc and generates the Rust types from them.

use std::{env, error::Error, fs, path::PathBuf};

use protox::{
    Compiler,
    prost_reflect::{DescriptorPool, MessageDescriptor, Value},
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=claim");
    println!("cargo:rerun-if-changed=google");

    let mut compiler = Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(["claim/v1/claim_service.proto", "claim/v1/claim_admin_service.proto"])?;

    // `encode_file_descriptor_set` and not `file_descriptor_set`: the typed form does not know
    // `debug_redact` and would lose it.
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure()
        // One Status type for everybody: the one that the error details are made for.
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        // The generated Debug would print secrets; `src/redact.rs` has the ones that do not.
        .skip_debug(messages_with_secrets(&compiler.descriptor_pool()))
        .codec_path("crate::codec::SmallBuffers")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The full names of the messages with a field marked `debug_redact`, each with a leading dot.
fn messages_with_secrets(pool: &DescriptorPool) -> Vec<String> {
    pool.all_messages()
        .filter(has_secret)
        .map(|message| format!(".{}", message.full_name()))
        .collect()
}

fn has_secret(message: &MessageDescriptor) -> bool {
    message.fields().any(|field| {
        field
            .options()
            .get_field_by_name("debug_redact")
            .is_some_and(|value| matches!(*value, Value::Bool(true)))
    })
}

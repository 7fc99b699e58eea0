//! What other programs rely on, checked against the descriptor set that is published.

mod contract;
mod secrets;
mod service_config;

use protox::prost_reflect::DescriptorPool;

/// The published descriptor set, with options and all.
fn published() -> DescriptorPool {
    DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).unwrap()
}

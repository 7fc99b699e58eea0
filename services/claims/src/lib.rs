//! Claims on entities: the domain.

pub mod domain;

//! What every program around the claims has in common: its settings' form, its log, its probes
//! and who asks them, its end.

mod health;
mod log;
pub mod probes;
mod secret;
mod settings;
mod shutdown;

pub use health::HealthSettings;
pub use log::{LogFormat, start_log, start_log_beside};
pub use secret::Secret;
pub use settings::{
    ENVIRONMENT_HELP, ExitCode, WrongSetting, database_from_environment, parse_command_line,
    parse_length,
};
pub use shutdown::Shutdown;

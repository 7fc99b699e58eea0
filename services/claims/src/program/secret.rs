//! Secrets of a program: read from the environment or from files, never from flags, and in a type
//! that cannot be printed.

use super::WrongSetting;
use std::env::{self, VarError};
use std::fmt;
use std::fs;

/// Text that nobody may see: a password, a URL with one in it, a token. It has no `Display`, and
/// its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From now on it cannot be printed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whoever has to present or to read it. Do not log or keep it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A secret by the names of the variable that has it and of the one that names a file with it,
    /// of which one may be set; with the name of the one that is. What is set to nothing is not set.
    pub fn from_environment(
        name: &'static str,
        file_name: &'static str,
    ) -> Result<Option<(&'static str, Self)>, WrongSetting> {
        match (read(name)?, read(file_name)?) {
            (Some(_), Some(_)) => {
                let problem = format!("is set together with {name}; set one of them");
                Err(WrongSetting::new(file_name, problem))
            }
            (Some(text), None) => Ok(Some((name, Self(text)))),
            (None, Some(path)) => {
                let text = fs::read_to_string(&path)
                    .map_err(|error| WrongSetting::new(file_name, format!("{path}: {error}")))?;
                Ok(Some((file_name, Self(text.trim().to_owned()))))
            }
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

/// A variable that is set to something.
fn read(name: &'static str) -> Result<Option<String>, WrongSetting> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(WrongSetting::new(name, "is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("p4ssw0rd".to_owned());
        let shown = format!("{secret:?} {secret:#?} {:?}", Some(&secret));
        assert!(!shown.contains("p4") && !shown.contains("112"), "{shown}");
    }
}

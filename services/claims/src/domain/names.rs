//! Validated names. A value of one of these types has been checked once, at the edge, and is
//! trusted everywhere else; two kinds of name cannot be mixed up.

use std::fmt;
use std::sync::Arc;

/// Most bytes of a tenant, consumer, wake, runner, authority or request id.
pub const NAME_BYTES_MAX: usize = 256;
/// Most bytes of an entity URL.
pub const ENTITY_URL_BYTES_MAX: usize = 1024;
/// Most bytes of the last segment of a stream path.
pub const STREAM_SEGMENT_BYTES_MAX: usize = 255;
/// The tenant of a request that names none.
pub const DEFAULT_TENANT: &str = "default";
/// The last segment of an entity's default stream.
pub const DEFAULT_STREAM_SEGMENT: &str = "main";

/// A field that does not fit its limits. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidField {
    /// The field's name as the caller knows it.
    pub field: &'static str,
    /// What is wrong with it, for a person; it never repeats the value.
    pub problem: String,
}

impl InvalidField {
    /// Names a field and what is wrong with it.
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

fn refuse(field: &'static str, problem: String) -> Result<(), InvalidField> {
    Err(InvalidField { field, problem })
}

/// Printable: no control characters and no line or paragraph separators.
fn is_unprintable(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

fn check_length(
    field: &'static str,
    value: &str,
    min: usize,
    max: usize,
) -> Result<(), InvalidField> {
    if value.len() < min {
        return refuse(field, format!("must have at least {min} bytes"));
    }
    if value.len() > max {
        return refuse(field, format!("has {} bytes, more than {max}", value.len()));
    }
    Ok(())
}

fn check_printable(field: &'static str, value: &str) -> Result<(), InvalidField> {
    if value.chars().any(is_unprintable) {
        return refuse(field, "holds a character that cannot be printed".to_owned());
    }
    Ok(())
}

fn check_no_control(field: &'static str, value: &str) -> Result<(), InvalidField> {
    if value.chars().any(char::is_control) {
        return refuse(field, "holds a control character".to_owned());
    }
    Ok(())
}

/// Declares a name of `$min ..= 256` printable bytes.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, field = $field:literal, min = $min:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks length and content; the error names the field.
            pub fn parse(value: &str) -> Result<Self, InvalidField> {
                check_length($field, value, $min, NAME_BYTES_MAX)?;
                check_printable($field, value)?;
                Ok(Self(value.into()))
            }

            /// The name as given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Nothing was given.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Who holds a claim: a fresh id per wake, or a stable one. 1–256 printable bytes.
    ConsumerId, field = "consumer_id", min = 1
}
name! {
    /// Who numbers the epochs; empty means this service. 0–256 printable bytes.
    Authority, field = "authority", min = 0
}
name! {
    /// The wake a claim answers; kept, never interpreted. 0–256 printable bytes.
    WakeId, field = "wake_id", min = 0
}
name! {
    /// The worker process; tells callers apart when no request id is given. 0–256 printable bytes.
    RunnerId, field = "runner_id", min = 0
}
name! {
    /// Chosen by the caller so that a mint whose answer was lost can be repeated. 0–256 printable
    /// bytes.
    RequestId, field = "request_id", min = 0
}
name! {
    /// The unit of isolation; every key begins with it. 1–256 printable bytes.
    TenantId, field = "tenant_id", min = 1
}

impl TenantId {
    /// As [`TenantId::parse`], but empty means [`DEFAULT_TENANT`].
    pub fn parse_or_default(value: &str) -> Result<Self, InvalidField> {
        Self::parse(if value.is_empty() { DEFAULT_TENANT } else { value })
    }
}

/// The thing claimed: a URL path such as `/chat/a`. Begins with `/`, 2–1024 bytes, no empty
/// segment, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityUrl(Arc<str>);

impl EntityUrl {
    /// Checks the form; the error names `entity_url`.
    pub fn parse(value: &str) -> Result<Self, InvalidField> {
        Self::parse_as("entity_url", value)
    }

    fn parse_as(field: &'static str, value: &str) -> Result<Self, InvalidField> {
        check_length(field, value, 2, ENTITY_URL_BYTES_MAX)?;
        check_no_control(field, value)?;
        let Some(path) = value.strip_prefix('/') else {
            return Err(InvalidField::new(field, "must begin with '/'"));
        };
        if path.split('/').any(str::is_empty) {
            return Err(InvalidField::new(field, "has an empty segment"));
        }
        Ok(Self(value.into()))
    }

    /// The path as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A log of an entity that its holder writes to: the entity's URL, `/`, and one segment of 1–255
/// bytes. So a stream names its entity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamPath(Arc<str>);

impl StreamPath {
    /// Checks a path that stands alone; the error names `stream_path`.
    pub fn parse(value: &str) -> Result<Self, InvalidField> {
        let field = "stream_path";
        let Some((entity, segment)) = value.rsplit_once('/') else {
            return Err(InvalidField::new(field, "must be an entity URL, '/', and one segment"));
        };
        EntityUrl::parse_as(field, entity)?;
        check_length(field, segment, 1, STREAM_SEGMENT_BYTES_MAX)?;
        check_no_control(field, segment)?;
        Ok(Self(value.into()))
    }

    /// The stream of `entity` that a caller named; empty means `<entity>/main`.
    pub fn of_entity(entity: &EntityUrl, value: &str) -> Result<Self, InvalidField> {
        if value.is_empty() {
            return Ok(Self(format!("{}/{DEFAULT_STREAM_SEGMENT}", entity.as_str()).into()));
        }
        let stream = Self::parse(value)?;
        if stream.entity_str() != entity.as_str() {
            return Err(InvalidField::new(
                "stream_path",
                "must be the entity URL followed by '/' and one segment",
            ));
        }
        Ok(stream)
    }

    fn entity_str(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(entity, _)| entity)
    }

    /// The entity whose stream this is.
    #[must_use]
    pub fn entity(&self) -> EntityUrl {
        EntityUrl(self.entity_str().into())
    }

    /// The path as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Prints as the path that it is.
macro_rules! prints_as_its_path {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

prints_as_its_path!(EntityUrl, StreamPath);

/// Free text of at most `MAX` bytes: no control characters but tab and newline.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(Arc<str>);

impl<const MAX: usize> Text<MAX> {
    /// Checks length and content; the error names `field`.
    pub fn parse(field: &'static str, value: &str) -> Result<Self, InvalidField> {
        check_length(field, value, 0, MAX)?;
        if value.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
            return Err(InvalidField::new(
                field,
                "holds a control character other than tab and newline",
            ));
        }
        Ok(Self(value.into()))
    }

    /// The text as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Checks a path or offset of an acknowledged stream: at most `max` bytes, no control characters.
pub(super) fn check_ack(field: &'static str, value: &str, max: usize) -> Result<(), InvalidField> {
    check_length(field, value, 0, max)?;
    check_no_control(field, value)
}

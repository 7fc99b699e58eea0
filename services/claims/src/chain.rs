use std::error::Error;
use std::fmt;

/// An error and all its causes on one line, for a log: `what failed: why: why that`.
///
/// `Display` of our errors never repeats the source, so each cause stands once.
pub fn chain(error: &(dyn Error + 'static)) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        write!(f, "{error}")?;
        let mut cause = error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    })
}

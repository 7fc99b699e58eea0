//! The bearer token by which servers know the client.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::limits::{BEARER_BYTES_MAX, BEARER_FILE_INTERVAL};

/// The name of the header.
const AUTHORIZATION: &str = "authorization";

/// A token that goes with every call, or none. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Bearer(Kind);

#[derive(Clone, Default)]
enum Kind {
    #[default]
    None,
    Fixed(Header),
    File(Arc<Mutex<TokenFile>>),
}

type Header = MetadataValue<Ascii>;

/// A file whose token is replaced now and then, and what it said last.
struct TokenFile {
    path: PathBuf,
    header: Header,
    edition: u64,
    read_at: Instant,
    is_broken: bool,
}

impl Bearer {
    /// This one, for good.
    pub(crate) fn fixed(token: &str) -> io::Result<Self> {
        header(token).map(|header| Self(Kind::Fixed(header)))
    }

    /// The one in that file, whenever it is sent.
    pub(crate) fn file(path: PathBuf) -> io::Result<Self> {
        let header = header(&fs::read_to_string(&path)?)?;
        let read_at = Instant::now();
        let file = TokenFile { path, header, edition: 0, read_at, is_broken: false };
        Ok(Self(Kind::File(Arc::new(Mutex::new(file)))))
    }

    /// Which of its tokens it has: the number grows whenever there is another.
    pub(crate) fn edition(&self) -> u64 {
        match &self.0 {
            Kind::None | Kind::Fixed(_) => 0,
            Kind::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).edition,
        }
    }

    /// Reads the token again before its time, because one was refused.
    pub(crate) fn read_again(&self) {
        if let Kind::File(file) = &self.0 {
            file.lock().unwrap_or_else(PoisonError::into_inner).read(Instant::now());
        }
    }

    fn header(&self) -> Option<Header> {
        match &self.0 {
            Kind::None => None,
            Kind::Fixed(header) => Some(header.clone()),
            Kind::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                Some(file.present(Instant::now()))
            }
        }
    }
}

impl TokenFile {
    /// The token as the file has it, read again once in a while. A file that cannot be read leaves
    /// the last token, which may still be good.
    fn present(&mut self, now: Instant) -> Header {
        if now.duration_since(self.read_at) >= BEARER_FILE_INTERVAL {
            self.read(now);
        }
        self.header.clone()
    }

    fn read(&mut self, now: Instant) {
        self.read_at = now;
        let read = fs::read_to_string(&self.path).and_then(|token| header(&token));
        let was_broken = std::mem::replace(&mut self.is_broken, read.is_err());
        match read {
            Ok(header) if header != self.header => {
                self.header = header;
                self.edition += 1;
            }
            Ok(_) => {}
            Err(error) if !was_broken => {
                let path = self.path.display();
                tracing::warn!(%error, "the bearer token in {path} cannot be read: {error}");
            }
            Err(_) => {}
        }
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = self.header() {
            request.metadata_mut().insert(AUTHORIZATION, header);
        }
        Ok(request)
    }
}

/// The header of a token; refused if it cannot be one. The error never repeats it.
fn header(token: &str) -> io::Result<Header> {
    let token = token.trim();
    let wrong = |problem| Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    if token.is_empty() {
        return wrong("the token is empty");
    }
    if token.len() > BEARER_BYTES_MAX {
        return wrong("the token is too long");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("the token has a character that no header can hold");
    }
    let Ok(mut header) = Header::try_from(format!("Bearer {token}")) else {
        return wrong("the token has a character that no header can hold");
    };
    header.set_sensitive(true);
    Ok(header)
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::None => "Bearer(none)",
            Kind::Fixed(_) | Kind::File(_) => "Bearer(<redacted>)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_token_is_refused_and_not_repeated() {
        for token in ["", "  \n", "two words", "schlüssel", &"x".repeat(BEARER_BYTES_MAX + 1)] {
            let error = Bearer::fixed(token).unwrap_err().to_string();
            assert!(token.trim().is_empty() || !error.contains(token), "{error}");
        }
    }

    #[test]
    fn only_another_token_in_the_file_makes_another_edition() {
        let path = std::env::temp_dir().join(format!("claim-bearer-{}", std::process::id()));
        fs::write(&path, "first").unwrap();
        let bearer = Bearer::file(path.clone()).unwrap();
        let mut editions = vec![];
        for text in ["first", "second", "second\n", "third"] {
            fs::write(&path, text).unwrap();
            bearer.read_again();
            editions.push(bearer.edition());
        }
        fs::remove_file(&path).unwrap();
        bearer.read_again();
        editions.push(bearer.edition());
        assert_eq!(editions, [0, 1, 1, 2, 2]);
    }

    #[test]
    fn the_debug_form_shows_nothing_of_the_token() {
        let bearer = Bearer::fixed("s3cret").unwrap();
        assert!(!format!("{bearer:?} {:?}", bearer.header()).contains("s3cret"));
    }
}

//! What a database's URL says of encryption. The driver knows only a part of it, so both parameters
//! are taken out before it reads the rest.

use super::InvalidDatabaseUrl;
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// How the connections are to be encrypted, as libpq names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Who may vouch for the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Authorities {
    /// Those whom the operating system trusts.
    System,
    /// Those of a file in PEM.
    File(PathBuf),
}

/// `sslmode` and `sslrootcert`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) mode: Option<Mode>,
    pub(super) authorities: Option<Authorities>,
}

/// Takes the parameters of encryption out of a URL; gives what is left for the driver. Whatever is
/// no URL is left as it is.
pub(super) fn split(url: &str) -> Result<(String, Asked), InvalidDatabaseUrl> {
    let mut asked = Asked::default();
    let Some(begin) = query_begin(url) else {
        return Ok((url.to_owned(), asked));
    };
    let (mut left, mut query) = (url[..begin].to_owned(), &url[begin + 1..]);
    let mut separator = '?';
    while !query.is_empty() {
        // As the driver reads it: a name up to the next `=`, then a value up to the next `&`.
        let (name, rest) = query.split_once('=').unwrap_or((query, ""));
        let (value, rest) = rest.split_once('&').unwrap_or((rest, ""));
        let pair = &query[..(name.len() + 1 + value.len()).min(query.len())];
        query = rest;
        match decoded(name)?.as_str() {
            "sslmode" => asked.mode = Some(mode(&decoded(value)?)?),
            "sslrootcert" => asked.authorities = authorities(decoded(value)?),
            _ => {
                left.push(separator);
                left.push_str(pair);
                separator = '&';
            }
        }
    }
    Ok((left, asked))
}

/// Where the `?` is that the driver takes for the beginning of the parameters: a password may hold
/// others.
fn query_begin(url: &str) -> Option<usize> {
    let scheme =
        ["postgres://", "postgresql://"].iter().find(|scheme| url.starts_with(**scheme))?;
    let host = url[scheme.len()..].find('@').map_or(scheme.len(), |at| scheme.len() + at + 1);
    url[host..].find('?').map(|begin| host + begin)
}

fn decoded(text: &str) -> Result<String, InvalidDatabaseUrl> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(InvalidDatabaseUrl::new("a parameter is not UTF-8")),
    }
}

fn mode(value: &str) -> Result<Mode, InvalidDatabaseUrl> {
    match value {
        "disable" => Ok(Mode::Disable),
        "prefer" => Ok(Mode::Prefer),
        "require" => Ok(Mode::Require),
        "verify-ca" => Ok(Mode::VerifyCa),
        "verify-full" => Ok(Mode::VerifyFull),
        _ => Err(InvalidDatabaseUrl::new(
            "sslmode must be disable, prefer, require, verify-ca or verify-full",
        )),
    }
}

fn authorities(value: String) -> Option<Authorities> {
    match value.as_str() {
        "" => None,
        "system" => Some(Authorities::System),
        _ => Some(Authorities::File(value.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(mode: Mode, authorities: Option<Authorities>) -> Asked {
        Asked { mode: Some(mode), authorities }
    }

    #[test]
    fn the_driver_gets_everything_else_as_it_was() {
        let file = |path: &str| Some(Authorities::File(path.into()));
        for (url, left, expected) in [
            ("postgres://h/d", "postgres://h/d", Asked::default()),
            ("postgres://h/d?", "postgres://h/d", Asked::default()),
            ("host=h sslmode=require", "host=h sslmode=require", Asked::default()),
            (
                "postgresql://a:1,b:2/d?sslmode=verify-full&sslrootcert=%2Fe%20f%2Fca.pem",
                "postgresql://a:1,b:2/d",
                asked(Mode::VerifyFull, file("/e f/ca.pem")),
            ),
            (
                "postgres://h/d?connect_timeout=3&ssl%6Dode=require&options=-c%20a%3Db&user=u",
                "postgres://h/d?connect_timeout=3&options=-c%20a%3Db&user=u",
                asked(Mode::Require, None),
            ),
            (
                "postgres://u:p?sslmode=disable@h?sslrootcert=system&sslmode=verify-full",
                "postgres://u:p?sslmode=disable@h",
                asked(Mode::VerifyFull, Some(Authorities::System)),
            ),
            ("postgres://h/d?sslmode=disable&x", "postgres://h/d?x", asked(Mode::Disable, None)),
        ] {
            assert_eq!(split(url).unwrap(), (left.to_owned(), expected), "{url}");
        }
    }

    #[test]
    fn an_unknown_mode_is_refused_and_not_repeated() {
        for url in
            ["postgres://h?sslmode=allow", "postgres://h?sslmode=", "postgres://h?sslmode=s3cret"]
        {
            let refused = split(url).unwrap_err().to_string();
            assert!(refused.contains("verify-full") && !refused.contains("s3cret"), "{refused}");
        }
    }
}

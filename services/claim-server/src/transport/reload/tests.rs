use super::*;
use crate::transport::files::Files;
use crate::transport::testing::{Authority, Folder};

/// The reload of a folder's `server.pem` and `server.key`.
fn scene(year: i32) -> (Folder, Authority, Reload) {
    let (folder, authority) = (Folder::new(), Authority::new());
    folder.write_pair(&authority.issue(year));
    let (certificate, key) = (folder.path("server.pem"), folder.path("server.key"));
    let files = Files { certificate, key, clients: None };
    let look = files.look();
    let certificates = look.certificates(&files).unwrap();
    let reload_interval = Duration::from_secs(5);
    let reload = Reload::new(Encrypted { files, reload_interval, look, certificates });
    (folder, authority, reload)
}

/// A look, and what is in use after it.
fn look(reload: &mut Reload) -> Arc<ServerConfig> {
    let look = reload.encrypted.files.look();
    reload.found(look);
    reload.current.load_full()
}

#[test]
fn what_is_new_is_taken_once_it_no_longer_changes() {
    let (folder, authority, mut reload) = scene(2040);
    let first = look(&mut reload);
    folder.write_pair(&authority.issue(2041));
    assert!(Arc::ptr_eq(&look(&mut reload), &first), "it may still be changing");
    let second = look(&mut reload);
    assert!(!Arc::ptr_eq(&second, &first));
    assert_eq!(reload.encrypted.certificates.expires_at.year(), 2041);
    assert!(Arc::ptr_eq(&look(&mut reload), &second), "taken once");
}

#[test]
fn what_cannot_be_used_changes_nothing_until_it_is_mended() {
    let (folder, authority, mut reload) = scene(2040);
    let first = look(&mut reload);
    let next = authority.issue(2041);
    folder.write("server.pem", &next.0);
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&look(&mut reload), &first), "the key is still to come");
    }
    std::fs::remove_file(folder.path("server.key")).unwrap();
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&look(&mut reload), &first), "there is no key");
    }
    folder.write("server.key", &next.1);
    look(&mut reload);
    assert!(!Arc::ptr_eq(&look(&mut reload), &first));
}

#[test]
fn a_folder_that_is_exchanged_by_a_link_is_noticed() {
    let (folder, authority, mut reload) = scene(2040);
    let first = look(&mut reload);
    let versions = Folder::new();
    versions.write_pair(&authority.issue(2041));
    for name in ["server.pem", "server.key"] {
        std::fs::remove_file(folder.path(name)).unwrap();
        std::os::unix::fs::symlink(folder.path("..data").join(name), folder.path(name)).unwrap();
    }
    std::os::unix::fs::symlink(&versions, folder.path("..data")).unwrap();
    look(&mut reload);
    assert!(!Arc::ptr_eq(&look(&mut reload), &first));
}

#[test]
fn the_end_of_a_certificate_is_near_a_week_before_it_and_ever_after() {
    let (_folder, _, reload) = scene(2040);
    let expires_at = reload.encrypted.certificates.expires_at;
    let end = expires_at.to_system_time();
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(!ends_soon(expires_at, end - day * 7));
    assert!(ends_soon(expires_at, end - day * 6));
    assert!(ends_soon(expires_at, end + day));
}

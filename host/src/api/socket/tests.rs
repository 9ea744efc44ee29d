//! Sockets that are free, taken, left over, or in places that cannot be trusted.

use std::os::unix::net::UnixListener as StdUnixListener;

use tempfile::TempDir;

use super::*;

/// The mode of a file.
fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

async fn open(place: &Place) -> Result<PathBuf, String> {
    Socket::open(place).await.map(|socket| socket.path().to_path_buf()).map_err(|error| error.to_string())
}

fn given(path: &Path) -> Place {
    Place::Given(path.to_path_buf())
}

#[tokio::test]
async fn a_socket_and_its_folder_are_the_users_alone() {
    let top = TempDir::new().unwrap();
    let path = top.path().join("a/b/host.sock");
    let socket = Socket::open(&Place::Derived(vec![path.clone()])).await.unwrap();
    assert_eq!((mode(&path), mode(&top.path().join("a/b")), mode(&top.path().join("a"))), (0o600, 0o700, 0o700));
    assert!(UnixStream::connect(&path).await.is_ok());
    drop(socket);
    assert!(!path.exists(), "it goes with the host");
    assert!(top.path().join("a/b").exists());
}

#[tokio::test]
async fn a_host_that_lives_keeps_its_socket_and_one_that_is_gone_does_not() {
    let top = TempDir::new().unwrap();
    let path = top.path().join("s");
    let living = Socket::open(&given(&path)).await.unwrap();
    let told = open(&given(&path)).await;
    assert_eq!(told, Err(format!("another host answers on `{}`", path.display())));
    assert!(UnixStream::connect(&path).await.is_ok(), "nothing was done to it");
    drop(living);
    // A socket that nobody listens on any more: the standard library leaves its file behind.
    drop(StdUnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert_eq!(open(&given(&path)).await, Ok(path.clone()));
}

#[tokio::test]
async fn of_many_hosts_that_start_together_one_gets_the_socket() {
    let top = TempDir::new().unwrap();
    let path = top.path().join("s");
    for _ in 0..20 {
        drop(StdUnixListener::bind(&path).unwrap());
        let place = given(&path);
        let (a, b, c) = tokio::join!(Socket::open(&place), Socket::open(&place), Socket::open(&place));
        let opened = [a, b, c];
        assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1, "{opened:?}");
        assert!(UnixStream::connect(&path).await.is_ok());
    }
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let top = TempDir::new().unwrap();
    let path = top.path().join("s");
    fs::write(&path, "mine").unwrap();
    let told = open(&given(&path)).await;
    assert_eq!(told, Err(format!("`{}` is there already and is no socket", path.display())));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_file(&path).unwrap();
    // Another one that was put in its place meanwhile stays too.
    let socket = Socket::open(&given(&path)).await.unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    drop(socket);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_folder_that_others_may_use_is_not_taken() {
    let top = TempDir::new().unwrap();
    let (open_to_all, good) = (top.path().join("open"), top.path().join("good"));
    fs::create_dir(&open_to_all).unwrap();
    fs::set_permissions(&open_to_all, Permissions::from_mode(0o755)).unwrap();
    let link = top.path().join("link");
    fs::create_dir(top.path().join("real")).unwrap();
    std::os::unix::fs::symlink(top.path().join("real"), &link).unwrap();
    let place = |folder: &Path| Place::Derived(vec![folder.join("s")]);
    let told = open(&place(&open_to_all)).await.unwrap_err();
    assert!(told.contains("others may use (mode 755); `chmod 700 "), "{told}");
    let told = open(&place(&link)).await.unwrap_err();
    assert!(told.contains("is no folder"), "{told}");
    // The next place is taken instead, and of several that cannot be the first is told.
    let both = Place::Derived(vec![open_to_all.join("s"), good.join("s")]);
    assert_eq!(open(&both).await, Ok(good.join("s")));
    let bad = Place::Derived(vec![open_to_all.join("s"), link.join("s")]);
    assert!(open(&bad).await.unwrap_err().contains("mode 755"));
    // What a person names is that person's business.
    assert_eq!(open(&given(&open_to_all.join("s"))).await, Ok(open_to_all.join("s")));
}

#[tokio::test]
async fn paths_that_are_too_long_say_so() {
    let top = TempDir::new().unwrap();
    let told = open(&given(&top.path().join("x".repeat(PATH_BYTES_MAX)))).await.unwrap_err();
    assert!(told.ends_with("is longer than the 100 bytes that a socket's path may have"), "{told}");
    let told = open(&given(Path::new("/proc/nowhere/s"))).await.unwrap_err();
    assert!(told.contains("cannot be"), "{told}");
}

/// The place is the same for every spelling of the same manifest, and another one for another manifest.
#[test]
fn hosts_and_those_who_talk_to_them_find_the_same_place() {
    let top = TempDir::new().unwrap();
    let file = top.path().join("clockjack.yaml");
    fs::write(&file, "").unwrap();
    let spelled = top.path().join(".").join("clockjack.yaml");
    let (one, same) = (place(None, std::slice::from_ref(&file)), place(None, &[spelled]));
    assert_eq!(one, same);
    assert_ne!(one, place(None, &[top.path().join("other.yaml")]));
    assert!(!one.paths().is_empty());
    assert!(one.paths().iter().all(|path| path.as_os_str().len() <= PATH_BYTES_MAX));
    assert_eq!(place(Some(Path::new("/x/y.sock")), &[file]), Place::Given("/x/y.sock".into()));
}

//! The identity file: the secret key of a person, made once, never overwritten.
//!
//! Text, so that a person sees what it is. A checksum tells a damaged file from a good one: a
//! flipped bit would otherwise make another person of its owner.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::sys;
use crate::error::{ExitCode, UserError};
use crate::proto::Identity;
use crate::store::owner_only;

/// Its name in the data directory.
pub const FILE: &str = "identity";
const HEADER: &str = "lanchat identity 1";
const COMMENT: &str = "# This is your secret key. Whoever has it is you: show it to nobody.";
/// Longest file that is read.
const LEN_MAX: u64 = 4096;
const ELSEWHERE: &str = "choose another directory with `--data-dir`, or run with `--ephemeral`";

/// An identity from a file.
pub struct Loaded {
    /// The identity.
    pub identity: Identity,
    /// Whether others than its owner may read the file.
    pub exposed: bool,
}

/// The identity of this data directory, which has to exist; made if there is none yet.
///
/// # Errors
/// The file cannot be read, is corrupt, or cannot be made. An existing one is never changed.
pub fn load_or_create(dir: &Path) -> Result<Loaded, UserError> {
    let path = dir.join(FILE);
    if let Some(loaded) = load(&path)? {
        return Ok(loaded);
    }
    let secret = random()?;
    let made = create(dir, &path, &secret);
    made.map_err(|error| failed(format!("cannot keep an identity in {dir:?}: {error}")))?;
    // Read back, since another process may have been faster; then its identity counts.
    load(&path)?.ok_or_else(|| failed(format!("the identity {path:?} vanished")))
}

/// An identity for this run only.
///
/// # Errors
/// The system gives no random numbers.
pub fn ephemeral() -> Result<Identity, UserError> {
    Ok(Identity::from_secret(&*random()?))
}

fn failed(message: String) -> UserError {
    UserError::new(ExitCode::Failed, message).hint(ELSEWHERE)
}

fn random() -> Result<Zeroizing<[u8; 32]>, UserError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(|error| {
        let message = format!("the system gives no random numbers: {error}");
        UserError::new(ExitCode::Failed, message)
    })?;
    Ok(secret)
}

fn load(path: &Path) -> Result<Option<Loaded>, UserError> {
    let cannot = |error: io::Error| failed(format!("cannot read the identity {path:?}: {error}"));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    let exposed = sys::is_exposed(&file.metadata().map_err(cannot)?);
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LEN_MAX).read_to_end(&mut bytes).map_err(cannot)?;
    let secret = std::str::from_utf8(&bytes).ok().and_then(parse);
    let secret = secret.ok_or_else(|| {
        let message = format!("the identity {path:?} is corrupt");
        UserError::new(ExitCode::Failed, message).hint(
            "it was left as it is: restore it from a backup, or move it away to begin as somebody new",
        )
    })?;
    let identity = Identity::from_secret(&secret);
    Ok(Some(Loaded { identity, exposed }))
}

/// Writes the file whole under another name, then links it to its own, which fails rather than
/// replaces: two that start at once end up with one identity.
fn create(dir: &Path, path: &Path, secret: &[u8; 32]) -> io::Result<()> {
    let draft = draft(dir)?;
    let mut file = owner_only().write(true).create_new(true).open(&draft)?;
    let linked = file
        .write_all(format(secret).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| link(&draft, path));
    drop(file);
    // A draft that cannot be removed is a key that nobody uses.
    let _ = fs::remove_file(&draft);
    linked?;
    // So that the name outlives a power cut too. Not every system opens directories.
    let _ = File::open(dir).and_then(|dir| dir.sync_all());
    Ok(())
}

fn link(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A file system without links: here alone two starts at once could collide.
        Err(_) if !path.try_exists()? => fs::rename(draft, path),
        result => result,
    }
}

fn draft(dir: &Path) -> io::Result<PathBuf> {
    let mut suffix = [0; 5];
    getrandom::fill(&mut suffix).map_err(io::Error::other)?;
    let suffix = BASE32_NOPAD.encode(&suffix).to_ascii_lowercase();
    Ok(dir.join(format!("{FILE}.{suffix}.new")))
}

fn format(secret: &[u8; 32]) -> Zeroizing<String> {
    let key = Zeroizing::new(BASE32_NOPAD.encode(secret).to_ascii_lowercase());
    let check = checksum(secret);
    Zeroizing::new(format!(
        "{HEADER}\n{COMMENT}\nsecret {}\ncheck {check}\n",
        key.as_str()
    ))
}

/// The secret in this text, if it is one to the last character. Lines may end as on Windows.
fn parse(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    if lines.next()? != HEADER {
        return None;
    }
    let key = lines.next()?.strip_prefix("secret ")?;
    let check = lines.next()?.strip_prefix("check ")?;
    let key = Zeroizing::new(key.to_ascii_uppercase());
    let bytes = Zeroizing::new(BASE32_NOPAD.decode(key.as_bytes()).ok()?);
    let secret: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.as_slice().try_into().ok()?);
    (check == checksum(&secret) && lines.next().is_none()).then_some(secret)
}

/// 40 bits that say nothing about the secret but that it is whole.
fn checksum(secret: &[u8; 32]) -> String {
    let hash = blake3::derive_key("lanchat 1 identity file checksum", secret);
    BASE32_NOPAD.encode(&hash[..5]).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn it_is_made_once_and_stays() {
        let dir = TempDir::new().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        let again = load_or_create(dir.path()).unwrap();
        assert_eq!(first.identity.id(), again.identity.id());
        assert!(!first.exposed && !again.exposed);
        assert!(text.starts_with("lanchat identity 1\n# This is your secret key."));
        assert_eq!(text, fs::read_to_string(dir.path().join(FILE)).unwrap());
        let files = fs::read_dir(dir.path()).unwrap();
        assert_eq!(files.count(), 1, "no draft is left");
        assert_ne!(ephemeral().unwrap().id(), ephemeral().unwrap().id());
    }

    #[test]
    fn a_known_secret_has_a_known_text() {
        let text = format(&[7; 32]);
        assert_eq!(parse(&text).as_deref(), Some(&[7; 32]));
        assert_eq!(
            parse(&text.replace('\n', "\r\n")).as_deref(),
            Some(&[7; 32])
        );
        let expected = [
            "lanchat identity 1",
            "# This is your secret key. Whoever has it is you: show it to nobody.",
            "secret a4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dq",
            "check byc2xsx5",
            "",
        ];
        assert_eq!(text.as_str(), expected.join("\n"));
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let text = format(&[7; 32]);
        let body = text.find("\nsecret").unwrap() + 1;
        for at in body..text.len() - 1 {
            for with in ["b", "2", "", "\n", "é"] {
                let mut changed = text.to_string();
                changed.replace_range(at..=at, with);
                if changed != *text {
                    assert!(parse(&changed).is_none(), "{changed}");
                }
            }
        }
    }

    #[test]
    fn a_corrupt_one_is_refused_and_left_as_it_is() {
        let whole = format(&[7; 32]);
        let cut = &whole[..whole.len() - 8];
        let twice = format!("{}{}", *whole, *whole);
        let later = whole.replace("identity 1", "identity 2");
        let huge = "x".repeat(100_000);
        for text in ["", "garbage", cut, &twice, &later, &huge, "\u{1b}[2J"] {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join(FILE);
            fs::write(&path, text).unwrap();
            let error = load_or_create(dir.path()).err().expect("corrupt");
            assert!(error.message.ends_with("is corrupt"), "{error}");
            assert!(error.hint.unwrap().contains("backup"));
            assert_eq!(error.code, ExitCode::Failed);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(FILE), [0xff, 0xfe]).unwrap();
        assert!(load_or_create(dir.path()).is_err());
    }

    #[test]
    fn two_starts_at_once_agree() {
        let dir = TempDir::new().unwrap();
        let start = || load_or_create(dir.path()).unwrap().identity.id();
        let ids = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    }

    #[test]
    fn a_directory_in_its_place_or_none_to_be_in_is_an_error() {
        let dir = TempDir::new().unwrap();
        let missing = dir.path().join("missing");
        let error = load_or_create(&missing).err().expect("no directory");
        assert!(error.message.contains("cannot keep an identity"), "{error}");
        fs::create_dir(dir.path().join(FILE)).unwrap();
        let error = load_or_create(dir.path()).err().expect("a directory");
        assert!(
            error.message.contains("cannot read the identity"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn its_mode_is_0600_and_any_other_is_reported() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new().unwrap();
        load_or_create(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        for wide in [0o644, 0o640, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wide)).unwrap();
            assert!(load_or_create(dir.path()).unwrap().exposed);
            assert_eq!(mode(), wide, "left for its owner to change");
        }
    }
}

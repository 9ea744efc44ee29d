//! Detached signatures of plugin files, as `minisign` makes them: `FILE.minisig` beside the file.
//!
//! A signature is looked at before anything else touches the bytes, and it is about the very bytes that are compiled.

use std::path::Path;

use minisign_verify::{PublicKey, Signature};

use crate::{
    error::{LoadCode, LoadError, shown},
    file,
};

/// Largest signature file: minisign's own have some 300 bytes.
const BYTES_MAX: u64 = 8 << 10;

/// Checks that one of these keys signed these bytes. Answers when that was, as the signer says, in seconds since 1970.
///
/// # Errors
/// `load.signature`, with the keys that were tried.
pub(crate) fn check(path: &Path, bytes: &[u8], keys: &[String]) -> Result<Option<u64>, LoadError> {
    let beside = path.with_added_extension("minisig");
    let tried = || keys.iter().map(|key| key_id(key)).collect::<Vec<_>>().join(", ");
    let refused = |message: String| {
        let fix = format!(
            "sign the file with `minisign -Sm {}`, or take it from whoever holds one of the keys under `host.trusted_keys`",
            path.display()
        );
        LoadError::new(LoadCode::Signature, format!("{message}; trusted keys here: {}", tried()), fix)
    };
    let text = file::read_small(&beside, BYTES_MAX)
        .map_err(|problem| refused(format!("the file needs a signature, and `{}` {problem}", beside.display())))?;
    let text = String::from_utf8(text).map_err(|_error| refused(format!("`{}` is no text", beside.display())))?;
    let signature = Signature::decode(&text)
        .map_err(|error| refused(format!("`{}` is no signature of minisign: {error}", beside.display())))?;
    let mut problem = "no key is named".to_owned();
    for key in keys {
        let verified = PublicKey::from_base64(key).and_then(|key| key.verify(bytes, &signature, false));
        match verified {
            Ok(()) => return Ok(signed_at(signature.trusted_comment())),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(refused(format!("the signature `{}` is not valid for the file: {}", beside.display(), shown(&problem))))
}

/// The number that minisign shows for a key, which is written backwards in it.
fn key_id(key: &str) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(key).unwrap_or_default();
    let Some(id) = bytes.get(2..10) else { return format!("`{}`, which is no key of minisign", shown(key)) };
    id.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// The time in the part of the comment that is signed: `timestamp:1633700835`, with tabs between its words.
fn signed_at(comment: &str) -> Option<u64> {
    let mut words = comment.split([' ', '\t']);
    words.find_map(|word| word.strip_prefix("timestamp:"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor};

    use minisign::KeyPair;

    use super::*;

    /// Signs a file as minisign does, and gives the public key.
    fn sign(path: &Path, bytes: &[u8], comment: &str) -> String {
        let KeyPair { pk, sk } = KeyPair::generate_unencrypted_keypair().unwrap();
        let signed = minisign::sign(Some(&pk), &sk, Cursor::new(bytes), Some(comment), None).unwrap();
        fs::write(path.with_added_extension("minisig"), signed.into_string()).unwrap();
        pk.to_base64()
    }

    #[test]
    fn a_signature_is_of_these_bytes_and_of_a_trusted_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.wasm");
        let told = |bytes: &[u8], keys: &[String]| check(&path, bytes, keys).map_err(|error| error.message);
        let unsigned = told(b"plugin", &["RWQ".to_owned()]).unwrap_err();
        assert!(unsigned.contains("the file needs a signature"), "{unsigned}");
        let stranger = sign(&path, b"plugin", "timestamp:1\tfile:plugin.wasm");
        let key = sign(&path, b"plugin", "timestamp:1800000000\tfile:plugin.wasm");
        assert_eq!(told(b"plugin", std::slice::from_ref(&key)), Ok(Some(1_800_000_000)));
        assert_eq!(told(b"plugin", &[stranger.clone(), key.clone()]), Ok(Some(1_800_000_000)), "any of them");
        for (bytes, keys) in [
            (b"plugim".as_slice(), vec![key.clone()]),
            (b"plugin", vec![stranger]),
            (b"plugin", vec!["no key".to_owned()]),
            (b"plugin", Vec::new()),
        ] {
            let error = check(&path, bytes, &keys).unwrap_err();
            assert_eq!(error.code, LoadCode::Signature, "{error}");
            assert!(error.message.contains("is not valid for the file"), "{error}");
        }
        // A comment that somebody else wrote makes the whole signature void.
        let beside = path.with_added_extension("minisig");
        let forged = fs::read_to_string(&beside).unwrap().replace("1800000000", "1900000000");
        fs::write(&beside, forged).unwrap();
        assert!(told(b"plugin", &[key]).is_err());
    }
}

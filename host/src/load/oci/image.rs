//! The manifest of an image: whether it is that of a component, and which layer holds it.
//!
//! The layout is that of the CNCF for WebAssembly: a config of a type of its own, and one layer, which is the component's
//! bytes as they are.

use clockjack_sandbox::{COMPONENT_BYTES_MAX, LoadCode, LoadError, shown_name};
use clockjack_schedule::manifest::{oci_reference::OciReference, resolved::Sha256, scalar::show_size};
use serde_json::Value as Json;

/// Types of the config: that of the layout, the one that may follow it, which older tools already write.
const CONFIGS: [&str; 2] = ["application/vnd.wasm.config.v0+json", "application/vnd.wasm.config.v1+json"];

/// Types of the layer: that of the layout, and that of older tools.
const LAYERS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];

/// What to do about an image that is none of ours.
const PUSH: &str = "push the component itself, with a tool that knows the layout of the CNCF for WebAssembly, such as `wkg \
                    oci push`";

/// Where the component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    /// The SHA-256 of its bytes.
    pub(super) digest: Sha256,
    /// How many they are.
    pub(super) n_bytes: u64,
}

/// The layer of an image.
pub(super) fn layer_of(manifest: &[u8], reference: &OciReference) -> Result<Layer, LoadError> {
    layer(manifest).map_err(|Misfit { code, problem, fix }| LoadError {
        code,
        message: format!("`{reference}` {problem}"),
        fix: fix.to_owned(),
    })
}

/// Why an image cannot be used; the problem follows its name in a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    code: LoadCode,
    problem: String,
    fix: &'static str,
}

/// The layer of an image, whatever it is called.
pub(super) fn layer(manifest: &[u8]) -> Result<Layer, Misfit> {
    let misfit = |problem: String| Err(Misfit { code: LoadCode::Invalid, problem, fix: PUSH });
    let Ok(json) = serde_json::from_slice::<Json>(manifest) else {
        return misfit("has a manifest that is no JSON".to_owned());
    };
    if let Some(images) = json["manifests"].as_array() {
        return misfit(format!("is an index of {} images, and a component is one image", images.len()));
    }
    let config = json["config"]["mediaType"].as_str().unwrap_or_default();
    if !CONFIGS.contains(&config) {
        let kind = if is_of_containers(config) { "an image for containers" } else { "no component" };
        return misfit(format!("is {kind}: its config is {}, and not `{}`", told(config), CONFIGS[0]));
    }
    let layers = json["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [layer] = layers else {
        return misfit(format!("has {} layers, and a component is one", layers.len()));
    };
    let kind = layer["mediaType"].as_str().unwrap_or_default();
    if !LAYERS.contains(&kind) {
        return misfit(format!("is no component: its layer is {}, and not `{}`", told(kind), LAYERS[0]));
    }
    let Some(n_bytes) = layer["size"].as_u64() else {
        return misfit("does not say how large its layer is".to_owned());
    };
    if COMPONENT_BYTES_MAX < n_bytes {
        let problem = format!("has {}; at most {} are loaded", show_size(n_bytes), show_size(COMPONENT_BYTES_MAX));
        let fix = "build it for size (`opt-level = \"s\"`, `strip = true`)";
        return Err(Misfit { code: LoadCode::TooLarge, problem, fix });
    }
    let digest = layer["digest"].as_str().unwrap_or_default();
    match digest.strip_prefix("sha256:").map(str::parse) {
        Some(Ok(digest)) => Ok(Layer { digest, n_bytes }),
        Some(Err(_)) | None => misfit(format!("names its layer by {}, and not by its SHA-256", told(digest))),
    }
}

/// Whether a config is that of an image with a file system.
fn is_of_containers(config: &str) -> bool {
    config.starts_with("application/vnd.oci.image.config") || config.starts_with("application/vnd.docker.container")
}

/// The word of a stranger.
fn told(word: &str) -> String {
    if word.is_empty() { "not named".to_owned() } else { format!("`{}`", shown_name(word)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(config: &str, layers: &Json) -> Vec<u8> {
        let config = json!({ "mediaType": config, "digest": DIGEST, "size": 2 });
        json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string().into_bytes()
    }

    fn one(kind: &str, size: &Json, digest: &str) -> Json {
        json!([{ "mediaType": kind, "size": size, "digest": digest }])
    }

    fn refused(manifest: &[u8]) -> String {
        let Misfit { code, problem, .. } = layer(manifest).unwrap_err();
        format!("{code} {problem}")
    }

    #[test]
    fn a_component_is_one_layer_with_a_config_of_its_own() {
        for config in CONFIGS {
            for kind in LAYERS {
                let found = layer(&manifest(config, &one(kind, &json!(COMPONENT_BYTES_MAX), DIGEST))).unwrap();
                assert_eq!(format!("sha256:{}", found.digest), DIGEST);
                assert_eq!(found.n_bytes, COMPONENT_BYTES_MAX);
            }
        }
    }

    #[test]
    fn whatever_else_is_there_is_named() {
        let (config, wasm) = (CONFIGS[0], LAYERS[0]);
        let good = one(wasm, &json!(8), DIGEST);
        let of = |layers: &Json| refused(&manifest(config, layers));
        let docker = "application/vnd.docker.container.image.v1+json";
        assert!(
            refused(&manifest(docker, &good)).contains("is an image for containers: its config is `application/vnd")
        );
        assert!(refused(&manifest("text/plain", &good)).contains("is no component: its config is `text/plain`"));
        assert!(refused(b"{}").contains("its config is not named"));
        assert!(refused(b"\xff").contains("no JSON"));
        assert!(refused(br#"{ "manifests": [{}, {}] }"#).contains("an index of 2 images"));
        assert!(of(&json!([])).contains("has 0 layers"));
        assert!(of(&json!([good[0], good[0]])).contains("has 2 layers"));
        assert!(
            of(&one("application/vnd.oci.image.layer.v1.tar+gzip", &json!(8), DIGEST)).contains("tar+gzip`, and not")
        );
        assert!(of(&one(wasm, &json!(-1), DIGEST)).contains("how large"));
        assert!(of(&one(wasm, &json!(COMPONENT_BYTES_MAX + 1), DIGEST)).starts_with("load.too_large has "));
        assert!(of(&one(wasm, &json!(8), "sha512:00")).contains("`sha512:00`, and not by its SHA-256"));
        assert!(of(&one(wasm, &json!(8), "sha256:00")).contains("not by its SHA-256"));
        let steering = manifest("a\u{1b}[31m", &good);
        assert!(!refused(&steering).contains('\u{1b}'));
    }
}

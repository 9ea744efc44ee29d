//! `PUT` and `DELETE` of `/plugins/{name}`: plugins that come through the API.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use clockjack_schedule::id::PluginName;
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::{fs, io::AsyncWriteExt as _};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{By, Named},
    problem::{Problem, Problems},
    query::{Dry, Query},
    router::Api,
    view::{Plan, definitions::Uploaded},
};
use crate::hot::{UNFINISHED, Upload};

/// Largest plugin that is taken in: components that bundle a whole language runtime have about half of it.
const UPLOAD_BYTES_MAX: usize = 32 << 20;

/// How long it may take to come.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(60);

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(upload, unload))
}

/// Take in a plugin: a new one, or the next generation of one that was uploaded before.
#[utoipa::path(put, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path), ("sha256" = Option<String>, Query, description = "Only if its bytes have this SHA-256, in hex."), ("dry_run" = Option<bool>, Query, description = "Only say what would happen.")), request_body(content = Vec<u8>, content_type = "application/wasm"), responses((status = 200, body = Uploaded), Problems))]
async fn upload(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    Dry(is_dry): Dry,
    by: By,
    mut query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Uploaded>, Problem> {
    let plugin = plugin(&name)?;
    let wanted = query.one("sha256").map(|wanted| wanted.to_lowercase());
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/wasm") {
        let fix = "send its bytes with the header `Content-Type: application/wasm`";
        let detail = "the body of the request is not said to be a component";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.media_type", detail, fix));
    }
    let Some(folder) = api.reloader.uploads() else {
        let fix = "give the host a ledger in a file: `--ledger sqlite:PATH`";
        return Err(Problem::conflict(
            "plugin.no_place",
            "this host keeps nothing, so it has no place for plugins",
            fix,
        ));
    };
    let file = Temporary::within(&folder);
    let received = tokio::time::timeout(UPLOAD_TIME_MAX, receive(&folder, &file.0, body)).await;
    let received = received.unwrap_or_else(|_elapsed| {
        let detail = format!("the plugin did not come within {UPLOAD_TIME_MAX:?}");
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request.slow", detail, "send it at once"))
    });
    let digest = received?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != digest) {
        let detail = format!("its bytes have the SHA-256 {digest}, and not {wanted}");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "load.digest", detail, "send it again"));
    }
    let (view, plan) = api.reloader.upload(Upload { plugin, file: file.0.clone(), by: by.name(), is_dry }).await?;
    let plugin = || Uploaded::Plugin(Box::new((&view).into()));
    Ok(Json(if is_dry { Uploaded::Plan(Box::new(plan.into())) } else { plugin() }))
}

/// Forget a plugin that was uploaded and that no job uses.
#[utoipa::path(delete, path = "/plugins/{name}", tag = "plugins", params(("name" = String, Path), ("dry_run" = Option<bool>, Query, description = "Only say what would happen.")), responses((status = 204), (status = 200, body = Plan, description = "What would happen."), Problems))]
async fn unload(State(api): State<Arc<Api>>, Named(name): Named, Dry(is_dry): Dry) -> Result<Response, Problem> {
    let plan = api.reloader.unload(plugin(&name)?, is_dry).await?;
    Ok(if is_dry { Json(Plan::from(plan)).into_response() } else { StatusCode::NO_CONTENT.into_response() })
}

pub(super) fn plugin(name: &str) -> Result<PluginName, Problem> {
    let invalid = |why: String| {
        let detail = format!("`{name}` is no name of a plugin: {why}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "plugin.invalid", detail, "choose another name")
    };
    if name.ends_with(".wasm") || name.ends_with(".wat") {
        // A job that named such a plugin would name a file.
        return Err(invalid("it ends like a file".to_owned()));
    }
    name.parse::<PluginName>().map_err(|error| invalid(error.to_string()))
}

/// A file in the folder of uploads whose name no plugin and no other upload has. It is gone with this, wherever the upload
/// breaks off.
struct Temporary(PathBuf);

impl Temporary {
    fn within(folder: &Path) -> Self {
        static N_UPLOADS: AtomicU64 = AtomicU64::new(0);
        let number = N_UPLOADS.fetch_add(1, Ordering::Relaxed);
        Self(folder.join(format!("{UNFINISHED}{}-{number}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Where the upload was taken in, it lies elsewhere by now.
        drop(std::fs::remove_file(&self.0));
    }
}

/// Writes a body to a file as it comes, and says what its SHA-256 is.
async fn receive(folder: &Path, file: &Path, mut body: Body) -> Result<String, Problem> {
    let unusable = |error: std::io::Error| {
        let detail = format!("the plugin cannot be put into `{}`: {error}", folder.display());
        Problem::conflict("plugin.no_place", detail, "see to that folder, and upload it again")
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await.map_err(unusable)?;
    let mut out = fs::File::create(file).await.map_err(unusable)?;
    let (mut hash, mut n_bytes) = (Sha256::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!("the body of the request broke off: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "request.invalid", detail, "send it again")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        n_bytes += data.len();
        if UPLOAD_BYTES_MAX < n_bytes {
            let detail = format!("the plugin has more than {UPLOAD_BYTES_MAX} bytes");
            let fix =
                "build it with `opt-level = \"s\"` and without debug information, or name its file in the manifest";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail, fix));
        }
        hash.update(&data);
        out.write_all(&data).await.map_err(unusable)?;
    }
    out.flush().await.map_err(unusable)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures_util::{StreamExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn an_upload_that_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let half = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"half of it"))]);
        let body = Body::from_stream(half.chain(stream::pending()));
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        let upload = async {
            let file = Temporary::within(folder.path());
            receive(folder.path(), &file.0, body).await
        };
        let begun = async {
            while files() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            received = upload => panic!("there is more to come: {received:?}"),
            () = begun => {}
        }
        assert_eq!(files(), 0);
    }
}

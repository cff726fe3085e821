//! A server that goes by an access file, and credentials that it takes.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use livelog::identity::SigningKey;
use livelog::value::read;
use serde_json::{Value, json};

use super::client::Client;
use super::database::{Database, scratch};
use super::server::Server;

/// Whose tokens are taken.
pub const ISSUER: &str = "test";

const SECRET: &str = "a secret of thirty-two bytes, or more";

/// An access file in a folder of its own, with the secret that it names.
#[derive(Debug)]
pub struct AccessFile {
    folder: tempfile::TempDir,
}

impl AccessFile {
    /// One with these roles, and with what else `more` says.
    pub fn new(roles: &Value, more: &Value) -> Self {
        let folder = scratch();
        std::fs::write(folder.path().join("secret.txt"), SECRET).unwrap();
        let file = Self { folder };
        file.write(roles, more);
        file
    }

    /// Exchanges it at one stroke.
    pub fn write(&self, roles: &Value, more: &Value) {
        let mut file = json!({
            "issuers": [{"iss": ISSUER, "aud": "livelog", "algorithms": ["HS256"], "secretFile": "secret.txt"}],
            "roles": roles,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            file[name] = value.clone();
        }
        self.write_text(&file.to_string());
    }

    /// Any text in its place.
    pub fn write_text(&self, text: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }

    pub fn path(&self) -> String {
        let path = self.folder.path().join("access.json");
        path.to_str().unwrap().to_owned()
    }
}

/// A server on an empty database that goes by this file.
pub async fn serve(database: Arc<Database>, file: &AccessFile) -> Server {
    Server::on(database, &["--access", &file.path()]).await
}

/// A token for somebody in the role `user` that is good for an hour, with these claims besides.
pub fn token(subject: &str, claims: &Value) -> String {
    expiring(subject, claims, 3600)
}

/// The same that expires so many seconds from now.
pub fn expiring(subject: &str, claims: &Value, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let mut all = json!({
        "iss": ISSUER, "aud": "livelog", "sub": subject, "role": "user",
        "iat": now - 100, "exp": now + seconds,
    });
    for (name, value) in claims.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let claims = read(&all.to_string(), "").unwrap();
    let key = SigningKey::from_secret(SECRET).unwrap();
    key.sign(&claims, None).unwrap()
}

/// The value of the header that shows a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A session by this path for who shows this token.
pub async fn session(server: &Server, path: &str, token: &str) -> Client {
    let shown = bearer(token);
    let headers = [("authorization", shown.as_str())];
    server.try_connect(path, &headers).await.unwrap()
}

/// Status and JSON body of a GET for who shows this token.
pub async fn get(server: &Server, path: &str, token: &str) -> (u16, Value) {
    let request = server
        .http("GET", path)
        .header("authorization", bearer(token));
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

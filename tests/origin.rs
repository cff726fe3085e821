//! Which web pages may connect. A browser lets any page open a WebSocket anywhere, and says only in `Origin`
//! whose page it is.

use tokio_tungstenite::tungstenite::Error;

use crate::support::{Database, Server};

async fn refused(server: &Server, origin: &str) -> bool {
    match server.try_connect("/ws", &[("origin", origin)]).await {
        Ok(_) => false,
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 403, "{origin}");
            let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
            assert!(body.contains("forbidden_origin"), "{body}");
            true
        }
        Err(error) => panic!("{origin}: {error}"),
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_turned_away() {
    let server = Server::start().await;
    let port = server.address().rsplit_once(':').unwrap().1.to_owned();
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("http://127.0.0.1:{port}0"),
        format!("http://evil.example:{port}"),
        "null".to_owned(),
        "nonsense".to_owned(),
    ] {
        assert!(refused(&server, &origin).await, "{origin}");
    }
}

#[tokio::test]
async fn own_pages_and_programs_are_let_in() {
    let server = Server::start().await;
    assert!(!refused(&server, &format!("http://{}", server.address())).await);
    server.client().await.lives().await;
}

#[tokio::test]
async fn listed_sites_are_let_in() {
    let server = Server::on(
        Database::shared().await,
        &[
            "--allow-origin",
            "https://app.example",
            "--allow-origin",
            "http://localhost:5173",
        ],
    )
    .await;
    assert!(!refused(&server, "https://app.example").await);
    assert!(!refused(&server, "http://localhost:5173").await);
    assert!(refused(&server, "http://app.example").await);
    assert!(refused(&server, "https://app.example.evil.example").await);
    assert!(refused(&server, "https://app.example:444").await);
}

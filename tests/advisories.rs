//! What went wrong with the access rules of others, each as a case here.

use serde_json::{Value, json};

use crate::support::guarded::{AccessFile, get, serve, session, token};
use crate::support::{Client, Database, Server, eventually};

fn service_role() -> Value {
    json!({
        "read": true, "create": true, "update": true, "delete": true, "past": "all",
        "broadcast": {"send": true, "hear": true},
    })
}

/// A server with this role `user`, and a session of who may do everything, which is told no changes.
async fn guarded(user: &Value) -> (Server, AccessFile, Client) {
    let file = AccessFile::new(
        &json!({"user": user, "service": service_role()}),
        &json!({}),
    );
    let server = serve(Database::alone().await, &file).await;
    let service = token("service", &json!({"role": "service"}));
    let service = session(&server, "/ws?changes=none", &service).await;
    (server, file, service)
}

async fn user(server: &Server, claims: &Value) -> Client {
    session(server, "/ws", &token("ann", claims)).await
}

async fn ids(client: &mut Client, filter: Value) -> Vec<String> {
    let answer = client.ok("FETCH", json!({"filter": filter})).await;
    let events = answer["data"].as_array().unwrap().iter();
    events
        .map(|event| event["_id"].as_str().unwrap().to_owned())
        .collect()
}

/// The kinds and ids of what it is told, up to the last event, which it sees.
async fn told_until(client: &mut Client, last: &str) -> Vec<(String, String)> {
    let mut told = Vec::new();
    loop {
        let change = client.change().await;
        let word = |name: &str| change[name].as_str().unwrap().to_owned();
        if change["eventId"] == last {
            return told;
        }
        told.push((word("kind"), word("eventId")));
    }
}

/// RESTHeart 9.8.2: `{"owner":"@user._id"}` became `{"owner":null}`.
#[tokio::test]
async fn a_claim_that_is_missing_does_not_find_what_has_no_owner() {
    let mine = json!({"owner": {"$claim": "uid"}});
    let role = json!({"read": mine, "create": {"after": mine}, "update": {"after": mine}, "delete": {"before": mine}});
    let (server, _file, mut service) = guarded(&role).await;
    service.create(json!({"_id": "nobodys"})).await;
    service.create(json!({"_id": "null", "owner": null})).await;
    for claims in [
        json!({}),
        json!({"uid": null}),
        json!({"uid": {"$exists": false}}),
        json!({"uid": [null]}),
    ] {
        let mut ann = user(&server, &claims).await;
        assert_eq!(ids(&mut ann, json!({})).await, [""; 0], "{claims}");
        for id in ["nobodys", "null"] {
            assert_eq!(
                ann.refused("DELETE", json!({"id": id})).await["code"],
                "not_found"
            );
        }
        assert_eq!(
            ann.refused("CREATE", json!({"owner": null})).await["code"],
            "forbidden"
        );
    }
}

/// RESTHeart 9.12.2: a client that left the variable of a stream out got everybody's.
#[tokio::test]
async fn a_stream_for_who_lacks_the_claim_tells_nothing_of_others() {
    let role = json!({"read": {"$or": [{"room": {"$claim": "room"}}, {"_id": "last"}]}});
    let (server, _file, mut service) = guarded(&role).await;
    let mut ann = user(&server, &json!({})).await;
    let mut bob = user(&server, &json!({"room": "r"})).await;
    service.create(json!({"_id": "a", "room": "r"})).await;
    service.create(json!({"_id": "b"})).await;
    service.create(json!({"_id": "last"})).await;
    assert_eq!(told_until(&mut ann, "last").await, []);
    assert_eq!(
        told_until(&mut bob, "last").await,
        [("create".to_owned(), "a".to_owned())]
    );
}

/// RESTHeart 9.17.0: values of a client changed the query.
#[tokio::test]
async fn a_claim_is_a_value_whatever_it_looks_like() {
    let role = json!({"read": {"owner": {"$claim": "uid"}}});
    let (server, _file, mut service) = guarded(&role).await;
    service.create(json!({"_id": "a", "owner": "bob"})).await;
    service
        .create(json!({"_id": "dollar", "owner": "$owner"}))
        .await;
    for (claim, seen) in [
        (json!({"$ne": "x"}), vec![]),
        (json!({"$gt": ""}), vec![]),
        (json!(["bob"]), vec![]),
        (json!("$owner"), vec!["dollar"]),
        (json!("bob\",\"x\":\""), vec![]),
    ] {
        let mut ann = user(&server, &json!({"uid": claim})).await;
        assert_eq!(ids(&mut ann, json!({})).await, seen, "{claim}");
    }
}

/// RESTHeart 9.17.0, Parse 10176, platformatic 5119, baserow 6080, elide 3415: hidden fields were probed by filters and orders.
#[tokio::test]
async fn what_is_hidden_is_found_by_no_filter_and_no_order_live_or_not() {
    let role = json!({"read": true, "hide": ["hash", "owner.email"]});
    let (server, _file, mut service) = guarded(&role).await;
    service
        .create(json!({"_id": "a", "hash": "abc", "owner": {"email": "x", "name": "y"}}))
        .await;
    let mut ann = user(&server, &json!({})).await;
    for filter in [
        json!({"hash": {"$regex": "^a"}}),
        json!({"hash": {"$exists": false}}),
        json!({"$nor": [{"hash": "abc"}]}),
        json!({"owner": {"email": "x", "name": "y"}}),
        json!({"owner.email": {"$gt": ""}}),
        json!({"owner.0.email": "x"}),
        json!({"owner": {"$elemMatch": {"email": "x"}}}),
    ] {
        for (kind, payload) in [
            ("FETCH", json!({"filter": filter})),
            ("SUBSCRIBE", json!({"sub": "s", "filter": filter})),
        ] {
            assert_eq!(
                ann.refused(kind, payload).await["code"],
                "forbidden",
                "{kind} {filter}"
            );
        }
        let query = format!("filter={filter}");
        for path in ["/api/events", "/api/changes"] {
            let path = format!(
                "{path}?{}",
                query
                    .replace('"', "%22")
                    .replace('{', "%7B")
                    .replace('}', "%7D")
                    .replace('$', "%24")
                    .replace('^', "%5E")
                    .replace('[', "%5B")
                    .replace(']', "%5D")
            );
            assert_eq!(
                get(&server, &path, &token("ann", &json!({}))).await.0,
                403,
                "{path}"
            );
        }
    }
    for payload in [
        json!({"sort": {"hash": 1}}),
        json!({"sort": {"owner.email": -1}}),
        json!({"sort": {"owner": 1}}),
        json!({"fields": ["hash"]}),
        json!({"fields": ["owner"]}),
    ] {
        assert_eq!(
            ann.refused("FETCH", payload.clone()).await["code"],
            "forbidden",
            "{payload}"
        );
    }
    let answer = ann.ok("FETCH", json!({"fields": ["owner.name"]})).await;
    assert_eq!(answer["data"][0]["owner"], json!({"name": "y"}));
}

/// Parse 10168: dotted paths went past the check of their first name.
#[tokio::test]
async fn a_dotted_path_touches_what_is_hidden_above_and_below() {
    let role = json!({"read": true, "hide": ["private"], "update": true});
    let (server, _file, mut service) = guarded(&role).await;
    service
        .create(json!({"_id": "a", "private": {"pin": 1, "list": [{"pin": 2}]}}))
        .await;
    let mut ann = user(&server, &json!({})).await;
    for path in [
        "private",
        "private.pin",
        "private.list.0.pin",
        "private.list.pin",
    ] {
        for payload in [
            json!({"filter": {path: 1}}),
            json!({"sort": {path: 1}}),
            json!({"fields": [path]}),
        ] {
            assert_eq!(
                ann.refused("FETCH", payload).await["code"],
                "forbidden",
                "{path}"
            );
        }
        for update in [
            json!({path: 1}),
            json!({"$inc": {path: 1}}),
            json!({"$unset": {path: true}}),
            json!({"$rename": {path: "open"}}),
            json!({"$rename": {"n": path}}),
        ] {
            let payload = json!({"id": "a", "updateData": update});
            assert_eq!(
                ann.refused("UPDATE", payload).await["code"],
                "forbidden",
                "{update}"
            );
        }
    }
    let patch = json!({"id": "a", "mergePatch": {"private": {"pin": null}}});
    assert_eq!(ann.refused("UPDATE", patch).await["code"], "forbidden");
    let pull = json!({"id": "a", "updateData": {"$pull": {"private.list": {"pin": 2}}}});
    assert_eq!(ann.refused("UPDATE", pull).await["code"], "forbidden");
}

/// Parse 10254: what a client watched told it that a protected field had changed.
#[tokio::test]
async fn a_change_of_hidden_fields_alone_is_told_on_no_path() {
    let role = json!({"read": true, "hide": ["secret"]});
    let (server, _file, mut service) = guarded(&role).await;
    let event = json!({"_id": "a", "n": 1, "secret": 1});
    let (_, seq) = service.create(event).await;
    // The feed of who comes now begins after it.
    let path = format!("/api/events?minSeq={seq}");
    get(&server, &path, &token("ann", &json!({}))).await;
    let mut ann = user(&server, &json!({})).await;
    ann.ok("SUBSCRIBE", json!({"sub": "s", "filter": {"n": 1}}))
        .await;
    let at = ann.start();
    service
        .ok("UPDATE", json!({"id": "a", "updateData": {"secret": 2}}))
        .await;
    service
        .ok(
            "UPDATE",
            json!({"id": "a", "updateData": {"$unset": {"secret": true}}}),
        )
        .await;
    let (_, last) = service.create(json!({"_id": "last", "n": 1})).await;
    assert_eq!(told_until(&mut ann, "last").await, []);
    let live = ann.next_told().await;
    assert_eq!(live["type"], "live");
    assert_eq!(ann.next_told().await["eventId"], "last");
    let path = format!("/api/changes?after={at}&minSeq={last}");
    let (_, page) = get(&server, &path, &token("ann", &json!({}))).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1, "{page}");
    for mode in ["all", "latest"] {
        let payload = json!({"sub": mode, "after": at, "mode": mode});
        ann.ok("SUBSCRIBE", payload).await;
        let mut told = Vec::new();
        loop {
            match ann.next_told().await {
                frame if frame["sub"] != mode => {}
                frame if frame["type"] == "live" => break,
                frame => told.push(frame["eventId"].clone()),
            }
        }
        assert_eq!(told, ["last"], "{mode}");
    }
}

/// Parse 10351: an object with numbers for names passed for the list of an `$or`, and nobody looked into it.
#[tokio::test]
async fn an_object_is_no_list_of_branches() {
    let role = json!({"read": true, "hide": ["hash"]});
    let (server, _file, _service) = guarded(&role).await;
    let mut ann = user(&server, &json!({})).await;
    for name in ["$or", "$and", "$nor"] {
        let filter = json!({name: {"0": {"hash": "abc"}, "length": 1}});
        let refused = ann.refused("FETCH", json!({"filter": filter})).await;
        assert_eq!(refused["code"], "invalid_filter", "{name}");
        let refused = ann
            .refused("SUBSCRIBE", json!({"sub": "s", "filter": filter}))
            .await;
        assert_eq!(refused["code"], "invalid_filter", "{name}");
    }
    let file = AccessFile::new(
        &json!({"user": {"read": {"$or": {"0": {"a": 1}}}}}),
        &json!({}),
    );
    let refused = Server::spawn(&Database::alone().await, &["--access", &file.path()]).await;
    assert!(refused.err().unwrap().contains("roles.user.read.$or"));
}

/// Parse 10252: who an event points to decided over requests, and not over what was pushed.
#[tokio::test]
async fn who_owns_an_event_decides_live_as_it_does_for_requests() {
    let role =
        json!({"read": {"$or": [{"owner.id": {"$claim": "sub"}}, {"readers": {"$claim": "sub"}}]}});
    let (server, _file, mut service) = guarded(&role).await;
    let mut ann = user(&server, &json!({})).await;
    service
        .create(json!({"_id": "a", "owner": {"id": "bob"}, "text": "private"}))
        .await;
    service
        .ok(
            "UPDATE",
            json!({"id": "a", "updateData": {"readers": ["eve", "ann"]}}),
        )
        .await;
    service
        .ok(
            "UPDATE",
            json!({"id": "a", "updateData": {"$pull": {"readers": "ann"}, "$set": {"text": "of bob's"}}}),
        )
        .await;
    service.ok("DELETE", json!({"id": "a"})).await;
    service
        .create(json!({"_id": "b", "owner": {"id": "ann"}}))
        .await;
    let enter = ann.change().await;
    assert_eq!(
        (&enter["kind"], &enter["patch"]),
        (&json!("enter"), &Value::Null)
    );
    let leave = ann.change().await;
    assert_eq!(
        (&leave["kind"], leave.get("data"), leave.get("patch")),
        (&json!("leave"), None, None)
    );
    assert_eq!(ann.change().await["eventId"], "b");
}

/// Parse 10655: what was pushed was judged with less of the identity than requests were.
#[tokio::test]
async fn a_session_is_the_same_person_in_what_it_asks_and_in_what_it_is_told() {
    let role = json!({"read": {"$and": [{"team": {"$in": {"$claim": "org.teams"}}}, {"level": {"$lte": {"$claim": "level"}}}]}});
    let (server, _file, mut service) = guarded(&role).await;
    let claims = json!({"org": {"teams": ["red"]}, "level": 2});
    let mut ann = user(&server, &claims).await;
    for (id, team, level) in [
        ("a", "red", 2),
        ("b", "red", 3),
        ("c", "blue", 1),
        ("last", "red", 0),
    ] {
        service
            .create(json!({"_id": id, "team": team, "level": level}))
            .await;
    }
    assert_eq!(
        told_until(&mut ann, "last").await,
        [("create".to_owned(), "a".to_owned())]
    );
    assert_eq!(ids(&mut ann, json!({})).await, ["a", "last"]);
    let mut late = session(&server, "/ws?after=0", &token("ann", &claims)).await;
    assert_eq!(
        told_until(&mut late, "last").await,
        [("create".to_owned(), "a".to_owned())]
    );
}

/// Parse 10233: what was taken out for one subscriber was missing, or there, for the next.
#[tokio::test]
async fn what_is_hidden_from_one_is_hidden_from_it_alone() {
    let file = AccessFile::new(
        &json!({
            "user": {"read": true, "hide": ["a", "in.x"]},
            "other": {"read": true, "hide": ["b"]},
            "service": service_role(),
        }),
        &json!({}),
    );
    let server = serve(Database::alone().await, &file).await;
    let mut heard = Vec::new();
    for role in ["user", "other", "service", "other", "user"] {
        heard.push(session(&server, "/ws", &token("ann", &json!({"role": role}))).await);
    }
    let mut service = session(
        &server,
        "/ws?changes=none",
        &token("s", &json!({"role": "service"})),
    )
    .await;
    service
        .create(json!({"_id": "e", "a": 1, "b": 1, "in": {"x": 1, "y": 1}}))
        .await;
    service
        .ok(
            "UPDATE",
            json!({"id": "e", "updateData": {"a": 2, "b": 2, "in": {"x": 2, "y": 2}}}),
        )
        .await;
    let expected = [
        json!({"b": 2, "in": {"y": 2}}),
        json!({"a": 2, "in": {"x": 2, "y": 2}}),
        json!({"a": 2, "b": 2, "in": {"x": 2, "y": 2}}),
        json!({"a": 2, "in": {"x": 2, "y": 2}}),
        json!({"b": 2, "in": {"y": 2}}),
    ];
    for (client, expected) in heard.iter_mut().zip(expected) {
        let changes = client.changes(2).await;
        let fields = changes[1]["data"].as_object().unwrap().iter();
        let fields: Value = fields
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(fields, expected);
        assert_eq!(changes[1]["patch"]["set"], expected);
    }
}

/// SurrealDB GHSA-7vm2-j586-vcvc: live deletions, and the conditions of live queries, were judged as the writer.
#[tokio::test]
async fn a_deletion_is_told_by_what_the_reader_saw_whoever_deletes() {
    let mine = json!({"$or": [{"owner": {"$claim": "sub"}}, {"_id": "last"}]});
    let role = json!({"read": mine, "delete": true});
    let (server, _file, mut service) = guarded(&role).await;
    for (id, owner) in [("anns", "ann"), ("bobs", "bob"), ("moved", "ann")] {
        service.create(json!({"_id": id, "owner": owner})).await;
    }
    service
        .ok(
            "UPDATE",
            json!({"id": "moved", "updateData": {"owner": "bob"}}),
        )
        .await;
    let mut ann = user(&server, &json!({})).await;
    let mut bob = session(&server, "/ws", &token("bob", &json!({}))).await;
    bob.ok("DELETE", json!({"id": "bobs"})).await;
    bob.ok("DELETE", json!({"id": "moved"})).await;
    assert_eq!(
        bob.refused("DELETE", json!({"id": "anns"})).await["code"],
        "not_found"
    );
    service.ok("DELETE", json!({"id": "anns"})).await;
    service.create(json!({"_id": "last"})).await;
    let deleted = |id: &str| ("delete".to_owned(), id.to_owned());
    assert_eq!(told_until(&mut ann, "last").await, [deleted("anns")]);
    assert_eq!(
        told_until(&mut bob, "last").await,
        [deleted("bobs"), deleted("moved")]
    );
}

/// RESTHeart 9.12.0: which of several rules wins had to be changed.
#[tokio::test]
async fn of_several_roles_one_holds_and_never_what_they_allow_together() {
    let file = AccessFile::new(
        &json!({
            "user": {"read": {"kind": "a"}, "create": {"after": {"kind": "b"}}},
            "other": {"read": {"kind": "b"}},
            "service": service_role(),
        }),
        &json!({}),
    );
    let server = serve(Database::alone().await, &file).await;
    let mut service = session(
        &server,
        "/ws?changes=none",
        &token("s", &json!({"role": "service"})),
    )
    .await;
    service.create(json!({"_id": "a", "kind": "a"})).await;
    service.create(json!({"_id": "b", "kind": "b"})).await;
    for (roles, seen) in [
        (json!(["user", "other"]), "a"),
        (json!(["other", "user"]), "b"),
        (json!(["unknown", "other", "user"]), "b"),
    ] {
        let mut ann = user(&server, &json!({"role": roles})).await;
        assert_eq!(ids(&mut ann, json!({})).await, [seen], "{roles}");
    }
    let mut ann = user(&server, &json!({"role": ["user", "other"]})).await;
    let answer = ann.ok("CREATE", json!({"_id": "c", "kind": "b"})).await;
    assert_eq!(
        answer["data"],
        Value::Null,
        "what it wrote it does not see: {answer}"
    );
}

/// supabase-js 1732, 1304, 1733: sockets went on with the token that they began with.
#[tokio::test]
async fn a_fresh_token_changes_what_a_live_session_is_told() {
    let role = json!({"read": {"team": {"$in": {"$claim": "teams"}}}});
    let (server, _file, mut service) = guarded(&role).await;
    service.create(json!({"_id": "red", "team": "red"})).await;
    service.create(json!({"_id": "blue", "team": "blue"})).await;
    let mut ann = user(&server, &json!({"teams": ["red"]})).await;
    ann.ok("SUBSCRIBE", json!({"sub": "s", "snapshot": true}))
        .await;
    assert_eq!(ann.next_told().await["data"][0]["_id"], "red");
    assert_eq!(ann.next_told().await["type"], "live");
    ann.ok(
        "AUTH",
        json!({"token": token("ann", &json!({"teams": ["blue"]}))}),
    )
    .await;
    assert_eq!(ann.next_told().await["reason"], "access_changed");
    let snapshot = ann.next_told().await;
    assert_eq!(snapshot["data"].as_array().unwrap().len(), 1);
    assert_eq!(snapshot["data"][0]["_id"], "blue");
    assert_eq!(ids(&mut ann, json!({})).await, ["blue"]);
    assert_eq!(ann.notice().await["reason"], "access_changed");
    service
        .ok("UPDATE", json!({"id": "red", "updateData": {"n": 1}}))
        .await;
    service
        .ok("UPDATE", json!({"id": "blue", "updateData": {"n": 1}}))
        .await;
    assert_eq!(ann.change().await["eventId"], "blue");
}

/// Firestore: rules are no filters there, and a list that could find too much is refused.
#[tokio::test]
async fn a_list_without_a_filter_is_of_what_may_be_seen() {
    let role = json!({"read": {"public": true}});
    let (server, _file, mut service) = guarded(&role).await;
    for n in 0..6 {
        service
            .create(json!({"_id": format!("e{n}"), "public": n % 2 == 0}))
            .await;
    }
    let mut ann = user(&server, &json!({})).await;
    assert_eq!(ids(&mut ann, json!({})).await, ["e0", "e2", "e4"]);
    let page = ann.ok("FETCH", json!({"limit": 2})).await;
    let rest = ann
        .ok("FETCH", json!({"limit": 2, "cursor": page["next"]}))
        .await;
    assert_eq!(rest["data"][0]["_id"], "e4");
    assert_eq!(rest.get("next"), None, "there is nothing more that it sees");
}

/// RFC 9700 and Mercure: tokens in addresses end in logs.
#[tokio::test]
async fn a_token_in_an_address_is_not_taken() {
    let (server, _file, _service) = guarded(&json!({"read": true})).await;
    let token = token("ann", &json!({}));
    for name in ["token", "access_token", "authorization", "auth", "jwt"] {
        for path in ["/api/events", "/api/changes", "/metrics"] {
            let answer = server.status(&format!("{path}?{name}={token}")).await;
            assert_eq!(answer, 401, "{path} {name}");
        }
    }
    eventually("nothing of it is in the log", async || {
        (!server.logged().contains(&token)).then_some(())
    })
    .await;
}

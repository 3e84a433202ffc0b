//! Users and roles: made, found, changed and removed.

use tokend::pb::{self, ErrorReason, UserState};
use tonic::Code;

use crate::support::World;

fn named(username: &str) -> pb::CreateUserRequest {
    pb::CreateUserRequest { username: username.to_owned(), ..Default::default() }
}

fn by_name(realm: &str, username: &str) -> pb::GetUserRequest {
    let name = pb::UserName { realm: realm.to_owned(), username: username.to_owned() };
    pb::GetUserRequest { target: Some(pb::get_user_request::Target::Name(name)) }
}

#[tokio::test]
async fn finds_a_user_as_it_was_made() {
    let world = World::start().await;
    let admin = world.admin().api();
    world.admin().put_role("packer", ["parcels:pack"]).await;
    let request = pb::CreateUserRequest {
        display_name: "Zoë the Packer".to_owned(),
        role_ids: vec!["packer".to_owned()],
        ..named("Zoë")
    };
    let made = admin.create_user(request).await.unwrap().user.unwrap();
    assert_eq!(made.username, "Zoë");
    assert_eq!(made.display_name, "Zoë the Packer");
    assert_eq!((made.realm.as_str(), made.state()), ("default", UserState::Active));
    assert_eq!(made.role_ids, ["packer"]);
    assert_eq!(made.create_time, made.update_time);
    for name in ["Zoë", "ZOË", "Zoe\u{308}"] {
        let found = admin.get_user(by_name("", name)).await.unwrap().user.unwrap();
        assert_eq!(found, made, "{name}");
    }
    let absent = admin.get_user(by_name("", "Zoe")).await.unwrap_err();
    assert_eq!(absent, (Code::NotFound, ErrorReason::UserNotFound));
}

#[tokio::test]
async fn changes_what_is_set_and_leaves_the_rest() {
    let world = World::start().await;
    let (admin, alice) = (world.admin().api(), world.user("alice").await);
    world.advance(std::time::Duration::from_secs(5));
    let update = |state: UserState, display_name: Option<&str>| pb::UpdateUserRequest {
        user_id: alice.id.clone(),
        state: state.into(),
        display_name: display_name.map(str::to_owned),
        skip_wait: false,
    };
    let renamed = admin.update_user(update(UserState::Unspecified, Some("Alice"))).await.unwrap();
    let user = renamed.user.unwrap();
    assert_eq!((&*user.display_name, user.state()), ("Alice", UserState::Active));
    assert_ne!(user.create_time, user.update_time);
    let disabled = admin.update_user(update(UserState::Disabled, None)).await.unwrap();
    let user = disabled.user.unwrap();
    assert_eq!((&*user.display_name, user.state()), ("Alice", UserState::Disabled));
    let cleared = admin.update_user(update(UserState::Unspecified, Some(""))).await.unwrap();
    assert_eq!(cleared.user.unwrap().display_name, "");
}

#[tokio::test]
async fn forgets_a_user_who_is_deleted() {
    let world = World::start().await;
    let (admin, alice) = (world.admin(), world.user("alice").await);
    admin.delete(&alice).await;
    let gone = (Code::NotFound, ErrorReason::UserNotFound);
    assert_eq!(admin.api().get_user(by_name("", "alice")).await.unwrap_err(), gone);
    let request = pb::DeleteUserRequest { user_id: alice.id.clone(), skip_wait: false };
    assert_eq!(admin.api().delete_user(request).await.unwrap_err(), gone);
    assert!(alice.draft("operation").make().await.is_err());
}

#[tokio::test]
async fn refuses_names_that_could_not_be_told_apart_or_carried() {
    let world = World::start().await;
    let admin = world.admin().api();
    let long = "n".repeat(256);
    for name in ["", "a:b", "a\u{ff1a}b", "a\nb", "a\0", " ", "\u{7f}", &long] {
        let refused = admin.create_user(named(name)).await.unwrap_err();
        assert_eq!(refused.fields, ["username"], "{name:?}");
    }
    assert!(admin.create_user(named(&"é".repeat(255))).await.is_ok());
}

#[tokio::test]
async fn names_every_faulty_field_of_a_user_and_of_a_role() {
    let world = World::start().await;
    let admin = world.admin().api();
    let request = pb::CreateUserRequest {
        realm: "nowhere".to_owned(),
        username: "a:b".to_owned(),
        display_name: "n".repeat(256),
        credential: Some(pb::create_user_request::Credential::PasswordHash("$x$".to_owned())),
        role_ids: vec!["a".to_owned(), "a".to_owned(), "b c".to_owned()],
    };
    let mut refused = admin.create_user(request).await.unwrap_err();
    refused.fields.sort();
    let fields =
        ["display_name", "password_hash", "realm", "role_ids[1]", "role_ids[2]", "username"];
    assert_eq!(refused.fields, fields);
    let role = pb::Role {
        realm: "nowhere".to_owned(),
        id: "r".repeat(65),
        description: "d".repeat(256),
        permissions: ["a:*", "a b", "a:*", "*:a", "", "a@self@self"].map(str::to_owned).to_vec(),
    };
    let request = pb::PutRoleRequest { role: Some(role), skip_wait: false };
    let mut refused = admin.put_role(request).await.unwrap_err();
    refused.fields.sort();
    let fields = [
        "role.description",
        "role.id",
        "role.permissions[1]",
        "role.permissions[2]",
        "role.permissions[3]",
        "role.permissions[4]",
        "role.permissions[5]",
        "role.realm",
    ];
    assert_eq!(refused.fields, fields);
}

#[tokio::test]
async fn refuses_a_hash_that_would_cost_too_much_or_is_none() {
    let world = World::start().await;
    let admin = world.admin().api();
    let tail = "c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGg";
    for hash in [
        String::new(),
        "plain".to_owned(),
        "$argon2id$v=19$m=4194304,t=1,p=1$".to_owned() + tail,
        "$argon2id$v=19$m=8,t=2147483647,p=1$".to_owned() + tail,
        "$argon2id$v=19$m=8,t=1".to_owned(),
        // Within the bounds of any hash, and more than four of ours.
        "$argon2id$v=19$m=262144,t=1,p=1$".to_owned() + tail,
        "$argon2id$v=19$m=65536,t=3,p=1$".to_owned() + tail,
        "$unknown$v=1$".to_owned() + tail,
        "$2b$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234".to_owned(),
    ] {
        let request = pb::CreateUserRequest {
            credential: Some(pb::create_user_request::Credential::PasswordHash(hash.clone())),
            ..named("alice")
        };
        let refused = admin.create_user(request).await.unwrap_err();
        assert_eq!(refused.fields, ["password_hash"], "{hash}");
    }
}

#[tokio::test]
async fn takes_a_dearer_hash_where_the_operator_says_so() {
    let world = World::with(|settings| settings.passwords.max_import_cost = 7).await;
    let tail = "c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGg";
    for (username, cost) in [("magento", "m=65536,t=2,p=1"), ("dear", "m=262144,t=1,p=1")] {
        let hash = format!("$argon2id$v=19${cost}${tail}");
        let request = pb::CreateUserRequest {
            credential: Some(pb::create_user_request::Credential::PasswordHash(hash)),
            ..named(username)
        };
        world.admin().api().create_user(request).await.unwrap();
    }
}

#[tokio::test]
async fn makes_no_user_whose_name_holds_what_nobody_sees() {
    let world = World::start().await;
    for (name, point) in
        [("ali\u{200b}ce", "U+200B"), ("\u{202e}ecila", "U+202E"), ("alice\u{378}", "U+0378")]
    {
        let refused = world.admin().api().create_user(named(name)).await.unwrap_err();
        assert_eq!(refused, (Code::InvalidArgument, ErrorReason::InvalidField));
        assert_eq!(refused.fields, ["username"], "{point}");
    }
    let request =
        pb::CreateUserRequest { display_name: "Alice \u{202e}nimda".to_owned(), ..named("alice") };
    let refused = world.admin().api().create_user(request).await.unwrap_err();
    assert_eq!(refused.fields, ["display_name"]);
}

#[tokio::test]
async fn refuses_a_role_that_is_not_there() {
    let world = World::start().await;
    let admin = world.admin().api();
    let gone = (Code::NotFound, ErrorReason::RoleNotFound);
    let request = pb::CreateUserRequest { role_ids: vec!["none".to_owned()], ..named("alice") };
    assert_eq!(admin.create_user(request).await.unwrap_err(), gone);
    let request = pb::DeleteRoleRequest { role_id: "none".to_owned(), ..Default::default() };
    assert_eq!(admin.delete_role(request).await.unwrap_err(), gone);
}

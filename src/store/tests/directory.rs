//! Users and roles.

use super::*;

#[tokio::test]
async fn gives_a_name_once_however_it_is_written() {
    let bed = bed().await;
    bed.user(1, "Alice").await;
    let again = bed.insert_user(&new_user(2, "ALICE"), &order(0)).await.unwrap();
    assert!(matches!(again.value, Inserted::NameTaken));
    let name = Username::parse("alice").unwrap();
    let found = bed.find_user_by_name(&Realm::default(), &name).await.unwrap().unwrap();
    assert_eq!((found.id, found.username.as_str()), (UserId(uuid(1)), "Alice"));
    let elsewhere = Realm::parse("elsewhere").unwrap();
    assert!(bed.find_user_by_name(&elsewhere, &name).await.unwrap().is_none());
}

#[tokio::test]
async fn lists_users_by_name_page_by_page() {
    let bed = bed().await;
    for (number, name) in [(1, "carol"), (2, "Bob"), (3, "alice")] {
        bed.user(number, name).await;
    }
    let role = bed.put_role(&role(9, "reader", "a:read"), &order(0)).await.unwrap().value;
    let roles = BTreeSet::from([role.id]);
    let _ = bed.set_user_roles(UserId(uuid(2)), &roles, &order(0)).await.unwrap();
    let page = |after: Option<&str>| NamePage {
        realm: Realm::default(),
        after: after.map(str::to_owned),
        limit: 2,
    };
    let first = bed.list_users(&page(None)).await.unwrap();
    let names: Vec<_> = first.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alice", "Bob"]);
    assert_eq!(first[1].1.roles, roles);
    let second = bed.list_users(&page(Some(first[1].0.key()))).await.unwrap();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].1.username, "carol");
}

#[tokio::test]
async fn disabling_ends_all_grants_and_enabling_brings_none_back() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("t", &grant, TokenKind::Operation)]).await;
    let update = |state| UserUpdate { id: user, state: Some(state), display_name: None, at: at(1) };

    let off = bed.update_user(&update(UserState::Disabled), &order(1)).await.unwrap();
    assert!(off.mark.is_some());
    let on = bed.update_user(&update(UserState::Active), &order(1)).await.unwrap();

    let user_now = on.value.unwrap();
    assert_eq!(user_now.state, UserState::Active);
    assert!(user_now.generation > Generation(1));
    assert_eq!(bed.find_grant(grant.id).await.unwrap().unwrap().revoked_at, Some(at(1)));
    assert_eq!(bed.all_changes().await, [Change::User(user), Change::User(user)]);
}

#[tokio::test]
async fn a_new_password_ends_grants_and_keeps_personal_tokens_if_told() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (signed, personal, older) = (grant(10, user), grant(11, user), grant(12, user));
    let older = Grant { generation: Generation(0), ..older };
    bed.sign_in(&signed, vec![token("o", &signed, TokenKind::Operation)]).await;
    bed.sign_in(&personal, vec![token("p", &personal, TokenKind::Personal)]).await;
    // Proven by the password before the last one, inserted after that was gone.
    bed.sign_in(&older, vec![token("x", &older, TokenKind::Personal)]).await;
    let update = PasswordUpdate {
        user,
        password_hash: Some(hash("new")),
        personal_tokens: PersonalTokens::Keep,
        at: at(1),
    };

    let set = bed.set_password(&update, &order(1)).await.unwrap();

    assert_eq!(set.value, Some(2));
    let (now, kept_hash) = bed.find_password(user).await.unwrap().unwrap();
    assert!(now.generation > Generation(1));
    assert_eq!(super::super::convert::password_text(kept_hash.as_ref()).unwrap(), "new");
    let find = async |grant: &Grant| bed.find_grant(grant.id).await.unwrap().unwrap();
    let kept = find(&personal).await;
    assert_eq!((kept.generation, kept.revoked_at), (now.generation, None));
    assert_eq!(find(&signed).await.revoked_at, Some(at(1)));
    assert_eq!(find(&older).await.revoked_at, Some(at(1)));
    let revoked = GrantChange::Restamped;
    let restamped = Change::Grant { id: personal.id, until: None, revoked };
    assert_eq!(bed.all_changes().await, [restamped, Change::User(user)]);
}

#[tokio::test]
async fn ends_what_was_made_from_a_kept_token_and_has_expired_by_its_own_clock_alone() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let personal = Token { expires_at: None, ..token("p", &grant, TokenKind::Personal) };
    bed.sign_in(&grant, vec![personal, token("made", &grant, TokenKind::Operation)]).await;
    let update = PasswordUpdate {
        user,
        password_hash: Some(hash("new")),
        personal_tokens: PersonalTokens::Keep,
        at: at(101),
    };
    let _ = bed.set_password(&update, &order(101)).await.unwrap();
    let made = bed.find_token(&TokenId::parse("made").unwrap()).await.unwrap().unwrap().0;
    assert_eq!(made.revoked_at, Some(at(101)));
}

#[tokio::test]
async fn replaces_a_hash_only_while_it_is_the_old_one() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let stored = async || {
        let (_, hash) = bed.find_password(user).await.unwrap().unwrap();
        super::super::convert::password_text(hash.as_ref()).unwrap()
    };
    bed.replace_hash(user, &hash("other"), &hash("lost")).await.unwrap();
    assert_eq!(stored().await, "old");
    bed.replace_hash(user, &hash("old"), &hash("better")).await.unwrap();
    assert_eq!(stored().await, "better");
}

#[tokio::test]
async fn deleting_a_user_leaves_their_jwts_refused() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("o", &grant, TokenKind::Refresh), jwt("j", &grant)]).await;

    let deleted = bed.delete_user(user, &order(1)).await.unwrap();

    assert!(deleted.value);
    assert!(bed.find_user(user).await.unwrap().is_none());
    assert!(bed.find_grant(grant.id).await.unwrap().is_none());
    assert!(bed.find_token_by_digest(TokenDigest::of("o")).await.unwrap().is_none());
    let left = bed.list_revocations().await.unwrap();
    assert!(matches!(left[..], [Revocation::Grant(id, Some(_))] if id == grant.id), "{left:?}");
    let revoked = GrantChange::Revoked;
    let expected = [
        Change::Grant { id: grant.id, until: grant.expires_at, revoked },
        Change::Token(TokenDigest::of("o")),
        Change::User(user),
    ];
    assert_eq!(bed.all_changes().await, expected);
    assert!(!bed.delete_user(user, &order(1)).await.unwrap().value);
}

#[tokio::test]
async fn a_new_role_of_an_old_name_gives_nothing_back() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let old = bed.put_role(&role(8, "reader", "a:read"), &order(0)).await.unwrap().value;
    let _ = bed.set_user_roles(user, &[old.id].into(), &order(0)).await.unwrap();
    assert!(bed.delete_role(&old.realm, &old.name, &order(0)).await.unwrap().value);

    let new = bed.put_role(&role(9, "reader", "a:read"), &order(0)).await.unwrap().value;

    assert_ne!(new.id, old.id);
    assert!(bed.find_user(user).await.unwrap().unwrap().roles.is_empty());
    assert!(bed.find_role(old.id).await.unwrap().is_none());
    let gone = bed.set_user_roles(user, &[old.id].into(), &order(0)).await.unwrap();
    assert!(gone.value.unwrap().roles.is_empty(), "a role that is gone is not given");
}

#[tokio::test]
async fn a_role_keeps_its_id_as_it_changes() {
    let bed = bed().await;
    let first = bed.put_role(&role(8, "anonymous", "a:read"), &order(0)).await.unwrap();
    let second = bed.put_role(&role(9, "anonymous", "a:*"), &order(0)).await.unwrap();
    let third = bed.put_role(&role(10, "anonymous", "a:*"), &order(0)).await.unwrap();

    assert!(first.mark.is_some() && second.mark.is_some());
    assert_eq!(third.mark, None, "nothing was new");
    assert_eq!((second.value.id, third.value.id), (first.value.id, first.value.id));
    let id = first.value.id;
    let found = bed.find_anonymous(&Realm::default()).await.unwrap().unwrap();
    assert_eq!(found.permissions, [Permission::parse("a:*").unwrap()].into_iter().collect());
    let both = [Change::Role(id), Change::Anonymous(Realm::default())];
    assert_eq!(bed.all_changes().await, [both.clone(), both].concat());
}

#[tokio::test]
async fn only_the_first_of_two_bootstraps_makes_a_user() {
    let bed = bed().await;
    let admin = role(8, "admin", "*");
    let (first, second) = (new_user(1, "admin"), new_user(2, "root"));
    let audit = audit(0);
    let (first, second) =
        tokio::join!(bed.bootstrap(&first, &admin, &audit), bed.bootstrap(&second, &admin, &audit));
    let done = |c: &Committed<Bootstrapped>| matches!(c.value, Bootstrapped::Done);
    assert_eq!(u8::from(done(&first.unwrap())) + u8::from(done(&second.unwrap())), 1);
    let page = NamePage { realm: Realm::default(), after: None, limit: 10 };
    let users = bed.list_users(&page).await.unwrap();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0].1.roles, [admin.id].into());
}

#[tokio::test]
async fn refuses_a_caller_whose_proof_has_passed() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![jwt("j", &grant), jwt("k", &grant)]).await;
    let proof = |generation, token: &str| Order {
        proof: Some(Proof {
            user,
            generation: Generation(generation),
            grant: Some(grant.id),
            token: Some(TokenId::parse(token).unwrap()),
            authority: None,
        }),
        audit: audit(1),
    };
    let put = async |order: &Order, number| {
        let put = bed.put_role(&role(number, &format!("r{number}"), "a:read"), order).await;
        put.map(|_| ())
    };
    let gone = |answer: Answer<()>| matches!(answer, Err(StoreError::CallerGone));

    put(&proof(1, "j"), 1).await.unwrap();
    put(&proof(1, "without-a-row"), 2).await.unwrap();
    assert!(gone(put(&proof(0, "j"), 3).await), "an older generation");
    let _ = bed.revoke_token(&TokenId::parse("k").unwrap(), &order(1)).await.unwrap();
    assert!(gone(put(&proof(1, "k"), 3).await), "a revoked token");
    let _ = bed.revoke_grant(grant.id, &order(1)).await.unwrap();
    assert!(gone(put(&proof(1, "j"), 3).await), "a revoked grant");
    let names = BTreeSet::from([RoleName::parse("r3").unwrap()]);
    assert!(bed.find_roles(&Realm::default(), &names).await.unwrap().is_empty());
}

//! Tokens and their refresh.

use futures_util::future::join_all;

use super::*;
use crate::domain::token::TokenState;

fn ids(list: &[(Token, Grant)]) -> Vec<String> {
    list.iter().map(|(token, _)| token.id.to_string()).collect()
}

fn query(user: UserId, states: Vec<TokenState>, now: Timestamp) -> TokenQuery {
    TokenQuery { user, profile: None, states, after: None, limit: 2, now }
}

#[tokio::test]
async fn finds_a_token_as_it_was_made() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let chosen = RoleChoice::only([RoleId(uuid(3))]);
    let made = Token { roles: chosen, ..token("t", &grant, TokenKind::Personal) };
    bed.sign_in(&grant, vec![made.clone()]).await;
    let made = (made, grant);
    assert_eq!(bed.find_token_by_digest(TokenDigest::of("t")).await.unwrap().as_ref(), Some(&made));
    assert_eq!(bed.find_token(&made.0.id).await.unwrap(), Some(made));
}

#[tokio::test]
async fn lists_the_newest_first_page_by_page() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let made = |id, hours| Token { created_at: at(hours), ..jwt(id, &grant) };
    bed.sign_in(&grant, vec![made("a", 1), made("b", 1), made("c", 0), made("d", 2)]).await;

    let first = bed.list_tokens(&query(user, vec![], at(3))).await.unwrap();
    assert_eq!(ids(&first), ["d", "b"]);
    let after = Some((first[1].0.created_at, first[1].0.id.clone()));
    let rest = TokenQuery { after, ..query(user, vec![], at(3)) };
    assert_eq!(ids(&bed.list_tokens(&rest).await.unwrap()), ["a", "c"]);
}

#[tokio::test]
async fn lists_by_state_as_the_token_itself_says_it() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (good, dead) = (grant(10, user), grant(11, user));
    let expired = Token { expires_at: Some(at(1)), ..jwt("expired", &good) };
    bed.sign_in(&good, vec![jwt("active", &good), expired]).await;
    bed.sign_in(&dead, vec![jwt("revoked", &dead)]).await;
    let _ = bed.revoke_grant(dead.id, &order(0)).await.unwrap();
    for (state, id) in [
        (TokenState::Active, "active"),
        (TokenState::Expired, "expired"),
        (TokenState::Revoked, "revoked"),
    ] {
        let found = bed.list_tokens(&query(user, vec![state], at(1))).await.unwrap();
        assert_eq!(ids(&found), [id]);
        assert_eq!(found[0].0.state(found[0].1.revoked_at, at(1)), state);
    }
}

#[tokio::test]
async fn ends_the_longest_unused_beyond_the_number() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let made =
        |id, hours| Token { created_at: at(hours), ..token(id, &grant, TokenKind::Operation) };
    bed.sign_in(&grant, vec![made("used", 0), made("idle", 1), made("new", 2)]).await;
    bed.touch_tokens(&[(TokenId::parse("used").unwrap(), at(3))]).await.unwrap();

    let more = NewTokens { max_live: Some(3), ..tokens(None, vec![made("last", 3)]) };
    let mark = bed.insert_tokens(&more, &order(4)).await.unwrap().mark;

    assert!(mark.is_some());
    assert_eq!(bed.all_changes().await, [Change::Token(TokenDigest::of("idle"))]);
    let idle = bed.find_token(&TokenId::parse("idle").unwrap()).await.unwrap().unwrap().0;
    assert_eq!(idle.revoked_at, Some(at(4)));
}

#[tokio::test]
async fn keeps_a_grant_as_long_as_its_tokens() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = Grant { expires_at: Some(at(100)), ..grant(10, user) };
    bed.sign_in(&grant, vec![jwt("a", &grant)]).await;
    let ends = async || bed.find_grant(grant.id).await.unwrap().unwrap().expires_at;
    for (id, own, together) in [
        ("b", Some(at(50)), Some(at(100))),
        ("c", Some(at(200)), Some(at(200))),
        ("d", None, None),
        ("e", Some(at(300)), None),
    ] {
        let token = Token { expires_at: own, ..jwt(id, &grant) };
        let _ = bed.insert_tokens(&tokens(None, vec![token]), &order(1)).await.unwrap();
        assert_eq!(ends().await, together, "{id}");
    }
}

#[tokio::test]
async fn a_sign_in_of_a_deleted_user_makes_nothing() {
    let bed = bed().await;
    let grant = grant(10, UserId(uuid(1)));
    let new = tokens(Some(grant.clone()), vec![jwt("a", &grant)]);
    let refused = bed.insert_tokens(&new, &order(0)).await;
    assert!(matches!(refused, Err(StoreError::CallerGone)));
    assert!(bed.find_grant(grant.id).await.unwrap().is_none());
}

#[tokio::test]
async fn notes_the_latest_use_only() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![jwt("a", &grant)]).await;
    let id = TokenId::parse("a").unwrap();
    for uses in [vec![(id.clone(), at(5)), (id.clone(), at(4))], vec![(id.clone(), at(3))]] {
        bed.touch_tokens(&uses).await.unwrap();
        let found = bed.find_token(&id).await.unwrap().unwrap().0;
        assert_eq!(found.last_used_at, Some(at(5)));
    }
}

#[tokio::test]
async fn notes_each_of_many_uses_and_no_other() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    let name = |n: u32| format!("t{n}");
    bed.sign_in(&grant, (0..200).map(|n| jwt(&name(n), &grant)).collect()).await;
    let id = |n| TokenId::parse(&name(n)).unwrap();
    // The last is gone by now.
    let touched: Vec<_> = (1..=200).map(|n| (id(n), at(n))).collect();
    bed.touch_tokens(&touched).await.unwrap();
    bed.touch_tokens(&[(id(7), at(300)), (id(9), at(2))]).await.unwrap();
    for n in 0..200 {
        let found = bed.find_token(&id(n)).await.unwrap().unwrap().0;
        let expected = match n {
            0 => None,
            7 => Some(at(300)),
            n => Some(at(n)),
        };
        assert_eq!(found.last_used_at, expected, "{n}");
    }
}

fn swap(grant: &Grant, new: &str) -> Swap {
    Swap {
        old: TokenId::parse("old").unwrap(),
        new: token(new, grant, TokenKind::Refresh),
        salt: [7; 16],
        derivation_key: KeyId::parse("derive").unwrap(),
        at: at(1),
    }
}

#[tokio::test]
async fn lets_one_of_two_racing_swaps_win() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("old", &grant, TokenKind::Refresh)]).await;
    let (one, other) = (swap(&grant, "one"), swap(&grant, "other"));
    let order = order(1);
    let (a, b) = tokio::join!(bed.swap_refresh(&one, &order), bed.swap_refresh(&other, &order));
    let won = |c: Committed<Swapped>| matches!(c.value, Swapped::Done);
    let (a, b) = (won(a.unwrap()), won(b.unwrap()));
    assert!(a != b);

    let row = bed.find_refresh(TokenDigest::of("old")).await.unwrap().unwrap();
    let successor = row.successor.unwrap();
    let winner = if a { one } else { other };
    assert_eq!(successor.token, winner.new);
    assert_eq!((successor.salt, successor.swapped_at), ([7; 16], at(1)));
    assert_eq!(successor.key.as_str(), "derive");
    assert_eq!(successor.used, SuccessorUse::Unused);
    assert_eq!(row.user.unwrap().id, user);
    let listed = bed.list_tokens(&query(user, vec![], at(1))).await.unwrap();
    assert_eq!(ids(&listed), [winner.new.id.to_string()], "the head of the family alone");
}

#[tokio::test]
async fn lets_one_of_many_racing_swaps_win() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("old", &grant, TokenKind::Refresh)]).await;
    let order = order(1);
    let swaps: Vec<_> = (0..200).map(|n| swap(&grant, &format!("new{n}"))).collect();
    let all = join_all(swaps.iter().map(|swap| bed.swap_refresh(swap, &order))).await;
    let won = all.into_iter().map(|swapped| swapped.unwrap().value);
    let won: Vec<_> = won.map(|swapped| matches!(swapped, Swapped::Done)).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1);

    let row = bed.find_refresh(TokenDigest::of("old")).await.unwrap().unwrap();
    let winner = won.iter().position(|won| *won).unwrap();
    assert_eq!(row.successor.unwrap().token, swaps[winner].new);
}

#[tokio::test]
async fn swaps_nothing_of_a_dead_grant() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("old", &grant, TokenKind::Refresh)]).await;
    let _ = bed.revoke_grant(grant.id, &order(1)).await.unwrap();
    let swapped = bed.swap_refresh(&swap(&grant, "new"), &order(1)).await.unwrap();
    assert!(matches!(swapped.value, Swapped::Lost));
    assert!(bed.find_token(&TokenId::parse("new").unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn knows_that_a_successor_was_used() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let grant = grant(10, user);
    bed.sign_in(&grant, vec![token("old", &grant, TokenKind::Refresh)]).await;
    let _ = bed.swap_refresh(&swap(&grant, "new"), &order(1)).await.unwrap();
    bed.touch_tokens(&[(TokenId::parse("new").unwrap(), at(2))]).await.unwrap();
    let row = bed.find_refresh(TokenDigest::of("old")).await.unwrap().unwrap();
    assert_eq!(row.successor.unwrap().used, SuccessorUse::Used);
}

#[tokio::test]
async fn ends_a_personal_token_beyond_the_number_with_its_grant() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let (old, new) = (grant(10, user), grant(11, user));
    let personal = token("old", &old, TokenKind::Personal);
    bed.sign_in(&old, vec![personal, jwt("made", &old)]).await;

    let second = vec![token("new", &new, TokenKind::Personal)];
    let more = NewTokens { max_live: Some(1), ..tokens(Some(new.clone()), second) };
    let _ = bed.insert_tokens(&more, &order(4)).await.unwrap();

    assert_eq!(bed.find_grant(old.id).await.unwrap().unwrap().revoked_at, Some(at(4)));
    assert_eq!(bed.find_grant(new.id).await.unwrap().unwrap().revoked_at, None);
    let revoked = GrantChange::Revoked;
    let change = Change::Grant { id: old.id, until: Some(at(100)), revoked };
    assert_eq!(bed.all_changes().await, [change]);
    let listed = bed.list_revocations().await.unwrap();
    assert!(matches!(listed[..], [Revocation::Grant(id, _)] if id == old.id));
}

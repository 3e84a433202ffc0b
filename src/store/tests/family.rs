//! Personal tokens that were made with another one, and end with it.

use super::*;
use crate::domain::clock::{Clock as _, SystemClock};
use crate::store::create::Creation;
use crate::store::group::Job as _;

fn id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
}

/// Makes users and families of personal tokens, each with a grant of its own.
struct Family {
    bed: Bed,
    user: UserId,
}

impl Family {
    async fn new() -> Self {
        let bed = bed().await;
        let user = bed.user(1, "alice").await;
        Self { bed, user }
    }

    /// A personal token that is still to be made. Its grant has its number.
    fn draft(&self, number: u128, parent: Option<u128>) -> NewTokens {
        let grant = Grant { expires_at: None, ..grant(number, self.user) };
        let parent = parent.map(|number| id(&format!("p{number}")));
        let token = Token {
            expires_at: None,
            parent,
            created_at: at(u32::try_from(number).unwrap() % 1000),
            ..token(&format!("p{number}"), &grant, TokenKind::Personal)
        };
        tokens(Some(grant), vec![token])
    }

    /// By one who bears the parent, as all do who make a token with it.
    fn order(&self, parent: Option<u128>) -> Order {
        let proof = parent.map(|number| Proof {
            user: self.user,
            generation: Generation(1),
            grant: Some(GrantId(uuid(number))),
            token: Some(id(&format!("p{number}"))),
            authority: None,
        });
        Order { proof, ..order(0) }
    }

    async fn make(&self, number: u128, parent: Option<u128>) {
        let new = self.draft(number, parent);
        let _ = self.bed.insert_tokens(&new, &self.order(parent)).await.unwrap();
    }

    async fn revoke(&self, number: u128) -> Option<u32> {
        let revoked = self.bed.revoke_grant(GrantId(uuid(number)), &order(2)).await.unwrap();
        revoked.value.map(|revoked| revoked.count)
    }

    async fn lives(&self, number: u128) -> bool {
        let grant = self.bed.find_grant(GrantId(uuid(number))).await.unwrap();
        grant.is_some_and(|grant| grant.revoked_at.is_none())
    }

    async fn living(&self, numbers: impl IntoIterator<Item = u128>) -> Vec<u128> {
        let mut living = Vec::new();
        for number in numbers {
            if self.lives(number).await {
                living.push(number);
            }
        }
        living
    }
}

/// Ten, from which 11 and 12 were made, 13 from 11, 14 from 13; and twenty with 21.
async fn family() -> Family {
    let family = Family::new().await;
    for (number, parent) in
        [(10, None), (11, Some(10)), (12, Some(10)), (13, Some(11)), (14, Some(13)), (20, None)]
    {
        family.make(number, parent).await;
    }
    family.make(21, Some(20)).await;
    family
}

#[tokio::test]
async fn ends_with_the_token_it_was_made_with_and_is_counted() {
    let family = family().await;
    assert_eq!(family.revoke(11).await, Some(3));
    assert_eq!(family.living(10..22).await, [10, 12, 20, 21]);
    let mut told = Vec::new();
    for change in family.bed.all_changes().await {
        if let Change::Grant { id, revoked: GrantChange::Revoked, until: _ } = change {
            told.push(id.0.as_u128());
        }
    }
    assert_eq!(told, [11, 13, 14], "every replica hears of each");
    assert_eq!(family.revoke(10).await, Some(2), "those that have ended are not counted again");
    assert_eq!(family.living(10..22).await, [20, 21]);
    assert_eq!(family.revoke(10).await, Some(0));
}

#[tokio::test]
async fn ends_with_what_was_made_from_it() {
    let family = family().await;
    let below = Grant { expires_at: None, ..grant(14, family.user) };
    let made = vec![jwt("jwt", &below), token("opaque", &below, TokenKind::Operation)];
    let _ = family.bed.insert_tokens(&tokens(None, made), &order(0)).await.unwrap();
    assert_eq!(family.revoke(10).await, Some(7));
    let kept = family.bed.list_revocations().await.unwrap();
    assert!(
        matches!(kept[..], [Revocation::Grant(id, Some(until))] if id == below.id && until == at(100))
    );
}

#[tokio::test]
async fn ends_by_a_second_revocation_where_the_first_did_not_know_of_it() {
    let family = family().await;
    // As a version leaves it that knows no parents.
    family.bed.database.run("UPDATE grants SET revoked_at = 1 WHERE id LIKE '%-00000000000a'");
    assert_eq!(family.living(10..15).await, [11, 12, 13, 14]);
    assert_eq!(family.revoke(10).await, Some(4));
    assert_eq!(family.living(10..15).await, [0; 0]);
}

#[tokio::test]
async fn ends_though_somebody_made_a_circle() {
    let family = family().await;
    family.bed.database.run("UPDATE tokens SET parent_id = 'p14' WHERE id = 'p10'");
    assert_eq!(family.revoke(13).await, Some(5));
    assert_eq!(family.living(10..22).await, [20, 21]);
}

#[tokio::test]
async fn ends_a_chain_of_any_length() {
    let family = Family::new().await;
    let last = 100 + 1500;
    for number in 100..last {
        family.make(number, (number > 100).then(|| number - 1)).await;
    }
    assert_eq!(family.revoke(100).await, Some(1500));
    assert_eq!(family.living(100..last).await, [0; 0]);
}

#[tokio::test]
async fn is_not_made_with_a_token_that_is_being_revoked() {
    let family = Family::new().await;
    for round in 0..60 {
        let (parent, child) = (1000 + round * 10, 1001 + round * 10);
        family.make(parent, None).await;
        let (new, order) = (family.draft(child, Some(parent)), family.order(Some(parent)));
        let revoke = family.revoke(parent);
        let (made, revoked) = tokio::join!(family.bed.insert_tokens(&new, &order), revoke);
        let expected = if made.is_ok() { 2 } else { 1 };
        assert_eq!((revoked, family.lives(child).await), (Some(expected), false), "{round}");
    }
}

#[tokio::test]
async fn stays_below_those_above_when_one_between_them_is_removed() {
    let family = family().await;
    let over = "UPDATE tokens SET expires_at = 1 WHERE id IN ('p11', 'p13')";
    family.bed.database.run(over);
    while family.bed.purge(purge_until(at(30), 100)).await.unwrap().unwrap() != Purged::default() {}
    for gone in ["p11", "p13"] {
        assert!(family.bed.find_token(&id(gone)).await.unwrap().is_none(), "{gone}");
    }
    let (last, _) = family.bed.find_token(&id("p14")).await.unwrap().unwrap();
    assert_eq!(last.parent, Some(id("p10")));
    assert_eq!(family.revoke(10).await, Some(3));
    assert_eq!(family.living([10, 12, 14, 20, 21]).await, [20, 21]);
}

#[tokio::test]
async fn is_never_ended_to_make_room_for_itself() {
    let family = family().await;
    let mut new = family.draft(15, Some(14));
    // Seven live already, and those above the new one are unused for longest.
    new.max_live = Some(6);
    let job = Creation { new, order: family.order(Some(14)) };
    let answers = Creation::write(&family.bed, &[job]).await.unwrap();
    assert!(answers.into_iter().all(|one| one.is_ok()));
    assert_eq!(family.living(10..22).await, [10, 11, 13, 14, 15], "12, and 20 with 21");
    let mut new = family.draft(22, None);
    new.max_live = Some(5);
    let job = Creation { new, order: family.order(None) };
    let _ = Creation::write(&family.bed, &[job]).await.unwrap();
    assert_eq!(family.living(10..23).await, [22], "with the first go all below it");
}

#[tokio::test]
async fn is_kept_with_its_parent_by_a_new_password() {
    let family = family().await;
    let _ = family.revoke(20).await;
    let update = PasswordUpdate {
        user: family.user,
        password_hash: Some(hash("new")),
        personal_tokens: PersonalTokens::Keep,
        at: at(3),
    };
    let ended = family.bed.set_password(&update, &order(3)).await.unwrap();
    assert_eq!(ended.value, Some(0));
    assert_eq!(family.living(10..22).await, [10, 11, 12, 13, 14]);
    assert_eq!(family.revoke(10).await, Some(5));
}

#[tokio::test]
async fn is_kept_by_a_new_password_though_the_clock_here_is_days_ahead() {
    let family = Family::new().await;
    let now = SystemClock.now();
    let mut new = family.draft(10, None);
    let ends = Some(now.plus(5 * 24 * HOUR));
    new.tokens[0].expires_at = ends;
    let grant = new.grant.as_mut().unwrap();
    grant.expires_at = ends;
    let _ = family.bed.insert_tokens(&new, &order(0)).await.unwrap();
    let ahead = now.plus(30 * 24 * HOUR);
    let update = PasswordUpdate {
        user: family.user,
        password_hash: Some(hash("new")),
        personal_tokens: PersonalTokens::Keep,
        at: ahead,
    };
    let by = Order { audit: Audit { at: ahead, ..audit(0) }, ..order(0) };
    let _ = family.bed.set_password(&update, &by).await.unwrap();
    let user = family.bed.find_user(family.user).await.unwrap().unwrap();
    let grant = family.bed.find_grant(GrantId(uuid(10))).await.unwrap().unwrap();
    assert_eq!((grant.generation, grant.revoked_at), (user.generation, None));
}

//! Keys.

use super::*;

fn key(id: &str, state: KeyState) -> KeyRow {
    KeyRow {
        id: KeyId::parse(id).unwrap(),
        purpose: KeyPurpose::Sign,
        profile: "operation".to_owned(),
        algorithm: "EdDSA".to_owned(),
        state,
        sealed: vec![1, 2, 3],
        created_at: at(0),
        retired_at: None,
    }
}

fn id(text: &str) -> KeyId {
    KeyId::parse(text).unwrap()
}

fn is_done(change: &Committed<KeyChange>) -> bool {
    matches!(change.value, KeyChange::Done)
}

async fn states(bed: &Bed) -> Vec<(String, KeyState)> {
    let keys = bed.list_keys().await.unwrap();
    keys.into_iter().map(|key| (key.id.to_string(), key.state)).collect()
}

#[tokio::test]
async fn has_one_first_key_of_a_purpose_and_profile() {
    let bed = bed().await;
    let (one, two) = (key("a", KeyState::Active), key("b", KeyState::Active));
    let audit = audit(0);
    let (a, b) =
        tokio::join!(bed.insert_first_key(&one, &audit), bed.insert_first_key(&two, &audit));
    assert!(is_done(&a.unwrap()) != is_done(&b.unwrap()));
    assert_eq!(states(&bed).await.len(), 1);
    let other = KeyRow { profile: "personal".to_owned(), ..key("c", KeyState::Active) };
    assert!(is_done(&bed.insert_first_key(&other, &audit).await.unwrap()));
    assert_eq!(bed.all_changes().await, [Change::Keys, Change::Keys]);
}

#[tokio::test]
async fn publishes_a_key_before_it_takes_the_place_of_the_active_one() {
    let bed = bed().await;
    let _ = bed.insert_first_key(&key("a", KeyState::Active), &audit(0)).await.unwrap();
    let next = key("b", KeyState::Next);
    let published = bed.replace_key(&id("a"), KeyState::Active, &next, &order(1)).await.unwrap();
    assert!(is_done(&published));
    let expected = [("a", KeyState::Active), ("b", KeyState::Next)];
    assert_eq!(states(&bed).await, expected.map(|(id, state)| (id.to_owned(), state)));

    let next = key("b", KeyState::Active);
    let (old, order) = (id("a"), order(2));
    let replace = || bed.replace_key(&old, KeyState::Verifying, &next, &order);
    assert!(is_done(&replace().await.unwrap()));
    assert!(!is_done(&replace().await.unwrap()), "it is active no more");
    let expected = [("a", KeyState::Verifying), ("b", KeyState::Active)];
    assert_eq!(states(&bed).await, expected.map(|(id, state)| (id.to_owned(), state)));
}

#[tokio::test]
async fn retires_any_key_once() {
    let bed = bed().await;
    let _ = bed.insert_first_key(&key("a", KeyState::Active), &audit(0)).await.unwrap();
    assert!(!is_done(&bed.retire_key(&id("none"), at(1), &order(1)).await.unwrap()));
    let new = key("b", KeyState::Active);
    let _ = bed.replace_key(&id("a"), KeyState::Verifying, &new, &order(1)).await.unwrap();
    let first = bed.retire_key(&id("a"), at(1), &order(1)).await.unwrap();
    let again = bed.retire_key(&id("a"), at(2), &order(2)).await.unwrap();
    assert!(is_done(&first) && first.mark.is_some());
    assert!(is_done(&again) && again.mark.is_none());
    assert_eq!(bed.list_keys().await.unwrap()[0].retired_at, Some(at(1)));
    assert!(is_done(&bed.retire_key(&id("b"), at(3), &order(3)).await.unwrap()), "in use or not");
}

#[tokio::test]
async fn never_puts_a_key_in_use_that_was_retired_since_it_was_published() {
    let bed = bed().await;
    let _ = bed.insert_first_key(&key("a", KeyState::Active), &audit(0)).await.unwrap();
    let next = key("b", KeyState::Next);
    let _ = bed.replace_key(&id("a"), KeyState::Active, &next, &order(1)).await.unwrap();
    let _ = bed.retire_key(&id("b"), at(2), &order(2)).await.unwrap();
    let next = key("b", KeyState::Active);
    let put = bed.replace_key(&id("a"), KeyState::Verifying, &next, &order(3)).await.unwrap();
    assert!(!is_done(&put));
    let expected = [("a", KeyState::Active), ("b", KeyState::Retired)];
    assert_eq!(states(&bed).await, expected.map(|(id, state)| (id.to_owned(), state)));
}

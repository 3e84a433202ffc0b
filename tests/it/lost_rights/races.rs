//! The same in a race: what was taken, and was heard to be taken, does not come back by a call that
//! was let through before.

use std::io::Write as _;

use futures_util::future::{join, join_all};
use tokend::pb;

use super::{DENIED, NOT_HELD};
use crate::support::{Actor, Api, Kind, Refusal, World};

/// Names how many rounds each race has, where somebody waits for its figures.
const ROUNDS: &str = "TOKEND_TEST_ROUNDS";

/// How many rounds a race has in the suite.
const FEW: usize = 60;

/// How many calls a helper makes at once.
const AT_ONCE: usize = 6;

fn rounds() -> usize {
    let asked = std::env::var(ROUNDS).ok().map(|text| text.parse().expect("a number of rounds"));
    asked.unwrap_or(FEW)
}

/// Writes down what a race came to, past the capture of the test harness.
fn tell(race: &str, (done, refused): (usize, usize)) {
    if std::env::var_os(ROUNDS).is_some() {
        let line = format!("{race}: {} rounds, {done} done, {refused} refused\n", rounds());
        std::io::stderr().write_all(line.as_bytes()).expect("a place for words");
    }
}

async fn set_roles(api: &Api, user: &Actor, roles: &[&str]) -> Result<(), Refusal> {
    let request = pb::SetUserRolesRequest {
        user_id: user.id.clone(),
        role_ids: roles.iter().map(|role| (*role).to_owned()).collect(),
        skip_wait: true,
    };
    api.set_user_roles(request).await.map(drop)
}

async fn roles_of(api: &Api, user: &Actor) -> Vec<String> {
    let target = Some(pb::get_user_request::Target::UserId(user.id.clone()));
    let answer = api.get_user(pb::GetUserRequest { target }).await.expect("a user");
    answer.user.expect("the user").role_ids
}

async fn put(api: &Api, id: &str, permissions: &[&str]) {
    let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
    let role = Some(pb::Role { id: id.to_owned(), permissions, ..Default::default() });
    api.put_role(pb::PutRoleRequest { role, skip_wait: true }).await.expect("a role");
}

/// Several calls of a helper that give a user a role. Answers how many were done and how many
/// refused.
async fn give(helper: &Api, user: &Actor, role: &str) -> (usize, usize) {
    let roles = [role];
    let answers = join_all((0..AT_ONCE).map(|_| set_roles(helper, user, &roles))).await;
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(*refused == NOT_HELD || *refused == DENIED, "{refused:?}");
    }
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    (done, answers.len() - done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brings_no_role_back_that_an_admin_took_while_a_helper_repeated_it() {
    let world = World::start().await;
    world.admin().put_role("boss", ["orders:*"]).await;
    let eve = world.user("eve").await;
    let helper = world.user("helper").with(["user:set-roles"]).await.sign_in().await.api();
    let admin = world.admin().sign_in().await.api();
    let (mut done, mut refused) = (0, 0);
    for round in 0..rounds() {
        set_roles(&admin, &eve, &["boss"]).await.expect("a role more");
        let (taken, given) = join(set_roles(&admin, &eve, &[]), give(&helper, &eve, "boss")).await;
        taken.expect("a role less");
        // The helper never holds what `boss` grants: only an admin can have given it.
        assert_eq!(roles_of(&admin, &eve).await, [""; 0], "round {round}");
        (done, refused) = (done + given.0, refused + given.1);
    }
    tell("the target", (done, refused));
    assert!(done > 0 && refused > 0, "{done} were done, {refused} refused: no race");
}

/// Takes the right of a helper, whose role is named like them.
async fn take(admin: &Api, helper: &Actor, round: usize) {
    match round % 3 {
        0 => set_roles(admin, helper, &[]).await.expect("a role less"),
        1 => put(admin, &helper.username, &["stock:count"]).await,
        _ => {
            let role_id = helper.username.clone();
            let request = pb::DeleteRoleRequest { role_id, skip_wait: true, ..Default::default() };
            admin.delete_role(request).await.expect("a role less");
        }
    }
}

/// What was written since the helper's right was taken, newest first.
async fn written_since(admin: &Api, helper: &Actor) -> Vec<pb::AuditEvent> {
    let request = pb::ListAuditEventsRequest { page_size: 50, ..Default::default() };
    let mut events = admin.list_audit_events(request).await.expect("events").events;
    let is_loss = |event: &pb::AuditEvent| [&helper.id, &helper.username].contains(&&event.target);
    let loss = events.iter().position(is_loss).expect("it was taken lately");
    events.truncate(loss);
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_nothing_more_for_a_helper_whose_right_an_admin_took_meanwhile() {
    let world = World::start().await;
    let eve = &world.user("eve").await;
    let user = world.user("helper").with(["user:update"]).await;
    let helper = &user.sign_in().await.api();
    let admin = world.admin().sign_in().await.api();
    let (mut done, mut refused) = (0, 0);
    for round in 0..rounds() {
        let rename = |call: usize| async move {
            let display_name = Some(format!("Eve {round} {call}"));
            let request = pb::UpdateUserRequest {
                user_id: eve.id.clone(),
                display_name,
                skip_wait: true,
                ..Default::default()
            };
            helper.update_user(request).await
        };
        let renamed = join_all((0..AT_ONCE).map(rename));
        let ((), answers) = join(take(&admin, &user, round), renamed).await;
        for answer in answers {
            match answer {
                Ok(_) => done += 1,
                Err(denied) => {
                    assert_eq!(denied, DENIED);
                    refused += 1;
                }
            }
        }
        let since = written_since(&admin, &user).await;
        assert!(since.iter().all(|event| event.actor != user.id), "round {round}: {since:?}");
        put(&admin, "helper", &["user:update"]).await;
        set_roles(&admin, &user, &["helper"]).await.expect("a role more");
    }
    tell("the caller", (done, refused));
    assert!(done > 0 && refused > 0, "{done} were done, {refused} refused: no race");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks_nobody_off_where_managers_act_on_each_other() {
    let Some(mut world) = World::shared().await else { return };
    world.admin().put_role("clerk", ["stock:count"]).await;
    let permissions = ["user:*", "role:*", "stock:count"];
    let one = world.user("one").with(permissions).await;
    let other = world.user("other").with(permissions).await;
    let rename = async |api: &Api, user: &Actor, round: usize| {
        let display_name = Some(format!("{} {round}", user.username));
        let user_id = user.id.clone();
        let request =
            pb::UpdateUserRequest { user_id, display_name, skip_wait: true, ..Default::default() };
        api.update_user(request).await.expect("a change");
    };
    let describe = async |api: &Api, id: &str, round: usize| {
        let permissions = permissions.map(str::to_owned).to_vec();
        let description = round.to_string();
        let role = pb::Role { id: id.to_owned(), permissions, description, ..Default::default() };
        let request = pb::PutRoleRequest { role: Some(role), skip_wait: true };
        api.put_role(request).await.expect("a change");
    };
    let pairs = [(&one, &other), (&other, &one)];
    for round in 0..rounds() / 4 {
        let acts = pairs.map(|(by, on)| async move {
            let api = by.api();
            let (one, two) = ([on.username.as_str()], [on.username.as_str(), "clerk"]);
            let roles: &[&str] = if round % 2 == 0 { &one } else { &two };
            let given = set_roles(&api, on, roles);
            let renamed = join(rename(&api, on, round), rename(&api, by, round));
            let described =
                join(describe(&api, &on.username, round), describe(&api, &by.username, round));
            let (given, _) = join(given, join(renamed, described)).await;
            given.expect("a change");
        });
        join_all(acts).await;
    }
    // Its connections tell the server what they met when they end.
    world.stop().await;
    if world.database().kind() == Kind::Postgres {
        world.database().run(
            "DO $$ BEGIN IF (SELECT deadlocks > 0 FROM pg_stat_database \
             WHERE datname = current_database()) THEN RAISE EXCEPTION 'deadlocks'; \
             END IF; END $$",
        );
    }
}

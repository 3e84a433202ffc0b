//! What is judged by rows that were read.

use uuid::Uuid;

use super::*;

const CALLER: UserId = UserId(Uuid::from_u128(1));
const OTHER: UserId = UserId(Uuid::from_u128(2));

fn id(number: u128) -> RoleId {
    RoleId(Uuid::from_u128(number))
}

fn permissions(texts: &[&str]) -> PermissionSet {
    texts.iter().map(|text| Permission::parse(text).unwrap()).collect()
}

fn role(number: u128, granted: &[&str]) -> Role {
    Role {
        id: id(number),
        realm: Realm::default(),
        name: RoleName::parse(&format!("r{number}")).unwrap(),
        description: String::new(),
        permissions: permissions(granted),
    }
}

/// Who has which of these roles.
fn evidence(roles: &[&Role], assigned: &[(UserId, u128)]) -> Evidence {
    Evidence {
        assigned: assigned.iter().map(|(user, role)| (*user, id(*role))).collect(),
        roles: roles.iter().map(|role| (role.id, (*role).clone())).collect(),
    }
}

/// A caller who acts with these roles.
struct By<'a> {
    roles: &'a [&'a Role],
    anonymous: Option<&'a Role>,
    self_only: bool,
    carries: Carries,
    realm: &'a str,
}

const NOBODY: By<'_> = By {
    roles: &[],
    anonymous: None,
    self_only: false,
    carries: Carries::AllRoles,
    realm: Realm::DEFAULT,
};

impl By<'_> {
    fn needs(&self, need: Need) -> Authority {
        let realm = Realm::parse(self.realm).unwrap();
        let rights = Rights {
            realm: &realm,
            roles: self.roles.to_vec(),
            anonymous: self.anonymous,
            self_only: self.self_only,
        };
        Authority::new(CALLER, &rights, self.carries, vec![need]).unwrap()
    }
}

fn denied(permission: &str) -> Result<(), Denied> {
    Err(Denied::Permission(permission.to_owned()))
}

#[test]
fn counts_a_role_only_while_it_is_there_and_assigned_and_grants_it() {
    let helper = role(10, &["user:update"]);
    let by = By { roles: &[&helper], ..NOBODY };
    let authority = by.needs(Need::permission("user:update", &Realm::default()));
    let judge = |evidence: &Evidence| authority.judge(evidence);
    assert_eq!(judge(&evidence(&[&helper], &[(CALLER, 10)])), Ok(()));
    assert_eq!(judge(&evidence(&[&helper], &[])), denied("user:update"), "taken from them");
    assert_eq!(judge(&evidence(&[&helper], &[(OTHER, 10)])), denied("user:update"));
    assert_eq!(judge(&evidence(&[], &[(CALLER, 10)])), denied("user:update"), "deleted");
    let narrowed = role(10, &["user:read"]);
    assert_eq!(judge(&evidence(&[&narrowed], &[(CALLER, 10)])), denied("user:update"));
}

#[test]
fn counts_no_role_that_the_caller_did_not_act_with() {
    let (helper, boss) = (role(10, &["user:set-roles"]), role(11, &["orders:*"]));
    let by = By { roles: &[&helper], carries: Carries::ChosenRoles, ..NOBODY };
    let authority = by.needs(Need::SetRoles(OTHER, [id(11)].into()));
    let both = evidence(&[&helper, &boss], &[(CALLER, 10), (CALLER, 11)]);
    assert_eq!(authority.judge(&both), Err(Denied::Role("r11".to_owned())));
}

#[test]
fn reads_only_the_roles_that_have_something_to_say() {
    let roles = [role(10, &["a:b"]), role(11, &["user:*"]), role(12, &["realm:manage"])];
    let roles: Vec<_> = roles.iter().collect();
    let anonymous = role(13, &["news:read"]);
    let by = By { roles: &roles, anonymous: Some(&anonymous), ..NOBODY };
    let one = by.needs(Need::permission("user:update", &Realm::default()));
    assert_eq!(one.roles().collect::<Vec<_>>(), [id(11), id(12)]);
    let all = by.needs(Need::Manage(OTHER));
    assert_eq!(all.roles().collect::<Vec<_>>(), [id(10), id(11), id(12), id(13)]);
    assert_eq!(all.users().collect::<Vec<_>>(), [OTHER]);
}

#[test]
fn takes_what_everyone_holds_for_a_right_and_not_for_a_gift() {
    let anonymous = role(10, &["user:create", "news:read"]);
    let by = By { anonymous: Some(&anonymous), ..NOBODY };
    let rows = evidence(&[&anonymous], &[]);
    let may = by.needs(Need::permission("user:create", &Realm::default()));
    assert_eq!(may.judge(&rows), Ok(()));
    let gives = by.needs(Need::Hold(permissions(&["news:read"])));
    assert_eq!(gives.judge(&rows), denied("news:read"));
}

#[test]
fn lets_a_profile_of_customers_hold_their_own_alone() {
    let customer = role(10, &["orders:read@self", "user:update"]);
    let by = By { roles: &[&customer], self_only: true, ..NOBODY };
    let rows = evidence(&[&customer], &[(CALLER, 10)]);
    let may = by.needs(Need::permission("user:update", &Realm::default()));
    assert_eq!(may.judge(&rows), denied("user:update"));
    let whole = by.needs(Need::Hold(permissions(&["user:update"])));
    assert_eq!(whole.judge(&rows), denied("user:update"));
    let own = by.needs(Need::Hold(permissions(&["orders:read@self"])));
    assert_eq!(own.judge(&rows), Ok(()));
}

#[test]
fn reaches_another_realm_from_the_default_one_alone() {
    let keeper = role(10, &["user:update", "realm:manage"]);
    let tenant = Realm::parse("tenant").unwrap();
    let rows = evidence(&[&keeper], &[(CALLER, 10)]);
    let by = By { roles: &[&keeper], ..NOBODY };
    let need = |realm: &Realm| Need::permission("user:update", realm);
    assert_eq!(by.needs(need(&tenant)).judge(&rows), Ok(()));
    let by = By { realm: "tenant", ..by };
    assert_eq!(by.needs(need(&tenant)).judge(&rows), Ok(()));
    assert_eq!(by.needs(need(&Realm::default())).judge(&rows), denied("user:update"));
    let lost = evidence(&[&role(10, &["user:update"])], &[(CALLER, 10)]);
    let by = By { realm: Realm::DEFAULT, ..by };
    assert_eq!(by.needs(need(&tenant)).judge(&lost), denied("user:update"));
}

#[test]
fn asks_who_sets_roles_for_the_new_ones_first_and_for_nothing_where_none_changes() {
    let (helper, boss, clerk) = (role(10, &["a:b"]), role(11, &["c:d"]), role(12, &["a:b"]));
    let by = By { roles: &[&helper], ..NOBODY };
    let all = [&helper, &boss, &clerk];
    let set = |roles: &[u128]| {
        by.needs(Need::SetRoles(OTHER, roles.iter().map(|role| id(*role)).collect()))
    };
    let has_boss = evidence(&all, &[(CALLER, 10), (OTHER, 11)]);
    let not_held = || Err(Denied::Role("r11".to_owned()));
    assert_eq!(set(&[11]).judge(&has_boss), Ok(()));
    assert_eq!(set(&[11, 12]).judge(&has_boss), denied("c:d"), "of one who holds more");
    assert_eq!(set(&[]).judge(&has_boss), denied("c:d"));
    let has_clerk = evidence(&all, &[(CALLER, 10), (OTHER, 12)]);
    assert_eq!(set(&[11]).judge(&has_clerk), not_held());
    assert_eq!(set(&[11, 12]).judge(&has_clerk), not_held());
    assert_eq!(set(&[]).judge(&has_clerk), Ok(()));
    assert_eq!(set(&[10, 12]).judge(&has_clerk), Ok(()));
}

#[test]
fn takes_everyone_for_as_strong_as_themselves_unless_their_token_was_narrowed() {
    let (manager, boss) = (role(10, &["user:update"]), role(11, &["c:d"]));
    let rows = evidence(&[&manager, &boss], &[(CALLER, 10), (CALLER, 11)]);
    let whole = By { roles: &[&manager, &boss], ..NOBODY };
    assert_eq!(whole.needs(Need::Manage(CALLER)).judge(&rows), Ok(()));
    let narrow = By { roles: &[&manager], carries: Carries::ChosenRoles, ..NOBODY };
    assert_eq!(narrow.needs(Need::Manage(CALLER)).judge(&rows), denied("c:d"));
}

#[test]
fn asks_who_changes_a_role_for_what_it_grants_now() {
    let (helper, boss) = (role(10, &["role:put"]), role(11, &["c:d"]));
    let by = By { roles: &[&helper], ..NOBODY };
    let change = |realm: &str, name: &str| {
        by.needs(Need::ChangeRole(Realm::parse(realm).unwrap(), RoleName::parse(name).unwrap()))
    };
    let rows = evidence(&[&helper, &boss], &[(CALLER, 10)]);
    assert_eq!(change("default", "r11").judge(&rows), denied("c:d"));
    assert_eq!(change("default", "r10").judge(&rows), Ok(()));
    assert_eq!(change("default", "new").judge(&rows), Ok(()));
    assert_eq!(change("tenant", "r11").judge(&rows), Ok(()), "another of that name");
}

#[test]
fn chooses_for_a_token_what_its_maker_still_has() {
    let (one, two) = (role(10, &[]), role(11, &[]));
    let by = By { roles: &[&one, &two], ..NOBODY };
    let choose = by.needs(Need::Choose([(id(10), one.name.clone())].into()));
    assert_eq!(choose.judge(&evidence(&[&one], &[(CALLER, 10)])), Ok(()));
    let not_held = Err(Denied::Role("r10".to_owned()));
    assert_eq!(choose.judge(&evidence(&[&one, &two], &[(CALLER, 11)])), not_held);
    let any = by.needs(Need::AnyOf([id(10), id(11)].into()));
    assert_eq!(any.judge(&evidence(&[&one, &two], &[(CALLER, 11)])), Ok(()));
    assert_eq!(any.judge(&evidence(&[&two], &[(CALLER, 10)])), Err(Denied::NoRole));
}

//! `Authorize`: may this bearer do this? A refused token is an answer; an error means that no
//! decision was made.

use std::time::Duration;

use super::accepted::{Accepted, guest_meets};
use super::calls::{Check, Credential, DenyReason, OnRefused, Origin, Verdict};
use super::core::{AuthorizeCallers, Core};
use super::error::{Error, Faults};
use super::identity::{Realm, UserId};
use super::knowledge::{Missing, Sight};
use super::permission::Asked;
use super::token::Secret;

/// The most permissions that one check asks for.
const MOST_PERMISSIONS: usize = 100;

/// The most profiles that one check accepts by name.
const MOST_PROFILES: usize = 100;

/// A check that was read.
struct Question<'a> {
    /// `None`: a guest's.
    token: Option<Secret>,
    asked: Vec<Asked>,
    owner: Option<UserId>,
    /// `None`: any.
    realm: Option<&'a Realm>,
    profiles: Vec<String>,
    on_refused: OnRefused,
}

impl Core {
    /// Answers whether the bearer of a token, or a guest, may do what is asked.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Unavailable`]: no decision was made;
    /// [`Error::BadCredentials`] or [`Error::TokenInvalid`] where callers must prove themselves.
    pub async fn authorize(&self, origin: &Origin, check: Check) -> Result<Verdict, Error> {
        self.admit(origin).await?;
        let question = self.read_question(check)?;
        // A forged token is refused from memory, without a lease.
        let forged = question.token.as_ref().and_then(|secret| self.refuse_forged(secret));
        if let (Some(reason), OnRefused::Deny) = (forged, question.on_refused) {
            return Ok(refused(reason));
        }
        let (verdict, facts_age) =
            self.decide(|sight| self.judge_question(sight, &question)).await?;
        Ok(Verdict { facts_age, ..verdict })
    }

    /// The same, of nobody's asking, where memory has all that it takes and may be believed now.
    /// It waits for nothing. `None`: it is for [`Self::authorize`] to say.
    #[must_use]
    pub fn authorize_at_once(&self, check: Check) -> Option<Verdict> {
        if self.authorize_asks_caller() {
            return None;
        }
        let question = self.read_question(check).ok()?;
        self.knowledge.judge_at_once(|sight| self.judge_question(sight, &question))
    }

    async fn admit(&self, origin: &Origin) -> Result<(), Error> {
        match (self.settings.authorize_callers, &origin.credential) {
            (AuthorizeCallers::Open, _) | (_, Credential::Operator) => Ok(()),
            (AuthorizeCallers::Authenticated, Credential::Bearer { secret, realm }) => {
                self.prove_bearer(secret, realm.as_deref()).await.map(drop)
            }
            (AuthorizeCallers::Authenticated, Credential::None | Credential::Password(_)) => {
                Err(Error::BadCredentials)
            }
        }
    }

    fn read_question(&self, check: Check) -> Result<Question<'_>, Error> {
        let Check { token, permissions, owner, realm, profiles, on_refused } = check;
        let mut faults = Faults::default();
        if permissions.len() > MOST_PERMISSIONS {
            faults.add("permissions", "must be at most 100");
        }
        let asked = permissions
            .into_iter()
            .take(MOST_PERMISSIONS)
            .enumerate()
            .filter_map(|(n, text)| faults.take_at("permissions", n, Asked::parse(text)))
            .collect();
        let owner = if owner.is_empty() {
            None
        } else {
            faults.take("resource.owner_user_id", UserId::parse(&owner))
        };
        let realm = match realm.as_str() {
            "*" => None,
            name => {
                self.settings.profiles.find_realm(name).map_err(|fault| faults.push(fault)).ok()
            }
        };
        if profiles.len() > MOST_PROFILES {
            faults.add("profiles", "must be at most 100");
        }
        for (n, name) in profiles.iter().take(MOST_PROFILES).enumerate() {
            if self.settings.profiles.find(name).is_none() {
                faults.add(format!("profiles[{n}]"), "is not a profile of this service");
            }
        }
        faults.finish()?;
        Ok(Question { token, asked, owner, realm, profiles, on_refused })
    }

    fn judge_question(
        &self,
        sight: &Sight<'_>,
        question: &Question<'_>,
    ) -> Result<Verdict, Missing> {
        let reason = match &question.token {
            None => None,
            Some(secret) => match self.judge_secret(sight, secret, question.realm)? {
                Ok(accepted) => match question.excludes(&accepted) {
                    None => return Ok(self.judge_bearer(question, accepted)),
                    Some(reason) => Some(reason),
                },
                Err(reason) => Some(reason),
            },
        };
        match (reason, question.on_refused) {
            (Some(reason), OnRefused::Deny) => Ok(refused(reason)),
            (Some(_), OnRefused::Guest) | (None, _) => judge_guest(sight, question),
        }
    }

    fn judge_bearer(&self, question: &Question<'_>, accepted: Accepted) -> Verdict {
        self.note_use(&accepted);
        let missing = missing(question, |asked| accepted.meets(asked, question.owner));
        Verdict {
            denied: (!missing.is_empty()).then_some(DenyReason::MissingPermission),
            bearer: Some(accepted.into_bearer()),
            missing,
            facts_age: Duration::ZERO,
        }
    }
}

fn judge_guest(sight: &Sight<'_>, question: &Question<'_>) -> Result<Verdict, Missing> {
    if question.asked.is_empty() {
        return Ok(refused(DenyReason::NoToken));
    }
    let anonymous = match question.realm {
        Some(realm) => sight.anonymous(realm)?,
        None => sight.anonymous(&Realm::default())?,
    };
    let missing = missing(question, |asked| guest_meets(anonymous.as_deref(), asked));
    Ok(Verdict {
        denied: (!missing.is_empty()).then_some(DenyReason::NoToken),
        bearer: None,
        missing,
        facts_age: Duration::ZERO,
    })
}

impl Question<'_> {
    /// Why a good token is not one that was asked for.
    fn excludes(&self, accepted: &Accepted) -> Option<DenyReason> {
        let name = accepted.profile.name.as_str();
        let admitted = self.profiles.is_empty() || self.profiles.iter().any(|known| known == name);
        (!admitted).then_some(DenyReason::WrongProfile)
    }
}

fn missing(question: &Question<'_>, is_met: impl Fn(&Asked) -> bool) -> Vec<String> {
    let unmet = question.asked.iter().filter(|asked| !is_met(asked));
    unmet.map(|asked| asked.as_str().to_owned()).collect()
}

fn refused(reason: DenyReason) -> Verdict {
    Verdict { denied: Some(reason), bearer: None, missing: vec![], facts_age: Duration::ZERO }
}
